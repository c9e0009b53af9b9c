"""What of this machine the worker may use: its programs, and cores and memory as far as its control group lets it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_USUAL_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def find_program(name: str) -> Path | None:
    """The absolute path of a program: from PATH, or from where systems keep theirs, which a service's PATH may lack."""
    found = shutil.which(name) or shutil.which(name, path=_USUAL_PLACES)
    return None if found is None else Path(found).absolute()


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut to its control group's CPU quota; at least 1."""
    cores = len(os.sched_getaffinity(0))
    quotas = (read_quota(place) for place in _control_groups("cpu"))
    return max(1, min([cores, *(int(quota) for quota in quotas if quota is not None)]))


def usable_memory() -> int:
    """Bytes of memory: the machine's, cut to the limit of this process's control group."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (read_memory_limit(place) for place in _control_groups("memory"))
    return min([memory, *(limit for limit in limits if limit is not None)])


def read_quota(folder: Path) -> float | None:
    """The CPU quota, in cores, that one control group's folder sets; None when it sets none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def read_memory_limit(folder: Path) -> int | None:
    """The limit of memory, in bytes, that one control group's folder sets; None when it sets none."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())  # version 1 says "none" with a number beyond any machine
        except (OSError, ValueError):
            continue
    return None


def _control_groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of all above it (version 2, else version 1)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        names = controllers.split(",") if controllers else []
        if names and controller not in names:
            continue
        root = _CGROUP_ROOT if not names else _CGROUP_ROOT / controller
        folder = root / group.lstrip("/")
        # In a container the path may be the host's; the folders that do not exist here are skipped.
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(root))
