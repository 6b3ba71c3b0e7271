"""The ledger: ``runs.jsonl``, one JSON line per finished run. It is the only state that a study keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid.atomic import open_to_append
from finegrid.errors import input_error
from finegrid.refusals import writing
from finegrid.study.parsing import Lines, read_lines
from finegrid.study.record import Record, parse_record


@dataclass(frozen=True)
class Journal:
    """A file of JSON lines that only grows, and survives a crash at any byte."""

    path: Path

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Write entries so that they survive a crash that happens right after this returns: one sync for all.

        Raises:
            OSError: the system refuses; what was written of a line is nothing to a reader.
        """
        lines = b"".join(
            json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n" for entry in entries
        )
        with writing(self.path, len(lines)), open_to_append(self.path) as file:
            if self._torn(file.tell()):
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def _torn(self, size: int) -> bool:
        if size == 0:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


@dataclass(frozen=True)
class Ledger:
    """The records of a study. A line that was cut by a crash is a run that is simply not done."""

    path: Path

    def append(self, *records: Record) -> None:
        """Write records so that they survive a crash that happens right after this returns."""
        Journal(self.path).append(*(record.to_json() for record in records))

    def read(self) -> Lines[Record]:
        """All records, and the lines that are none.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            return read_lines(self.path, parse_record)
        except OSError as error:
            what = f"cannot be read: {error.strerror}."
            raise input_error(str(self.path.parent), self.path.name, what) from None

    def __iter__(self) -> Iterator[Record]:
        return (record for _, record in self.read().entries)

    def latest(self) -> dict[str, Record]:
        """By run id, the record that counts, whichever study it is of: see `latest_of`."""
        return latest_of(self)


def latest_of(records: Iterable[Record]) -> dict[str, Record]:
    """By run id, the record that counts: the last one, but a failure never hides a run that has ended.

    A failed run that was tried again counts as it ended. Where a free factor is added, runs that ended
    are trained again; if that fails, the earlier record still holds.
    """
    latest: dict[str, Record] = {}
    for record in records:
        before = latest.get(record.run_id)
        if before is None or before.status == "failed" or record.status != "failed":
            latest[record.run_id] = record
    return latest
