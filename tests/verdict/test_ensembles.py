"""The models of a recipe's seeds together: what they score, and what is told of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from support.older_predictions import save_run
from support.pretend import pretend
from support.reported import audited_study, hits

from finegrid import metrics
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import markdown
from finegrid.report.page.sentences import ensembles
from finegrid.results.load import load_results
from finegrid.statistics.decide import Interval
from finegrid.study.audit_file import load_audit
from finegrid.study.folder import StudyFolder
from finegrid.study.load import load_study
from finegrid.study.predictions import read_run
from finegrid.study.study import Study
from finegrid.verdict.ensembles import judge_answers, pool
from finegrid.verdict.qualified import qualify
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge
from finegrid.verdict.words import tail_lines

LABELS = ("x", "y", "z")


def logits_of(models: int, texts: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels, and logits that know something of them: what a text is like is the same for all models."""
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 3, texts)
    of_text = 1.2 * np.eye(3)[gold] + draw.normal(size=(texts, 3))
    return gold, (of_text + draw.normal(size=(models, texts, 3))).astype(np.float32)


def test_all_answer_by_the_mean_of_their_probabilities_not_of_their_logits() -> None:
    """One model that is sure outvotes two that hardly prefer another class, and not the other way round."""
    sure, lukewarm = [6.0, 0.0, 0.0], [0.0, 0.5, 0.0]
    logits = np.array([[sure], [lukewarm], [lukewarm]], dtype=np.float32)
    far = np.array([[[40.0, 0.0, 0.0]], [[0.0, 2.0, 0.0]], [[0.0, 2.0, 0.0]]], dtype=np.float32)

    assert pool(logits).tolist() == [[0], [0], [1], [1]]
    assert pool(far).tolist() == [[1], [0], [1], [1]] and far.mean(axis=0).argmax() == 0


def test_accuracy_and_its_intervals_are_those_of_the_hits_by_hand() -> None:
    gold, logits = logits_of(4, 200)
    score, interval, gain, gain_interval = judge_answers(gold, pool(logits), LABELS, "accuracy")
    together = special.softmax(logits.astype(float), axis=2).mean(axis=0).argmax(axis=1) == gold
    alone = (logits.argmax(axis=2) == gold).mean(axis=0)
    t = stats.t(199).ppf(0.975)

    assert score == pytest.approx(100 * together.mean()) and gain > 0
    assert gain == pytest.approx(100 * (together.mean() - alone.mean()))
    for found, values in ((interval, together), (gain_interval, together - alone)):
        half = 100 * t * values.std(ddof=1) / np.sqrt(200)
        assert [found.low, found.high] == pytest.approx(
            [100 * values.mean() - half, 100 * values.mean() + half]
        )


def test_the_intervals_of_macro_f1_are_as_wide_as_resampling_texts_says() -> None:
    gold, logits = logits_of(3, 400, seed=1)
    answers = pool(logits)
    _, interval, _, gain_interval = judge_answers(gold, answers, LABELS, "macro-f1")
    draw, drawn = np.random.default_rng(2), []
    for _ in range(400):
        rows = draw.integers(0, 400, 400)
        each = [metrics.macro_f1(metrics.confusion(gold[rows], own[rows], 3)) for own in answers]
        drawn.append((100 * each[0], 100 * (each[0] - np.mean(each[1:]))))
    spread = 2 * 1.966 * np.array(drawn).std(axis=0)

    assert interval.high - interval.low == pytest.approx(spread[0], rel=0.12)
    assert gain_interval.high - gain_interval.low == pytest.approx(spread[1], rel=0.12)


def test_texts_of_a_group_are_one_observation() -> None:
    gold, logits = logits_of(3, 150)
    answers = pool(logits)
    once = judge_answers(gold, answers, LABELS, "macro-f1")
    twice = judge_answers(
        np.repeat(gold, 2), np.repeat(answers, 2, axis=1), LABELS, "macro-f1", np.repeat(np.arange(150), 2)
    )

    assert numbers_of(twice) == pytest.approx(numbers_of(once), rel=1e-5)


def numbers_of(told: tuple[float, Interval, float, Interval]) -> list[float]:
    score, interval, gain, gain_interval = told
    return [score, interval.low, interval.high, gain, gain_interval.low, gain_interval.high]


def test_models_that_agree_gain_nothing_and_that_is_not_taken_for_certain() -> None:
    gold, logits = logits_of(1, 100)
    _, _, gain, interval = judge_answers(gold, pool([logits[0]] * 3), LABELS, "accuracy", grain=1.0)

    assert gain == 0 and interval.low < 0 < interval.high


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Study:
    """Of three seeds, none of which has run."""
    settings = '[design]\nseeds = 3\n[factors]\n"reinit.layers" = [0, 2]'
    return audited_study(tmp_path_factory.mktemp("audited") / "study", bert, settings)


def copy_study(audited: Study, folder: Path, seeds: range) -> Study:
    """With records of some seeds."""
    shutil.copytree(audited.folder, folder)
    study, audit = load_study(folder), load_audit(folder)
    assert audit is not None
    pretend(study, audit, hits, seeds)
    return study


@pytest.fixture(scope="module")
def study(audited: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three seeds, whose models are unlike."""
    study = copy_study(audited, tmp_path_factory.mktemp("ensembles") / "study", range(3))
    for _, record in load_results(study).finished():
        said, draw = read_run(study.folder, record), np.random.default_rng(int(record.run_id, 16))
        unlike = [
            replace(one, logits=one.logits + draw.normal(size=one.logits.shape).astype(np.float32))
            for one in (said["dev"], said["test"])
        ]
        save_run(StudyFolder(study.folder).predictions_of(record.run_id), *unlike)
    return study


def test_the_recommended_recipe_and_the_baseline_are_told_with_their_cost(study: Study) -> None:
    verdict = qualify(judge(load_results(study)))
    facts = as_json(verdict)
    rows = {tuple(one["rows"]) for one in facts["ensembles"]}
    results = verdict.results

    assert verdict.recommended is not None
    wanted = {results.recipes[row].rows for row in (results.baseline, verdict.recommended)}
    assert rows == {tuple(numbers) for numbers in wanted} and len(rows) == 2
    told = [line for line in tail_lines(verdict, facts, "en") if "together, by the mean" in line]
    assert len(told) == 2 and all("a prediction costs 3 times as much" in line for line in told)
    one = facts["ensembles"][0]
    assert one["models"] == 3 and f"{one['score']:.2f} on test" in told[0]
    assert f"{one['gain']:+.2f} points" in told[0]
    chinese = [line for line in tail_lines(verdict, facts, "zh") if "个模型合用" in line]
    assert len(chinese) == 2 and "预测成本是单个模型的 3 倍" in chinese[0]


def test_the_scores_are_those_of_the_files(study: Study) -> None:
    verdict = judge(load_results(study))
    for ensemble in verdict.ensembles:
        records = [r for (row, _), r in verdict.results.finished() if row == ensemble.recipe]
        said = [read_run(study.folder, record)["test"] for record in records]
        mean = np.mean([special.softmax(one.logits.astype(float), axis=1) for one in said], axis=0)
        assert len(said) == ensemble.models == 3
        assert ensemble.score == pytest.approx(100 * (mean.argmax(axis=1) == said[0].gold).mean())


def test_page_and_markdown_tell_them_in_both_languages(study: Study) -> None:
    facts = report_facts(study.folder)
    sentences = ensembles(facts["verdict"])

    assert (
        len(sentences) == 2 and "3 times as much" in str(sentences[0].en) and "3 倍" in str(sentences[0].zh)
    )
    assert "together, by the mean of their probabilities" in markdown(facts, "en")
    assert "个模型合用" in markdown(facts, "zh")


def test_one_seed_is_no_ensemble_and_missing_runs_leave_it_untold(audited: Study, tmp_path: Path) -> None:
    one = judge(load_results(copy_study(audited, tmp_path / "one", range(1))))
    two = judge(load_results(copy_study(audited, tmp_path / "two", range(2))))

    whole = replace(two, results=replace(two.results, seeds=(0, 1)))
    assert one.ensembles == () and {found.models for found in whole.ensembles} == {2}
    assert whole.waiting is None and two.waiting is not None and two.ensembles == ()
