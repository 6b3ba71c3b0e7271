"""A record is written and read as ledgers on users' disks have it."""

from __future__ import annotations

import json

import jsonschema
import pytest

from finegrid.study.record import Record, record_schema, status_of

SCORES = '{"macro-f1": 0.5, "accuracy": 0.625, "mcc": 0.25, "f1": {"体育": 0.75, "b": 0.25}}'
# As this finegrid and all before it have written them, key by key.
TRAINED = (
    '{"schema": 1, "run_id": "7a", "recipe": {"freeze.layers": 1, "optimizer.rate": 0.01}, "seed": 0, '
    '"status": "done", "protocol": "best-test", "best_epoch": 1, '
    f'"dev": {SCORES}, "test": {SCORES}, '
    '"epochs": [{"epoch": 1, "train_loss": 0.1, "train_seconds": 2.5, "dev_seconds": 0.5, '
    f'"dev": {SCORES}, "test": {SCORES}}}], '
    '"seconds": {"pretrain": 3.0, "epoch": 2.5, "train": 2.5, "dev": 0.5, "test": 0.25}, "memory": 5, '
    '"family": "f0", "threads": 1, "stack": 8, "precision": "fp32", "device": "cpu", '
    '"versions": {"torch": "2.9"}, "started": 1.5, "ended": 2.5, "stands_for": [1, 3]}'
)
DIVERGED = (
    '{"schema": 1, "run_id": "7b", "recipe": {}, "seed": 0, "status": "diverged", '
    '"reason": "the loss was nan at step 1 of 4", "protocol": "best-dev", "best_epoch": 0, "dev": {}, '
    '"test": {}, "epochs": [], "seconds": {"epoch": null, "train": 0.0, "dev": 0.0, "test": 0.0}, '
    '"memory": 5, '
    '"family": "f0", "threads": 1, "stack": 1, "precision": "fp32", "device": "cpu", '
    '"versions": {"torch": "2.9"}, "started": 1.5, "ended": 2.5, "stands_for": [2]}'
)
LOST = (
    '{"schema": 1, "run_id": "7c", "recipe": {}, "seed": 1, "status": "failed", "reason": "signal 9", '
    '"protocol": "best-dev", "best_epoch": 0, "dev": {}, "test": {}, "epochs": [], "seconds": {}, '
    '"memory": 0, "family": "f0", "threads": 1, "stack": 1, "precision": "fp32", "device": "cpu", '
    '"versions": {}, "stands_for": [2]}'
)
ALL = {"trained": TRAINED, "diverged": DIVERGED, "lost": LOST}


@pytest.mark.parametrize("line", ALL.values(), ids=ALL)
def test_a_line_of_the_ledger_is_written_as_it_was_read(line: str) -> None:
    record = Record.from_json(json.loads(line))

    assert json.dumps(record.to_json(), ensure_ascii=False) == line


@pytest.mark.parametrize("line", ALL.values(), ids=ALL)
def test_lines_of_the_ledger_are_what_the_schema_says(line: str) -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())
    jsonschema.validate(json.loads(line), record_schema())


@pytest.mark.parametrize("change", [{"status": "left"}, {"seed": "0"}, {"epochs": [{}]}, {"path": "fast"}])
def test_the_schema_refuses_what_is_no_record(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(TRAINED), **change}, record_schema())


def test_older_and_newer_ledgers_are_read() -> None:
    old = {key: value for key, value in json.loads(TRAINED).items() if key not in ("stack", "stands_for")}
    record = Record.from_json({**old, "of the future": 1})

    assert (record.stack, record.stands_for, record.path, record.reason) == (None, (), None, None)
    assert record.to_json() == old


def test_the_seconds_of_a_run_are_all_its_parts() -> None:
    record = Record.from_json(json.loads(TRAINED))

    assert record.seconds is not None and record.seconds.total == 6.25
    assert (record.score("dev", "mcc"), record.score("test", "f1:体育")) == (0.25, 0.75)


def test_a_run_that_goes_on_has_no_status_to_record() -> None:
    with pytest.raises(ValueError, match="running"):
        status_of("running")
