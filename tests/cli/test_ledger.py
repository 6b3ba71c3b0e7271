"""The ledger survives being cut anywhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from finegrid.study.ledger import Journal, Ledger
from finegrid.study.parsing import read_lines
from finegrid.study.record import Record, Status

RECORDS = [
    {"run_id": f"run{i}", "reason": '发散 \u2028 \\ " \x1b', "status": "done", "n": i} for i in range(3)
]


def read(journal: Journal) -> list[Any]:
    return [entry for _, entry in read_lines(journal.path, json.loads).entries]


@given(st.integers(0, 10_000), st.binary(max_size=8))
def test_a_ledger_cut_at_any_byte_keeps_the_whole_lines_and_goes_on(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Journal(Path(folder) / "runs.jsonl")
        for record in RECORDS:
            ledger.append(record)
        raw = ledger.path.read_bytes()
        cut %= len(raw) + 1
        ledger.path.write_bytes(raw[:cut] + junk.replace(b"\n", b""))
        whole = raw[:cut].count(b"\n")

        assert read(ledger)[:whole] == RECORDS[:whole]
        ledger.append({"run_id": "new"})
        found = read(ledger)
        assert found[:whole] == RECORDS[:whole]
        assert found[-1] == {"run_id": "new"}


def test_the_latest_record_of_a_run_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs.jsonl")
    statuses: tuple[Status, ...] = ("failed", "done")
    for status in statuses:
        ledger.append(Record(run_id="a", seed=0, status=status))

    assert ledger.latest() == {"a": Record(run_id="a", seed=0, status="done")}
