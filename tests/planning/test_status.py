"""What `status` and `plan` tell of what was recorded or measured under other settings than today's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.machine import Precision
from finegrid.planning.capacity import GIB
from finegrid.planning.runs import plan_runs
from finegrid.planning.status import AT_ONE_RATE, StudyStatus, probed, study_status
from finegrid.planning.status_words import plan_lines, status_lines
from finegrid.spelling import Lang
from finegrid.study.audit_file import save_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.ledger import Ledger
from finegrid.study.load import load_study, override
from finegrid.study.record import Record
from finegrid.study.study import Study


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    """Three rows, probed."""
    settings = '[factors]\n"reinit.layers" = [0, 1, 2]'
    loaded = open_study(write_study(tmp_path / "study", bert, settings=settings))
    save_audit(loaded.study.folder, make_audit(loaded))
    return loaded.study


def diverge(study: Study, row: int, precision: Precision, seed: int) -> None:
    audit = fitting_audit(study)
    assert audit is not None
    run = plan_runs(study, audit, precision, [seed])[row - 1]
    study.ledger.append(
        Record(
            run_id=run.run_id,
            seed=seed,
            status="diverged",
            reason="the loss was nan",
            stands_for=run.stands_for,
        )
    )


def test_a_run_has_the_rows_of_the_table_as_it_is_now(study: Study) -> None:
    diverge(study, 3, "fp32", 0)
    path = study.folder / "study.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("[0, 1, 2]", "[0, 2]"), encoding="utf-8")
    study = load_study(study.folder)

    told = status_lines(StudyStatus(study, study.head.run, fitting_audit(study), (0,)))
    assert "diverged: row 2, seed 0: the loss was nan" in told


def test_added_seeds_are_seen_whatever_precision_they_ran_in(study: Study) -> None:
    diverge(study, 1, "bf16", 4)
    diverge(study, 1, "fp32", 2)

    assert study.head.run.precision == "fp32" and study_status(study, study.head.run).seeds == (0, 2, 4)


def test_a_plan_says_when_its_costs_were_measured_otherwise(study: Study) -> None:
    for threads, warned in ((1, False), (2, True)):
        settings = override(study.head.run, threads=threads)
        told = "\n".join(plan_lines(StudyStatus(study, settings, fitting_audit(study), (0,))))

        assert "predicted: " in told
        assert ("both measured with device cpu, precision fp32, threads 1; plan --probe" in told) == warned
        assert probed(study, settings) != warned


def told_of_memory(study: Study, costs: dict[str, Any], lang: Lang = "en", **settings: Any) -> str:
    audit = fitting_audit(study)
    assert audit is not None
    own = [cost.model_copy(update=costs) for cost in audit.costs]
    measured = audit.model_copy(update={"costs": own})
    run = study.head.run.model_copy(update=settings)
    return "\n".join(plan_lines(StudyStatus(study, run, measured, (0,)), lang=lang))


def test_a_plan_that_does_not_fit_names_what_needs_less(study: Study) -> None:
    costs = {"memory": 3 * GIB, "member_memory": 1}
    told = told_of_memory(study, costs, memory=2.0)
    chinese = told_of_memory(study, costs, "zh", memory=2.0)

    assert "memory: up to 3.0 GiB per worker" in told
    assert (
        "that is more than the 2.0 GiB that there are for it: run.recompute = true (the results stay the "
        "same), training.micro_batch = 4 (now 8 texts at once), fewer --workers"
    ) in told
    assert "超过了可用的 2.0 GiB：设 run.recompute = true（结果不变）；设 training.micro_batch = 4" in chinese
    assert "that is more than" not in told_of_memory(study, costs, memory=4.0)


def test_a_plan_says_how_many_runs_compute_their_layers_twice(study: Study) -> None:
    told = told_of_memory(study, {"recomputes": True}, recompute="auto")

    assert "run.recompute = auto: layers are computed twice in 3 of 3 runs" in told
    assert "computed twice" not in told_of_memory(study, {"recomputes": False}, recompute="auto")
    assert "computed twice" not in told_of_memory(study, {"recomputes": True})


def test_the_ledger_is_read_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    diverge(study, 2, "fp32", 0)
    reads = []
    read = Ledger.read
    monkeypatch.setattr(Ledger, "read", lambda ledger: reads.append(1) or read(ledger))  # type: ignore[func-returns-value]
    status = StudyStatus(study, study.head.run, fitting_audit(study), (0,))

    assert status.as_json()["runs"]["diverged"] == 1 and status_lines(status)
    assert len(reads) == 1


def test_who_trains_a_study_says_what_time_is_left_and_this_machine_does_not(study: Study) -> None:
    status = StudyStatus(study, study.head.run, fitting_audit(study), (0,))

    assert [line for line in status_lines(status) if "left" in line.partition("about ")[2]]
    assert not [line for line in status_lines(status, at_work=True) if "about " in line]


@pytest.mark.parametrize(("rates", "told"), [("", 1), ('"optimizer.rate" = [5e-5, 1e-5]', 0)])
def test_a_plan_warns_of_optimizers_at_one_rate(rates: str, told: int, bert: Path, tmp_path: Path) -> None:
    factors = f'[factors]\n"optimizer.kind" = ["adamw", "lion"]\n{rates}\n[design]\nkind = "full"'
    study = open_study(write_study(tmp_path / "study", bert, settings=factors)).study
    warnings = StudyStatus(study, study.head.run, None, (0,)).warnings

    assert warnings == [f'"lion" {AT_ONE_RATE}'] * told
