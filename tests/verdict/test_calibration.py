"""Log loss and Brier score beside the score: by hand, with intervals, and of no weight in any word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.older_predictions import save_run
from support.pretend import pretend
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.losses import losses_of_texts
from finegrid.planning.runs import PlannedRun
from finegrid.report.page.sentences import loss_sentences
from finegrid.results.load import load_results
from finegrid.study.audit_file import save_audit
from finegrid.study.folder import StudyFolder
from finegrid.study.prediction_file import RunPredictions
from finegrid.study.predictions import read_logits, read_run
from finegrid.study.study import Study
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge
from finegrid.verdict.words import loss_lines

FACTORS = '[factors]\n"optimizer.bias_correction" = [true, false]\n"reinit.layers" = [0, 2]'


def test_losses_are_those_of_the_definitions() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], dtype=np.float32))
    found = losses_of_texts(np.array([0, 1]), logits)

    assert found["log_loss"].tolist() == pytest.approx([-np.log(0.7), -np.log(0.25)])
    assert found["brier"].tolist() == pytest.approx([0.3**2 + 0.2**2 + 0.1**2, 0.25**2 + 0.75**2 + 0.5**2])


def test_huge_logits_give_finite_losses() -> None:
    found = losses_of_texts(np.array([0]), np.array([[-1e4, 1e4]], dtype=np.float32))

    assert found["log_loss"].tolist() == [2e4] and found["brier"].tolist() == [2.0]


def hits(run: PlannedRun) -> np.ndarray:
    right: np.ndarray = np.random.default_rng([run.seed, int(run.run_id, 16)]).random(300) < 0.95
    return right


def sharpen(study: Study, verdict: Verdict, by: float) -> None:
    """Make the runs with reinit surer of what they say, right or wrong."""
    assert verdict.results.audit is not None
    for _, record in verdict.results.finished():
        path = StudyFolder(study.folder).predictions_of(record.run_id)
        if record.recipe.get("reinit.layers"):
            said = read_run(study.folder, record)
            surer = replace(said["test"], logits=said["test"].logits * np.float32(by))
            save_run(path, said["dev"], surer)


def test_a_strategy_that_moves_probabilities_alone_is_told_and_decides_nothing(
    tmp_path: Path, bert: Path
) -> None:
    settings = f"{FACTORS}\n[design]\nseeds = 4"
    loaded = open_study(write_study(tmp_path, bert, settings, 'score = "accuracy"\n'))
    study, audit = loaded.study, make_audit(loaded)
    save_audit(study.folder, audit)
    pretend(study, audit, hits, range(4))
    before = judge(load_results(study))
    sharpen(study, before, 3.0)
    after = judge(load_results(study))

    one, other = before.analysis.effects[1], after.analysis.effects[1]
    assert (one.estimate, one.se, one.decision) == (other.estimate, other.se, other.decision)
    moved = after.calibration["brier"][1].estimate - before.calibration["brier"][1].estimate
    assert moved < -0.15  # nearly all texts are right, and surer now
    facts = as_json(after)["factors"][1]
    assert facts["brier"] is not None and facts["brier"]["high"] is not None and facts["brier"]["high"] < 0
    assert facts["log_loss"] is not None
    told = [*loss_lines(after, "en")]
    assert any(
        line.startswith("Brier score, lower is better, decides nothing: reinit.layers = 2 -0")
        for line in told
    )
    assert not any("bias_correction" in line for line in told)
    assert any("Brier 分数（越低越好，不参与判断）" in line for line in loss_lines(after, "zh"))

    page = [str(sentence.en) for sentence in loss_sentences(as_json(after)["factors"])]
    assert any(
        sentence.startswith("Brier score (lower is better, decides nothing): <code") for sentence in page
    )

    # The effect is the difference of mean losses, and its interval covers texts and seeds.
    losses = np.array(
        [
            [losses_of_texts(run.gold, run.logits)["brier"].mean() for run in runs]
            for runs in _runs_by_recipe(study, after)
        ]
    )
    with_reinit = np.array(["reinit.layers" in r.run for r in after.results.recipes])
    expected = losses[with_reinit].mean() - losses[~with_reinit].mean()
    assert after.calibration["brier"][1].estimate == pytest.approx(expected)


def _runs_by_recipe(study: Study, verdict: Verdict) -> list[list[RunPredictions]]:
    return [
        [read_logits(study.folder, record, "test") for record in recipe.records.values()]
        for recipe in verdict.results.recipes
    ]
