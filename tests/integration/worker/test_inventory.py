"""What discovery finds on a machine: the engines that run, and the encoders that work."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelmill.bus.memory import MemoryBus
from reelmill.domain.encoder import SOFTWARE
from reelmill.errors import StartupError
from reelmill.worker.agent import Worker
from reelmill.worker.depot import SharedFolder
from reelmill.worker.engines.gstreamer_encoders import ENCODERS as GSTREAMER_ENCODERS
from reelmill.worker.inventory import FFMPEG_VARIABLE, Ffmpeg, discover, find_ffmpeg
from reelmill.worker.machine import find_program


async def test_discovery_tries_every_encoder() -> None:
    """Capabilities are what works here, with a reason for what does not; slots override the cores."""
    inventory = await discover(slots=7)
    assert inventory.capabilities.units == 7
    assert inventory.capabilities.engines["ffmpeg"] == list(inventory.encoders)
    assert {trial.encoder for trial in inventory.trials} == {name for names in SOFTWARE.values() for name in names}
    assert inventory.ffmpeg.path.is_absolute()
    assert "h264" in inventory.encoders


def test_a_chosen_ffmpeg_is_used_or_refused(ffmpeg: Ffmpeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REELMILL_FFMPEG wins over all others; a wrong one stops the start with a sentence that names it."""
    monkeypatch.setenv(FFMPEG_VARIABLE, str(ffmpeg.path))
    assert find_ffmpeg() == ffmpeg
    monkeypatch.setenv(FFMPEG_VARIABLE, "/bin/true")
    with pytest.raises(StartupError, match="REELMILL_FFMPEG=/bin/true"):
        find_ffmpeg()


@pytest.mark.parametrize(("version", "preferred"), [("99.1", True), ("4.4.2-0ubuntu", False)])
def test_the_systems_ffmpeg_is_used_only_when_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, preferred: bool
) -> None:
    """Of the bundled and the system's ffmpeg the newer runs."""
    system = tmp_path / "ffmpeg"
    system.write_text(f"#!/bin/sh\necho ffmpeg version {version} Copyright\n")
    system.chmod(0o755)
    monkeypatch.delenv(FFMPEG_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (find_ffmpeg().path == system) == preferred


async def test_an_encoder_that_does_not_work_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ffmpeg that lists an encoder and cannot use it does not get its jobs; `doctor` can say why."""
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\ncase $* in *-version*) echo ffmpeg version 9.9;; *) echo kaput >&2; exit 1;; esac\n")
    broken.chmod(0o755)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(broken))
    inventory = await discover()
    assert "ffmpeg" not in inventory.capabilities.engines
    assert all("kaput" in (trial.error or "") for trial in inventory.trials)


async def test_a_machine_with_little_memory_uses_fewer_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 MB are enough for one unit of eight, also when some were to be kept for live jobs; `--slots` decides."""
    monkeypatch.setattr("reelmill.worker.inventory.usable_cores", lambda: 8)
    monkeypatch.setattr("reelmill.worker.inventory.usable_memory", lambda: 512 * 1024**2)
    inventory = await discover()
    worker = Worker(MemoryBus(), inventory, SharedFolder(tmp_path), name="small", reserve_live=2)
    capabilities = worker.node.capabilities
    assert (1, 0) == (capabilities.units, capabilities.reserve_live)
    assert 8 == (await discover(slots=8)).capabilities.units


async def test_gstreamer_is_offered_with_the_codecs_that_work() -> None:
    """Its encoders are tried like ffmpeg's; it has no feature beyond plain scenarios."""
    inventory = await discover()
    assert inventory.gstreamer is not None
    assert inventory.gstreamer.lack is None
    assert list(GSTREAMER_ENCODERS) == list(inventory.gstreamer.encoders)
    assert inventory.capabilities.engines["gstreamer"] == list(GSTREAMER_ENCODERS)
    assert "gstreamer" not in inventory.capabilities.features
    assert {"ffmpeg", "gstreamer"} == set(inventory.engines())


async def test_a_gstreamer_without_its_plugins_is_not_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half an engine would fail jobs one by one; `doctor` says which element is missing."""
    monkeypatch.setenv("REELMILL_GSTREAMER", str(_gst_without("avwait", tmp_path)))
    inventory = await discover()
    assert inventory.gstreamer is not None
    assert inventory.gstreamer.lack == "it lacks avwait"
    assert "gstreamer" not in inventory.capabilities.engines


async def test_a_gstreamer_encoder_that_does_not_work_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The others still are offered."""
    monkeypatch.setenv("REELMILL_GSTREAMER", str(_gst_without("x265enc", tmp_path)))
    inventory = await discover()
    assert inventory.gstreamer is not None
    assert [trial.codec for trial in inventory.gstreamer.trials if not trial.ok] == ["h265"]
    assert "h265" not in inventory.capabilities.engines["gstreamer"]


@pytest.mark.parametrize(("chosen", "is_refused"), [("none", False), ("/bin/true", True)])
async def test_gstreamer_can_be_left_out_or_is_refused(
    monkeypatch: pytest.MonkeyPatch, chosen: str, is_refused: bool
) -> None:
    """REELMILL_GSTREAMER=none offers none; a program that is something else stops the start."""
    monkeypatch.setenv("REELMILL_GSTREAMER", chosen)
    if is_refused:
        with pytest.raises(StartupError, match="REELMILL_GSTREAMER=/bin/true"):
            await discover()
    else:
        assert (await discover()).gstreamer is None


def _gst_without(element: str, folder: Path) -> Path:
    """A gst-launch-1.0 as it answers where the plugin of that element is not installed."""
    script = folder / "gst-launch-1.0"
    script.write_text(
        f"#!/bin/sh\ncase \" $* \" in *' {element} '*) echo 'WARNING: erroneous pipeline: no element "
        f'"{element}"\' >&2; exit 1;; esac\nexec gst-launch-1.0.real "$@"\n'.replace(
            "gst-launch-1.0.real", str(find_program("gst-launch-1.0"))
        )
    )
    script.chmod(0o755)
    return script
