"""The ledger: ``runs.jsonl``, one JSON line per finished run. It is the only state that a study keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record so that it survives a crash that happens right after this returns."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self.path.open("ab+") as file:
            if self._torn(file.tell()):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def __iter__(self) -> Iterator[Record]:
        if not self.path.exists():
            return
        for line in self.path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except (
                ValueError
            ):  # empty, or cut by a crash in the middle of a write: that run is simply not done
                continue
            if isinstance(record, dict) and "run_id" in record:
                yield record

    def latest(self) -> dict[str, Record]:
        """By run id, the last record of each run: a failed run that was tried again counts as it ended."""
        return {record["run_id"]: record for record in self}

    def _torn(self, size: int) -> bool:
        if size == 0:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
