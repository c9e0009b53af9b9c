"""Charts as numbers: where each bar, tick and mark of an SVG goes. The template draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

WIDE, NARROW, HEIGHT = 960, 520, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 44


class Bar(NamedTuple):
    """A rectangle; ``kind`` is its series, ``label`` what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str


class Tick(NamedTuple):
    """A place of an axis, and what is written there."""

    at: float
    text: str


class Chart(NamedTuple):
    """Stacked bars over an axis of equal steps; marks are places of it with a name."""

    title: str
    width: int
    x_title: str
    y_title: str
    bars: Sequence[Bar]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    marks: Sequence[Tick]
    kinds: Sequence[str]


class Steps(NamedTuple):
    """An axis of that width on the page, from ``low`` on in bins of ``step``, and how its values are written."""

    width: int
    low: float
    step: float
    bins: int
    write: Callable[[float], str]

    def x(self, value: float) -> float:
        """Where the value is."""
        share = (value - self.low) / (self.step * self.bins)
        return round(LEFT + min(max(share, 0.0), 1.0) * (self.width - LEFT - RIGHT), 2)


def bar_chart(
    title: str,
    axis: Steps,
    series: Mapping[str, Sequence[int]],
    *,
    x_title: str,
    y_title: str,
    above: int = 0,
    ticks: Sequence[tuple[float, str]],
    marks: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Bars of whole numbers, one bin beside the other; the first series stands at the bottom.

    ``above`` adds a bin at the end for what lies beyond the axis; ``ticks`` are values of it with their texts.
    """
    drawn = axis._replace(bins=axis.bins + bool(above))
    shown = {kind: [*counts, above] if above else [*counts] for kind, counts in series.items()}
    heights = [sum(counts[place] for counts in shown.values()) for place in range(drawn.bins)]
    step = _round_step(max([*heights, 1]) / 4)
    top = step * ceil(max([*heights, 1]) / step)
    bars: list[Bar] = []
    for place in range(drawn.bins):
        base = 0
        begin = drawn.low + place * drawn.step
        until = "and more" if above and place == axis.bins else f"to {axis.write(begin + axis.step)}"
        for kind, counts in shown.items():
            if counts[place]:
                y = _y(base + counts[place], top)
                x, width = drawn.x(begin), drawn.x(begin + drawn.step) - drawn.x(begin)
                label = f"{axis.write(begin)} {until}: {counts[place]:,} {kind}"
                bars.append(Bar(x, y, max(round(width - 1, 2), 0.5), round(_y(base, top) - y, 2), kind, label))
                base += counts[place]
    return Chart(
        title=title,
        width=axis.width,
        x_title=x_title,
        y_title=y_title,
        bars=bars,
        x_ticks=[Tick(drawn.x(value), text) for value, text in ticks],
        y_ticks=[Tick(_y(n * step, top), f"{n * step:,}") for n in range(top // step + 1)],
        marks=[Tick(drawn.x(value), text) for value, text in marks],
        kinds=list(shown),
    )


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 2)


def _round_step(least: float) -> int:
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if step >= least:
                return step
        power *= 10
