"""The ledger survives a crash at any byte."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from finegrid.study.ledger import Ledger
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
    assert [(misfit.line, misfit.why) for misfit in ledger.read().misfits] == [(8, "run_id is missing")]


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


WHOLE = json.dumps(C.to_json())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"schema": 2, "runs": []}', "written by a newer finegrid (schema 2); update finegrid"),
        (WHOLE.replace('"seed": 0', '"seed": "0"'), "seed: found '0', expected a valid integer"),
        (WHOLE.replace('"seed": 0', '"seed": true'), "seed: found True, expected a valid integer"),
        (WHOLE.replace('"seed": 0', '"seed": -1'), "seed: found a number that no run has"),
        (WHOLE.replace('"seed": 0', f'"seed": {2**70}'), "seed: found a number that no run has"),
        (
            WHOLE.replace('"dev": {}', '"dev": {"mcc": NaN}'),
            "dev.mcc.float: found nan, expected a finite number",
        ),
        (WHOLE.replace('"dev": {}', '"dev": []'), "dev: found a list, expected an object"),
        (WHOLE.replace('"recipe": {}', '"recipe": {"a": null}'), "recipe.a.bool: found None"),
        (WHOLE[:-1] + ', "x": }', "not what was expected: Invalid JSON"),
        ("[" * 500 + "}", "not what was expected: Invalid JSON"),
    ],
)
def test_a_line_that_does_not_fit_is_named_and_the_rest_is_read(tmp_path: Path, line: str, why: str) -> None:
    ledger = filled(tmp_path)
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    ledger.append(C)
    (misfit,) = ledger.read().misfits

    assert ids(ledger) == ["a", "b", "c"] and misfit.line == 3
    assert misfit.why.startswith(why)


def test_a_thousand_records_are_read_well_below_the_start_of_a_command(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.path.write_bytes(ledger.path.read_bytes() * 500)
    began = time.process_time()

    assert len(ledger.read().entries) == 1000
    assert time.process_time() - began < 0.2
