"""The F1 of every class at once is what each class gives by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pretend import CLASSES, GOLD, TEXTS, ended_badly, pretend
from support.reported import audited_study

from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.statistics.effects import score_recipe
from finegrid.study.audit_file import load_audit
from finegrid.study.study import Study
from finegrid.verdict.classes import rescore_classes
from finegrid.verdict.outcomes import count_points, measure_influence
from finegrid.verdict.verdict import judge


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    return audited_study(tmp_path, bert)


def drawn_hits(run: PlannedRun) -> Any:
    random = np.random.default_rng([run.seed, int(run.run_id, 16)])
    return random.random(TEXTS) < 0.6 + 0.1 * GOLD + 0.05 * len(run.levels)


def fill(study: Study, seeds: int = 3) -> None:
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, drawn_hits, range(seeds))


def lose_a_run_of_each(study: Study) -> None:
    """Recipes then stand in for each other's missing runs."""
    for number, record in enumerate(study.ledger.latest().values()):
        if number % 4 == 0:
            study.ledger.append(ended_badly(record, "failed", "no reason"))


def diverge(study: Study) -> None:
    for number, record in enumerate(study.ledger.latest().values()):
        if number % 5 == 0:
            study.ledger.append(ended_badly(record, "diverged", "loss is not finite"))


def group_texts(results: Results) -> Results:
    """As if three texts each were of one author."""
    found = results.predictions("test")
    assert found is not None and results.audit is not None
    groups = np.arange(TEXTS) // 3
    audit = results.audit.model_copy(update={"groups": {"test": groups.tolist(), "dev": groups.tolist()}})
    return replace(results, audit=audit)


def no_change(_: Any) -> None:
    """All runs as they are."""


@pytest.mark.slow
@pytest.mark.parametrize("change", [no_change, lose_a_run_of_each, diverge])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("grouped", [False, True])
def test_every_class_is_scored_as_by_its_own_f1(
    study: Study, seeds: int, change: Callable[[Study], None], grouped: bool
) -> None:
    fill(study, seeds)
    change(study)
    results = load_results(study)
    results = group_texts(results) if grouped else results
    test = judge(results).test
    recipe = int(np.flatnonzero(test.completion.kept)[-1])
    assert results.labels is not None

    each = list(rescore_classes(test, results, recipe))
    assert len(each) == CLASSES
    for label, found in zip(results.labels, each, strict=True):
        score = f"f1:{label}"
        influence = measure_influence(results, "test", score, test.influencing(recipe))
        alone = test.with_scores(count_points(results, "test", score), influence)
        np.testing.assert_allclose(found.outcomes.score, alone.outcomes.score, equal_nan=True)
        (mean, interval), (expected, around) = (score_recipe(one, recipe) for one in (found, alone))
        assert mean == pytest.approx(expected)
        assert (interval.low, interval.high) == pytest.approx((around.low, around.high), rel=1e-5)
