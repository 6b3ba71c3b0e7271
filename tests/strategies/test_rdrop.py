"""R-Drop: two views of a batch, and half the sum of both divergences between them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.hosted import save_hosted
from support.levels import on
from support.stacks import batches, gradients, kill_and_resume, runs_of
from support.studies import assert_same_run, open_study, recipe_of, train, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.dropout import name_pass
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Outputs
from finegrid.strategies.rdrop import RDrop
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LABELS = torch.tensor([0, 1, 2, 2, 1, 0])
SILENT = {"dropout.hidden": 0.0, "dropout.attention": 0.0, "dropout.head": 0.0}


def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(6, 3, generator=generator).double().requires_grad_() for _ in range(2))
    return one, other


def losses_of(alpha: float, one: Tensor, other: Tensor, loaded: LoadedStudy) -> Tensor:
    criterion = RDrop(alpha).criterion(CROSS_ENTROPY, loaded.setting(0))
    return criterion.losses(Outputs((one, other), (one, other), LABELS))


@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_loss_and_gradients_are_those_of_the_formula(loaded: LoadedStudy, alpha: float) -> None:
    """With torch's own divergence, summed over classes and averaged over texts."""
    one, other = views()
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    cross = (F.cross_entropy(one, LABELS) + F.cross_entropy(other, LABELS)) / 2
    kl = [F.kl_div(a, b, reduction="batchmean", log_target=True) for a, b in ((q, p), (p, q))]
    expected = cross + alpha / 2 * (kl[0] + kl[1]) / 2
    ours = losses_of(alpha, one, other, loaded).mean()

    torch.testing.assert_close(ours, expected)
    mine, theirs = (torch.autograd.grad(loss, (one, other)) for loss in (ours, expected))
    torch.testing.assert_close(mine, theirs)


def test_two_equal_views_are_one_reading(loaded: LoadedStudy) -> None:
    one, _ = views()

    torch.testing.assert_close(
        losses_of(4.0, one, one, loaded), F.cross_entropy(one, LABELS, reduction="none")
    )


def test_without_dropout_a_step_has_the_baselines_gradients(loaded: LoadedStudy) -> None:
    """To the rounding of logits, which are float32: two halves of a loss are summed."""
    still = recipe_of(loaded).at(SILENT)
    twice, once = runs_of(loaded, [still.at({"rdrop.alpha": 4.0}), still], torch.float64)
    batch = batches(loaded, still)[0]

    assert twice.backward(batch, 0) == pytest.approx(once.backward(batch, 0), rel=1e-6)
    for name, gradient in gradients(once).items():
        assert (gradients(twice)[name] - gradient).norm() <= 1e-6 * gradient.norm() + 1e-9, name


def test_a_step_is_the_mean_of_two_readings_and_their_divergence(loaded: LoadedStudy) -> None:
    """By hand: two passes of a model, each with masks of its own, the first with the baseline's."""
    batch = batches(loaded, recipe_of(loaded))[0]
    run, by_hand = (Run(loaded, "run", recipe_of(loaded).at({"rdrop.alpha": 2.0}), 0) for _ in range(2))
    z1, z2 = by_hand.model(batch, 3), by_hand.model(batch, 3)
    plain = Run(loaded, "run", recipe_of(loaded), 0).model(batch, 3)
    p, q = z1.log_softmax(-1), z2.log_softmax(-1)
    kl = ((p.exp() - q.exp()) * (p - q)).sum(-1).mean()
    expected = (F.cross_entropy(z1, batch.labels) + F.cross_entropy(z2, batch.labels)) / 2 + kl / 2

    assert torch.equal(z1, plain) and not torch.equal(z1, z2) and float(kl.detach()) > 0
    assert run.backward(batch, 3) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_views_have_streams_of_their_own_which_are_those_of_the_seed(loaded: LoadedStudy) -> None:
    model = Run(loaded, "run", recipe_of(loaded), 0).model
    model.clock.turn_to_(5)
    site = model.dropouts["layer.1.output"]
    drawn = [site.draw(64, torch.device("cpu")) for _ in range(2)]
    names = [f"dropout/5/{name_pass(site.site, number)}" for number in range(2)]
    bits = [model.clock.streams.bits(name, 16) for name in names]

    assert all(one is not None for one in drawn) and names[0] != names[1]
    assert not torch.equal(drawn[0].keep, drawn[1].keep)  # type: ignore[union-attr]
    assert not (bits[0] == bits[1]).all()


def test_nothing_to_drop_is_refused(loaded: LoadedStudy) -> None:
    checkpoint = loaded.study.checkpoint
    two = Recipe().at({"model.max_length": 32, "rdrop.alpha": 1.0})
    (problem,) = two.at(SILENT).problems(checkpoint)
    frozen = {"dropout.head": 0.0, "freeze.layers": 4}

    assert "rdrop.alpha" in problem.where and "both views of a text would be one" in problem.what
    assert two.problems(checkpoint) == two.at({**SILENT, "dropout.head": 0.1}).problems(checkpoint) == []
    assert two.at(frozen).problems(checkpoint) == []
    assert len(two.at({**frozen, "freeze.dropout": False}).problems(checkpoint)) == 1


def test_a_killed_run_resumes_to_the_same_bits(taught: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(taught, "rdrop.alpha")

    assert_same_run(kill_and_resume(taught, recipe, tmp_path), train(taught, recipe)[0])


@pytest.mark.parametrize("family", ["deberta-v2", "albert"])
def test_hosted_encoders_read_two_views(tmp_path: Path, family: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    drop = {"dropout.hidden": 0.3, "dropout.head": 0.3, "training.epochs": 2}
    recipes = [recipe_of(loaded).at({**drop, "rdrop.alpha": alpha}) for alpha in (1.0, 4.0)]
    together = train(loaded, *recipes)

    for recipe, run in zip(recipes, together, strict=True):
        assert run.progress.status == "done", run.progress.reason
        assert_same_run(run, train(loaded, recipe)[0])
    assert together[0].progress.epochs[-1]["train_loss"] < together[1].progress.epochs[-1]["train_loss"]


def test_text_pairs_are_read_twice(tmp_path: Path, loaded: LoadedStudy) -> None:
    pairs = open_study(write_study(tmp_path, loaded.study.checkpoint.folder, pairs=True))
    (run,) = train(pairs, pairs.study.baseline.at({"rdrop.alpha": 1.0}))

    assert run.progress.status == "done", run.progress.reason
