"""The argv of a stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelmill.worker.engines.engine import EncodePlan
from reelmill.worker.engines.ffmpeg import FfmpegEngine
from reelmill.worker.engines.ffmpeg_live import join_command, record_command, stream_command
from reelmill.worker.media_info import MediaInfo

PlanFor = Callable[..., EncodePlan]
ENGINE = FfmpegEngine(Path("/opt/ffmpeg"), {"h264": "libx264"})
URL = "rtmp://host/app/key"


def value_of(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_a_file_is_read_in_real_time_behind_whitelists(source: MediaInfo, plan_for: PlanFor) -> None:
    """Also for a stream nothing but a plain local file is opened."""
    argv = stream_command(ENGINE, plan_for(source=source), URL)
    before_input = argv[: argv.index("-i")]
    assert "-re" in before_input
    assert "file" == value_of(before_input, "-protocol_whitelist")
    assert "10.000000" == value_of(argv, "-t")
    assert URL == argv[-1]


def test_the_encoder_keeps_its_rate_and_its_threads(plan_for: PlanFor) -> None:
    """A line to a server has no room for peaks, and a key frame comes every two seconds for those who join."""
    argv = stream_command(ENGINE, plan_for(duration=5, units=3), URL)
    assert ("4000000", "4000000") == (value_of(argv, "-b:v"), value_of(argv, "-maxrate"))
    assert ("3", "60", "veryfast") == (value_of(argv, "-threads:v"), value_of(argv, "-g"), value_of(argv, "-preset"))
    assert "-c:a" not in argv


def test_the_engine_never_waits_for_its_server(source: MediaInfo, plan_for: PlanFor) -> None:
    """The fifo muxer reconnects for ever and drops what nobody takes; only RTMP's own protocols are opened."""
    argv = stream_command(ENGINE, msgspec.structs.replace(plan_for(source=source), audio=("copy",)), URL)
    for option in ("-drop_pkts_on_overflow", "-attempt_recovery", "-recover_any_error", "-restart_with_keyframe"):
        assert "1" == value_of(argv, option)
    assert "aac" == value_of(argv, "-c:a:0")
    assert "160" == value_of(argv, "-queue_size")
    assert value_of(argv, "-format_opts").endswith("protocol_whitelist=rtmp,rtmps,tcp,tls")


def test_whoever_answers_by_tls_proves_its_name(plan_for: PlanFor) -> None:
    """Also to an ffmpeg before 9, which asks for no proof unless told to."""
    secure = URL.replace("rtmp://", "rtmps://")
    plan = msgspec.structs.replace(plan_for(), stream=secure)
    for argv in (stream_command(ENGINE, plan, secure), record_command(ENGINE, plan)):
        assert "1" == value_of(argv[: argv.index("-i")], "-tls_verify")
    assert value_of(stream_command(ENGINE, plan, secure), "-format_opts").endswith(":tls_verify=1")
    assert not [word for word in stream_command(ENGINE, plan_for(), URL) if "tls_verify" in word]


@pytest.mark.parametrize(
    ("url", "protocols", "formats"),
    [
        ("rtmp://host/app/in", "rtmp,tcp", "flv,live_flv"),
        ("rtmps://host/app/in", "rtmps,rtmp,tls,tcp", "flv,live_flv"),
        ("srt://host:9000?streamid=a", "srt", "mpegts"),
    ],
)
def test_a_stream_is_read_as_it_comes_behind_whitelists_of_its_own(
    plan_for: PlanFor, url: str, protocols: str, formats: str
) -> None:
    """It gives up on a silent source, and makes the very picture that was asked for of whatever comes."""
    plan = msgspec.structs.replace(plan_for(duration=5), stream=url, audio=("encode",))
    for argv in (stream_command(ENGINE, plan, URL), record_command(ENGINE, plan)):
        before, behind = argv[: argv.index("-i")], argv[argv.index("-i") + 1 :]
        assert "-re" not in argv
        assert (protocols, formats) == (value_of(before, "-protocol_whitelist"), value_of(before, "-format_whitelist"))
        assert "3000000" == value_of(before, "-rw_timeout")
        assert url == behind[0]
        assert "0:a:0?" in behind
        chain = value_of(behind, "-vf").split(",")
        assert ["pad=1920:1080:-1:-1", "setsar=1", "fps=30:start_time=0"] == chain[-3:]
        assert "bwdif=mode=send_frame:deint=interlaced" == chain[0]
        assert "5.000000" == value_of(behind, "-t")


def test_recordings_are_joined_as_they_are(plan_for: PlanFor, tmp_path: Path) -> None:
    """Of the list, which is ours, nothing but local recordings is opened."""
    argv = join_command(ENGINE, plan_for(duration=5), tmp_path / "list")
    before = argv[: argv.index("-i")]
    assert ("file", "concat,matroska,webm") == (
        value_of(before, "-protocol_whitelist"),
        value_of(before, "-format_whitelist"),
    )
    assert "copy" == value_of(argv, "-c")
