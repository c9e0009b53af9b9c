"""`reelmill scenarios`: what a job may ask for."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from reelmill.cli.output import Format, FormatOption, show_record, show_rows
from reelmill.domain.quantity import format_bitrate
from reelmill.domain.scenario import Scenario, find_scenario, known_scenarios, source_of, use_scenarios

scenarios_app = typer.Typer(help="What a job may ask for.", no_args_is_help=True, rich_markup_mode=None)


def _row(scenario: Scenario, *, readable: bool) -> dict[str, object]:
    row: dict[str, object] = {**msgspec.structs.asdict(scenario), "source": source_of(scenario)}
    if readable:
        row["size"] = f"{scenario.width}x{scenario.height}"
        usual = f"{format_bitrate(scenario.bitrate_low)} to {format_bitrate(scenario.bitrate_high)}"
        row["bitrate"] = usual if scenario.follows_bitrate else ""
    return row


def _read_own() -> None:
    from reelmill.settings import load_settings

    use_scenarios(load_settings({}).own_scenarios)


@scenarios_app.command("list")
def list_scenarios(output: FormatOption = Format.TABLE) -> None:
    """List the scenarios, built-in and of the settings: size, rate, codec, usual bitrates, and cost in CPU units."""
    _read_own()
    rows = [_row(scenario, readable=output is Format.TABLE) for scenario in known_scenarios().values()]
    columns = ["name", "size", "fps", "codec", "bitrate", "preset", "cost", "source"]
    show_rows(rows, columns if output is Format.TABLE else [*Scenario.__struct_fields__, "source"], output)


@scenarios_app.command("show")
def show_scenario(
    name: Annotated[str, typer.Argument(help="Such as 1080p60-h264.")], output: FormatOption = Format.TABLE
) -> None:
    """Show one scenario."""
    _read_own()
    show_record(_row(find_scenario(name), readable=False), output)
