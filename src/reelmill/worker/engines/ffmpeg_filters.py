"""The video filters of a plan: from the source's pictures to those that the encoder gets. Typed values only."""

from __future__ import annotations

from reelmill.domain.chunk import Chunk
from reelmill.domain.picture import exact_rate
from reelmill.worker.engines.engine import EncodePlan

_FIELDS_ARE_PICTURES = 1.5
_TRANSFERS = {"pq": "smpte2084", "hlg": "arib-std-b67"}
_NOMINAL_PEAK = 100  # nits of SDR white


def filter_chain(plan: EncodePlan) -> str:
    """The filters, comma-separated; empty when there is nothing to do: a test source is made as it was asked for."""
    if plan.stream is not None:
        return ",".join(_of_a_stream(plan))
    if plan.source is None:
        return ""
    shape = fit_filters(plan)
    if plan.tone_map:  # behind the scaling, before bars
        shape[2:2] = _tone_map(plan.source.dynamic_range)
    rate = [f"fps={exact_rate(plan.fps)}", *_only(plan.piece)]
    # Scale the fewer pictures: frames are dropped before it, and doubled after it.
    drops = plan.source.fps > plan.fps
    from_zero = [] if plan.piece is None else ["setpts=PTS-STARTPTS"]
    return ",".join([*_deinterlace(plan), *(rate + shape if drops else shape + rate), *from_zero])


def _of_a_stream(plan: EncodePlan) -> list[str]:
    """Whatever its pictures are, and become when it is found again, into the very size and rate that was asked for."""
    fit, size = plan.scenario.picture.fit, f"{plan.width}:{plan.height}"
    flags = {"crop": "increase", "stretch": "disable"}.get(fit, "decrease")
    squared = ["scale=trunc(iw*sar/2)*2:ih", "setsar=1"] if fit != "stretch" else []
    place = {"crop": [f"crop={size}"], "stretch": []}.get(fit, [f"pad={size}:-1:-1"])
    scale = f"scale={size}:force_original_aspect_ratio={flags}:force_divisible_by=2"
    how = plan.scenario.picture.deinterlace
    fields = [] if how == "never" else [f"bwdif=mode=send_frame:deint={'all' if how == 'always' else 'interlaced'}"]
    return [*fields, *squared, scale, *place, "setsar=1", _from_the_start(plan)]


def _from_the_start(plan: EncodePlan) -> str:
    # Sound comes at once, and pictures with the next key frame: the first one is shown from the start.
    return f"fps={exact_rate(plan.fps)}:start_time=0"


def picture_filters(plan: EncodePlan, size: tuple[int, int]) -> list[str]:
    """What makes a still picture of that size from a frame alone: of an interlaced one a field is taken."""
    field = [] if plan.deinterlace == "none" else ["field=type=top"]
    tone = _tone_map(plan.source.dynamic_range) if plan.tone_map and plan.source is not None else []
    scale = f"scale={size[0]}:{size[1]}"
    return [*field, scale, *tone, f"{scale}:out_range=full", "setsar=1", "format=yuvj420p"]


def source_filters(plan: EncodePlan) -> list[str]:
    """What is done once for all rungs of a ladder."""
    if plan.source is None:
        return []
    width, height = plan.scaled or (plan.width, plan.height)
    shape: list[str] = []
    if plan.tone_map or width * height < plan.source.width * plan.source.height:
        shape.append(f"scale={width}:{height}")  # to the largest rung; the others are scaled from that
    if plan.tone_map:
        shape += _tone_map(plan.source.dynamic_range)
    return [*_deinterlace(plan), f"fps={exact_rate(plan.fps)}", *shape]


def fit_filters(plan: EncodePlan) -> list[str]:
    """What is done for each rung."""
    width, height = plan.scaled or (plan.width, plan.height)
    shape = [f"scale={width}:{height}", "setsar=1"]
    return shape if (width, height) == (plan.width, plan.height) else [*shape, _place(plan, width, height)]


def _only(piece: Chunk | None) -> list[str]:
    """Exactly the frames of a piece: behind the rate filter times are counted in frames."""
    if piece is None:
        return []
    begin = [f"start_pts={piece.start}"] if piece.index else []
    end = [f"end_pts={piece.end}"] if piece.end is not None else []
    return [f"trim={':'.join(begin + end)}"] if begin or end else []


def _place(plan: EncodePlan, width: int, height: int) -> str:
    if plan.scenario.picture.fit == "crop":
        return f"crop={plan.width}:{plan.height}"
    left, top = (plan.width - width) // 4 * 2, (plan.height - height) // 4 * 2  # colours have half as many pixels
    return f"pad={plan.width}:{plan.height}:{left}:{top}"


def _deinterlace(plan: EncodePlan) -> list[str]:
    if plan.deinterlace == "none" or plan.source is None:
        return []
    # Each field is a moment of its own: where the output has room for them, all are kept.
    mode = "send_field" if plan.fps > plan.source.fps * _FIELDS_ARE_PICTURES else "send_frame"
    return [f"bwdif=mode={mode}:parity=auto:deint={'all' if plan.deinterlace == 'all' else 'interlaced'}"]


def _tone_map(dynamic_range: str) -> list[str]:
    """From HDR to BT.709, in linear light. The source's colours are said again: files often leave out some of them."""
    return [
        f"setparams=color_primaries=bt2020:color_trc={_TRANSFERS[dynamic_range]}:colorspace=bt2020nc",
        f"zscale=t=linear:npl={_NOMINAL_PEAK}",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
        "format=yuv420p10le",
    ]
