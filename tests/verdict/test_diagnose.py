"""Warnings about what a study has shown: what calls for one, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.reported import audited_study, fill

from finegrid.results.from_table import imported_results
from finegrid.results.load import load_results
from finegrid.study.importing.importing import import_table
from finegrid.study.record import EnginePath, Record
from finegrid.study.study import Study
from finegrid.verdict.diagnose import diagnose
from finegrid.verdict.diagnose_words import describe
from finegrid.verdict.verdict import judge


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    study = audited_study(tmp_path / "study", bert)
    fill(study)
    return study


def set_paths_(study: Study, path_of: Callable[[Record], EnginePath | None]) -> None:
    for record in study.ledger.latest().values():
        study.ledger.append(replace(record, path=path_of(record)))


def warned(study: Study) -> list[str]:
    warnings = diagnose(load_results(study))
    return [describe(warning, "en").what for warning in warnings if warning.kind == "engine-paths"]


def test_levels_that_the_engine_stepped_in_unlike_ways_are_told(study: Study) -> None:
    factor, (first, other, *_) = next(iter(study.factors.items()))
    default = study.baseline.levels()[factor]

    set_paths_(study, lambda record: "graph" if record.recipe.get(factor, default) == first else "plain")

    told = warned(study)
    assert any(f"levels of {factor}" in line and "by graph" in line and "by plain" in line for line in told)
    assert str(other).lower() in told[0]


@pytest.mark.parametrize("path", ["plain", "stack", None])
def test_levels_on_one_path_and_records_that_tell_none_are_no_reason(
    study: Study, path: EnginePath | None
) -> None:
    set_paths_(study, lambda record: path)

    assert warned(study) == []


def test_recipes_that_share_no_seed_with_the_others_are_named(tmp_path: Path) -> None:
    rows = [f"{a},{b},{seed},0.8{a}{b}{seed},{20 + a + b}" for a in (0, 1) for b in (0, 1) for seed in (0, 1)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,seed,f1,seconds", *rows]))
    results = imported_results(tmp_path, import_table(tmp_path / "table.csv"))
    *others, last = results.recipes
    apart = replace(last, records={7: replace(last.records[0], seed=7)})
    changed = replace(results, recipes=(*others, apart), seeds=(0, 1, 7))
    told = diagnose(changed)

    assert "unconnected" not in {warning.kind for warning in diagnose(results)}
    (warning,) = [warning for warning in told if warning.kind == "unconnected"]
    assert describe(warning, "en").what == "1 recipe ran with none of the seeds of the others: row 7"
    assert all(np.isfinite(mean) for mean, _ in judge(results).scores)
    assert np.isnan(judge(changed).scores[3][0]) and 3 not in judge(changed).eligible


def test_optimizers_at_one_rate_are_told_in_the_verdict(tmp_path: Path, bert: Path) -> None:
    factors = '[factors]\n"optimizer.kind" = ["adamw", "lion"]'
    study = audited_study(tmp_path / "study", bert, factors)
    fill(study)
    (warning,) = (one for one in diagnose(load_results(study)) if one.kind == "one-rate")

    assert describe(warning, "en").what == "lion trained at the rate of another optimizer"
