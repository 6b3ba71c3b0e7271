"""Clipping: by torch's own, for each run of a stack by itself, and with a count of what it did."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.reported import audited_study, fill
from support.stacks import batches, gradients, kill_and_resume, runs_of
from support.studies import recipe_of, same_tensors, train, weights
from torch import Tensor

from finegrid.model.packing.fixed import plan_shapes
from finegrid.results.load import load_results
from finegrid.running.records import record_of
from finegrid.strategies.clip import Clip
from finegrid.study.record import Record
from finegrid.study.study import Study
from finegrid.training.captured import CapturedStep
from finegrid.training.graphs import Graphs
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import DivergedError, Run
from finegrid.training.stack import Stack
from finegrid.training.state import StateFile
from finegrid.training.train import train_family
from finegrid.verdict.diagnose import diagnose
from finegrid.verdict.diagnose_words import describe

CPU = torch.device("cpu")
HEADS = 2


def samples(scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(shape, generator=generator) for shape in [(7, 5), (3,), (1,), (40, 33)]]


@pytest.mark.parametrize("limit", [0.1, 1.0, 30.0, 1e3])
def test_clipping_is_torchs(limit: float) -> None:
    ours, theirs = samples(), [torch.nn.Parameter(torch.zeros_like(g)) for g in samples()]
    for p, grad in zip(theirs, samples(), strict=True):
        p.grad = grad
    norm = torch.nn.utils.clip_grad_norm_(theirs, limit)
    clipped = Clip(limit).change_gradients_(ours)

    for own, p in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, p.grad)
    after = torch.cat([own.flatten() for own in ours]).norm()
    assert float(after) == pytest.approx(min(float(norm), limit), rel=1e-5)
    assert clipped is not None and clipped.tolist() == (norm > limit)


def test_the_norm_does_not_depend_on_how_tensors_are_split_in_groups(loaded: LoadedStudy) -> None:
    found = []
    for levels in ({}, {"rates.layer_decay": 0.5, "optimizer.decay_on": "matrices"}):
        run = Run(loaded, "run", recipe_of(loaded, clip__norm=0.1).at(levels), 0)
        run.backward(batches(loaded, run.recipe)[0], 0)
        run.change_gradients_()
        found.append(gradients(run))

    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])
    assert float(torch.cat([g.flatten() for g in found[0].values()]).norm()) == pytest.approx(0.1, rel=1e-4)


def test_a_limit_that_nothing_reaches_changes_no_bit(loaded: LoadedStudy) -> None:
    (plain,), (clipped,) = train(loaded, recipe_of(loaded)), train(loaded, recipe_of(loaded, clip__norm=1e30))

    assert same_tensors(weights(plain), weights(clipped))
    assert [entry["clipped"] for entry in clipped.progress.epochs] == [0, 0]
    assert all("clipped" not in entry for entry in plain.progress.epochs)


def test_each_run_of_a_stack_has_a_norm_of_its_own(loaded: LoadedStudy) -> None:
    recipes = [recipe_of(loaded, clip__norm=limit) for limit in (0.1, 0.02)] + [recipe_of(loaded)]
    runs = runs_of(loaded, recipes)
    Stack(runs).backward(batches(loaded, recipes[0])[0], 0)
    for run in runs:
        run.change_gradients_()
    norms = [float(torch.cat([g.flatten() for g in gradients(run).values()]).norm()) for run in runs]

    assert norms[:2] == pytest.approx([0.1, 0.02], rel=1e-4) and norms[2] > 0.2


def limit_of_some(loaded: LoadedStudy, **levels: Any) -> float:
    """A limit that some steps of a run reach, and some do not."""
    run = Run(loaded, "run", recipe_of(loaded, **levels), 0)
    norms = []
    for step, batch in enumerate(batches(loaded, run.recipe)):
        run.backward(batch, step)
        norms.append(float(torch.cat([g.flatten() for g in gradients(run).values()]).norm()))
        run.update(step)
    return sorted(norms)[len(norms) // 2]


def test_the_ledger_has_the_share_of_steps_that_were_clipped(loaded: LoadedStudy) -> None:
    limit = limit_of_some(loaded)
    run, plain = train(loaded, recipe_of(loaded, clip__norm=limit), recipe_of(loaded))
    counts = [entry["clipped"] for entry in run.progress.epochs]
    record = record_of(loaded, run, "family", 0.0)

    assert 0 < sum(counts) < 6 and record.clipped == sum(counts) / 6
    assert Record.from_json(record.to_json()).clipped == record.clipped
    assert record_of(loaded, plain, "family", 0.0).clipped is None
    assert "clipped" not in record_of(loaded, plain, "family", 0.0).to_json()


def test_the_count_survives_a_crash(loaded: LoadedStudy, tmp_path: Path) -> None:
    recipe = recipe_of(loaded, clip__norm=limit_of_some(loaded))
    (whole,) = train(loaded, recipe)
    resumed = kill_and_resume(loaded, recipe, tmp_path)

    assert same_tensors(weights(whole), weights(resumed))
    assert [one["clipped"] for one in whole.progress.epochs] == [
        one["clipped"] for one in resumed.progress.epochs
    ]


def test_captured_steps_count_as_ordinary_ones_do(loaded: LoadedStudy) -> None:
    recipes = [recipe_of(loaded, clip__norm=limit_of_some(loaded)), recipe_of(loaded)]
    ordinary, captured = runs_of(loaded, recipes), runs_of(loaded, recipes)
    rows = batches(loaded, recipes[0])
    (shape,) = plan_shapes((batch.lengths for batch in rows), HEADS).values()
    whole = CapturedStep(Stack(captured), shape, CPU, Graphs(CPU))
    for step, batch in enumerate(rows):
        whole.fill_(batch, step)
        whole()
        for run in ordinary:
            run.step(batch, step)

    assert captured[0].clipped is not None and ordinary[0].clipped is not None
    assert float(captured[0].clipped) > 0 and captured[1].clipped is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_norm_that_is_not_finite_is_a_divergence_at_once(loaded: LoadedStudy, value: float) -> None:
    """1e30 is finite, but its square is not: clipped by that norm, every gradient would be 0."""
    run = Run(loaded, "run", recipe_of(loaded, clip__norm=1.0), 0)
    before = {name: p.clone() for name, p in weights(run).items()}
    run.backward(batches(loaded, run.recipe)[0], 0)
    grad = run.model.get_parameter("head.linear.bias").grad
    assert grad is not None
    grad.fill_(value)

    with pytest.raises(DivergedError, match="norm of the gradients was not finite at step 1 of 6"):
        run.update(0)
    assert same_tensors(before, weights(run))


def test_where_steps_are_captured_it_is_one_at_the_end_of_the_epoch(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its losses stay finite: the norm alone tells."""
    recipe = recipe_of(loaded, clip__norm=1.0)
    runs = runs_of(loaded, [recipe, recipe_of(loaded)])
    changed = Clip.change_gradients_

    def overflow(self: Clip, tensors: list[Tensor]) -> Tensor | None:
        tensors[0].fill_(1e30)
        return changed(self, tensors)

    monkeypatch.setattr(Clip, "change_gradients_", overflow)
    monkeypatch.setattr("finegrid.training.train.captures_steps", lambda *_: True)
    monkeypatch.setattr("finegrid.training.train.gather", lambda members: list(members))
    nowhere = StateFile(loaded.study.folder / "state" / "never", save_after_seconds=1e9)
    train_family(loaded, runs, nowhere)

    assert [run.progress.status for run in runs] == ["diverged", "done"]
    assert runs[0].progress.reason == "the norm of the gradients was not finite at a step of epoch 1"


# What the verdict says of it


CLIPPED = """[design]
seeds = 3
[factors]
"clip.norm" = [0.0, 1.0]
"reinit.layers" = [0, 2]
"""


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    study = audited_study(tmp_path / "study", bert, CLIPPED)
    fill(study)
    return study


def warned(study: Study, share: float) -> list[str]:

    for record in study.ledger.latest().values():
        study.ledger.append(replace(record, clipped=share if "clip.norm" in record.recipe else None))
    return [describe(one, "en").what for one in diagnose(load_results(study)) if "clipped" in one.kind]


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0, ["clip.norm clipped 0 % of the steps: rows 2, 4"]),
        (0.5, []),
        (1.0, ["clip.norm clipped 100 % of the steps: rows 2, 4"]),
    ],
)
def test_a_limit_that_clips_nothing_or_everything_is_told(
    study: Study, share: float, told: list[str]
) -> None:
    rows = sorted({row.index for row in study.rows if row.levels["clip.norm"] == 1.0})
    expected = [line.replace("2, 4", ", ".join(map(str, rows))) for line in told]

    assert warned(study, share) == expected


@pytest.mark.slow
def test_runs_that_are_alike_because_nothing_was_clipped_are_no_bug(study: Study) -> None:
    def identical() -> list[str | int | float]:
        told = diagnose(load_results(study))
        return [warning.values["rows"] for warning in told if warning.kind == "identical"]

    records = study.ledger.latest().values()
    for one, other in product(records, records):
        without = {name: level for name, level in other.recipe.items() if name != "clip.norm"}
        if one.seed == other.seed and one.recipe == without != other.recipe:
            shutil.copy(study.files.predictions_of(one.run_id), study.files.predictions_of(other.run_id))
            study.ledger.append(replace(other, best_epoch=one.best_epoch, epochs=one.epochs))

    assert len(identical()) == 6
    warned(study, 0.0)
    assert identical() == []
    warned(study, 0.5)
    assert len(identical()) == 6
