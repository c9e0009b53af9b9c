"""Hardware encoders, with a device that is made up: no machine of the tests has a real one.

The fake is an ffmpeg that accepts h264_nvenc and runs libx264 instead, and fails in NVENC's own words when told to.
All else is real.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from reelmill.domain.attempt import AttemptKey, Grant
from reelmill.domain.encoder import is_hardware
from reelmill.domain.job import Parameters, Result
from reelmill.domain.lifecycle import Fail, Settle
from reelmill.domain.scenario import find_scenario
from reelmill.worker.attempt import Attempt, Workshop
from reelmill.worker.card_energy import Cards
from reelmill.worker.depot import SharedFolder
from reelmill.worker.energy import Meter, Rapl
from reelmill.worker.inventory import FFMPEG_VARIABLE, HARDWARE_VARIABLE, discover, find_ffmpeg
from reelmill.worker.probe import Probe
from reelmill.worker.sessions import Sessions
from tests.listener import Listener
from tests.made_up_nvml import MadeUpNvml
from tests.samples import LEASE

NO_DEVICE = "[h264_nvenc @ 0x1] No capable devices found"
NO_SESSION = "[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10): (no details)"
BAD_FILE = "nothing, and makes a picture of another size"
NO_SPACE = "[out#0/mp4 @ 0x1] Error writing trailer: No space left on device"

SCRIPT = """#!/bin/bash
case " $* " in
*" h264_nvenc "*)
  if grep -q "{bad_file}" "{said}" 2>/dev/null; then small=(-s 64x64)
  elif [ -s "{said}" ]; then cat "{said}" >&2; exit 1; fi ;;
*_nvenc*|*_qsv*|*_vaapi*|*_amf*) echo "{no_device}" >&2; exit 1 ;;
esac
words=()
while [ $# -gt 0 ]; do
  case $1 in
  h264_nvenc) words+=(libx264) ;;
  p4) words+=(ultrafast) ;;
  -rc) shift ;;
  *) words+=("$1") ;;
  esac
  shift
done
last=$((${{#words[@]}} - 1))
exec "{ffmpeg}" "${{words[@]:0:last}}" "${{small[@]}}" "${{words[last]}}"
"""


class Machine:
    """A machine with a made-up NVENC."""

    def __init__(self, folder: Path, probe: Probe) -> None:
        self.folder, self.probe = folder, probe
        self.sessions = Sessions({"nvenc": 1})
        self.said = folder / "nvenc says"
        self.ffmpeg = folder / "ffmpeg"
        real = find_ffmpeg().path
        self.ffmpeg.write_text(SCRIPT.format(said=self.said, ffmpeg=real, no_device=NO_DEVICE, bad_file=BAD_FILE))
        self.ffmpeg.chmod(0o755)

    async def run(self, says: str = "", encoder: str | None = None, meter: Meter | None = None) -> Result | Fail:
        """Encode one job on it, with that encoder if one is named, while its driver says that: what came of it."""
        inventory = await discover()
        self.said.write_text(says)
        reporter = Listener()
        parameters = Parameters(output="out.mp4", duration=0.5, bitrate=1_000_000)
        scenario = msgspec.structs.replace(find_scenario("480p30-h264"), encoder=encoder)
        grant = Grant(AttemptKey("job", 1), scenario, "ffmpeg", parameters, 2, LEASE)
        shop = Workshop(
            "node", SharedFolder(self.folder), inventory.engines(), self.probe, reporter, sessions=self.sessions
        )
        await Attempt(grant, shop, lambda _: None, meter).run()
        events = [report.event for report in reporter.said]
        [ended] = [event for event in events if isinstance(event, Settle | Fail)]
        return ended.result if isinstance(ended, Settle) else ended


@pytest.fixture
def machine(tmp_path: Path, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path, probe)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(found.ffmpeg))
    return found


async def test_hardware_is_found_by_encoding(machine: Machine) -> None:
    """What is built in and has no device is not offered."""
    inventory = await discover()
    assert {trial.encoder for trial in inventory.hardware if trial.ok} == {"h264_nvenc"}
    assert len(inventory.hardware) > 1
    assert "h264_nvenc" in inventory.capabilities.features["ffmpeg"]


async def test_this_machine_offers_no_hardware() -> None:
    """The real ffmpeg lists encoders for which this machine has no device: the trial tells."""
    inventory = await discover()
    if any(trial.ok for trial in inventory.hardware):
        pytest.skip("this machine has a hardware encoder")
    offered = inventory.capabilities.features["ffmpeg"]
    assert {"libx264", "libx265", "libvpx-vp9", "libsvtav1"} <= set(offered)
    assert not [name for name in offered if is_hardware(name)]
    assert all("device" in (trial.error or "") for trial in inventory.hardware), inventory.hardware


async def test_a_node_encodes_in_hardware_where_it_has_it(machine: Machine) -> None:
    """A scenario says h264, and the node chooses."""
    result = await machine.run()
    assert isinstance(result, Result)
    assert (result.engine, result.encoder, result.fallback) == ("ffmpeg", "h264_nvenc", None)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (NO_DEVICE, "no_encoder_device"),
        (NO_SESSION, "encoder_busy"),
        ("kaput", "engine_failed"),
        (BAD_FILE, "output_invalid"),
    ],
)
async def test_software_goes_on_where_hardware_fails(machine: Machine, says: str, code: str) -> None:
    """In the same attempt, whatever the driver says, and the result says so."""
    result = await machine.run(says)
    assert isinstance(result, Result)
    assert (result.engine, result.encoder) == ("ffmpeg", "libx264")
    assert result.fallback is not None
    assert result.fallback.startswith(f"not h264_nvenc of ffmpeg ({code}: ")


@pytest.mark.parametrize("encoder", ["h264_nvenc", "libx264"])
async def test_an_encoder_that_is_named_is_used(machine: Machine, encoder: str) -> None:
    """Also the one that the node would not have chosen."""
    result = await machine.run(encoder=encoder)
    assert isinstance(result, Result)
    assert (result.encoder, result.fallback) == (encoder, None)


@pytest.mark.parametrize(
    ("says", "reason", "code"),
    [(NO_DEVICE, "platform_error", "no_encoder_device"), (NO_SESSION, "resource_error", "encoder_busy")],
)
async def test_a_named_encoder_is_never_replaced(machine: Machine, says: str, reason: str, code: str) -> None:
    """The job is tried again, perhaps elsewhere, and says why."""
    failed = await machine.run(says, encoder="h264_nvenc")
    assert isinstance(failed, Fail)
    assert (failed.failure.reason, failed.failure.code) == (reason, code)


async def test_software_goes_on_where_no_session_is_free(machine: Machine) -> None:
    """In the same attempt, with the reason; the device is not even asked."""
    async with machine.sessions.hold("hevc_nvenc", waits=False):
        result = await machine.run("kaput")
    assert isinstance(result, Result)
    assert result.encoder == "libx264"
    assert "not h264_nvenc of ffmpeg (encoder_busy: The one session of nvenc" in (result.fallback or "")


async def test_a_job_that_names_its_encoder_waits_for_a_session(machine: Machine) -> None:
    """And has it as soon as another encode gives it back."""
    async with machine.sessions.hold("hevc_nvenc", waits=False):
        running = asyncio.create_task(machine.run(encoder="h264_nvenc"))
        done, _ = await asyncio.wait({running}, timeout=1.5)
        assert not done
    result = await running
    assert isinstance(result, Result)
    assert (result.encoder, result.fallback) == ("h264_nvenc", None)


async def test_a_full_disk_is_not_the_encoders_fault(machine: Machine) -> None:
    """Software would fill it too."""
    failed = await machine.run(NO_SPACE)
    assert isinstance(failed, Fail)
    assert failed.failure.code == "no_space"


async def test_hardware_can_be_left_out(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """REELMILL_HARDWARE=none."""
    monkeypatch.setenv(HARDWARE_VARIABLE, "none")
    assert (await discover()).hardware == []


async def test_an_encode_on_a_card_has_its_energy_and_a_failed_one_too(machine: Machine, tmp_path: Path) -> None:
    """By a made-up library whose counter rises with each reading; what the processor used is a figure of its own."""

    def meter() -> Meter:
        return Meter(None, 5.0, rapl=Rapl(tmp_path / "no counters"), cards=Cards(MadeUpNvml(0, step=2_000)))

    failed = await machine.run(NO_SPACE, meter=meter())
    assert isinstance(failed, Fail)
    assert failed.spent is not None
    assert (2.0, "nvml") == (failed.spent.gpu_joules, failed.spent.gpu_source)
    machine.said.write_text("")
    made = await machine.run(meter=meter())
    assert isinstance(made, Result)
    assert ("h264_nvenc", 2.0, "nvml", "model") == (
        made.encoder,
        made.gpu_joules,
        made.gpu_source,
        made.energy_source,
    )
