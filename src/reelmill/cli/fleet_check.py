"""`reelmill doctor --fleet`: which worker reads and writes which place of media."""

from __future__ import annotations

from typing import Any

import typer

from reelmill.cli.master_client import call_master
from reelmill.cli.output import Format, show_rows

_COLUMNS = ["node", "place", "read", "write", "trouble"]
_EXPENDABLE = ["place"]
_SOME_FAILED = 3


def check_fleet(master: str | None, output: Format) -> None:
    """Let a master check every worker, and show the matrix; exit 3 when a cell is not ok."""
    places = call_master(master, lambda client: client.post("/places/check"))["places"]
    rows = [_cells(place) for place in places] if output is Format.TABLE else places
    columns = _COLUMNS if output is Format.TABLE else list(places[0] if places else _COLUMNS)
    show_rows(rows, columns, output, expendable=_EXPENDABLE)
    failed = [place for place in places if (place["read"], place["write"]) != ("ok", "ok")]
    if not places:
        typer.echo("no worker is there to be checked", err=True)
    if failed:
        typer.echo(f"{len(failed)} of {len(places)} workers cannot use their place of media", err=True)
        raise typer.Exit(_SOME_FAILED)


def _cells(place: dict[str, Any]) -> dict[str, Any]:
    """The halves with their seconds."""
    halves = {half: _half(place[half], place[f"{half}_seconds"]) for half in ("read", "write")}
    return {**place, **halves}


def _half(state: str, seconds: float | None) -> str:
    return state if seconds is None else f"{state} {seconds:.3f} s"
