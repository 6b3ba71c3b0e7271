"""Child tuning: only some numbers of the encoder's layers move, and none of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.hosted import save_hosted
from support.rarity import rare
from support.stacks import (
    assert_runs_alike,
    batches,
    gradients,
    kill_and_resume,
    runs_of,
    step_captured,
    step_stacked,
)
from support.studies import assert_same_run, open_study, recipe_of, train, weights, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.dropout import LEVELS
from finegrid.model.packing.batches import pack
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.child import choose_highest, fisher_of, tensors_of_layers
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

SHARE = 0.3
DROPPED = round((1 - SHARE) * LEVELS)
BOTH = ("free", "task")


def child(loaded: LoadedStudy, kind: str, **levels: object) -> Recipe:
    return recipe_of(loaded, **levels).at({"child.share": SHARE, "child.kind": kind})


def start_of(loaded: LoadedStudy, recipe: Recipe) -> tuple[Run, dict[str, Tensor]]:
    """A run, and its values now."""
    run = Run(loaded, "run", recipe, 0)
    return run, {name: p.detach().clone() for name, p in weights(run).items()}


def names_in_layers(run: Run) -> list[str]:
    return [*tensors_of_layers(run.model).values()]


def test_fisher_information_is_the_mean_of_the_squares_of_every_texts_gradient(loaded: LoadedStudy) -> None:
    """By hand: one text after the other, in training mode with no dropout site left."""
    run = Run(loaded, "run", recipe_of(loaded, dropout__hidden=0.0, dropout__attention=0.0), 0)
    run.model.double()
    found = fisher_of(run.model, loaded.setting(0))
    for site in run.model.dropouts.values():
        site.silenced = True
    texts = loaded.tokens.train
    sums = {name: torch.zeros_like(p) for p, name in tensors_of_layers(run.model).items()}
    for row in range(len(texts)):
        batch = pack(texts, np.array([row]), 64, torch.device("cpu"))
        F.cross_entropy(run.model(batch, 0).float(), batch.labels).backward()
        for name, total in sums.items():
            gradient = run.model.get_parameter(name).grad
            assert gradient is not None
            total += gradient**2 / len(texts)
        run.model.zero_grad()

    for p, name in tensors_of_layers(run.model).items():
        torch.testing.assert_close(found[p], sums[name], rtol=1e-6, atol=1e-18)


def test_the_child_has_exactly_the_highest_share_over_all_tensors() -> None:
    """Of equal values the first ones, so that the share is kept."""
    p, q = torch.zeros(2, 3), torch.zeros(4)
    values = {p: torch.tensor([[0.0, 5.0, 1.0], [1.0, 9.0, 1.0]]), q: torch.tensor([1.0, 7.0, 1.0, 0.0])}
    chosen = choose_highest(values, 0.5)

    assert chosen[p].tolist() == [[False, True, True], [True, True, False]]
    assert chosen[q].tolist() == [False, True, False, False]
    assert choose_highest({}, 0.5) == {}


def test_what_is_outside_the_tasks_child_stays_to_the_last_bit(loaded: LoadedStudy) -> None:
    """Over a whole run with weight decay; of the encoder's layers exactly the share moves."""
    recipe = child(loaded, "task", optimizer__weight_decay=0.5, optimizer__rate=1e-3)
    _, before = start_of(loaded, recipe)
    (run,) = train(loaded, recipe)
    masks = {name: run.model.partial[p] for p, name in tensors_of_layers(run.model).items()}
    numbers, inside, moved = 0, 0, 0
    for name, keep in masks.items():
        changed = run.model.get_parameter(name) != before[name]
        assert not (changed & ~keep).any(), name
        numbers, inside, moved = (
            numbers + keep.numel(),
            inside + int(keep.sum()),
            moved + int(changed.sum()),
        )

    assert inside == round(SHARE * numbers) == moved
    others = set(before) - set(masks)
    assert all(
        not torch.equal(run.model.get_parameter(name), before[name])
        for name in others
        if "pooler" not in name
    )


def test_a_free_step_spends_the_drawn_gradients_divided_by_the_share(loaded: LoadedStudy) -> None:
    """The closed form of SGD's first step: theta - rate * keep * (g / share + decay * theta)."""
    levels = {"optimizer__weight_decay": 0.5, "optimizer__rate": 0.1, "schedule__shape": "constant"}
    run, before = start_of(loaded, child(loaded, "free", **levels).at({"optimizer.kind": "sgd"}))
    run.backward(batches(loaded, run.recipe)[0], 0)
    grads = {name: g.clone() for name, g in gradients(run).items()}
    run.update(0)
    kept, numbers = 0, 0
    for name in names_in_layers(run):
        site = f"child/{name}"
        dropped = run.model.clock.draw(site, DROPPED, before[name].numel(), torch.device("cpu"))
        keep = dropped.keep.view_as(before[name]).float()
        step = keep * (grads[name] * dropped.scale + 0.5 * before[name])
        torch.testing.assert_close(weights(run)[name].detach(), before[name] - 0.1 * step)
        assert torch.equal(weights(run)[name].detach()[keep == 0], before[name][keep == 0])
        kept, numbers = kept + int(keep.sum()), numbers + keep.numel()
    head = "head.linear.weight"
    plain = before[head] - 0.1 * (grads[head] + 0.5 * before[head])

    torch.testing.assert_close(weights(run)[head].detach(), plain)
    assert abs(kept / numbers - SHARE) < 4 * (SHARE * (1 - SHARE) / numbers) ** 0.5
    assert dropped.scale == pytest.approx(1 / SHARE, rel=1e-4)


def test_every_step_and_tensor_draws_a_child_of_its_own_which_is_the_seeds(loaded: LoadedStudy) -> None:
    first, second = runs_of(loaded, [child(loaded, "free"), child(loaded, "free", clip__norm=1.0)])

    def drawn(run: Run, step: int, name: str) -> Tensor:
        run.model.clock.turn_to_(step)
        return run.model.clock.draw(f"child/{name}", DROPPED, 256, torch.device("cpu")).keep

    one, other = "encoder.encoder.layer.0.output.dense.weight", "encoder.encoder.layer.1.output.dense.weight"
    assert torch.equal(drawn(first, 3, one), drawn(second, 3, one))
    assert drawn(first, 3, one).data_ptr() == drawn(second, 3, one).data_ptr()  # drawn once for the family
    assert not torch.equal(drawn(first, 3, one), drawn(first, 4, one))
    assert not torch.equal(drawn(first, 3, one), drawn(first, 3, other))


@pytest.mark.parametrize("kind", BOTH)
def test_what_does_not_train_is_in_no_child(loaded: LoadedStudy, kind: str) -> None:
    frozen = child(loaded, kind, freeze__layers=4)
    run, plain = Run(loaded, "run", frozen, 0), Run(loaded, "run", frozen.at({"child.share": 1.0}), 0)

    assert run.optimizer.rule.key == plain.optimizer.rule.key
    (over,) = train(loaded, child(loaded, kind, train__only="biases", train__rate=1e-2))
    assert over.progress.status == "done", over.progress.reason


@pytest.mark.parametrize("kind", ["muon", "schedule-free"])
def test_rules_that_would_move_the_rest_are_refused(loaded: LoadedStudy, kind: str) -> None:
    levels = {"optimizer.kind": kind, "schedule.shape": "constant"}
    (problem,) = child(loaded, "task").at(levels).problems(loaded.study.checkpoint)

    assert problem.where == '"child.share" + "optimizer.kind"' and kind in problem.what
    for other in ("lion", "sgd", "adafactor"):
        assert child(loaded, "task").at({"optimizer.kind": other}).problems(loaded.study.checkpoint) == []


@pytest.mark.parametrize("kind", ["lion", "adafactor"])
def test_other_rules_keep_the_rest_still_too(loaded: LoadedStudy, kind: str) -> None:
    recipe = child(loaded, "task", training__epochs=1).at({"optimizer.kind": kind, "optimizer.rate": 1e-3})
    _, before = start_of(loaded, recipe)
    (run,) = train(loaded, recipe)

    moved = 0
    for p, name in tensors_of_layers(run.model).items():
        changed = p != before[name]
        assert not (changed & ~run.model.partial[p]).any(), name
        moved += int(changed.sum())
    inside = sum(int(keep.sum()) for keep in run.model.partial.values())
    assert 0.99 * inside <= moved <= inside


@pytest.mark.parametrize("kind", rare(BOTH, ["task"]))
def test_a_killed_run_resumes_to_the_same_bits(loaded: LoadedStudy, kind: str, tmp_path: Path) -> None:
    recipe = child(loaded, kind)

    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), train(loaded, recipe)[0])


@pytest.mark.parametrize("step", [step_stacked, step_captured])
def test_the_tasks_child_steps_in_stacks_and_graphs(loaded: LoadedStudy, step: object) -> None:
    recipes = [child(loaded, "task"), recipe_of(loaded)]
    together, alone = step(loaded, recipes)  # type: ignore[operator]

    assert_runs_alike(together, alone, rtol=1e-3 if step is step_captured else 1e-6)


@pytest.mark.parametrize("family", rare(["deberta-v2", "albert", "qwen3"], ["albert"]))
def test_hosted_encoders_have_a_child(tmp_path: Path, family: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    for kind in BOTH:
        recipe = child(loaded, kind, training__epochs=1)
        _, before = start_of(loaded, recipe)
        (run,) = train(loaded, recipe)

        assert run.progress.status == "done", run.progress.reason
        if kind == "task":
            for p, name in tensors_of_layers(run.model).items():
                assert not ((p != before[name]) & ~run.model.partial[p]).any(), name
