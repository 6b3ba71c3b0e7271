"""Where a process runs and since when, so that any other one can tell whether it is surely gone."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

LINUX = sys.platform.startswith("linux")
NAMESPACES = ("pid", "time")  # of a container: numbers and start times of processes count in there only
DEAD = (b"Z", b"X")  # ended, and not yet collected by its parent: proc(5)


@dataclass(frozen=True)
class Origin:
    """A process, told apart from all others, on any machine and at any time."""

    host: str  # a name for people: machines may share one
    machine: str  # which one it is; empty where nothing tells
    boot: str  # since when that is up, and in which container; empty where nothing tells
    process: int
    started: str  # as the system spells it; empty where it does not say

    def is_gone(self, silent: float = 0.0) -> bool | None:
        """Whether this process has surely ended; None where that cannot be told from here.

        Args:
            silent: seconds since it is known to have been there.
        """
        here = find_origin()
        if self.boot and self.boot == here.boot:
            return not is_running(self.process, self.started)
        same_machine = bool(self.machine) and (self.machine, self.host) == (here.machine, here.host)
        if same_machine and silent > seconds_up():
            return True  # this machine was started anew since
        return None


def find_origin() -> Origin:
    """This process."""
    process = os.getpid()
    return Origin(platform.node(), machine_id(), boot_id(), process, start_of(process) or "")


@cache
def machine_id() -> str:
    """Tells this machine from others; a digest, since systemd asks to keep its id to oneself."""
    if not LINUX:
        return f"{uuid.getnode():x}"
    with suppress(OSError):
        return hashlib.sha256(b"finegrid " + Path("/etc/machine-id").read_bytes()).hexdigest()[:16]
    return ""


@cache
def boot_id() -> str:
    """Tells this start of the machine, and this container, from all others."""
    if not LINUX:
        return machine_id()  # start times of processes are told by the calendar there, and never come again
    with suppress(OSError):
        spaces = [str(Path(f"/proc/self/ns/{name}").stat().st_ino) for name in NAMESPACES]
        return ":".join([Path("/proc/sys/kernel/random/boot_id").read_text().strip(), *spaces])
    return ""


def is_running(process: int, started: str) -> bool:
    """Whether a process of this machine that started then is there; also where one cannot be sure."""
    if not psutil.pid_exists(process):
        return False
    now = start_of(process)
    return now is None or (now != "" and started in (now, ""))


def start_of(process: int) -> str | None:
    """When a process started, as only this machine spells it; empty if it has ended, None if unknown."""
    if not LINUX:
        with suppress(psutil.Error):
            return repr(psutil.Process(process).create_time())
        return None
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    # Counted from the state, the third: the clock's ticks from the start of the machine are the 22nd.
    return "" if fields[0] in DEAD else fields[19].decode()


def seconds_up() -> float:
    """For how long this machine has been up, asleep or awake."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if LINUX else float("inf")
