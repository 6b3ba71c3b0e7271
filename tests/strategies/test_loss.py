"""What a loss is made of, against closed forms in float64."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.studies import open_study, recipe_of, train, weights, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.audit.canonical import Canonicaliser
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Criterion, Outputs
from finegrid.strategies.loss import Loss, Weights
from finegrid.strategies.seams import Setting
from finegrid.training.loaded import LoadedStudy

LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 2])
WEIGHTS: list[Weights] = ["balanced", "sqrt", "effective-0.99", "effective-0.999", "effective-0.9999"]


def setting_of(loaded: LoadedStudy, *counts: int) -> Setting:
    """A setting whose training texts have so many of each class."""
    setting = loaded.setting(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    return replace(setting, texts=replace(setting.texts, labels=labels), classes=len(counts))


def logits_of(seed: int = 0, texts: int = len(LABELS), classes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(texts, classes, generator=generator, dtype=torch.float64, requires_grad=True)


def mean_of(criterion: Criterion, logits: Tensor, labels: Tensor = LABELS) -> Tensor:
    return criterion.losses(Outputs((logits,), (logits,), labels)).mean()


def gradient_of(criterion: Criterion, logits: Tensor, labels: Tensor = LABELS) -> Tensor:
    (gradient,) = torch.autograd.grad(mean_of(criterion, logits, labels), logits)
    return gradient


def one_hot(labels: Tensor = LABELS, classes: int = 3) -> Tensor:
    return F.one_hot(labels, classes).double()


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("counts", [(1, 2, 30), (5, 0, 9), (400, 3000, 20_000)])
def test_the_mean_weight_of_a_training_text_is_1(weights: Weights, counts: tuple[int, ...]) -> None:
    found = Loss(weights=weights).weights_of(np.array(counts))

    assert found is not None and np.isfinite(found).all()
    assert found @ counts / sum(counts) == pytest.approx(1, abs=1e-12)
    assert (found == 0).tolist() == [count == 0 for count in counts]
    assert all(np.diff(found[np.argsort(counts)][np.array(sorted(counts)) > 0]) <= 0)  # rare ones weigh more


def test_weights_are_the_papers_but_for_their_scale() -> None:
    counts = np.array([2, 6, 12])

    balanced = Loss(weights="balanced").weights_of(counts)
    root = Loss(weights="sqrt").weights_of(counts)
    effective = Loss(weights="effective-0.99").weights_of(counts)
    assert balanced is not None and root is not None and effective is not None
    np.testing.assert_allclose(balanced, 20 / (3 * counts))
    np.testing.assert_allclose(root / root[0], (counts / 2) ** -0.5)
    np.testing.assert_allclose(effective / effective[0], (1 - 0.99**2) / (1 - 0.99**counts))


def test_weights_multiply_gradients_and_a_batch_never_divides_by_its_own(loaded: LoadedStudy) -> None:
    loss, logits = Loss(weights="balanced"), logits_of()
    criterion = loss.criterion(CROSS_ENTROPY, setting_of(loaded, 2, 6, 12))
    known = torch.tensor(20 / (3 * np.array([2, 6, 12])))
    p = logits.softmax(-1).detach()

    expected = known[LABELS][:, None] * (p - one_hot()) / len(LABELS)
    torch.testing.assert_close(gradient_of(criterion, logits), expected, rtol=1e-12, atol=1e-15)
    alone = mean_of(criterion, logits[:1], LABELS[:1])
    torch.testing.assert_close(alone, known[0] * F.cross_entropy(logits[:1], LABELS[:1]))


def test_a_text_that_stands_there_twice_is_a_text_of_twice_the_weight(loaded: LoadedStudy) -> None:
    """Four texts of class 0, eight of class 1: in a full batch, weights are copies."""
    labels = torch.tensor([0] * 4 + [1] * 8)
    logits = logits_of(1, 12, 2)
    criterion = Loss(weights="balanced").criterion(CROSS_ENTROPY, setting_of(loaded, 4, 8))
    twice = torch.cat([torch.arange(4), torch.arange(12)])

    weighted = gradient_of(criterion, logits, labels)
    (copied,) = torch.autograd.grad(mean_of(CROSS_ENTROPY, logits[twice], labels[twice]), logits)
    torch.testing.assert_close(weighted, copied)


def test_zero_logits_leave_the_heads_bias_where_it_is_under_the_prior(loaded: LoadedStudy) -> None:
    counts = (3, 5, 16)
    labels = torch.tensor(np.repeat(np.arange(3), counts))
    zeros = torch.zeros(24, 3, dtype=torch.float64, requires_grad=True)
    criterion = Loss(prior_tau=1.0).criterion(CROSS_ENTROPY, setting_of(loaded, *counts))

    assert gradient_of(criterion, zeros, labels).sum(0).abs().max() < 1e-15
    assert gradient_of(CROSS_ENTROPY, zeros, labels).sum(0).abs().max() > 0.1


def test_a_class_without_training_texts_leaves_all_losses_finite(loaded: LoadedStudy) -> None:
    """Also where smoothing gives it a share of every target."""
    setting, labels = setting_of(loaded, 5, 0, 9), torch.tensor([0, 2, 2])
    logits = logits_of(2, 3)
    for loss in (Loss(prior_tau=1.0, smoothing=0.1), Loss(weights="balanced", smoothing=0.1, focal_gamma=2)):
        criterion = loss.criterion(CROSS_ENTROPY, setting)
        assert gradient_of(criterion, logits, labels).isfinite().all()
        assert mean_of(criterion, logits, labels).isfinite()


def test_classes_of_one_size_have_the_plain_loss_itself(loaded: LoadedStudy) -> None:
    setting = setting_of(loaded, 8, 8, 8)

    for loss in (*[Loss(weights=name) for name in WEIGHTS], Loss(prior_tau=1.0)):
        assert loss.criterion(CROSS_ENTROPY, setting) is CROSS_ENTROPY
        assert loss.form(setting) is None
        assert loss.form(setting_of(loaded, 8, 8, 7)) is not None


def test_weights_do_nothing_in_a_study_whose_classes_are_of_one_size(tmp_path: object, bert: object) -> None:
    equal = open_study(write_study(tmp_path, bert))  # type: ignore[arg-type]
    reduction = Canonicaliser(equal, 0).reduce(recipe_of(equal, loss__weights="balanced"))

    assert set(Counter(equal.tokens.train.labels.tolist()).values()) == {8}
    assert "loss.weights" in reduction.inert and "loss.weights" not in reduction.levels


def test_weights_and_smoothing_are_told_apart_from_each_alone(taught: LoadedStudy) -> None:
    canonicaliser = Canonicaliser(taught, 0)
    levels = {"loss.weights": "balanced", "loss.smoothing": 0.1, "loss.focal_gamma": 2.0}

    assert not levels.keys() & canonicaliser.reduce(taught.study.baseline.at(levels)).inert.keys()


@pytest.mark.parametrize("smoothing", [0.05, 0.1, 0.2])
def test_smoothing_is_torchs(loaded: LoadedStudy, smoothing: float) -> None:
    criterion = Loss(smoothing=smoothing).criterion(CROSS_ENTROPY, setting_of(loaded, 1, 2, 3))
    logits = logits_of()
    p = logits.softmax(-1).detach()

    torch.testing.assert_close(
        mean_of(criterion, logits), F.cross_entropy(logits, LABELS, label_smoothing=smoothing)
    )
    expected = (p - (1 - smoothing) * one_hot() - smoothing / 3) / len(LABELS)
    torch.testing.assert_close(gradient_of(criterion, logits), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.05, 0.5])
def test_uniform_logits_lose_the_log_of_the_number_of_classes(loaded: LoadedStudy, smoothing: float) -> None:
    criterion = Loss(smoothing=smoothing).criterion(CROSS_ENTROPY, setting_of(loaded, 1, 2, 3))
    uniform = torch.full((7, 3), 1.7, dtype=torch.float64)

    assert mean_of(criterion, uniform).item() == pytest.approx(math.log(3), rel=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_gradients_are_the_closed_form(loaded: LoadedStudy, gamma: float) -> None:
    criterion = Loss(focal_gamma=gamma).criterion(CROSS_ENTROPY, setting_of(loaded, 1, 2, 3))
    logits = logits_of()
    p = logits.softmax(-1).detach()
    py = p.gather(-1, LABELS[:, None])
    factor = (1 - py) ** gamma - gamma * py * (1 - py) ** (gamma - 1) * py.log()

    torch.testing.assert_close(
        gradient_of(criterion, logits), factor * (p - one_hot()) / len(LABELS), rtol=1e-10, atol=1e-14
    )


def test_focal_is_a_factor_of_each_text_not_of_the_mean(loaded: LoadedStudy) -> None:
    criterion = Loss(focal_gamma=2.0).criterion(CROSS_ENTROPY, setting_of(loaded, 1, 2, 3))
    logits = logits_of()
    each = F.cross_entropy(logits, LABELS, reduction="none")

    torch.testing.assert_close(mean_of(criterion, logits), ((1 - (-each).exp()) ** 2 * each).mean())


def test_a_focal_power_of_almost_0_is_cross_entropy(loaded: LoadedStudy) -> None:
    setting, logits = setting_of(loaded, 1, 2, 3), logits_of().float()

    assert Loss(focal_gamma=0.0).criterion(CROSS_ENTROPY, setting) is CROSS_ENTROPY
    almost = mean_of(Loss(focal_gamma=1e-9).criterion(CROSS_ENTROPY, setting), logits)
    torch.testing.assert_close(almost, mean_of(CROSS_ENTROPY, logits), rtol=1e-7, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_label_of_probability_1_has_a_gradient_that_is_a_number(loaded: LoadedStudy, gamma: float) -> None:
    criterion = Loss(focal_gamma=gamma).criterion(CROSS_ENTROPY, setting_of(loaded, 1, 2, 3))
    sure = torch.tensor([[1000.0, 0.0, 0.0]], requires_grad=True)

    for label in (0, 1):
        assert gradient_of(criterion, sure, torch.tensor([label])).isfinite().all()


def test_all_four_compose_in_one_order(loaded: LoadedStudy) -> None:
    """Where they are built by hand; prior and weights together are for here alone."""
    counts = np.array([2, 6, 12])
    loss = Loss(weights="sqrt", prior_tau=0.5, smoothing=0.1, focal_gamma=2.0)
    logits = logits_of()
    adjusted = logits + 0.5 * torch.tensor(counts / 20).log()
    log_p = adjusted.log_softmax(-1)
    q = 0.9 * one_hot() + 0.1 / 3
    py = log_p.gather(-1, LABELS[:, None])[:, 0].exp()
    known = torch.tensor(counts**-0.5 * 20 / (counts**0.5).sum())

    torch.testing.assert_close(
        mean_of(loss.criterion(CROSS_ENTROPY, setting_of(loaded, 2, 6, 12)), logits),
        ((1 - py) ** 2 * -(q * log_p).sum(-1) * known[LABELS]).mean(),
    )


def test_weights_and_prior_together_are_refused(loaded: LoadedStudy) -> None:
    (problem,) = recipe_of(loaded, loss__weights="sqrt", loss__prior_tau=0.5).problems(
        loaded.study.checkpoint
    )

    assert problem.where == '"loss.weights" + "loss.prior_tau"' and "twice" in problem.what
    assert not recipe_of(loaded, loss__weights="sqrt").problems(loaded.study.checkpoint)


def test_dev_and_test_are_predicted_by_the_plain_logits(taught: LoadedStudy) -> None:
    """With rates of almost 0 the model stays, and so do its predictions, whatever its loss is."""
    plain, adjusted = (
        train(taught, recipe_of(taught, optimizer__rate=1e-12, training__epochs=1, loss__prior_tau=tau))[0]
        for tau in (0.0, 1.0)
    )

    assert plain.progress.epochs[0]["train_loss"] != adjusted.progress.epochs[0]["train_loss"]
    np.testing.assert_allclose(plain.logits["dev"], adjusted.logits["dev"], atol=1e-6)
    assert weights(plain).keys() == weights(adjusted).keys()


def test_off_is_the_baseline_whatever_stands_in_the_recipe() -> None:
    assert Recipe().loss == Loss() and not Loss().acts
