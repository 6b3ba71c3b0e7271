"""The schemas of docs/reference/ describe what the program writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from schemas import REFERENCE, SCHEMAS, text
from support.pretend import ended_badly, pretend
from support.reported import Facts, audited_study, fill, hits, hostile_study

from finegrid.report.facts.facts import report_facts
from finegrid.results.load import any_results
from finegrid.study.audit_file import load_audit
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.study.record import Status
from finegrid.verdict.screening import decide_screen
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge

FRACTION = """[design]
kind = "fractional"
resolution = 3
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 2]
"freeze.layers" = [0, 1]
"""
SCREEN = FRACTION.replace("fractional", "screen").replace("[factors]", "seeds = 3\n[factors]")


def problems(name: str, value: Any) -> list[str]:
    """Where a value, once it is JSON, is not as a schema says."""
    validator = Draft202012Validator(SCHEMAS[name]())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(as_read(value))]


def as_read(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    study = audited_study(tmp_path_factory.mktemp("study"), bert)
    fill(study)
    return study.folder


def check(folder: Path) -> None:
    facts: Facts = report_facts(folder)
    assert problems("report.schema.json", facts) == []
    assert problems("verdict.schema.json", facts["verdict"]) == []
    assert problems("verdict.schema.json", as_json(judge(any_results(folder)))) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_those_of_the_types(name: str) -> None:
    """If this fails, run `make reference`."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == text(name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas_that_say_what_they_are_of(name: str) -> None:
    made = SCHEMAS[name]()
    validator_for(made).check_schema(made)

    assert made["title"] and made["description"]


def test_a_study_is_as_the_schemas_say(studied: Path) -> None:
    check(studied)


@pytest.mark.slow
def test_a_study_with_hostile_names_is_as_the_schemas_say(tmp_path: Path, bert: Path) -> None:
    study = hostile_study(tmp_path, bert)
    fill(study)

    check(study.folder)


def test_a_table_from_elsewhere_is_as_the_schemas_say(tmp_path: Path) -> None:
    save_imported(tmp_path / "table", load_example("thucnews64-published"))

    check(tmp_path / "table")


def test_a_study_of_a_fraction_with_lost_runs_is_as_the_schemas_say(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert, FRACTION)
    check(study.folder)  # nothing has run
    fill(study, seeds=1)
    statuses: tuple[Status, ...] = ("failed", "diverged")
    for status, record in zip(statuses, study.ledger.latest().values(), strict=False):
        study.ledger.append(ended_badly(record, status, "?"))

    check(study.folder)


@pytest.mark.slow
def test_a_decided_screen_is_as_the_schemas_say(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert, SCREEN)
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, hits, study.head.design.numbers)
    decide_screen(study, 1000.0)  # nothing survives, and so there is no second phase to audit
    assert as_json(judge(any_results(study.folder)))["screen"] is not None

    check(study.folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda facts: facts["verdict"].pop("margin"), "'margin' is a required property"),
        (lambda facts: facts["verdict"]["factors"][0].update(effect="1"), "'1'"),
        (lambda facts: facts["verdict"]["factors"][0]["decision"].update(kind="perhaps"), "'perhaps'"),
        (lambda facts: facts["recipes"][0].update(unheard_of=1), "'unheard_of' was unexpected"),
        (lambda facts: facts["recipes"][0].update(test_interval=[1.0]), "[1.0] is too short"),
    ],
)
def test_what_is_not_as_the_types_say_is_found(studied: Path, change: Any, told: str) -> None:
    facts = as_read(report_facts(studied))
    change(facts)

    (problem,) = problems("report.schema.json", facts)
    assert told in problem
