"""Runs with other optimizers than AdamW: alone, in company, captured, killed, and how they are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.hosted import save_hosted
from support.rarity import rare
from support.stacks import assert_runs_alike, batches, kill_and_resume, runs_of, step_captured, step_stacked
from support.studies import assert_same_run, open_study, recipe_of, same_tensors, train, weights, write_study

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.proof import Prover
from finegrid.model.rows import held_rows
from finegrid.optim.muon import Muon
from finegrid.planning.families import plan_families
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.recipe import Recipe
from finegrid.training.captured import can_capture
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

KINDS: dict[str, dict[str, Any]] = {
    "lion": {"optimizer__kind": "lion", "optimizer__beta2": 0.99, "optimizer__rate": 1e-4},
    "sgd": {"optimizer__kind": "sgd", "optimizer__rate": 1e-2},
    "muon": {"optimizer__kind": "muon"},
    "adafactor": {"optimizer__kind": "adafactor"},
    "schedule-free": {
        "optimizer__kind": "schedule-free",
        "schedule__shape": "constant",
        "schedule__warmup_ratio": 0.2,
    },
}
WHOLE_TABLE = ("adafactor", "schedule-free")
COPIES = {"lion": -1, "sgd": -1, "muon": 0, "adafactor": -2, "schedule-free": 1}


def recipes_of(loaded: LoadedStudy, kind: str, **levels: Any) -> list[Recipe]:
    """Two of one kind, which may share a family."""
    levels = KINDS[kind] | levels
    return [recipe_of(loaded, **levels), recipe_of(loaded, **levels, reinit__layers=1, clip__norm=0.2)]


@pytest.mark.parametrize("kind", KINDS)
def test_they_share_families_and_every_fast_path(loaded: LoadedStudy, kind: str) -> None:
    recipes = recipes_of(loaded, kind)
    several = [*recipes, recipe_of(loaded)]
    planned = [PlannedRun(str(index), recipe.moved(), 0, ()) for index, recipe in enumerate(several)]

    # AdamW's steps take other times.
    assert [len(family.runs) for family in plan_families(planned, lambda run: 8)] == [2, 1]
    assert can_capture(runs_of(loaded, recipes), 2)
    assert recipes[0].copies == COPIES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_computes_each_runs_own_step(loaded: LoadedStudy, kind: str) -> None:
    stacked, alone = step_stacked(loaded, recipes_of(loaded, kind))
    assert_runs_alike(stacked, alone, rtol=1e-3 if kind == "lion" else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_captured_step_computes_each_runs_own_step(loaded: LoadedStudy, kind: str) -> None:
    captured, ordinary = step_captured(loaded, recipes_of(loaded, kind))
    assert_runs_alike(captured, ordinary, rtol=1e-3)


@pytest.mark.parametrize("kind", rare(KINDS, ["muon", "adafactor", "schedule-free"]))
def test_a_family_is_two_families_of_one_bit_for_bit(loaded: LoadedStudy, kind: str) -> None:
    recipes = recipes_of(loaded, kind, freeze__layers=1)
    for run, recipe in zip(train(loaded, *recipes), recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_resumed_they_end_with_the_same_bits(
    loaded: LoadedStudy, kind: str, tmp_path: Path
) -> None:
    recipe, _ = recipes_of(loaded, kind)
    (whole,) = train(loaded, recipe)

    assert_same_run(whole, kill_and_resume(loaded, recipe, tmp_path))


@pytest.mark.parametrize("kind", rare(KINDS, ["muon", "schedule-free"]))
def test_an_encoder_of_transformers_modules_trains_and_resumes(kind: str, tmp_path: Path) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "encoder", "modernbert")))
    recipe = recipe_of(loaded, **KINDS[kind])
    (whole,), (plain,) = train(loaded, recipe), train(loaded, recipe_of(loaded))

    assert_same_run(whole, kill_and_resume(loaded, recipe, tmp_path))
    assert not all(torch.equal(p, weights(plain)[name]) for name, p in weights(whole).items())


@pytest.mark.parametrize("kind", KINDS)
def test_who_looks_at_all_rows_of_the_table_of_words(loaded: LoadedStudy, kind: str) -> None:
    run = Run(loaded, "run", recipe_of(loaded, **KINDS[kind]), 0)

    assert (held_rows(run.table) is None) == (kind in WHOLE_TABLE)


def test_muon_takes_the_matrices_of_layers_that_train(loaded: LoadedStudy) -> None:
    run = Run(loaded, "run", recipe_of(loaded, optimizer__kind="muon", freeze__layers=2), 0)
    rule = run.optimizer.rule
    assert isinstance(rule, Muon)
    found = {name for name, p in run.model.named_parameters() if p in rule.matrices}

    assert len(found) == 2 * 6  # of two layers: query, key, value, out, up, down
    assert all(".layer." in name and name.endswith(".weight") for name in found)


def test_without_a_matrix_muon_is_adamw(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, optimizer__kind="muon", train__only="biases")
    found = Canonicaliser(loaded, 0).reduce(recipe)

    plain = Canonicaliser(loaded, 0).reduce(recipe_of(loaded, train__only="biases"))

    assert "optimizer.kind" in found.inert and found.levels == plain.levels


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_does_not_have_is_inert(loaded: LoadedStudy, kind: str) -> None:
    moved = {"optimizer__eps": 1e-4, "optimizer__bias_correction": False}
    found = Canonicaliser(loaded, 0).reduce(recipe_of(loaded, **KINDS[kind] | moved))
    has_them = kind in ("muon", "schedule-free")

    assert ("optimizer.eps" in found.inert) == ("optimizer.bias_correction" in found.inert) == (not has_them)
    assert "optimizer.kind" not in found.inert


def test_schedule_free_is_scored_with_its_mean_and_goes_on_from_where_it_looks(loaded: LoadedStudy) -> None:
    (run,) = train(loaded, recipe_of(loaded, **KINDS["schedule-free"], training__epochs=1))
    table = dict(run.model.named_parameters())
    means = {name: run.optimizer.state[p]["x"] for name, p in table.items() if p in run.optimizer.state}
    assert len(means) > 30
    assert all(torch.equal(run.best_weights[name], mean) for name, mean in means.items())

    other = Run(loaded, "run", recipe_of(loaded, **KINDS["schedule-free"]), 0)
    for step, batch in enumerate(batches(loaded, other.recipe)[:4]):
        other.step(batch, step)
    looked = values_of(other)
    (averager,) = other.averagers
    with averager.applied():
        inside = values_of(other)
    for name, p in other.model.named_parameters():
        if p in other.optimizer.state:
            assert torch.equal(inside[name], other.optimizer.state[p]["x"]), name
    assert same_tensors(values_of(other), looked)
    assert any(not torch.equal(inside[name], looked[name]) for name in looked)


def values_of(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.trained().items()}


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ({"schedule__shape": "linear"}, "schedule.shape"),
        ({"prior__decay": 0.1}, "prior.decay"),
        ({"average__ema": 0.1}, "average.ema"),
        ({"average__soup": 3}, "average.soup"),
    ],
)
def test_schedule_free_refuses_what_would_undo_it(
    beside: dict[str, Any], told: str, loaded: LoadedStudy
) -> None:
    levels = KINDS["schedule-free"] | beside
    (problem,) = recipe_of(loaded, **levels).problems(loaded.study.checkpoint)

    assert told in problem.where and problem.where.startswith('"optimizer.kind"')
    assert recipe_of(loaded, **KINDS["schedule-free"]).problems(loaded.study.checkpoint) == []


def test_a_kind_is_proved_to_change_updates_alone(bert: Path, tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind != "schedule-free"]  # which asks for another shape, too
    listed = ", ".join(f'"{kind}"' for kind in ["adamw", *kinds])
    loaded = open_study(write_study(tmp_path, bert, f'[factors]\n"optimizer.kind" = [{listed}]'))
    proofs = Prover(loaded, Canonicaliser(loaded, 0)).proofs()

    assert [proof.level for proof in proofs] == kinds
    assert [[change.aspect for change in proof.changes] for proof in proofs] == [["update"]] * len(kinds)
