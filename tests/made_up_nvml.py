"""NVIDIA's library as `pynvml` has it, with made-up cards: no machine of the tests has a real one."""

from __future__ import annotations


class MadeUpError(Exception):
    """What the driver says when it cannot."""


class MadeUpNvml:
    """A machine with a card for each of the ``millijoules`` that its counter shows; None is a card without a counter.

    A counter rises by ``step`` with each reading. ``fails`` makes the driver say no from now on.
    """

    NVMLError = MadeUpError

    def __init__(self, *millijoules: int | None, step: int = 0) -> None:
        self.show(*millijoules)
        self.step = step
        self.fails = False

    def show(self, *millijoules: int | None) -> None:
        """What the counters show from now on."""
        self.millijoules = list(millijoules)

    def nvmlInit(self) -> None:  # noqa: N802
        self._answer()

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._answer()
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self._answer()
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        self._answer()
        shown = self.millijoules[handle]
        if shown is None:
            raise MadeUpError("Not Supported")
        self.millijoules[handle] = shown + self.step
        return shown

    def _answer(self) -> None:
        if self.fails:
            raise MadeUpError("GPU is lost")
