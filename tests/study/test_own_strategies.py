"""What a study knows of its own strategies: ``strategies.json``, run ids, and what may run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.audits import audit_of
from support.strategies.own import name_own, write_own
from support.studies import write_study

from finegrid import allowed_code
from finegrid.errors import InputError
from finegrid.recipe.identity import ENGINE, run_id
from finegrid.recipe.recipe import BLANK
from finegrid.running import admitting, describing, launch
from finegrid.running.admitting import admit, hash_settings
from finegrid.study.audit_file import Audit, RowAudit, save_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.identity import identify
from finegrid.study.load import load_study, read_toml
from finegrid.study.own_strategies import import_own, load_file
from finegrid.study.study import Study

SETTINGS = '[factors]\n"centre.share" = [0.0, 1.0]\n"optimizer.bias_correction" = [true, false]'


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has allowed nothing, and descriptions without one more process."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(admitting, "ask", describing.tell)


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    folder = write_study(tmp_path / "study", bert, SETTINGS)
    write_own(folder)
    name_own(folder, "centre.py")
    admit(folder, allow_code=True, runs=False)
    return load_study(folder)


def audit_rows(study: Study) -> Audit:
    """An audit that knows the rows of a study, in which nothing is inert."""
    moved = [row.recipe.moved() for row in study.rows]
    rows = [RowAudit(moved=levels, run=levels, inert={}) for levels in moved]
    fingerprints = {"data": "d", "model": "m", "tokenizer": "t"}
    return audit_of().model_copy(update={"engine": ENGINE, "rows": rows, "fingerprints": fingerprints})


def test_a_study_without_own_strategies_has_the_ids_that_it_always_had(study: Study, bert: Path) -> None:
    """Byte for byte: of the levels that it moves, and what was audited, and nothing else."""
    plain = load_study(write_study(study.folder.with_name("plain"), bert))
    audit = audit_rows(plain)
    row = plain.rows[1].recipe.moved()
    key = {
        "levels": row,
        "fingerprints": audit.fingerprints,
        "precision": "fp32",
        "protocol": "best-dev",
        "score": "macro-f1",
        "engine": ENGINE,
    }
    begun = json.dumps(key, sort_keys=True)[:-1]

    assert (
        identify(plain, audit, "fp32", row, 7)
        == hashlib.sha256(f'{begun}, "seed": 7}}'.encode()).hexdigest()[:12]
    )
    assert type(plain.baseline) is type(BLANK) and not plain.own.digests
    assert identify(study, audit, "fp32", row, 7) == identify(plain, audit, "fp32", row, 7)
    moved = {**row, "centre.share": 1.0}
    told: Any = {"fingerprints": {**audit.fingerprints, "strategies.centre": study.own.digests["centre"]}}
    told |= {"precision": "fp32", "protocol": "best-dev", "score": "macro-f1"}
    assert identify(study, audit, "fp32", moved, 7) == run_id(moved, 7, **told)


def test_an_audit_of_other_code_does_not_fit(study: Study) -> None:
    known = {"strategies.centre": study.own.digests["centre"]}
    audit = audit_rows(study)
    for contents, fits in ((known, True), ({"strategies.centre": "0"}, False), ({}, False)):
        save_audit(study.folder, audit.model_copy(update={"contents": contents}))
        assert (fitting_audit(study) is not None) == fits


def test_code_that_is_not_what_was_planned_does_not_run(study: Study) -> None:
    allowed = [*study.own.digests.values()]
    assert load_study(study.folder, partial(import_own, allowed=allowed)).own.descriptions == ()
    write_own(study.folder, changed={"Centred": "Other"})

    with pytest.raises(InputError, match=r"centre\.py +has changed meanwhile"):
        load_study(study.folder, partial(import_own, allowed=allowed))


def test_no_way_into_training_passes_by_the_permission(study: Study) -> None:
    allowed_code.find_list().unlink()

    with pytest.raises(InputError, match="you have not allowed it yet"):
        launch.audit(study, study.head.run)


def test_who_trains_takes_no_stand_in(study: Study) -> None:
    from finegrid.training.loaded import LoadedStudy

    with pytest.raises(AssertionError, match="themselves"):
        LoadedStudy(study, study.head.run)


def test_more_seeds_need_no_new_description_and_other_levels_do(study: Study) -> None:
    settings = study.files.settings
    text, known = settings.read_text(), study.files.strategies.read_bytes()
    before = hash_settings(read_toml(settings))
    allowed_code.find_list().unlink()  # nothing may run

    settings.write_text(f"{text}[design]\nseeds = 5\n[run]\nthreads = 2\n")
    assert hash_settings(read_toml(settings)) == before
    admit(study.folder, allow_code=False, runs=False)
    assert study.files.strategies.read_bytes() == known

    settings.write_text(text.replace("[0.0, 1.0]", "[0.0, 0.5]"))
    with pytest.raises(InputError, match="you have not allowed it yet"):
        admit(study.folder, allow_code=False, runs=False)


def test_a_strategy_that_says_another_thing_at_every_level_is_asked_about_all(study: Study) -> None:
    copies = "    @property\n    def copies(self):\n        return int(10 * self.share)\n\n"
    write_own(study.folder, changed={"    def change": f"{copies}    def change"})
    admit(study.folder, allow_code=True, runs=False)
    again = load_study(study.folder)

    assert [row.recipe.copies for row in again.rows] == [0, 0, 10, 10]
    with pytest.raises(InputError, match=r"centre\.py was not asked about"):
        _ = again.blank.at({"centre.share": 0.5}).copies


def test_the_list_of_what_is_allowed_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    allowed_code.allow({"one\ntwo": "aa", "three": "bb"})
    allowed_code.allow({"three": "bb"})
    path = allowed_code.find_list()

    assert path == tmp_path / "config" / "finegrid" / "allowed-code.txt"
    assert path.read_text() == "aa  one two\nbb  three\n"
    path.write_bytes(b"\xff\n\ncc\n")
    assert allowed_code.read_allowed() >= {"cc"}
    path.unlink()
    assert allowed_code.read_allowed() == set()


def spoil(value: Any) -> Iterator[Any]:
    """A JSON value with one thing in it changed, at every place once."""
    yield from (None, -1, "x", [], {}, True, 1e400)
    if isinstance(value, dict):
        for key in value:
            yield {name: one for name, one in value.items() if name != key}
            yield {f"{name}?" if name == key else name: one for name, one in value.items()}
            for one in spoil(value[key]):
                yield {**value, key: one}
    elif isinstance(value, list):
        yield [*value, *deepcopy(value)]
        for place, item in enumerate(value):
            for one in spoil(item):
                yield [*value[:place], one, *value[place + 1 :]]


def test_a_damaged_file_ends_in_a_message(study: Study) -> None:
    """Whatever somebody puts into ``strategies.json``: it is read as it says, or counts as missing."""
    path = study.files.strategies
    content = json.loads(path.read_text())
    lost = 0
    for spoilt in spoil(content):
        path.write_text(json.dumps(spoilt))
        if load_file(study.folder) is None:
            lost += 1
            with pytest.raises(InputError, match=r"strategies\.json does not tell of it"):
                load_study(study.folder)
        else:
            try:
                _ = [row.recipe.copies for row in load_study(study.folder).rows]
            except InputError:
                continue

    assert lost > 200
    path.write_bytes(b"\x00\xff")
    assert load_file(study.folder) is None
