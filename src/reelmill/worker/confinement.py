"""What an engine may take of its machine, so that one that goes wild fails alone: memory, files, and its place in line.

The limits are set by a shell that then becomes the engine: no code of ours runs between fork and exec.
"""

from __future__ import annotations

import functools
import resource
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelmill.worker.machine import find_program

_OPEN_FILES = 256
_OOM_SCORE = 500
"""Half of the machine's memory on top of its own: when memory runs out, the kernel ends an engine, not the worker."""
_LEAST_MEMORY = 2 * 1024**3
"""A decoder of large pictures needs this for the smallest output, however many units a machine has."""
_SHARES = 2
"""An engine may take more than its units' share of the memory: not all are at their peak at the same time."""

# ulimit -d is RLIMIT_DATA, in KiB. Each line may fail without harm: what it would have set is then as it was.
_CONFINE = f"""
{{ ulimit -c 0; ulimit -n "$1"; [ "$2" = - ] || ulimit -d "$2"; read -r own </proc/self/oom_score_adj
[ "$own" -gt {_OOM_SCORE} ] || echo {_OOM_SCORE} >/proc/self/oom_score_adj
[ "$3" = 0 ] || echo "$3" >/proc/self/autogroup; }} 2>/dev/null
shift 3; exec "$@"
"""


class Confinement(msgspec.Struct, frozen=True):
    """The limits of one engine: ``memory`` in bytes of what it writes to (None for no limit), and its niceness."""

    memory: int | None = None
    nice: int = 0

    def confine(self, argv: Sequence[str]) -> list[str]:
        """``argv`` made to run under these limits; never above what this process itself may."""
        memory = "-" if self.memory is None else str(_within(resource.RLIMIT_DATA, self.memory) // 1024)
        files = str(_within(resource.RLIMIT_NOFILE, _OPEN_FILES))
        nice = _nice()
        nicely = [str(nice), "-n", str(self.nice)] if self.nice and nice is not None else []
        return ["/bin/sh", "-c", _CONFINE, "sh", files, memory, str(self.nice), *nicely, *argv]


class EngineLimits(msgspec.Struct, frozen=True):
    """What the engines of one worker may take: each ``memory`` bytes (0 for no limit), or a share when that is None.

    The share is by the units of its job, of a machine with ``machine_memory`` bytes and ``machine_units``.
    """

    memory: int | None = 0
    nice: int = 0
    machine_memory: int = 0
    machine_units: int = 1

    def of(self, units: int) -> Confinement:
        """The limits of an engine whose job takes so many units."""
        memory = self.memory
        if memory is None:
            share = _SHARES * self.machine_memory * units // self.machine_units
            memory = min(self.machine_memory, max(_LEAST_MEMORY, share))
        return Confinement(memory or None, self.nice)


UNLIMITED = EngineLimits()
ONLY_THE_USUAL = UNLIMITED.of(1)
"""Few files, no core dumps, and to be killed before the worker."""


def _within(kind: int, wanted: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


@functools.cache
def _nice() -> Path | None:
    return find_program("nice")
