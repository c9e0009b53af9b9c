"""`reelmill db`: the schema of the farm's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reelmill.cli.farm_options import DataOption, StoreOption
from reelmill.cli.output import Format, FormatOption, show_record
from reelmill.errors import StartupError

if TYPE_CHECKING:
    from reelmill.store.protocol import Store

db_app = typer.Typer(help="The schema of the farm's database.", no_args_is_help=True, rich_markup_mode=None)


@db_app.command("check")
def check(store: StoreOption = None, data: DataOption = None, output: FormatOption = Format.TABLE) -> None:
    """Say which schema the database has, changing nothing; exit 1 when it is not the one of this reelmill."""
    from reelmill.cli.farm import open_store
    from reelmill.settings import load_settings
    from reelmill.store.schema import REVISION

    database = open_store(load_settings({"store": store, "data": data}))
    revision = database.read_revision()
    record = {"store": database.place, "revision": revision, "needed": REVISION, "up_to_date": revision == REVISION}
    show_record(record, output)
    if revision is None:
        typer.echo("there is no database yet; `reelmill up` makes it", err=True)
    elif revision != REVISION:
        typer.echo("an upgrade is needed: `reelmill db upgrade` does it, and so does `reelmill up`", err=True)
    if revision != REVISION:
        raise typer.Exit(1)


@db_app.command("upgrade")
def upgrade(store: StoreOption = None, data: DataOption = None) -> None:
    """Bring the database to the schema of this reelmill, with all that is in it; harmless when it has it already.

    Stop the farm before, and keep a copy: an older reelmill cannot use the database afterwards.
    """
    import asyncio

    from reelmill.cli.farm import open_store
    from reelmill.logs import configure_logs
    from reelmill.settings import load_settings
    from reelmill.store.schema import REVISION

    configure_logs()
    settings = load_settings({"store": store, "data": data})
    database = open_store(settings)
    revision = database.read_revision()
    if revision == REVISION:
        typer.echo(f"{database.place} has schema {REVISION} already")
        return
    if revision is None and not settings.store:
        raise StartupError(
            f"there is no database {database.place}; `reelmill up` makes it, or name another with --data"
        )
    asyncio.run(_start_once(database))
    from_where = f"upgraded from schema {revision} to" if revision else "made with schema"
    typer.echo(f"{database.place} was {from_where} {REVISION}")


async def _start_once(database: Store) -> None:
    """A store upgrades its database when it starts, and only when no other master has the file."""
    await database.start()
    await database.stop()
