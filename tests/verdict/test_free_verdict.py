"""Free factors in a verdict: paired inside runs, a family of their own, and of no weight in any other."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.older_predictions import save_run
from support.pretend import CLASSES, GOLD, TEXTS, pretend
from support.studies import open_study, write_study

from finegrid import metrics
from finegrid.audit.costs import make_audit
from finegrid.export.effects import make_effects_table
from finegrid.losses import LOSSES
from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.study.audit_file import Audit, save_audit
from finegrid.study.prediction_file import RunPredictions
from finegrid.study.predictions import read_answers, read_losses
from finegrid.study.record import FreeScores, Record
from finegrid.study.study import Study
from finegrid.verdict.free import FreeLevel, FreeVerdict, judge_free
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge

ORDINARY = '"optimizer.bias_correction" = [true, false]\n"reinit.layers" = [0, 2]'
FREE = '"average.ema" = [0.0, 0.1]\n"average.last" = [1, 3]\n"posthoc.temperature" = ["none", "dev"]'
EMA, LAST, COOL = KEYS = ("average.ema=0.1", "average.last=3", "posthoc.temperature=dev")
Right = Callable[[Record, str], int]  # how many texts, from the first, at a level


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> tuple[Study, Audit]:
    settings = f"[factors]\n{ORDINARY}\n{FREE}\n[design]\nseeds = 4"
    loaded = open_study(write_study(tmp_path_factory.mktemp("made"), bert, settings, 'score = "accuracy"\n'))
    return loaded.study, make_audit(loaded)


def right_of(run: PlannedRun) -> int:
    """By chance, and by a factor. Not by its id: engines come and go."""
    chance = zlib.crc32(f"{run.seed} {sorted(run.levels.items())}".encode())
    return 200 + chance % 40 + 10 * bool(run.levels.get("reinit.layers"))


def hits(record: Record, key: str) -> int:
    """EMA gains 9 texts, and a few by chance; the last epochs nothing."""
    draw = np.random.default_rng([int(record.run_id, 16) % 2**32, *key.encode()])
    gain = {EMA: 9, LAST: 0, COOL: 0}[key] + (0 if key == COOL else int(draw.integers(-3, 4)))
    return round(record.test["accuracy"] * TEXTS) + gain  # type: ignore[operator]


def score_freely(
    made: tuple[Study, Audit], folder: Path, right: Right = hits, seeds: Iterable[int] = range(4)
) -> Study:
    """A study whose runs nobody trained, and what they score at all levels."""
    study, audit = made
    study = replace(study, folder=folder)
    save_audit(folder, audit)
    pretend(study, audit, right_of, seeds)
    for record in list(study.ledger):
        free = {key: score_level(study, audit, record, key, right(record, key)) for key in KEYS}
        study.ledger.append(replace(record, free=free))
    return study


def score_level(study: Study, audit: Audit, record: Record, key: str, right: int) -> FreeScores:
    predicted = np.where(np.arange(TEXTS) < right, GOLD, (GOLD + 1) % CLASSES)
    logits = np.eye(CLASSES, dtype=np.float32)[predicted] * np.float32(3.0 if key == COOL else 1.0)
    said = RunPredictions(GOLD, logits, np.arange(TEXTS))
    save_run(study.files.predictions_of(record.run_id, key), said, said)
    scores = metrics.summary(GOLD, logits, audit.labels)
    return FreeScores(best_epoch=2, dev=scores, test=scores)


def judged(results: Results) -> Verdict:
    return judge(results, margin=0.2)


def free_of(verdict: Verdict) -> FreeVerdict:
    assert verdict.free is not None
    return verdict.free


def level_of(verdict: Verdict, factor: str) -> FreeLevel:
    return next(level for level in free_of(verdict).levels if level.factor == factor)


@pytest.fixture(scope="module")
def study(made: tuple[Study, Audit], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return score_freely(made, tmp_path_factory.mktemp("scored"))


def differences(study: Study, key: str) -> NDArray[np.float64]:
    """``[seeds, texts]``: means over recipes of paired differences, points."""
    by_seed: dict[int, list[NDArray[np.float64]]] = {}
    for one in study.ledger.latest().values():
        at, first = (read_answers(study.folder, one, free).splits["test"] for free in (key, ""))
        difference = 100.0 * (at.predicted == GOLD) - 100.0 * (first.predicted == GOLD)
        by_seed.setdefault(one.seed, []).append(difference)
    return np.array([np.mean(by_seed[seed], axis=0) for seed in sorted(by_seed)])


def test_the_rest_of_the_verdict_is_the_same_to_the_bit(study: Study) -> None:
    results = load_results(study)
    mine, theirs = judged(results), judged(replace(results, free_factors={}))

    assert theirs.free is None and free_of(mine).runs == 16
    assert repr(mine.analysis) == repr(theirs.analysis)
    assert repr(mine.against_baseline) == repr(theirs.against_baseline)
    assert repr(mine.recommendation) == repr(theirs.recommendation)
    assert repr(mine.calibration) == repr(theirs.calibration) and repr(mine.best) == repr(theirs.best)


def test_an_effect_is_the_mean_of_differences_inside_runs(study: Study) -> None:
    """And its noise that of the mean differences of seeds: two levels borrow nothing from each other."""
    verdict = judged(load_results(study))
    for key, factor in ((EMA, "average.ema"), (LAST, "average.last")):
        effect, d = level_of(verdict, factor).effect, differences(study, key)
        by_seed, by_text = d.mean(axis=1), d.mean(axis=0)
        off = d - by_seed[:, None] - by_text + d.mean()
        seed, text = by_seed.var(ddof=1) / 4, by_text.var(ddof=1) / TEXTS
        seed_text = np.square(off).sum() / (3 * (TEXTS - 1)) / (4 * TEXTS)

        assert effect is not None and d.shape == (4, TEXTS)
        assert effect.estimate == pytest.approx(d.mean())
        assert effect.se**2 == pytest.approx(max(seed + text - seed_text, seed, text), rel=1e-4)


def test_it_is_far_surer_than_a_difference_of_two_runs(study: Study) -> None:
    verdict = judged(load_results(study))
    ema = level_of(verdict, "average.ema").effect

    assert ema is not None and ema.decision is not None and ema.decision.kind == "use"
    assert ema.se < 0.7 * min(effect.se for effect in verdict.analysis.effects)


def test_what_moves_no_score_is_no_part_of_the_family(study: Study) -> None:
    """Its noise of nothing would lend itself to the others, and its test would cost them chance."""
    verdict = judged(load_results(study))
    cool = level_of(verdict, "posthoc.temperature")

    assert cool.effect is None and len(free_of(verdict).analysis.effects) == 2
    for loss in LOSSES:
        changes = [
            read_losses(study.folder, one, COOL)[loss].mean() - read_losses(study.folder, one)[loss].mean()
            for one in study.ledger.latest().values()
        ]
        effect = cool.losses[loss]
        assert effect.estimate == pytest.approx(np.mean(changes), rel=1e-4) and effect.plain.is_known


def test_with_one_seed_nothing_stands_in_for_the_difference_between_runs(
    made: tuple[Study, Audit], tmp_path: Path
) -> None:
    verdict = judged(load_results(score_freely(made, tmp_path, seeds=[0])))
    for effect in free_of(verdict).analysis.effects:
        assert not effect.plain.is_known and not effect.adjusted.is_known
        assert effect.decision is not None and effect.decision.kind == "open"
        assert effect.needs is not None and effect.needs.reason == "unknown-noise"


def test_levels_that_never_differed_are_open(made: tuple[Study, Audit], tmp_path: Path) -> None:
    """The last epoch may be the best in every run so far, and yet not in the next."""
    study = score_freely(made, tmp_path, lambda record, key: hits(record, key if key == EMA else COOL))
    last = level_of(judged(load_results(study)), "average.last").effect

    assert last is not None and last.estimate == 0 and last.decision is not None
    assert last.decision.kind == "open" and not last.plain.is_known


def test_runs_without_all_levels_are_left_out_and_counted(made: tuple[Study, Audit], tmp_path: Path) -> None:
    study = score_freely(made, tmp_path)
    first, *_, nothing = study.ledger.latest().values()
    study.ledger.append(replace(first, free={}))
    study.ledger.append(replace(nothing, free={**nothing.free, LAST: FreeScores(best_epoch=0)}))
    free = free_of(judged(load_results(study)))

    assert (free.runs, free.lacking) == (14, 2)
    assert study.lacks_free(replace(first, free={})) == [*KEYS]
    assert study.lacks_free(nothing) == []


def test_without_any_scored_run_nothing_is_known(made: tuple[Study, Audit], tmp_path: Path) -> None:
    study, audit = made
    study = replace(study, folder=tmp_path)
    save_audit(tmp_path, audit)
    pretend(study, audit, right_of, range(4))
    free = free_of(judged(load_results(study)))

    assert (free.runs, free.lacking) == (0, 16)
    assert all(effect.needs is None and np.isnan(effect.estimate) for effect in free.analysis.effects)


def test_recipes_that_contradict_a_level_are_left_out(study: Study) -> None:
    """Their runs are no lack; the others decide."""
    results = load_results(study)
    without = judge_free(replace(results, contradicting=frozenset({1})), 0.5, 0.05)
    whole = judge_free(results, 0.5, 0.05)

    assert without is not None and whole is not None
    assert (without.left_out, without.lacking) == (1, 0)
    assert without.runs == whole.runs - len(results.seeds)


def test_the_table_of_effects_has_them_after_the_others(study: Study) -> None:
    facts = as_json(judged(load_results(study)))
    table = make_effects_table("study", facts)
    rows = zip(*(table[name].values for name in ("factor", "free", "effect", "decision")), strict=True)

    assert facts["free"] is not None
    assert [*rows] == [
        *((one["factor"], False, one["effect"], one["decision"]["kind"]) for one in facts["factors"]),
        *(
            (one["factor"], True, one["effect"], one["decision"] and one["decision"]["kind"])
            for one in facts["free"]["levels"]
        ),
    ]
    assert table["at_baseline"].values[-1] is None
