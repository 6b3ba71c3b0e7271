"""The ledger survives a crash at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from finegrid.study.ledger import Journal, Ledger
from finegrid.study.record import Record

RECORDS = [
    Record(run_id=name, seed=0, status="done", test={"accuracy": 0.5, "f1": {"体育": 0.5}})
    for name in ("a", "b")
]
C = Record(run_id="c", seed=0, status="done")


def filled(path: Path) -> Ledger:
    ledger = Ledger(path / "runs.jsonl")
    for record in RECORDS:
        ledger.append(record)
    return ledger


def ids(ledger: Ledger) -> list[str]:
    return [record.run_id for record in ledger]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    assert list(filled(tmp_path)) == RECORDS


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert ids(Ledger(tmp_path / "runs.jsonl")) == []


@pytest.mark.slow
def test_a_ledger_torn_at_any_byte_loses_only_the_torn_record(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    whole = ledger.path.read_bytes()
    first = whole.index(b"\n")
    for cut in range(len(whole) + 1):
        ledger.path.write_bytes(whole[:cut])
        left = [name for name, end in (("a", first), ("b", len(whole) - 1)) if cut >= end]
        assert ids(ledger) == left, cut
        ledger.append(C)
        assert ids(ledger) == [*left, "c"], cut
        assert ledger.path.read_bytes().startswith(whole[:cut]), cut  # append-only


def test_bytes_that_are_not_text_are_passed_over(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    with ledger.path.open("ab") as file:
        file.write(b"\x00" * 40 + b"\n\xff\xfe{\n[1]\n3\nnull\n{}\n")
    ledger.append(C)

    assert ids(ledger) == ["a", "b", "c"]


def test_the_latest_record_of_a_run_counts(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.append(Record(run_id="a", seed=0, status="failed"))
    again = Record(run_id="a", seed=0, status="done", memory=1)
    ledger.append(again)

    assert ledger.latest() == {"a": again, "b": RECORDS[1]}
    assert list(ledger.latest()) == ["a", "b"]


def test_a_failure_never_hides_a_run_that_has_ended(tmp_path: Path) -> None:
    """A run that is trained again for a new free level may be killed: what it had is still true."""
    ledger = filled(tmp_path)
    diverged = Record(run_id="c", seed=0, status="diverged")
    ledger.append(diverged)
    for name in ("a", "c", "d"):
        ledger.append(Record(run_id=name, seed=0, status="failed", reason="killed"))

    latest = ledger.latest()
    assert (latest["a"], latest["c"]) == (RECORDS[0], diverged)
    assert latest["d"].status == "failed"


def test_what_json_cannot_say_is_refused_and_leaves_the_ledger_whole(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    before = ledger.path.read_bytes()

    with pytest.raises(ValueError, match="JSON"):
        ledger.append(Record(run_id="c", seed=0, status="done", test={"accuracy": float("nan")}))
    assert ledger.path.read_bytes() == before


def test_each_record_is_one_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs.jsonl")
    ledger.append(Record(run_id="a", seed=0, status="failed", reason="two\nlines\u2028and\r\nmore"))

    assert ledger.path.read_bytes().count(b"\n") == 1
    assert next(iter(ledger)).reason == "two\nlines\u2028and\r\nmore"


def test_a_journal_keeps_whatever_is_an_object(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "looks.jsonl")
    journal.append({"seeds": 3})
    journal.append({})

    assert list(journal) == [{"seeds": 3}, {}]
