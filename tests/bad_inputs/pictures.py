"""Pictures of strange sizes, shapes, colours and times; most of them are fine."""

from __future__ import annotations

from pathlib import Path

from tests.bad_inputs.case import COMPLETES, Case, Make, fails
from tests.bad_inputs.kitchen import Kitchen, ffmpeg, film
from tests.bad_inputs.not_media import huge_png

_TINY = ("-f", "lavfi", "-i", "color=gray:size=1x1:rate=25:duration=1")
_WIDE = ("-c:v", "mpeg4", "-an")
_HDR = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")
_PQ = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
_UNEVEN = ("-vf", "setpts='N/25/TB+if(gt(N,20),0.7,0)+if(gt(N,30),0.4,0)'", "-fps_mode", "vfr", "-an")


def _turned(degrees: str) -> Make:
    return ffmpeg("-display_rotation", degrees, "-i", "FILM", "-c", "copy")


def _bomb(kitchen: Kitchen, path: Path) -> None:
    still = path.with_name("bomb.png")
    still.write_bytes(huge_png())
    kitchen.ffmpeg("-f", "png_pipe", "-i", still, "-c", "copy", f"file:{path}")
    still.unlink()


def _growing(kitchen: Kitchen, path: Path) -> None:
    first = kitchen.film(".ts", seconds=1, sound=False)
    second = kitchen.film(".ts", "-output_ts_offset", "1", size="320x180", seconds=1, sound=False)
    path.write_bytes(first.read_bytes() + second.read_bytes())


def _cover(kitchen: Kitchen, path: Path) -> None:
    still = path.with_name("cover.png")
    kitchen.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", still)
    words = ["-i", kitchen.film(), "-i", still, "-map", "0:a", "-map", "1:v", "-c", "copy"]
    kitchen.ffmpeg(*words, "-disposition:v:0", "attached_pic", f"file:{path}")
    still.unlink()


def _film_with_cover(kitchen: Kitchen, path: Path) -> None:
    still = path.with_name("poster.png")
    kitchen.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", still)
    words = ["-i", kitchen.film(), "-i", still, "-map", "1:v", "-map", "0:v", "-map", "0:a", "-c", "copy"]
    kitchen.ffmpeg(*words, "-disposition:v:0", "attached_pic", f"file:{path}")
    still.unlink()


CASES = (
    Case("1 x 1 pixel", "1x1.mkv", ffmpeg(*_TINY, "-c:v", "ffv1"), COMPLETES),
    Case("odd width and height", "odd.mkv", film("-c:v", "ffv1", size="161x121"), COMPLETES),
    Case("2 x 2000 pixels", "narrow.mkv", film("-c:v", "png", size="2x2000", seconds=1),
         fails("input_too_narrow")),
    Case("16 x 2000 pixels", "upright.mkv", film("-c:v", "png", size="16x2000", seconds=1), COMPLETES),
    Case("16384 x 16 pixels: too flat to be scaled", "flat.mkv", film("-c:v", "ffv1", size="16384x16", seconds=1),
         fails("input_too_narrow")),
    Case("8192 x 4320 pixels: more than 8K", "large.mp4", film(*_WIDE, size="8184x4320", rate="5", seconds=0.4),
         fails("input_too_large")),
    Case("a film of 18 KB that has 12000 x 12000 pixels", "bomb.mkv", _bomb,
         fails("input_too_large")),
    Case("one picture", "one.mp4", film("-frames:v", "1", "-an"), COMPLETES),
    Case("turned by 90 degrees", "turned.mp4", _turned("90"), COMPLETES, seen={"width": 360, "height": 480}),
    Case("turned by 180 degrees", "upside-down.mp4", _turned("180"), COMPLETES, seen={"width": 640}),
    Case("turned by 37 degrees, which no player shows", "askew.mp4", _turned("37"), COMPLETES),
    Case("pixels that are not square", "anamorphic.mp4", film("-vf", "setsar=64/45"), COMPLETES),
    Case("pixels as wide as their header can say", "stretched.mp4", film("-vf", "setsar=1000/1"), COMPLETES),
    Case("interlaced", "interlaced.ts", film("-flags", "+ilme+ildct", "-x264opts", "tff=1"), COMPLETES),
    Case("uneven times between pictures", "uneven.mp4", film(*_UNEVEN), COMPLETES),
    Case("one picture per second", "slow.mp4", film(rate="1"), COMPLETES),
    Case("240 pictures per second", "fast.mp4", film(rate="240", seconds=1), COMPLETES),
    Case("23.976 pictures per second", "ntsc.mp4", film(rate="24000/1001"), COMPLETES),
    Case("ten bits, HDR (PQ, BT.2020)", "hdr.mp4", film(*_HDR, *_PQ), COMPLETES),
    Case("4:4:4", "444.mkv", film("-c:v", "ffv1", "-pix_fmt", "yuv444p"), COMPLETES),
    Case("RGB", "rgb.mkv", film("-c:v", "ffv1", "-pix_fmt", "bgr0"), COMPLETES),
    Case("with transparency", "alpha.mov", film("-c:v", "qtrle", "-pix_fmt", "argb"), COMPLETES),
    Case("gray", "gray.mkv", film("-c:v", "ffv1", "-pix_fmt", "gray"), COMPLETES),
    Case("16 bits", "deep.mkv", film("-c:v", "ffv1", "-pix_fmt", "yuv420p16le"), COMPLETES),
    Case("a size that changes halfway", "growing.ts", _growing, COMPLETES),
    Case("MJPEG in avi", "mjpeg.avi", film("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), COMPLETES),
    Case("MPEG-2 in a program stream", "old.mpg", film("-c:v", "mpeg2video"), COMPLETES),
    Case("WMV", "windows.wmv", film("-c:v", "wmv2"), COMPLETES),
    Case("Theora", "free.ogv", film("-c:v", "libtheora"), COMPLETES),
    Case("ProRes", "edit.mov", film("-c:v", "prores_ks"), COMPLETES),
    Case("a film with a cover in front of it", "poster.mp4", _film_with_cover, COMPLETES, seen={"width": 640}),
    Case("sound with a cover and no film", "cover.mp4", _cover, fails("no_video_stream")),
)  # fmt: skip
