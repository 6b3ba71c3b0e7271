"""Finds the files that a study's page is made of, hashes their state, and tells when a run last ended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from finegrid.study.folder import FACTS_FILE, PROGRESS_FILE, StudyFolder

MADE_OF = (
    "*.toml",
    "*.json",
    "*.jsonl",
    StudyFolder(Path()).predictions.name,
)  # of the study, and of its confirmations
NOT_MADE_OF = {PROGRESS_FILE, FACTS_FILE}


def find_places(folder: Path) -> list[Path]:
    """The study, and the small studies inside it that confirm it."""
    try:
        return [folder, *StudyFolder(folder).confirmations]
    except OSError:  # it has just gone
        return [folder]


def find_sources(folder: Path) -> Iterator[Path]:
    for place in find_places(folder):
        for pattern in MADE_OF:
            with suppress(OSError):  # the folder has just gone: the next look will say so
                yield from [path for path in sorted(place.glob(pattern)) if path.name not in NOT_MADE_OF]


def hash_sources(folder: Path) -> str:
    """Changes when a source appears, disappears, or is written to. Reads none of them."""
    about = hashlib.sha256()
    for path in find_sources(folder):
        try:
            stat = path.stat()
        except OSError:
            continue  # it has just gone: the next look will say so
        about.update(
            f"{path} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return about.hexdigest()[:16]


def find_last_run(folder: Path) -> float | None:
    """When a ledger was last written to, seconds since 1970; None where there is none."""
    times = []
    for place in find_places(folder):
        try:
            times.append(StudyFolder(place).ledger.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=None)
