"""A network of machines whose cables can be pulled: network namespaces of the kernel, joined by a bridge.

Where these are not allowed, machines are groups of processes on this one, and one that is cut off is stopped instead.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

_NET = "10.77.0"
_HOLD = ("unshare", "--net", "sleep", "infinity")


class Machine(NamedTuple):
    """``prefix`` is a command that runs a command there."""

    name: str
    address: str
    prefix: Sequence[str]
    pids: list[int]
    """What was started there, as far as it was noted; only needed where a machine is a group of processes."""


class Network:
    """Made of namespaces when ``is_real``; ends them all with `close`."""

    def __init__(self) -> None:
        self.is_real = _may_make_namespaces()
        self._machines: list[Machine] = []
        self._holders: list[subprocess.Popen[bytes]] = []
        if self.is_real:
            self._hub = self._hold()
            _ip(self._hub, "link add switch type bridge")
            _ip(self._hub, "link set switch up")

    def machine(self, name: str) -> Machine:
        """One more machine, on the network."""
        number = len(self._machines) + 1
        if self.is_real:
            pid, cable = self._hold(), _cable(number)
            _ip(self._hub, f"link add {cable} type veth peer name eth0 netns {pid}")
            _ip(self._hub, f"link set {cable} master switch up")
            _ip(pid, f"addr add {_NET}.{number}/24 dev eth0")
            _ip(pid, "link set eth0 up")
            _ip(pid, "route add default dev eth0")  # or nobody there knows which of its addresses leads out
            made = Machine(name, f"{_NET}.{number}", ("nsenter", f"--net=/proc/{pid}/ns/net"), [])
        else:
            made = Machine(name, "127.0.0.1", (), [])
        self._machines.append(made)
        return made

    def cut(self, machine: Machine) -> None:
        """Pull its cable: nothing comes or goes, and no connection hears of it."""
        self._set(machine, "down", signal.SIGSTOP)

    def mend(self, machine: Machine) -> None:
        """Put it in again."""
        self._set(machine, "up", signal.SIGCONT)

    def _set(self, machine: Machine, state: str, instead: signal.Signals) -> None:
        if self.is_real:
            _ip(self._hub, f"link set {_cable(self._machines.index(machine) + 1)} {state}")
            return
        for pid in machine.pids:
            for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                process.send_signal(instead)

    def _hold(self) -> int:
        """The process that keeps a new namespace."""
        holder = subprocess.Popen(_HOLD)
        self._holders.append(holder)
        deadline = time.monotonic() + 10
        while _namespace(holder.pid) == _namespace(os.getpid()):
            assert holder.poll() is None, "no namespace was made"
            assert time.monotonic() < deadline, "no namespace was made"
            time.sleep(0.005)
        _ip(holder.pid, "link set lo up")
        return holder.pid

    def close(self) -> None:
        """Take it all down; what still runs there loses its network."""
        for holder in self._holders:
            holder.kill()
            holder.wait()


def _cable(number: int) -> str:
    return f"cable{number}"


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _ip(pid: int, words: str) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words.split()], check=True)


def _may_make_namespaces() -> bool:
    if not all(shutil.which(program) for program in ("ip", "nsenter", "unshare")):
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
