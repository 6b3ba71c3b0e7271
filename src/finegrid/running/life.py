"""Whether a process that begins does something: it computes, reads or writes, or a child of it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil

LOOK_SECONDS = 2.0  # between two looks
# Without a sign of life. A disk, or a driver, that gives nothing for so long hangs.
QUIET_SECONDS = 300.0
# Of a core; less is no sign of life. A thread that waits in vain for Python's lock takes 0.3 %, since it
# wakes up 200 times a second.
LEAST_SHARE = 0.01
LONGEST_SECONDS = 6 * 3600.0  # whatever computes for so long will not end


@dataclass
class Life:
    """What a process has done since somebody looked. Time is counted in looks: who looks may be stopped, too.

    Attributes:
        number: Of the process.
    """

    number: int
    _done: dict[tuple[int, float], tuple[float, int]] = field(default_factory=dict)  # see `measure_work`
    _quiet: float = 0.0
    _looked: float = 0.0

    def look(self) -> str:
        """Look again, `LOOK_SECONDS` after the last time.

        Returns:
            What is wrong, in English; empty if nothing is.
        """
        try:
            idle = self._is_idle(psutil.Process(self.number))
        except psutil.Error:
            return ""  # it has ended, or a child has, and so was at work
        self._quiet = self._quiet + LOOK_SECONDS if idle else 0.0
        self._looked += LOOK_SECONDS
        if self._quiet >= QUIET_SECONDS:
            return f"the worker process did nothing for {QUIET_SECONDS:.0f} s while it began"
        if self._looked >= LONGEST_SECONDS:
            return f"the worker process was not ready after {LONGEST_SECONDS / 3600:.0f} h"
        return ""

    def _is_idle(self, process: psutil.Process) -> bool:
        """Whether nothing of it works. One that somebody has stopped may go on, and is not idle."""
        if process.status() == psutil.STATUS_STOPPED or self._works([process]):
            return False
        return not self._works(process.children(recursive=True))  # looks at all processes of the machine

    def _works(self, processes: Iterable[psutil.Process]) -> bool:
        before, now = self._done, measure_work(processes)
        self._done = {**before, **now}
        least, nothing = LEAST_SHARE * LOOK_SECONDS, (0.0, 0)
        return any(
            seconds - before.get(one, nothing)[0] >= least or moved != before.get(one, nothing)[1]
            for one, (seconds, moved) in now.items()
        )


def measure_work(processes: Iterable[psutil.Process]) -> dict[tuple[int, float], tuple[float, int]]:
    """By number and start of each process, seconds of processors and bytes of disks.

    Raises:
        psutil.Error: one has ended.
    """
    found = {}
    for process in processes:
        times = process.cpu_times()
        found[process.pid, process.create_time()] = times.user + times.system, count_bytes(process)
    return found


def count_bytes(process: psutil.Process) -> int:
    """Bytes that a process has read from disks and written; 0 where the system does not tell."""
    if not hasattr(process, "io_counters"):
        return 0
    told = process.io_counters()
    return int(told.read_bytes + told.write_bytes)
