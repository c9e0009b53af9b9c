"""`reelmill doctor`: what is wrong with this machine, and what to type."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from reelmill.cli.fleet_check import check_fleet
from reelmill.cli.master_client import MasterOption
from reelmill.cli.output import Format, FormatOption, show_rows
from reelmill.domain.quantity import format_size
from reelmill.errors import SettingsError, StartupError

if TYPE_CHECKING:
    from reelmill.settings import Settings
    from reelmill.worker.gstreamer_trial import Gstreamer
    from reelmill.worker.trial import Trial

_LEAST_FREE = 1024**3
_PIPED_WIDTH = 100
"""Columns of the table without a terminal: its sentences are for people there too."""
_OLDEST_SQLITE = (3, 35, 0)


class Finding(NamedTuple):
    """One thing looked at: what, whether it is ``ok``, a ``warning`` or an ``error``, what was found, what to do."""

    check: str
    state: str
    found: str
    advice: str = ""


def doctor(
    port: Annotated[int | None, typer.Option(metavar="N", help="Port to check.", show_default="8080")] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder of the database.")] = None,
    media: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of the media, or s3://, gs:// or az://BUCKET/PREFIX.")
    ] = None,
    fleet: Annotated[
        bool, typer.Option("--fleet", help="Check instead whether every worker reads and writes its place of media.")
    ] = False,
    output: FormatOption = Format.TABLE,
    master: MasterOption = None,
) -> None:
    """Look for what would keep a farm from running here; exit 1 when something would.

    With --fleet a master has every worker read a small file where its media are, and leave one; exit 3 when one cannot.
    """
    import asyncio

    from reelmill.settings import load_settings

    if fleet:
        if (port, data, media) != (None, None, None):
            raise SettingsError("doctor --fleet looks at the workers: --port, --data and --media are of this machine")
        check_fleet(master, output)
        return
    if master is not None:
        raise SettingsError("doctor looks at this machine, and asks no master; did you mean doctor --fleet?")
    settings = load_settings({"port": port, "data": data, "media": media})
    findings = [*_check_python(), *asyncio.run(_check_ffmpeg()), *_check_machine(settings), _check_port(settings)]
    if settings.media_store:
        findings.append(asyncio.run(_check_store(settings)))
    show_rows(
        [finding._asdict() for finding in findings], ["check", "state", "found", "advice"], output, width=_PIPED_WIDTH
    )
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)


def _check_python() -> Iterator[Finding]:
    version = sys.version.split()[0]
    yield Finding("python", "ok", f"{version} ({sys.executable})")
    old = sqlite3.sqlite_version_info < _OLDEST_SQLITE
    yield Finding(
        "sqlite",
        "error" if old else "ok",
        sqlite3.sqlite_version,
        "use a Python with SQLite 3.35 or newer" if old else "",
    )


async def _check_ffmpeg() -> list[Finding]:
    from reelmill.worker.inventory import discover

    try:
        inventory = await discover()
    except StartupError as error:
        return [Finding("ffmpeg", "error", "none that runs", str(error))]
    findings = [Finding("ffmpeg", "ok", f"{inventory.ffmpeg.version} ({inventory.ffmpeg.path})")]
    state = "ok" if inventory.shortage is None else "warning"
    findings.append(Finding("cores", state, f"{inventory.capabilities.units} units", inventory.shortage or ""))
    findings += [*_judge_encoders(inventory.trials, inventory.encoders), *_judge_hardware(inventory.hardware)]
    findings += _check_gstreamer(inventory.gstreamer)
    return findings


def _judge_encoders(trials: Sequence[Trial], working: Mapping[str, str]) -> Iterator[Finding]:
    for trial in trials:
        needed = trial.codec not in working
        state = "ok" if trial.ok else "error" if needed else "warning"
        advice = f"{trial.codec} jobs cannot run here; install an ffmpeg that has it" if needed else ""
        yield Finding(f"encoder {trial.encoder}", state, trial.error or "works", advice)


def _judge_hardware(trials: Sequence[Trial]) -> Iterator[Finding]:
    """One line for each that works, one for all that do not: most machines have none."""
    yield from (Finding(f"encoder {trial.encoder}", "ok", "works (hardware)") for trial in trials if trial.ok)
    if not any(trial.ok for trial in trials):
        yield Finding("hardware encoders", "ok", "none works" if trials else "none tried")


def _check_gstreamer(found: Gstreamer | None) -> Iterator[Finding]:
    """It is an offer, not a need: whatever is wrong with it is a warning."""
    install = "for jobs of the engine gstreamer install gstreamer1.0-tools, its plugins and gstreamer1.0-libav"
    if found is None:
        yield Finding("gstreamer", "ok", "none", install)
    elif found.lack is not None:
        yield Finding("gstreamer", "warning", f"{found.version}: {found.lack}", install)
    else:
        yield Finding("gstreamer", "ok", f"{found.version} ({found.path})")
        for trial in found.trials:
            state = "ok" if trial.ok else "warning"
            yield Finding(f"encoder {trial.encoder}", state, trial.error or "works")


def _check_machine(settings: Settings) -> Iterator[Finding]:
    from reelmill.worker.machine import find_program
    from reelmill.worker.shortage import find_full_temporary_folder

    setpriv = find_program("setpriv")
    advice = "install util-linux: without it an engine may outlive a killed worker"
    yield Finding("setpriv", "ok" if setpriv else "warning", str(setpriv or "not found"), "" if setpriv else advice)
    full = find_full_temporary_folder()
    yield Finding("temporary files", "warning" if full else "ok", "no space" if full else "has space", full or "")
    folders = [("data", settings.data)] + ([] if settings.media_store else [("media", settings.media_folder)])
    for name, folder in folders:
        yield _check_folder(name, folder, settings.min_free_bytes if name == "media" else 0)


async def _check_store(settings: Settings) -> Finding:
    from reelmill.cli.farm import open_objects

    try:
        await open_objects(settings)
    except (SettingsError, StartupError) as error:
        return Finding("media store", "error", settings.media_store, str(error))
    return Finding("media store", "ok", f"{settings.media_store} can be read and written")


def _check_folder(name: str, folder: Path, min_free: int) -> Finding:
    from reelmill.cli.folders import try_folder

    check = f"{name} folder"
    fault = try_folder(name, folder)
    if fault is not None:
        return Finding(check, "error", fault.found, fault.advice)
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    found = f"{folder} ({free / 1024**3:.1f} GiB free)"
    if free < min_free:
        advice = f"free some space: with less than min_free ({format_size(min_free)}) no job is taken here"
        return Finding(check, "error", found, advice)
    if free < _LEAST_FREE:
        return Finding(check, "warning", found, "free some space: outputs and the database need it")
    return Finding(check, "ok", found)


def _check_port(settings: Settings) -> Finding:
    from reelmill.cli.neighbour import find_farm, why_taken

    check = f"port {settings.port}"
    taken = why_taken(settings.host, settings.port)
    if taken is None:
        return Finding(check, "ok", "free")
    other = find_farm(settings)
    if other is None:
        reason = taken.strerror or str(taken)
        return Finding(check, "error", reason, "stop what uses it, or start the farm with another --port")
    return Finding(check, "ok", f"a reelmill {other.version} answers at {other.url}")
