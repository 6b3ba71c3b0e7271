"""A verdict in three lines: what to use, how sure that is, the next command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.pretend import pretend
from support.reported import audited_study

from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.study.audit_file import load_audit
from finegrid.study.edit import change_design, keep_asked_seeds
from finegrid.study.record import Epoch
from finegrid.study.study import Study
from finegrid.verdict.brief import brief_lines, tells_nothing
from finegrid.verdict.diagnose import diagnose
from finegrid.verdict.interim import with_interim_decisions

SETTINGS = '[design]\nseeds = 3\n[factors]\n"reinit.layers" = [0, 2]\n"schedule.warmup_ratio" = [0.0, 0.1]\n'


def brief(study: Study, lang: Any = "en") -> list[str]:
    return brief_lines(with_interim_decisions(load_results(study)), study.folder, lang)


def fill(study: Study, points: int, seeds: range, rising: bool = False) -> None:
    """Runs that get 60 of 100 texts right, with fresh layers so many texts more."""

    def hits(run: PlannedRun) -> int:
        return 180 + points * ("reinit.layers" in run.levels) + run.seed

    audit = load_audit(study.folder)
    assert audit is not None
    scores: Any = {"accuracy": 0.5, "macro_f1": 0.5}
    better: Any = {"accuracy": 0.6, "macro_f1": 0.6}
    two = [scores, better] if rising else [better, scores]
    curve = tuple(Epoch(epoch=number, dev=dev) for number, dev in enumerate(two, start=1))
    pretend(study, audit, hits, seeds, epochs=curve)


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    return audited_study(tmp_path / "study", bert, SETTINGS)


def test_while_runs_are_missing_nothing_is_decided_and_the_next_command_trains_them(study: Study) -> None:
    fill(study, 30, range(2))

    assert brief(study) == [
        "nothing is decided yet: 4 of 12 runs are missing",
        f"next: finegrid run {study.folder} trains what is missing",
    ]


def test_a_recipe_that_wins_is_named_with_its_chance_to_lose_and_is_to_be_confirmed(study: Study) -> None:
    fill(study, 30, range(3))
    use, sure, then = brief(study)

    assert use.startswith("use: reinit.layers = 2") and "The chance that it loses more than 0.5" in sure
    assert "rising" not in sure
    assert then == f"next: finegrid confirm {study.folder} compares the two on seeds that chose nothing"
    assert brief(study, "zh")[0].startswith("建议使用：reinit.layers = 2")


def test_a_baseline_that_was_still_rising_makes_the_answer_doubtful(study: Study) -> None:
    fill(study, 30, range(3), rising=True)

    assert "the baseline was still rising" in brief(study)[1]


def test_where_all_are_alike_the_baseline_stays_and_seeds_may_be_added(study: Study) -> None:
    fill(study, 0, range(3))
    kept, _, then = brief(study)
    one_seed = brief_lines(with_interim_decisions(load_results(study).of_seeds([0])), Path("mine"))

    assert kept == "keep what you have: the baseline (row 1)"
    assert then.startswith(f"next: finegrid run {study.folder} --until-decided")
    assert one_seed[2] == "next: finegrid run mine --seeds 3 tells how far runs differ"


def asked_for(study: Study, seeds: int) -> Study:
    return keep_asked_seeds(study, seeds, partial(tells_nothing, study.folder))


def test_seeds_that_finegrid_itself_asks_for_are_not_added_later(study: Study) -> None:
    """After one seed nothing tells how far runs differ: what it shows can be neither liked nor not."""
    one = change_design(study.folder, {"seeds": 1})
    fill(one, 30, range(1))
    assert "--seeds 3" in brief(one)[2]
    three = asked_for(one, 3)
    fill(three, 30, range(1, 3))

    assert three.head.design.numbers == (0, 1, 2)
    warned = diagnose(load_results(three))
    assert "unplanned-seeds" not in {warning.kind for warning in warned}


def test_seeds_that_are_asked_for_once_something_could_be_decided_are_added_later(study: Study) -> None:
    two = change_design(study.folder, {"seeds": 2})
    fill(two, 30, range(2))

    assert not tells_nothing(two.folder) and asked_for(two, 4).head.design.numbers == (0, 1)


def test_seeds_that_were_added_later_stay_so(study: Study) -> None:
    one = change_design(study.folder, {"seeds": 1})
    fill(one, 30, range(2, 3))

    assert asked_for(one, 3).head.design.numbers == (0,)
