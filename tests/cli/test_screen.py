"""`design.kind = "screen"`: a fraction first, decided on dev, then every combination of what survives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call, records
from support.pretend import TEXTS, pretend
from support.studies import open_study, save_word_checkpoint, write_data, write_study, write_word_study

from finegrid.audit.costs import make_audit
from finegrid.errors import InputError
from finegrid.planning.runs import PlannedRun
from finegrid.planning.status import study_status
from finegrid.results.load import load_results
from finegrid.spelling import Lang, Telling
from finegrid.statistics.decide import Decision, reach
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.design import DesignKind
from finegrid.study.load import load_study
from finegrid.study.screen import load_screen
from finegrid.study.study import Study
from finegrid.verdict.budget.budget import in_design, plan_budget
from finegrid.verdict.budget.price import describe_price
from finegrid.verdict.outcomes import find_blocks
from finegrid.verdict.screening import decide_screen, train_phases
from finegrid.verdict.verdict import add_note, judge

KINDS: tuple[DesignKind, ...] = ("full", "fractional")
FIVE = {
    "optimizer.bias_correction": "[true, false]",
    "optimizer.decay_on": '["all", "matrices"]',
    "reinit.layers": "[0, 2]",
    "freeze.layers": "[0, 2]",
    "schedule.warmup_ratio": "[0.0, 0.1]",
}
SETTINGS = '[design]\nkind = "screen"\nresolution = "III"\nseeds = 4\n[factors]\n' + "\n".join(
    f'"{name}" = {levels}' for name, levels in FIVE.items()
)
POINT = TEXTS // 100  # texts that are one point of accuracy
# Warmup helps, freezing hurts, of bias correction nothing can be said, and the rest does nothing.
WARM, FROZEN, BIAS = "schedule.warmup_ratio", "freeze.layers", "optimizer.bias_correction"
MARGIN = 4.0


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study folder with the audit of all 32 combinations."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS, 'score = "accuracy"\n')
    text = (folder / "study.toml").read_text(encoding="utf-8")
    full = text.replace('kind = "screen"\nresolution = "III"', 'kind = "full"')
    (folder / "study.toml").write_text(full, encoding="utf-8")
    save_audit(folder, make_audit(open_study(folder)))
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def study(probed: Path, tmp_path: Path) -> Study:
    shutil.copytree(probed, tmp_path / "study")
    return load_study(tmp_path / "study")


def hits(run: PlannedRun) -> int:
    """60 points of accuracy, +8 for warmup, -8 for freezing, and luck that all texts share.

    Bias correction is worth 2, with so much luck of its own that nothing can be said of it.
    """
    luck = np.random.default_rng([run.seed, int(run.run_id, 16)]).integers(-1, 2)
    moved = 8 * (WARM in run.levels) - 8 * (FROZEN in run.levels)
    unsure = (8, -4, 7, -3)[run.seed % 4] * (BIAS in run.levels)
    return int((60 + moved + unsure) * POINT + luck)


def fill(study: Study, right: Any = hits) -> None:
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, right, study.head.design.numbers)


def saying(lines: list[str], lang: Lang = "en") -> Callable[[Telling], None]:
    return lambda telling: lines.extend(telling(lang))


def decided(study: Study, margin: float = MARGIN) -> Study:
    fill(study)
    decide_screen(study, margin)
    return load_study(study.folder)


def test_what_helps_and_what_is_open_goes_on(study: Study) -> None:
    fill(study)
    told = decide_screen(study, MARGIN)("en")
    screen = load_screen(study.folder)
    assert screen is not None
    words = {name: one.decision for name, one in screen.factors.items()}

    assert screen.survivors == [BIAS, WARM]
    assert words[BIAS] == "cannot tell yet"
    assert words[WARM] == "use, or its aliases" and words[FROZEN] == "do not use, or its aliases"
    assert words["reinit.layers"].startswith("no difference beyond 4")
    assert screen.factors[WARM].effect == pytest.approx(8, abs=0.5)
    assert screen.factors[FROZEN].effect == pytest.approx(-8, abs=0.5)
    lost, won = (f"{screen.factors[name].effect:+.1f}" for name in (FROZEN, WARM))
    assert any(f"{FROZEN} = 2: dropped, stays at its first level; {lost}" in line for line in told)
    assert any(f"{WARM} = 0.1: goes on; {won}" in line for line in told)
    spelled = json.loads((study.folder / "screen.json").read_text(encoding="utf-8"))
    assert spelled["schema"] == 1 and spelled["survivors"] == [BIAS, WARM]


def test_a_screen_is_trained_decided_and_then_trained_on(study: Study) -> None:
    trained: list[int] = []
    lines: list[str] = []

    def train(study: Study) -> None:
        trained.append(len(study.rows))
        fill(study)

    after = train_phases(study, train, MARGIN, saying(lines))

    assert trained == [8, len(after.rows)] and len(after.rows) > 8 and not after.undecided
    assert any(f"{WARM} = 0.1: goes on" in line for line in lines)
    before = list(lines)
    train_phases(after, train, MARGIN, saying(lines))
    assert trained[2:] == [len(after.rows)] and lines == before  # it is decided once


def test_a_screen_whose_first_phase_is_not_over_is_left_undecided(study: Study) -> None:
    trained: list[int] = []
    lines: list[str] = []
    after = train_phases(study, lambda study: trained.append(len(study.rows)), MARGIN, saying(lines))

    assert trained == [8] and after.undecided and len(after.rows) == 8
    assert len(lines) == 1 and lines[0].startswith("phase 1 is not over")


def test_rows_that_are_asked_for_are_trained_without_deciding(study: Study) -> None:
    lines: list[str] = []
    after = train_phases(study, fill, MARGIN, saying(lines), rows={1, 2})

    assert after.undecided and len(after.rows) == 8 and lines == []


def test_what_is_missing_of_the_survivors_design_is_added(study: Study) -> None:
    first = study.rows
    after = decided(study)

    assert len(first) == 8 and after.rows[:8] == first
    assert [row.index for row in after.rows] == list(range(1, len(after.rows) + 1))
    levels = [tuple(row.levels.values()) for row in after.rows]
    assert len(set(levels)) == len(levels)
    base = first[0].levels
    for row in after.rows[8:]:
        assert {name for name in row.levels if row.levels[name] != base[name]} <= {BIAS, WARM}
    whole = [
        row for row in after.rows if all(row.levels[n] == base[n] for n in FIVE if n not in (BIAS, WARM))
    ]
    assert len(whole) == 4


def test_survivors_are_judged_by_their_own_design_and_the_dropped_by_the_fraction(study: Study) -> None:
    """With an interaction that the fraction adds to a survivor's effect, and their own design does not."""
    after = decided(study)

    def crossed(run: PlannedRun) -> int:
        both = {"optimizer.decay_on", FROZEN} <= run.levels.keys()
        return hits(run) + 12 * POINT * both

    shutil.rmtree(study.folder / "predictions")
    (study.folder / "runs.jsonl").unlink()
    fill(after, crossed)
    verdict = judge(load_results(after), MARGIN)
    found = {one.comparison.factor: one for one in verdict.analysis.effects}

    assert list(found) == list(FIVE)
    assert found[WARM].estimate == pytest.approx(8, abs=0.6)
    assert found[WARM].decision == Decision("use") and found[WARM].notes == ()
    assert found[FROZEN].estimate == pytest.approx(-8 + 6, abs=0.6)  # averaged over decay_on
    assert any(
        "dropped on dev (do not use, or its aliases), so measured in the fraction of 8" in n
        for n in found[FROZEN].notes
    )
    weights = found[WARM].contrast.weights
    assert weights is not None and len(weights) == len(verdict.results.recipes)
    assert np.count_nonzero(weights) == 4
    dropped = found["reinit.layers"].contrast
    assert dropped.weights is not None and np.count_nonzero(dropped.weights) == 8 and dropped.aliases
    # The fraction measures bias correction less half of that interaction; every combination of the survivors
    # does not know it.
    blurred = {one.comparison.factor: one for one in judge(load_results(study), MARGIN).analysis.effects}
    assert found[BIAS].estimate == pytest.approx(2, abs=0.6)
    assert blurred[BIAS].estimate == pytest.approx(2 - 6, abs=0.6)


def test_a_survivor_that_needs_a_dropped_factor_is_measured_in_the_fraction(study: Study) -> None:
    """As if bias correction did something only where layers are frozen, and freezing was dropped."""
    results = load_results(decided(study))
    recipes = [
        replace(one, levels={n: v for n, v in one.levels.items() if n != BIAS or one.levels[FROZEN] == 2})
        for one in results.recipes
    ]
    conditional = replace(results, recipes=tuple(recipes))
    own, fraction = find_blocks(conditional)
    effects = {
        one.comparison.factor: add_note(one, conditional) for one in judge(results, MARGIN).analysis.effects
    }

    assert own.given == own.factors == (WARM,) and fraction.given == tuple(FIVE)
    assert (
        effects[BIAS].notes[-1].startswith("does nothing with the dropped factors at their first level, so")
    )
    assert not any("fraction" in note for note in effects[WARM].notes)


def test_all_factors_are_one_family_of_comparisons(study: Study) -> None:
    """The widest adjusted interval is Bonferroni's over five, not over the two that went on."""
    after = decided(study)
    fill(after)
    both = judge(load_results(after), MARGIN).analysis.effects
    open_ = next(one for one in both if one.comparison.factor == BIAS)
    assert (open_.adjusted.high - open_.adjusted.low) / 2 == pytest.approx(
        reach(open_.se, open_.df, 0.05 / 5), rel=1e-6
    )


def test_the_decision_never_looks_at_test(study: Study) -> None:
    fill(study)
    for path in sorted((study.folder / "predictions").iterdir()):
        with np.load(path) as file:
            arrays = dict(file)
        arrays["test_logits"] = arrays["test_logits"][:, ::-1].copy()
        arrays["test_predicted"] = arrays["test_logits"].argmax(axis=1)
        np.savez(path, **arrays)
    lines = (study.folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    swapped = [
        {**(record := json.loads(line)), "test": {**record["test"], "accuracy": len(record["recipe"]) / 9}}
        for line in lines
    ]
    decide_screen(study, MARGIN)
    seen = load_screen(study.folder)
    (study.folder / "screen.json").unlink()
    (study.folder / "runs.jsonl").write_text("\n".join(map(json.dumps, swapped)) + "\n", encoding="utf-8")
    decide_screen(study, MARGIN)

    assert load_screen(study.folder) == seen
    assert seen is not None and seen.survivors == [BIAS, WARM]


def test_phase_1_is_not_decided_before_its_last_run(study: Study) -> None:
    fill(study)
    path = study.folder / "runs.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    assert (
        "phase 1 is not over: of its runs with the study's 4 seeds, 1 are left"
        in decide_screen(study, 2)("en")[0]
    )
    assert load_screen(study.folder) is None
    last = {**json.loads(lines[-1]), "status": "failed"}
    path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n", encoding="utf-8")
    assert "phase 1 is not over" in decide_screen(study, 2)("en")[0]
    path.write_text(
        "\n".join([*lines[:-1], json.dumps({**last, "status": "diverged"})]) + "\n", encoding="utf-8"
    )
    decide_screen(study, 2)
    assert load_screen(study.folder) is not None


def test_no_survivor_means_no_phase_2(study: Study) -> None:
    after = decided(study, margin=1000)

    assert after.screen is not None and after.screen.survivors == []
    assert after.rows == study.rows
    decisions = [effect.decision for effect in judge(load_results(after), 1000.0).analysis.effects]
    assert {decision.kind for decision in decisions if decision} == {"same"}


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"reinit.layers" = [0, 2]', '"reinit.layers" = [0, 1]', "[factors]"),
        ('"schedule.warmup_ratio" = [0.0, 0.1]', "", "[factors]"),
        ('resolution = "III"', 'resolution = "V"', "resolution"),
        ('score = "accuracy"', 'score = "macro-f1"', "score"),
    ],
)
def test_an_edited_study_does_not_keep_the_decision(study: Study, old: str, new: str, where: str) -> None:
    decided(study)
    path = study.folder / "study.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_study(study.folder)
    assert where in str(caught.value) and "remove screen.json" in str(caught.value)
    path.write_text(text.replace("seeds = 4", "seeds = 6"), encoding="utf-8")
    assert load_study(study.folder).screen is not None  # more seeds are no other question


def test_a_damaged_decision_is_refused(study: Study) -> None:
    (study.folder / "screen.json").write_text("{", encoding="utf-8")

    with pytest.raises(InputError, match="decides anew"):
        load_study(study.folder)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"reinit.layers" = [0, 2]', '"reinit.layers" = [0, 1, 2]', "3 levels, but a fraction takes two"),
        ('score = "accuracy"', 'score = "accuracy"\nprotocol = "best-test"', "must decide without it"),
    ],
)
def test_what_a_screen_cannot_do_is_refused(study: Study, call: Call, old: str, new: str, told: str) -> None:
    path = study.folder / "study.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = call("plan", study.folder)

    assert done.returncode == 2 and told in done.stderr


def test_plan_and_status_say_which_phase_it_is(study: Study, call: Call) -> None:
    before = call("plan", study.folder).stdout
    spelled = json.loads(call("plan", study.folder, "--json").stdout)["screen"]

    assert "screen, phase 1: 8 rows, then a decision on dev" in before
    assert "a fraction of resolution III: 8 of 32 combinations" in before
    assert (spelled["phase"], spelled["added_rows"], spelled["at_most"]) == (1, 24, True)
    assert spelled["added_runs"] == 24 * 4 and spelled["added_seconds"] > 0
    after = decided(study)
    spelled = json.loads(call("plan", study.folder, "--json").stdout)["screen"]
    assert (spelled["phase"], spelled["survivors"], spelled["at_most"]) == (2, [BIAS, WARM], False)
    assert spelled["added_rows"] == len(after.rows) - 8
    assert f"screen, phase 2: every combination of {BIAS}, {WARM}" in call("status", study.folder).stdout
    assert f"  {FROZEN} = 2: dropped" in call("plan", study.folder).stdout


def test_other_designs_for_a_budget_have_their_own_rows(study: Study) -> None:
    after = decided(study)

    assert [len(in_design(after, kind, 3).rows) for kind in KINDS] == [32, 8]


def test_seeds_are_not_added_before_the_decision(study: Study, call: Call) -> None:
    done = call("run", study.folder, "--until-decided")

    assert done.returncode == 2 and "this screen is not decided yet" in done.stderr


TINY: dict[str, list[object]] = {
    "optimizer.bias_correction": [True, False],
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.3],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


def tiny(home: Path, name: str) -> Path:
    return write_word_study(
        home / name, Path("../model"), TINY, design='kind = "screen"\nresolution = 3\nseeds = 2'
    )


def test_a_screen_runs_end_to_end_in_one_call(home: Path, tmp_path: Path, call: Call) -> None:
    folder = tiny(home, tmp_path.name)
    # Without a margin only harm drops a factor, so that there is a phase 2.
    ran = call("run", folder, "--workers", "1", "--margin", "0")
    study = load_study(folder)

    assert ran.returncode == 0, ran.stderr
    assert "decided on dev from 4 rows x 2 seeds" in ran.stdout and "screen, phase 2: every" in ran.stdout
    assert study.screen is not None and len(study.screen.survivors) >= 2
    found = records(folder)
    assert len(found) == len({record["run_id"] for record in found}) == 2 * len(study.rows) > 8
    again = call("run", folder, "--workers", "1")
    assert again.returncode == 0 and "decided on dev" not in again.stdout
    assert len(records(folder)) == len(found)
    assert len(call("table", folder).stdout.splitlines()) == 2 + len(study.rows)
    spelled = json.loads(call("verdict", folder, "--json").stdout)
    assert spelled["screen"]["survivors"] == study.screen.survivors
    assert [one["factor"] for one in spelled["factors"]] == list(TINY)
    assert not spelled["missing"]["left"]


@pytest.mark.slow
def test_a_screen_that_stopped_between_its_phases_goes_on(home: Path, tmp_path: Path, call: Call) -> None:
    folder = tiny(home, tmp_path.name)
    assert call("run", folder, "--workers", "1", "--rows", "1,2,3").returncode == 0
    assert load_screen(folder) is None and len(records(folder)) == 6
    some = call("run", folder, "--workers", "1", "--seeds", "1")  # not all seeds of the study
    assert "phase 1 is not over" in some.stdout and load_screen(folder) is None
    study = load_study(folder)
    assert call("run", folder, "--workers", "1", "--rows", "1,2,3,4").returncode == 0
    decide_screen(study, 0.0)  # and killed here: decided, but nothing of phase 2 is audited
    assert "phase 2 is not started: `finegrid run` goes on" in call("status", folder).stdout
    before = records(folder)
    ran = call("run", folder, "--workers", "1")
    after = records(folder)

    assert ran.returncode == 0, ran.stderr
    assert after[: len(before)] == before and len(before) == 8
    assert len(after) == len({record["run_id"] for record in after}) == 2 * len(load_study(folder).rows) > 8


def test_other_data_do_not_keep_the_decision(study: Study, call: Call) -> None:
    decided(study)
    assert call("plan", study.folder, "--probe").returncode == 0
    screen = json.loads((study.folder / "screen.json").read_text(encoding="utf-8"))
    screen["fingerprints"]["data"] = "other"
    (study.folder / "screen.json").write_text(json.dumps(screen), encoding="utf-8")
    done = call("plan", study.folder, "--probe")

    assert done.returncode == 2 and "decided before these changed: data" in done.stderr


def test_init_writes_a_screen(home: Path, tmp_path: Path, call: Call) -> None:
    out, train = tmp_path / "study", home / "data" / "train.tsv"
    done = call("init", "--train", train, "--model", home / "model", "--out", out, "--design", "screen")

    assert done.returncode == 0, done.stderr
    study = load_study(out)
    assert study.undecided and len(study.rows) == 16


def test_a_screen_with_a_factor_that_does_nothing_tells_its_price(tmp_path: Path, bert: Path) -> None:
    """Only rows of the first phase are probed then, and no smaller design has them: none can be compared."""
    factors = '[factors]\n"freeze.layers" = [0, 1]\n"schedule.warmup_ratio" = [0.0, 0.1]\n'
    screen = f'{factors}"reinit.pooler" = [false, true]\n[design]\nkind = "screen"\nresolution = "III"\n'
    folder = write_study(tmp_path / "study", bert, screen)
    save_audit(folder, make_audit(open_study(folder)))
    study = load_study(folder)
    status = study_status(study, study.head.run)

    assert describe_price(status)[0].startswith("price     4 runs")
    with pytest.raises(InputError, match="not probed yet: "):
        plan_budget(status, 60.0)
