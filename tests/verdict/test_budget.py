"""What a budget buys: never more than it pays for, and the best of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.audits import majority_of

from finegrid.errors import InputError
from finegrid.planning.capacity import GIB
from finegrid.planning.runs import plan_runs
from finegrid.planning.status import StudyStatus
from finegrid.recipe.identity import ENGINE, Levels
from finegrid.statistics.decide import Decision
from finegrid.statistics.effects import analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Outcomes
from finegrid.statistics.power import detectable
from finegrid.statistics.variance import Components
from finegrid.study.audit_file import Audit, Cost, RowAudit, load_audit, save_audit
from finegrid.study.design import DesignKind, Resolution
from finegrid.study.load import load_study
from finegrid.study.record import Record, Seconds, Status
from finegrid.study.study import Study
from finegrid.verdict.budget.budget import Option, find_candidates, in_design, plan_budget
from finegrid.verdict.budget.noise import NoiseModel, assume_noise, estimate_noise, keep_usable, measure_noise
from finegrid.verdict.budget.parse import parse_budget
from finegrid.verdict.budget.words import budget_json, budget_lines

GRID = """
"optimizer.bias_correction" = [true, false]
"optimizer.decay_on" = ["all", "matrices"]
"reinit.pooler" = [false, true]
"reinit.layers" = [0, 6]
"freeze.layers" = [0, 6]
"schedule.warmup_ratio" = [0.0, 0.1]
"""
LABELS = ["a", "b", "c"]
TEXTS = 60
NAMES = {"seed": 0, "text": 1, "seed_text": 2}


def make_study(folder: Path, factors: str = GRID, design: str = "seeds = 1", only_own: bool = False) -> Study:
    """A study of mini-zh with an audit by hand: no levels of the pooler, and of dropout without frozen
    layers, do anything. A full run takes 60 s, a frozen one 30 s, and the prefix of a family 10 s.
    """
    folder.mkdir()
    (folder / "study.toml").write_text(
        f'[data]\ntrain = "train.tsv"\n[model]\nname = "mini-zh"\n[factors]\n{factors}\n[design]\n{design}\n'
    )
    study = load_study(folder)
    rows = study.rows if only_own else in_design(study, "full", 4).rows
    save_audit(
        folder,
        Audit(
            engine=ENGINE,
            fingerprints={},
            labels=LABELS,
            sizes={"train": 32, "dev": TEXTS, "test": TEXTS},
            tokens={"mean": 20.0},
            majority=majority_of(LABELS),
            warnings=[],
            rows=[reduced(row.recipe.moved()) for row in rows],
            costs=[
                cost({}, 20.0, 0.0),
                cost({"freeze.layers": 3}, 10.0, 10 / 3),
                cost({"freeze.layers": 6}, 10.0, 10 / 3),
                cost({"freeze.layers": 6, "freeze.dropout": False}, 10.0, 10 / 3),
            ],
            versions={},
        ),
    )
    return study


def reduced(moved: Levels) -> RowAudit:
    inert = {name for name in moved if name == "reinit.pooler"}
    if "freeze.layers" not in moved:
        inert |= moved.keys() & {"freeze.dropout"}
    run = {name: level for name, level in moved.items() if name not in inert}
    return RowAudit(moved=moved, run=run, inert=dict.fromkeys(inert, "it reaches nothing"))


def cost(shared: Levels, step: float, prefix: float) -> Cost:
    """Three steps of a study of 32 texts (one batch of 32, three epochs by default)."""
    return Cost(
        shared=shared,
        step_seconds=step,
        prefix_seconds=prefix,
        evaluation_seconds=0,
        test_seconds=0,
        memory=GIB // 10,
        member_memory=GIB // 100,
    )


def look(study: Study, workers: int = 2, seeds: Sequence[int] = (0,)) -> StudyStatus:
    return StudyStatus(study, study.head.run, load_audit(study.folder), seeds, workers)


def train(study: Study, seeds: Sequence[int], status: Status = "done", rows: int = 64) -> None:
    """Records, and predictions that are right in four of five texts."""
    audit = load_audit(study.folder)
    assert audit is not None
    (study.folder / "predictions").mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    gold = np.arange(TEXTS) % 3
    for run in plan_runs(study, audit, "fp32", seeds):
        if min(run.stands_for) > rows:
            continue
        named = np.where(rng.random(TEXTS) < 0.8, gold, (gold + 1) % 3)
        score = majority_of(LABELS, float((named == gold).mean()))["dev"]
        arrays: dict[str, np.ndarray[Any, Any]] = {
            "gold": gold,
            "logits": np.eye(3, dtype=np.float32)[named],
            "ids": np.arange(TEXTS),
        }
        file = {f"{split}_{name}": array for split in ("dev", "test") for name, array in arrays.items()}
        np.savez(study.folder / "predictions" / f"{run.run_id}.npz", allow_pickle=False, **file)
        study.ledger.append(
            Record(
                run_id=run.run_id,
                seed=run.seed,
                status=status,
                best_epoch=1,
                dev=score,
                test=score,
                seconds=Seconds(train=1.0),
                stands_for=run.stands_for,
            )
        )


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("budget") / "grid")


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two seeds of all recipes have finished."""
    study = make_study(tmp_path_factory.mktemp("budget") / "done")
    train(study, [0, 1])
    return study


# The option's own words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3h", 10800), ("90m", 5400), ("1h30m", 5400), ("2.5h", 9000), ("7200s", 7200), (" 1h1m1s ", 3661)],
)
def test_a_budget_is_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


HOSTILE = """|3|h|0h|-3h|+3h|3 h|1m1h|3h3h|nan|infh|1e3h|3d|٣h|10001h|0.0s|1,5h|3h; rm|3h\nh|.5h|\x1b[31m"""


@pytest.mark.parametrize("text", [*HOSTILE.split("|"), "9" * 400 + "h"])
def test_anything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(InputError, match=r"--budget .*3h, 90m, 1h30m or 7200s") as caught:
        parse_budget(text)
    assert "\x1b" not in str(caught.value)


def test_seeds_cannot_be_given_to_what_chooses_them() -> None:
    with pytest.raises(InputError, match="--seeds"):
        parse_budget("3h", seeds=3)


# The choice

DESIGNS: list[tuple[DesignKind, Resolution]] = [
    ("full", 4),
    ("fractional", 4),
    ("fractional", 3),
    ("one-at-a-time", 4),
]


@cache
def brute_force(folder: Path) -> list[tuple[float, bool, int, float, DesignKind, int]]:
    """All that fits the largest of the budgets: points, few seeds, how unclear, seconds, kind, seeds. Time as
    `finegrid plan` tells it, contrasts by the book: 4 / recipes, 2 for one recipe against another.
    """
    study = load_study(folder)
    noise = noise_of_study(study)
    sizes = {"full": 4 / 32, "one-at-a-time": 2.0}
    # Five factors do something. Of 32 recipes 16 degrees of freedom are left over; of 16 and 8 Lenth's method
    # has 15 and 9 contrasts: all five main effects, and 10 and 4 interactions.
    one_seed = {32: 16.0, 16: 15 / 3, 8: 9 / 3, 6: 0.0}
    found = []
    for unclear, (kind, resolution) in enumerate(DESIGNS):
        other = in_design(study, kind, resolution)
        audit = load_audit(study.folder)
        assert audit is not None
        recipes = len(plan_runs(other, audit, "fp32", [0]))
        done = len({record.seed for record in study.ledger})  # a verdict counts these in any case
        for seeds in range(max(1, done), 101):
            seconds = look(other, seeds=range(seeds)).seconds_left()
            assert seconds is not None
            if seconds > max(BUDGETS):
                break
            one = noise.predict(sizes.get(kind, 4 / recipes))
            df = one_seed[recipes] if seeds == 1 else None
            if seeds == 1:
                one = replace(one, seed=2 * one.seed)
            points = detectable(one, seeds, TEXTS, 5, df_seed=df)
            found.append((points, seeds < 3, unclear, seconds, kind, seeds))
    return found


def noise_of_study(study: Study) -> NoiseModel:
    from finegrid.results.load import load_results

    audit = load_audit(study.folder)
    assert audit is not None
    return estimate_noise(load_results(study), audit)


BUDGETS = (100, 250, 700, 1700)


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("which", ["grid", "half_done"])
def test_it_is_the_best_of_all_that_fits(budget: float, which: str, request: pytest.FixtureRequest) -> None:
    study = request.getfixturevalue(which)
    fits = [option for option in brute_force(study.folder) if option[3] <= budget]
    chosen = plan_budget(look(study), budget).chosen

    assert (chosen is None) == (not fits)
    if chosen is None:
        return
    smallest = min(points for points, *_ in fits)
    near = [one for one in fits if one[0] <= 1.1 * smallest]
    best = min(near, key=lambda one: (one[1], one[2], round(one[0], 2), one[3], one[5]))
    assert (chosen.candidate.kind, len(chosen.seeds)) == best[4:]
    assert chosen.detects == pytest.approx(best[0]) and chosen.seconds == pytest.approx(best[3])


@pytest.mark.slow
@pytest.mark.parametrize("which", ["grid", "half_done"])
def test_more_time_never_buys_less_and_is_never_overdrawn(which: str, request: pytest.FixtureRequest) -> None:
    study = request.getfixturevalue(which)
    reached = []
    for budget in (60, 240, 300, 900, 1400):
        plan = plan_budget(look(study), budget)
        bought = [option for option in (plan.chosen, *plan.instead) if option]
        assert all(option.seconds <= budget for option in bought)
        reached.append(min((option.detects for option in bought), default=np.inf))
        if plan.chosen and np.isfinite(plan.chosen.detects):
            assert plan.chosen.detects <= 1.1 * reached[-1]
    assert all(later <= 1.1 * earlier for earlier, later in pairwise(reached))
    assert reached[-1] < reached[2]


def test_more_workers_buy_more(grid: Study) -> None:
    one, four = (plan_budget(look(grid, workers), 1500).chosen for workers in (1, 4))

    assert one is not None and four is not None and four.detects < one.detects


# What is done


def test_runs_that_are_done_are_not_paid_again(half_done: Study) -> None:
    plan = plan_budget(look(half_done), 0.5)
    assert plan.chosen is not None
    assert (plan.chosen.candidate.kind, plan.chosen.seeds, plan.chosen.left) == ("full", (0, 1), 0)
    assert plan.chosen.seconds == 0 and "all done already" in budget_lines(plan)[0]

    one_more = look(half_done, seeds=[2]).seconds_left()
    assert one_more is not None
    third = plan_budget(look(half_done), one_more).chosen
    assert third is not None and third.seeds == (0, 1, 2) and third.left == 32
    assert third.seconds == pytest.approx(one_more)


def test_runs_that_failed_are_paid_again_and_diverged_ones_are_not(tmp_path: Path) -> None:
    left = {}
    statuses: tuple[Status, ...] = ("failed", "diverged")
    for status in statuses:
        study = make_study(tmp_path / status)
        train(study, [0], status)
        left[status] = next(o for o in options_of(study) if o.candidate.kind == "full" and len(o.seeds) == 1)

    assert (left["failed"].left, left["diverged"].left) == (32, 0)


def options_of(study: Study) -> list[Option]:
    from finegrid.verdict.budget.budget import list_options

    audit = load_audit(study.folder)
    assert audit is not None
    noise, latest = noise_of_study(study), study.ledger.latest()
    candidates, _ = find_candidates(study, audit)
    return [
        option
        for candidate in candidates
        for option in list_options(look(study), candidate, noise, 500, latest)
    ]


def test_seeds_go_on_from_those_of_the_study(tmp_path: Path) -> None:
    plan = plan_budget(look(make_study(tmp_path / "s", design="seeds = [7, 1]")), 2000)
    assert plan.chosen is not None

    assert plan.chosen.seeds[:4] == (7, 1, 0, 2)[: len(plan.chosen.seeds)]
    assert budget_json(plan)["chosen"]["design"]["seeds"] == list(plan.chosen.seeds)


# Designs


def test_designs_that_come_to_the_same_runs_are_offered_once(grid: Study) -> None:
    """The pooler does nothing: of the other five, half is as clear as 32 of all 64 rows, the full design."""
    audit = load_audit(grid.folder)
    assert audit is not None
    candidates, missing = find_candidates(grid, audit)

    assert [(candidate.kind, candidate.recipes) for candidate in candidates] == [
        ("full", 32),
        ("one-at-a-time", 6),
        ("fractional", 16),
        ("fractional", 8),
    ]
    assert [candidate.reached for candidate in candidates] == [None, None, 5, 3] and missing == ()
    assert [candidate.aliased for candidate in candidates] == [(0, 0), (0, 0), (0, 0), (5, 4)]
    assert [candidate.comparisons for candidate in candidates] == [5] * 4
    assert [candidate.leftover for candidate in candidates] == [
        32 - 1 - 5 - 10,
        0.0,
        (5 + 10) / 3,
        (5 + 4) / 3,
    ]
    assert [candidate.without for candidate in candidates] == [(), (), *[("reinit.pooler",)] * 2]


def test_what_the_audit_does_not_know_is_not_promised(tmp_path: Path) -> None:
    fraction = 'kind = "fractional"\nresolution = "IV"'
    plan = plan_budget(look(make_study(tmp_path / "s", design=fraction, only_own=True)), 2000)
    assert plan.chosen is not None

    assert plan.chosen.candidate.kind == "fractional" and plan.chosen.candidate.recipes == 16
    assert "full" in plan.not_compared and "one-at-a-time" in plan.not_compared
    assert any(line.startswith("not compared: full") for line in budget_lines(plan))


def test_a_design_that_never_shows_a_factor_promises_nothing(tmp_path: Path) -> None:
    """One at a time, nothing is frozen when dropout is off there."""
    factors = '"freeze.layers" = [0, 6]\n"freeze.dropout" = [true, false]'
    study = make_study(tmp_path / "s", factors)
    audit = load_audit(study.folder)
    assert audit is not None
    by_kind = {candidate.kind: candidate for candidate in find_candidates(study, audit)[0]}

    assert by_kind["one-at-a-time"].unseen == ("freeze.dropout",)
    assert by_kind["one-at-a-time"].detects(noise_of_study(study), 9, TEXTS) == np.inf
    assert by_kind["full"].unseen == () and np.isfinite(by_kind["full"].detects(noise_of_study(study), 9, 60))


def test_more_than_two_levels_have_no_fraction(tmp_path: Path) -> None:
    factors = '"freeze.layers" = [0, 3, 6]\n"optimizer.bias_correction" = [true, false]'
    study = make_study(tmp_path / "s", factors)
    plan = plan_budget(look(study), 2000)
    assert plan.chosen is not None

    assert {plan.chosen.candidate.kind, *(o.candidate.kind for o in plan.instead)} == {
        "full",
        "one-at-a-time",
    }
    assert plan.chosen.candidate.comparisons == 3


# What is said


def test_a_budget_that_is_too_small_is_told_what_the_smallest_design_takes(grid: Study) -> None:
    plan = plan_budget(look(grid), 10)
    lines = budget_lines(plan)

    assert plan.chosen is None and budget_json(plan)["chosen"] is None
    takes = [look(in_design(grid, *design)).seconds_left() for design in DESIGNS]
    assert plan.smallest.seconds == min(seconds for seconds in takes if seconds)
    assert lines[0].endswith("nothing fits")
    assert re.search(
        r"warning: the smallest design, fraction of resolution III .* would take 4 min", lines[-1]
    )
    assert not any(line.startswith(("to do so", "detects")) for line in lines)


def test_a_single_seed_is_warned_of(grid: Study) -> None:
    seconds = look(in_design(grid, "fractional", 4)).seconds_left()
    assert seconds is not None
    plan = plan_budget(look(grid), seconds)
    assert plan.chosen is not None and plan.two_seeds is not None

    assert len(plan.chosen.seeds) == 1 and plan.two_seeds > seconds
    assert "one seed is all that fits" in budget_lines(plan)[-1]
    assert not budget_json(plan_budget(look(grid), 3000))["warnings"]


PROSE = re.compile(r"(?:\b[A-Za-z][a-z]+\b[ ,]+){2,}[a-z]+")
COMMAND = re.compile(r"finegrid [\x20-\x7e]+")
NUMBER = re.compile(r"\d[\d.,]*\d|\d")


@pytest.mark.parametrize("budget", [10, 250, 1400])
@pytest.mark.parametrize("which", ["grid", "half_done"])
def test_a_budget_in_chinese_has_the_same_numbers_and_no_english(
    budget: float, which: str, request: pytest.FixtureRequest
) -> None:
    plan = plan_budget(look(request.getfixturevalue(which)), budget)
    english, shown = budget_lines(plan), budget_lines(plan, lang="zh")

    assert len(shown) == len(english) and all(re.search("[一-鿿]", line) for line in shown)
    assert [line for line in shown if PROSE.search(COMMAND.sub("", line))] == []
    for zh, en in zip(shown, english, strict=True):
        assert sorted(NUMBER.findall(zh)) == sorted(NUMBER.findall(en))


@pytest.mark.parametrize("budget", [10, 250, 1400])
@pytest.mark.parametrize("which", ["grid", "half_done"])
def test_words_and_json_agree(budget: float, which: str, request: pytest.FixtureRequest) -> None:
    plan = plan_budget(look(request.getfixturevalue(which)), budget)
    words, spelled = "\n".join(budget_lines(plan)), budget_json(plan)

    assert spelled["seconds"] == budget and all(f"warning: {w}" in words for w in spelled["warnings"])
    assert ("of this ledger" in words) == (spelled["variances"]["from"] == "ledger") == (which == "half_done")
    assert len(spelled["instead"]) == words.count("instead: ") or plan.chosen is None
    chosen = spelled["chosen"]
    if chosen is None:
        return
    assert f"x {len(chosen['seeds'])} seed" in words and f"({chosen['recipes']} distinct" in words
    if chosen["detects"] is not None:
        assert f"main effects of {chosen['detects']:.2f} points or more in 80 % of studies" in words
        assert f"would not get below {chosen['floor']:.2f} points: the {TEXTS} test texts" in words
    assert f'kind = "{chosen["design"]["kind"]}"' in words and spelled["command"] in words
    seeds = chosen["design"]["seeds"]
    assert f"seeds = {seeds} into study.toml; then finegrid run" in words and seeds == len(chosen["seeds"])


def test_what_is_to_do_is_what_was_planned(grid: Study, tmp_path: Path) -> None:
    """The lines for study.toml make the study that the prediction is for."""
    plan = plan_budget(look(grid), 700)
    assert plan.chosen is not None
    table = budget_json(plan)["chosen"]["design"]
    design = "\n".join(f"{k} = " + (f'"{v}"' if isinstance(v, str) else str(v)) for k, v in table.items())
    study = make_study(tmp_path / "s", design=design)

    assert look(study, seeds=study.head.design.numbers).seconds_left() == pytest.approx(plan.chosen.seconds)


def test_the_command_has_the_settings_of_the_plan(grid: Study) -> None:
    settings = grid.head.run.model_copy(update={"precision": "bf16", "memory": 4.0})
    command = budget_json(plan_budget(replace(look(grid), settings=settings), 2000))["command"]

    assert command.endswith(" --precision bf16 --memory 4.0 --workers 2")


# Variances


def test_an_assumed_noise_model_by_hand() -> None:
    """12 % wrong, 4 factors: seeds differ in 4 % of texts, recipes in 6 %."""
    noise = assume_noise(12.0, 4, runs=0, seeds=0)

    assert float(noise.run.seed_text) == pytest.approx(0.04 / 2 * 1e4)
    both = float(noise.run.text) + 4 * float(noise.shared.text) / 4  # four effects, each by half of itself
    assert both == pytest.approx((0.06 - 0.04) / 2 * 1e4)
    assert float(noise.run.seed) == pytest.approx(0.6**2) and noise.percent_wrong == 12.0


def test_an_assumption_starts_from_the_runs_that_there_are(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s")
    assert noise_of_study(study).percent_wrong == 10.0
    train(study, [0])

    noise = noise_of_study(study)
    assert noise.percent_wrong == pytest.approx(20.0, abs=3.0) and (noise.runs, noise.seeds) == (32, 1)


def test_variances_come_from_the_ledger_once_two_seeds_have_finished(half_done: Study) -> None:
    """Predictions by chance: right in 80 % of texts, so all of a run's variance is text in seed."""
    noise = noise_of_study(half_done)

    assert (noise.percent_wrong, noise.runs, noise.seeds) == (None, 64, 2)
    assert float(noise.run.seed_text) == pytest.approx(0.8 * 0.2 * 1e4, rel=0.15)


def test_a_measured_noise_model_finds_what_recipes_share_and_what_is_their_own() -> None:
    """32 recipes of five factors, 12 seeds, 800 texts; variances known."""
    run, shared = (1.5, 60.0, 90.0), (0.5, 150.0, 40.0)
    rng = np.random.default_rng(3)
    factors = {name: [0, 1] for name in "abcde"}
    recipes: list[Levels] = [dict(zip("abcde", map(int, f"{row:05b}"), strict=True)) for row in range(32)]
    signs = np.array([[float(level) - 0.5 for level in recipe.values()] for recipe in recipes])
    seeds, texts = 12, 800

    def draw(part: int, *shape: int) -> np.ndarray[Any, Any]:
        own = rng.normal(0, run[part] ** 0.5, (32, *shape))
        return own + np.tensordot(signs, rng.normal(0, shared[part] ** 0.5, (5, *shape)), 1)

    influence = draw(1, texts)[:, None, :] + draw(2, seeds, texts)
    score = draw(0, seeds) + influence.mean(axis=2)
    influence -= influence.mean(axis=2, keepdims=True)
    analysis = analyse(Experiment.of(Outcomes(factors, recipes, score, influence)))
    found = measure_noise(
        keep_usable(analysis.effects), keep_usable([i.effect for i in analysis.interactions]), 1, 1
    )

    for name, part in NAMES.items():
        wide = 0.6 if name == "seed" else 0.2
        assert float(getattr(found.run, name)) == pytest.approx(run[part], rel=wide)
        assert float(getattr(found.shared, name)) == pytest.approx(shared[part], rel=wide)


def test_the_floor_is_where_seeds_no_longer_help(half_done: Study) -> None:
    audit = load_audit(half_done.folder)
    assert audit is not None
    noise = NoiseModel(
        Components(*map(np.array, (1.0, 50.0, 80.0))), Components(*map(np.array, (0.1, 90.0, 9.0))), 1, 1
    )
    for candidate in find_candidates(half_done, audit)[0]:
        floor = candidate.floor(noise, TEXTS)
        assert candidate.detects(noise, 10, TEXTS) > floor
        assert candidate.detects(noise, 100_000, TEXTS) == pytest.approx(floor, rel=0.01)
        assert candidate.floor(noise, 4 * TEXTS) == pytest.approx(floor / 2, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "resolution", "seeds"), [("full", 4, 3), ("fractional", 4, 6), ("full", 4, 1)]
)
def test_the_promised_effect_is_found_in_four_of_five_studies(
    grid: Study, kind: DesignKind, resolution: Resolution, seeds: int
) -> None:
    """600 studies of the design with the variances of a noise; one factor has an effect, the others none."""
    from finegrid.results.load import load_results

    audit = load_audit(grid.folder)
    assert audit is not None
    candidate = next(s for s in find_candidates(grid, audit)[0] if s.kind == kind)
    results = load_results(candidate.study)
    recipes = [recipe.levels for recipe in results.recipes]
    signs = np.array([[levels.index(r[n]) - 0.5 for n, levels in results.factors.items()] for r in recipes])
    run, shared, texts = (1.0, 60.0, 120.0), (0.02, 40.0, 0.0), 200
    noise = NoiseModel(Components(*map(np.array, run)), Components(*map(np.array, shared)), 1, 1)
    effect = candidate.detects(noise, seeds, texts)
    rng, found, studies = np.random.default_rng(11), 0, 600

    def draw(part: int, *shape: int) -> np.ndarray[Any, Any]:
        own = rng.normal(0, run[part] ** 0.5, (len(recipes), *shape))
        return own + np.tensordot(signs, rng.normal(0, shared[part] ** 0.5, (5, *shape)), 1)

    for _ in range(studies):
        influence = draw(1, texts)[:, None, :] + draw(2, seeds, texts)
        score = 80 + draw(0, seeds) + influence.mean(axis=2) + effect * signs[:, [2]]
        influence -= influence.mean(axis=2, keepdims=True)
        analysis = analyse(Experiment.of(Outcomes(results.factors, recipes, score, influence)))
        found += analysis.effects[2].decision == Decision("use")

    assert found / studies == pytest.approx(0.8, abs=0.05)
