"""The energy of NVIDIA cards, by the counters of their driver (NVML), shared among the attempts that encode on them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import structlog

log = structlog.get_logger()


class Nvml(Protocol):
    """What is used of the library: the names are those of the module `pynvml`, of the package nvidia-ml-py."""

    @property
    def NVMLError(self) -> type[Exception]: ...  # noqa: N802

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        """Millijoules since the driver was loaded."""
        ...


def find_nvml() -> Nvml | None:
    """The library, if the extra `gpu` is installed."""
    try:
        return cast(Nvml, importlib.import_module("pynvml"))
    except ImportError:
        return None


class Cards:
    """All cards of this machine. What they use while attempts encode on them is shared equally among these.

    A sum without one of its parts would be wrong: there is no number any more when one card has no counter, when the
    driver fails, or when a counter begins anew, which it does at no known place.
    """

    def __init__(self, nvml: Nvml | None) -> None:
        self._nvml = nvml
        self._handles: list[Any] = []
        self._last: Sequence[int] = ()
        self._working = 0
        self._share = 0.0
        """Joules of an attempt that had been on the cards from the beginning."""
        if nvml is not None:
            self._open(nvml)

    def begin(self) -> float | None:
        """An attempt begins to encode on a card; what `end` is to be told."""
        since = self._read()
        self._working += 1
        return since

    def end(self, since: float | None) -> float | None:
        """It encodes there no more: the joules that are its own; None when they were not measured all the time."""
        until = self._read()
        self._working -= 1
        return None if since is None or until is None else until - since

    def _open(self, nvml: Nvml) -> None:
        try:
            nvml.nvmlInit()
            self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            self._last = [nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles]
        except nvml.NVMLError as error:  # no driver, no card, or one that is too old to count: on most machines
            self._give_up(str(error), log.debug)

    def _read(self) -> float | None:
        """The share until now; those who work now have it of what was used since the last reading."""
        if self._nvml is None or not self._handles:
            return None
        try:
            now = [self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles]
        except self._nvml.NVMLError as error:
            return self._give_up(str(error))
        used = [new - old for new, old in zip(now, self._last, strict=True)]
        if min(used) < 0:
            return self._give_up("a counter began anew: the driver was loaded again")
        self._last = now
        if self._working:
            self._share += sum(used) / 1000 / self._working
        return self._share

    def _give_up(self, reason: str, say: Callable[..., object] = log.info) -> None:
        say("card_energy_not_measured", reason=reason)
        self._handles = []
