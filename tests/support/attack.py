"""How much of the attack in `tests/faults` is run, from which seed, and what Linux says of a process."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# FINEGRID_FAULTS=0.02 runs a fiftieth of every attack; FINEGRID_FAULTS_SEED draws other faults.
SHARE = float(os.environ.get("FINEGRID_FAULTS", "1"))
SEED = os.environ.get("FINEGRID_FAULTS_SEED", "0")
PROC = Path("/proc")
MARK = "FINEGRID_FAULTS_MARK"  # in the environment of a process that a test starts, and of all its children


def share_of(count: int) -> int:
    """How many of ``count`` faults are tried: one at least."""
    return max(1, round(count * SHARE))


def chance_of(*names: object) -> random.Random:
    """Random numbers that the seed and the names decide on: a fault that was found comes again."""
    return random.Random("/".join(map(str, (SEED, *names))))


@dataclass(frozen=True)
class Held:
    """What a process holds: MiB of memory, open files."""

    memory: float
    files: int


def held_by(pid: int | str = "self") -> Held:
    """Raises OSError where the process has ended."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    files = len(list((PROC / str(pid) / "fd").iterdir()))
    return Held(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files)


def list_marked(mark: str) -> dict[int, str]:
    """Command lines, by process id, of all processes alive that carry the mark."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended, or belongs to somebody else
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def list_files(folder: Path) -> Iterator[Path]:
    """Every file of a folder, at any depth."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
