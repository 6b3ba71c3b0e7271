"""The supervised contrastive loss, against closed forms in float64 and a loop over anchors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from finegrid.strategies.contrast import Contrast
from finegrid.strategies.criterion import CROSS_ENTROPY, Outputs
from finegrid.training.loaded import LoadedStudy

LABELS = torch.tensor([0, 0, 1, 2, 1, 0, 3])  # 2 and 3 come once


def outputs_of(vectors: Tensor, labels: Tensor = LABELS, views: int = 1) -> Outputs:
    logits = torch.randn(
        *vectors.shape[:-1], 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    return Outputs((logits,) * views, (vectors,) * views, labels)


def vectors_of(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def by_loop(vectors: Tensor, labels: Tensor, tau: float) -> Tensor:
    """The paper's sum, an anchor after the other."""
    u = F.normalize(vectors, dim=-1)
    anchors = []
    for i in range(len(labels)):
        others = [k for k in range(len(labels)) if k != i]
        positives = [j for j in others if labels[j] == labels[i]]
        log_sum = torch.stack([u[i] @ u[k] / tau for k in others]).logsumexp(0)
        if positives:
            anchors.append(-torch.stack([u[i] @ u[j] / tau - log_sum for j in positives]).mean())
    return torch.stack(anchors).mean()


@pytest.mark.parametrize("tau", [0.05, 0.3])
def test_it_is_the_mean_over_anchors_that_have_a_positive(tau: float) -> None:
    vectors = vectors_of(7, 5)
    ours = Contrast(weight=0.5, tau=tau).contrast(outputs_of(vectors)).mean()
    known = by_loop(vectors, LABELS, tau)

    torch.testing.assert_close(ours, known)
    (gradient,), (expected,) = (torch.autograd.grad(loss, vectors) for loss in (ours, known))
    torch.testing.assert_close(gradient, expected)


def test_equal_vectors_lose_the_log_of_the_number_of_others() -> None:
    each = Contrast(weight=0.5).contrast(outputs_of(torch.ones(7, 5, dtype=torch.float64)))
    anchors = torch.tensor([True, True, True, False, True, True, False])

    assert each.mean().item() == pytest.approx(math.log(6))
    torch.testing.assert_close(each[anchors], torch.full((5,), 7 / 5 * math.log(6), dtype=torch.float64))
    assert not each[~anchors].any()


@pytest.mark.parametrize("labels", [[0, 1, 2], [1]], ids=["no two alike", "one text"])
def test_a_batch_without_anchors_trains_on_the_share_of_cross_entropy(
    loaded: LoadedStudy, labels: list[int]
) -> None:
    vectors = vectors_of(len(labels), 5)
    outputs = outputs_of(vectors, torch.tensor(labels))
    criterion = Contrast(weight=0.3).criterion(CROSS_ENTROPY, loaded.setting(0))
    loss = criterion.losses(outputs).mean()

    torch.testing.assert_close(loss, 0.7 * CROSS_ENTROPY.losses(outputs).mean())
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert not gradient.any()


@pytest.mark.parametrize("weight", [0.1, 0.9, 1.0])
def test_it_takes_its_share_of_the_loss(loaded: LoadedStudy, weight: float) -> None:
    outputs = outputs_of(vectors_of(7, 5))
    criterion = Contrast(weight=weight).criterion(CROSS_ENTROPY, loaded.setting(0))
    both = CROSS_ENTROPY.losses(outputs).mean(), by_loop(outputs.features[0], LABELS, 0.3)

    torch.testing.assert_close(criterion.losses(outputs).mean(), (1 - weight) * both[0] + weight * both[1])


def test_stacked_runs_have_the_losses_of_each_alone(loaded: LoadedStudy) -> None:
    criterion = Contrast(weight=0.5).criterion(CROSS_ENTROPY, loaded.setting(0))
    both = outputs_of(vectors_of(2, 7, 5))
    alone = [
        criterion.losses(Outputs((both.logits[0][run],), (both.features[0][run],), LABELS)) for run in (0, 1)
    ]

    torch.testing.assert_close(criterion.losses(both), torch.stack(alone))


def test_two_equal_views_are_as_one() -> None:
    vectors = vectors_of(7, 5)
    contrast = Contrast(weight=0.5)

    torch.testing.assert_close(
        contrast.contrast(outputs_of(vectors, views=2)), contrast.contrast(outputs_of(vectors))
    )


def test_a_vector_of_zeros_leaves_all_gradients_finite() -> None:
    vectors = torch.zeros(7, 5, dtype=torch.float64, requires_grad=True)
    loss = Contrast(weight=0.5, tau=0.1).contrast(outputs_of(vectors)).mean()
    (gradient,) = torch.autograd.grad(loss, vectors)

    assert loss.isfinite() and gradient.isfinite().all()


def test_a_temperature_without_weight_is_off() -> None:
    assert not Contrast(tau=0.1).acts and Contrast(weight=0.1).acts
