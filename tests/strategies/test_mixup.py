"""Mixup: what the head reads of two texts is mixed, and so are the losses of their labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from support.levels import on
from support.stacks import batches, runs_of
from support.studies import recipe_of
from torch import Tensor
from torch.nn import functional as F

from finegrid.errors import InputError
from finegrid.strategies.contrast import Contrast
from finegrid.strategies.criterion import CROSS_ENTROPY, Blend, Criterion, Outputs
from finegrid.strategies.loss import Loss
from finegrid.strategies.mixup import Mixup, Pairs
from finegrid.streams import Streams
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LABELS = torch.tensor([0, 1, 2, 2, 1, 0])
PARTNERS = torch.tensor([3, 0, 1, 2, 5, 4])
STILL = {"dropout.hidden": 0.0, "dropout.attention": 0.0, "dropout.head": 0.0}
ROWS = np.array([40, 7, 19, 3, 88, 21])


def outputs_of(share: float | None, partners: Tensor = PARTNERS, runs: tuple[int, ...] = ()) -> Outputs:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*runs, 6, 3, generator=generator, dtype=torch.float64)
    vectors = torch.randn(*runs, 6, 5, generator=generator, dtype=torch.float64)
    blend = None if share is None else Blend(partners, torch.tensor(share))
    return Outputs((logits,), (vectors,), LABELS, torch.arange(6), blend=blend)


def cross_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs.logits[0], labels, reduction="none")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_loss_is_that_of_both_labels_by_their_shares(share: float) -> None:
    """At 1 and at 0, to the last bit, that of the texts and that of their partners."""
    outputs = outputs_of(share)
    own, theirs = CROSS_ENTROPY.losses(outputs_of(None)), cross_entropy(outputs, LABELS[PARTNERS])
    losses = CROSS_ENTROPY.losses(outputs)

    torch.testing.assert_close(losses, share * cross_entropy(outputs, LABELS) + (1 - share) * theirs)
    if share == 1:
        assert torch.equal(losses, own)
    if share == 0:
        alone = Outputs(outputs.logits, outputs.features, LABELS[PARTNERS])
        assert torch.equal(losses, CROSS_ENTROPY.losses(alone))


def test_a_step_mixes_what_the_head_reads(loaded: LoadedStudy) -> None:
    """By hand, from the vectors of a model; whatever the head does with them comes after."""
    recipe = recipe_of(loaded).at({**STILL, "mixup.alpha": 8.0})
    run, plain = runs_of(loaded, [recipe, recipe.at({"mixup.alpha": 0.0})], torch.float64)
    batch, step = batches(loaded, recipe)[1], loaded.steps_per_epoch(recipe) + 1
    found, share = Pairs(8.0, Streams(0))(1, 1, batch.rows)
    partners, vectors = torch.from_numpy(found), plain.model.features(batch, step)
    mixed = plain.model.head(share * vectors + (1 - share) * vectors[partners])
    each = [F.cross_entropy(mixed, labels) for labels in (batch.labels, batch.labels[partners])]
    by_hand = share * each[0] + (1 - share) * each[1]

    assert 0.2 < share < 0.8 and (partners != torch.arange(len(partners))).any()
    assert run.backward(batch, step) == pytest.approx(float(by_hand.detach()), rel=1e-6)
    assert run.backward(batch, step) != pytest.approx(plain.backward(batch, step), rel=1e-4)


def test_the_other_share_in_the_inverse_order_is_the_same_batch(loaded: LoadedStudy) -> None:
    """Why nothing is lost by leaving shares below a half as they are."""
    recipe = recipe_of(loaded).at({**STILL, "mixup.alpha": 0.4})
    run = runs_of(loaded, [recipe], torch.float64)[0]
    batch = batches(loaded, recipe)[0]
    partners = torch.from_numpy(Pairs(0.4, Streams(0))(0, 0, batch.rows)[0])
    losses = []
    for own, share in ((partners, 0.3), (partners.argsort(), 0.7)):
        run.blend = Blend(own, torch.tensor(share, dtype=torch.float64))
        losses.append(float(run.loss(run.outputs(batch, 0)).detach()))

    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_partners_are_those_of_the_texts_however_they_are_packed() -> None:
    pairs = Pairs(0.4, Streams(5))
    partners, share = pairs(2, 3, ROWS)
    other = np.array([4, 0, 5, 2, 1, 3])
    partners_of_other, other_share = pairs(2, 3, ROWS[other])

    assert sorted(partners) == [*range(6)] and share == other_share
    assert dict(zip(ROWS, ROWS[partners], strict=True)) == dict(
        zip(ROWS[other], ROWS[other][partners_of_other], strict=True)
    )


def test_every_batch_has_pairs_and_a_share_of_its_own() -> None:
    drawn = [Pairs(0.4, Streams(seed))(epoch, number, ROWS) for seed, epoch, number in np.ndindex(2, 2, 2)]

    assert len({share for _, share in drawn}) == len(drawn)
    assert len({tuple(partners) for partners, _ in drawn}) > len(drawn) / 2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_have_the_distribution_of_their_alpha(alpha: float) -> None:
    shares = [Pairs(alpha, Streams(0))(0, number, ROWS[:2])[1] for number in range(500)]

    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_alpha_moves_the_share_and_nothing_else() -> None:
    """Two alphas mix the same pairs, by shares on the same side of a half."""
    few, many = ([Pairs(alpha, Streams(0))(0, number, ROWS) for number in range(50)] for alpha in (0.2, 2.0))

    for (partners, share), (others, other) in zip(few, many, strict=True):
        assert np.array_equal(partners, others)
        assert share != other and (share < 0.5) == (other < 0.5)


def test_each_of_both_labels_has_what_the_other_losses_make_of_it(loaded: LoadedStudy) -> None:
    """Weights, smoothing and focal; and a teacher is asked for both texts."""
    taught = Loss(smoothing=0.1, focal_gamma=2.0).criterion(CROSS_ENTROPY, loaded.setting(0))
    said = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def like_teacher(outputs: Outputs) -> Tensor:
        assert outputs.texts is not None
        return (said[outputs.texts] - outputs.logits[0]).square().sum(-1)

    criterion = Criterion(
        soften=taught.soften,
        modulate=taught.modulate,
        weigh=(lambda losses, labels: losses * weights[labels],),
        add=(like_teacher,),
    )
    outputs = outputs_of(0.3)
    partners = Outputs(outputs.logits, outputs.features, LABELS[PARTNERS], torch.arange(6)[PARTNERS])
    own, theirs = criterion.losses(outputs_of(None)), criterion.losses(partners)

    assert taught.soften and taught.modulate
    torch.testing.assert_close(criterion.losses(outputs), 0.3 * own + 0.7 * theirs)


@pytest.mark.parametrize("runs", [(), (2,)])
def test_a_contrastive_loss_compares_the_texts_own_vectors(
    loaded: LoadedStudy, runs: tuple[int, ...]
) -> None:
    contrast = Contrast(weight=1.0).criterion(CROSS_ENTROPY, loaded.setting(0))
    mixed, own = (contrast.losses(outputs_of(share, runs=runs)).mean() for share in (0.3, None))

    torch.testing.assert_close(mixed, own)


def test_dev_and_test_are_read_unmixed(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded)
    mixing, plain = (Run(loaded, "run", one, 0) for one in (recipe.at({"mixup.alpha": 0.4}), recipe))
    batch = batches(loaded, recipe)[0]
    mixing.backward(batch, 0)  # which leaves pairs behind
    with mixing.model.evaluating(), plain.model.evaluating():
        assert torch.equal(mixing.model(batch), plain.model(batch))


def test_a_text_that_is_alone_in_its_batch_is_refused(loaded: LoadedStudy) -> None:
    (problem,) = recipe_of(loaded, mixup__alpha=0.4, training__batch_size=1).problems(loaded.study.checkpoint)

    assert problem.where == '"mixup.alpha" + "training.batch_size"' and "two texts or more" in problem.what
    for level in (-0.1, 101.0, "0.2"):
        with pytest.raises(InputError, match=r"mixup\.alpha"):
            recipe_of(loaded, mixup__alpha=level)


def test_it_is_off_at_zero_and_other_seeds_mix_otherwise(loaded: LoadedStudy) -> None:
    setting = loaded.setting(0)

    assert Mixup().criterion(CROSS_ENTROPY, setting) is CROSS_ENTROPY and not Mixup().acts
    assert on(loaded, "mixup.alpha").mixup.criterion(CROSS_ENTROPY, setting).pair == Pairs(0.4, Streams(0))
