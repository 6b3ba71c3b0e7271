"""Rows of a table: what is held, looked up, and put back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from finegrid.model.rows import LANES, choose_rows, gradients_as_of_all, held_rows, hold_all_, hold_rows_

CPU = torch.device("cpu")


def table_of(words: int = 40, width: int = 12, padding: int | None = 3) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(words, width, padding_idx=padding)


def test_rows_are_ascending_and_none_where_all_occur() -> None:
    rows = choose_rows([np.array([7, 3, 3]), np.array([0])], 10, CPU)

    assert rows is not None
    assert rows.ids.tolist() == [0, 3, 7]
    assert rows.places.tolist() == [0, -1, -1, 1, -1, -1, -1, 2, -1, -1]
    assert choose_rows([np.arange(10)], 10, CPU) is None


def test_a_table_that_lacks_rows_is_asked_by_ids_as_before() -> None:
    whole, ids = table_of(), torch.tensor([[5, 3], [30, 5]])
    some = copy.deepcopy(whole)
    rows = choose_rows([np.array([3, 5, 30, 39])], 40, CPU)
    assert rows is not None
    parameter = some.weight
    hold_rows_(some, rows)

    assert some.weight is parameter and some.weight.shape == (4, 12) and some.num_embeddings == 4
    assert torch.equal(some(ids), whole(ids))
    twin = copy.deepcopy(some)
    assert held_rows(twin) is rows
    assert torch.equal(twin(ids), whole(ids))
    for table in (some, twin, whole):
        (table(ids) ** 2).sum().backward()
    assert some.weight.grad is not None and whole.weight.grad is not None
    assert torch.equal(some.weight.grad, whole.weight.grad[rows.ids])
    assert not some.weight.grad[0].any() and some.weight.grad[1].all()  # word 3 is padding


def test_all_rows_are_put_back() -> None:
    whole = table_of()
    some = copy.deepcopy(whole)
    rows = choose_rows([np.array([3, 5, 30, 39])], 40, CPU)
    assert rows is not None
    hold_rows_(some, rows)
    hold_all_(some, whole.weight.detach())

    assert held_rows(some) is None and some.padding_idx == 3 and some.num_embeddings == 40
    assert torch.equal(some(torch.arange(40)), whole(torch.arange(40)))


@pytest.mark.parametrize("width", [LANES, 3 * LANES, 312 // LANES * LANES + LANES, 384, 12, 20])
@pytest.mark.parametrize("threads", [1, 2])
def test_norms_of_gradients_are_those_of_the_whole_table(width: int, threads: int) -> None:
    """Where this fails for widths of whole lanes, torch sums in another order than it did."""
    whole = table_of(3000, width, None)
    draw = np.random.default_rng(width)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(40):
            some = copy.deepcopy(whole)
            ids = np.unique(draw.integers(0, 3000, int(draw.integers(300, 900))))
            rows = choose_rows([ids], 3000, CPU)
            assert rows is not None
            hold_rows_(some, rows)
            gradient = torch.from_numpy(draw.normal(size=(len(ids), width)).astype(np.float32))
            some.weight.grad = gradient.clone()
            of_all = torch.zeros(3000, width).index_copy_(0, rows.ids, gradient)
            with gradients_as_of_all(some, [some.weight.grad]) as gradients:
                assert torch.equal(torch._foreach_norm(gradients)[0], torch._foreach_norm([of_all])[0])
                torch._foreach_mul_(gradients, 0.5)
            assert torch.equal(some.weight.grad, gradient * 0.5)
    finally:
        torch.set_num_threads(before)


def test_a_gradient_that_is_not_finite_leaves_nothing_behind() -> None:
    some = table_of(40, 12, None)
    rows = choose_rows([np.array([3, 5])], 40, CPU)
    assert rows is not None
    hold_rows_(some, rows)
    some.weight.grad = torch.ones(2, 12)
    with gradients_as_of_all(some, [some.weight.grad]) as gradients:
        gradients[0].mul_(float("nan"))
    assert some.weight.grad.isnan().all()
    some.weight.grad = torch.ones(2, 12)
    with gradients_as_of_all(some, [some.weight.grad]) as gradients:
        assert float(gradients[0].sum()) == 24
