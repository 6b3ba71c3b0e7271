"""`finegrid run --until-decided`: seeds are added at planned looks, and what is decided stays decided."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Call
from support.pretend import TEXTS, pretend
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.errors import InputError
from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.results.table import make_table
from finegrid.statistics.decide import Decision
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.interim import (
    plan_interim_analyses,
    read_interim_analyses,
    read_interim_decisions,
    train_until_decided,
    with_interim_decisions,
)

LOOKS = [2, 4, 6, 8]
SETTINGS = f"""[design]
looks = {LOOKS}
[factors]
"optimizer.bias_correction" = [true, false]
"optimizer.decay_on" = ["all", "matrices"]
"reinit.layers" = [0, 2]
"""
FOREVER = float("inf")
Hits = Callable[[PlannedRun], int]


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS, 'score = "accuracy"\n')
    loaded = open_study(folder)
    save_audit(folder, make_audit(loaded))
    return folder


@pytest.fixture
def study(probed: Path, tmp_path: Path) -> Study:
    shutil.copytree(probed, tmp_path / "study")
    return load_study(tmp_path / "study")


def go(study: Study, hits: Hits, budget: float = FOREVER, seconds: float = 0.0, margin: float = 5.0) -> str:
    """Until decided, with runs that nobody trains. Returns why it ended."""

    def train(seeds: int) -> None:
        audit = load_audit(study.folder)
        assert audit is not None
        pretend(study, audit, hits, range(seeds))

    ended = train_until_decided(study, train, lambda seeds: seconds, budget, margin, lambda telling: None)
    return " ".join(ended("en"))


def clear(run: PlannedRun) -> int:
    """What everything is worth shows after two seeds."""
    return 200 - 60 * ("reinit.layers" in run.levels) + run.seed % 2


def noisy(run: PlannedRun) -> int:
    luck = np.random.default_rng([run.seed, int(run.run_id, 16)]).normal(0, TEXTS / 12)
    return int(np.clip(180 - 60 * ("reinit.layers" in run.levels) + luck, 0, TEXTS))


def seeds_of(study: Study) -> int:
    return len(load_results(study).seeds)


def test_a_study_stops_at_the_look_at_which_all_is_decided(study: Study) -> None:
    assert "every strategy has its verdict after 2 seeds" in go(study, clear)
    assert {record.seed for record in study.ledger} == {0, 1}
    assert [entry.seeds for entry in read_interim_analyses(study.folder)] == [2]


def test_the_chance_of_a_wrong_word_is_split_over_the_looks(study: Study) -> None:
    go(study, clear)
    (entry,) = read_interim_analyses(study.folder)

    assert entry.alpha == pytest.approx(0.05 / len(LOOKS))
    shared = with_interim_decisions(load_results(study), 5.0).analysis.effects[0]
    shutil.move(study.folder / "looks.jsonl", study.folder / "elsewhere.jsonl")
    whole = with_interim_decisions(load_results(study), 5.0).analysis.effects[0]
    assert shared.adjusted.high - shared.adjusted.low > whole.adjusted.high - whole.adjusted.low


def test_what_is_decided_stays_decided(study: Study) -> None:
    def turns(run: PlannedRun) -> int:
        """Re-initialising is bad for the first two seeds, and very good from then on."""
        worth = -40 if run.seed < 2 else 120
        luck = np.random.default_rng([run.seed, int(run.run_id, 16)]).integers(-30, 30)
        return int(120 + worth * ("reinit.layers" in run.levels) + luck * ("reinit.layers" not in run.levels))

    go(study, turns)
    name = "reinit.layers = 2"
    assert read_interim_decisions(study.folder)[name]["seeds"] == 2 and seeds_of(study) > 2

    verdict = with_interim_decisions(load_results(study), 5.0)
    (effect,) = [e for e in verdict.analysis.effects if e.comparison.factor == "reinit.layers"]
    assert effect.decision == Decision("avoid") and effect.estimate > 0
    assert any("decided at the look with 2 seeds" in note for note in effect.notes)
    # Under another margin the looks have decided nothing.
    anew = with_interim_decisions(load_results(study), 0.1)
    (effect,) = [e for e in anew.analysis.effects if e.comparison.factor == "reinit.layers"]
    assert not any("decided at" in note for note in effect.notes)


@pytest.mark.slow
def test_the_last_look_is_the_last(study: Study) -> None:
    ended = go(study, noisy, margin=0.01)

    assert seeds_of(study) <= LOOKS[-1]
    assert "last of the planned looks, with 8 seeds" in ended or "test texts are the limit" in ended
    assert len({entry.seeds for entry in read_interim_analyses(study.folder)}) == len(
        read_interim_analyses(study.folder)
    )


def test_a_budget_is_not_overdrawn(study: Study) -> None:
    ended = go(study, noisy, budget=100, seconds=101)

    assert "budget is spent: 2 seeds would take 2 min more" in ended
    assert not (study.folder / "runs.jsonl").exists() and not read_interim_analyses(study.folder)


@pytest.mark.slow
def test_going_on_takes_no_look_twice(study: Study) -> None:
    go(study, noisy, margin=0.01)
    before = read_interim_analyses(study.folder)
    go(study, noisy, margin=0.01)

    assert read_interim_analyses(study.folder) == before


@pytest.mark.slow
def test_planned_looks_are_no_unplanned_extension(study: Study) -> None:
    go(study, noisy, margin=0.01)
    kinds = {warning.kind for warning in with_interim_decisions(load_results(study), 5.0).warnings}

    assert "unplanned-seeds" not in kinds


@pytest.mark.parametrize("design", ["", "[design]\nseeds = 1\n"])
def test_looks_are_written_into_the_study(tmp_path: Path, bert: Path, design: str) -> None:
    folder = write_study(tmp_path / "study", bert, f'{design}[factors]\n"reinit.layers" = [0, 2]')
    plan_interim_analyses(folder)
    study = load_study(folder)

    assert study.head.design.looks == [3, 5, 8, 12, 20]
    assert study.head.design.numbers == (0,) and max(study.head.design.planned) == 19


def test_a_design_that_cannot_be_added_to_is_left_as_it_is(tmp_path: Path, bert: Path) -> None:
    folder = write_study(
        tmp_path / "study", bert, '[factors]\n"reinit.layers" = [0, 2]', "design = {seeds = 2}\n"
    )
    before = (folder / "study.toml").read_text()
    with pytest.raises(InputError, match=r"Add looks = \[3, 5, 8, 12, 20\] to the design yourself"):
        plan_interim_analyses(folder)
    assert (folder / "study.toml").read_text() == before


@pytest.mark.slow
def test_looks_go_on_with_the_margin_they_began_with(study: Study) -> None:
    go(study, noisy, margin=0.01)
    before = read_interim_analyses(study.folder)
    with pytest.raises(InputError, match=r"--margin 0.01, now asked for: 5\b"):
        go(study, noisy, margin=5.0)
    assert read_interim_analyses(study.folder) == before


def test_a_budget_holds_for_a_study_that_was_never_probed(tmp_path: Path, bert: Path, call: Call) -> None:
    """One whose runs take a minute each, however soon it is probed."""
    folder = write_study(tmp_path / "study", bert, '[factors]\n"training.epochs" = [3000, 4000]')
    done = call("run", folder, "--until-decided", "--budget", "1s", "--workers", "1")

    assert "the budget is spent" in done.stdout
    assert load_audit(folder) is not None and not (folder / "runs.jsonl").exists()


def test_a_tiny_study_is_trained_until_decided(probed: Path, tmp_path: Path, call: Call) -> None:
    shutil.copytree(probed, tmp_path / "study")
    done = call("run", tmp_path / "study", "--until-decided", "--margin", "1000", "--workers", "1")

    assert done.returncode == 0, done.stderr
    assert "every strategy has its verdict after" in done.stdout
    study = load_study(tmp_path / "study")
    seeds = read_interim_analyses(study.folder)[-1].seeds
    assert all(len(row.records) == seeds for row in make_table(study, load_audit(study.folder)).rows)
    spoken = json.loads(call("verdict", study.folder, "--json", "--margin", "1000").stdout)
    assert {one["decision"]["kind"] for one in spoken["factors"]} == {"same"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--budget", "3h"], "without --until-decided"),
        (["--until-decided", "--budget", "soon"], "expected hours, minutes or seconds"),
        (["--until-decided", "--rows", "1"], "together with --until-decided"),
        (["--until-decided", "--seeds", "3"], "together with --until-decided"),
    ],
)
def test_options_that_contradict_are_refused(study: Study, call: Call, options: list[str], told: str) -> None:
    done = call("run", study.folder, *options)

    assert done.returncode == 2 and told in done.stderr


def test_looks_that_do_not_rise_are_refused(tmp_path: Path, bert: Path, call: Call) -> None:
    settings = '[design]\nlooks = [5, 3]\n[factors]\n"reinit.layers" = [0, 2]'
    done = call("plan", write_study(tmp_path / "study", bert, settings))

    assert done.returncode == 2 and "expected rising numbers of seeds" in done.stderr
