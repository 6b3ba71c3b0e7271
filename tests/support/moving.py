"""Moved words by hand: one text at a time, with hooks on the table of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finegrid.model.classifier import Classifier
from finegrid.model.dropout import Clock, DropoutMask
from finegrid.model.packing.batches import Batch, pack
from finegrid.model.shift import Shift
from finegrid.recipe.recipe import Recipe
from finegrid.streams import Streams
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from support.stacks import batches, gradients, runs_of
from support.studies import recipe_of

SILENT = {"dropout.hidden": 0.0, "dropout.attention": 0.0, "dropout.head": 0.0}
Gradients = dict[str, Tensor]  # of weights, by name
Read = Callable[
    [Tensor | float], tuple[Tensor, Gradients]
]  # words moved so, to gradients by words and weights


def still(loaded: LoadedStudy, levels: dict[str, Any], **others: object) -> Recipe:
    """Without dropout: a pass over a text alone is then the pass over it in company."""
    return recipe_of(loaded, **others).at({**SILENT, **levels})


def texts_of(run: Run, batch: Batch) -> Iterator[Batch]:
    """Each text of a batch, packed by itself."""
    split = run.loaded.training_texts(run.recipe)
    for row in batch.rows:
        yield pack(split, np.array([row]), run.recipe.model.max_length, torch.device("cpu"))


@contextmanager
def words_moved(model: Classifier, tokens: int, r: Tensor) -> Iterator[None]:
    """The words of so many tokens, all of a text's, by ``[tokens, width]``; gradients pass frozen layers."""

    def move(module: object, args: object, out: Tensor) -> Tensor:
        rest = out.shape[:-1].numel() - tokens
        return out + torch.cat([r, r.new_zeros(rest, r.shape[1])]).view_as(out)

    handle = model.parts.embedding_table.register_forward_hook(move)
    frozen, model.frozen_layers = model.frozen_layers, 0
    yield
    model.frozen_layers = frozen
    handle.remove()


def reader_of(run: Run, one: Batch, texts: int) -> Read:
    """Of a text of a batch of so many: what moving its words leaves as gradients, by them and by weights."""
    model, tokens, width = run.model, one.real_tokens, run.table.weight.shape[1]

    def read(moved: Tensor | float) -> tuple[Tensor, Gradients]:
        r = (torch.zeros(tokens, width) + moved).requires_grad_()
        with words_moved(model, tokens, r):
            (F.cross_entropy(model(one), one.labels) / texts).backward()
        of_weights = {name: gradient.clone() for name, gradient in gradients(run).items()}
        model.zero_grad()
        assert r.grad is not None
        return r.grad, of_weights

    return read


def assert_alike(ours: Gradients, expected: Gradients, tolerance: float) -> None:
    """Of every tensor, to so much of the length of all."""
    assert ours.keys() == expected.keys()
    whole = torch.cat([g.flatten() for g in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (ours[name] - gradient).norm() <= tolerance * whole, name


def check_by_hand(
    loaded: LoadedStudy,
    recipe: Recipe,
    by_hand: Callable[[Read], Gradients] | list[Callable[[Read], Gradients]],
    tolerance: float,
) -> None:
    """Whether a step's gradients are sums of what ``by_hand`` (of each text, or of all) says, by reading."""
    run, other = runs_of(loaded, [recipe])[0], runs_of(loaded, [recipe])[0]
    batch = batches(loaded, recipe)[0]
    expected: Gradients = {}
    each = by_hand if isinstance(by_hand, list) else [by_hand] * len(batch.rows)
    for one, of_text in zip(texts_of(other, batch), each, strict=True):
        for name, gradient in of_text(reader_of(other, one, len(batch.rows))).items():
            expected[name] = expected.get(name, 0) + gradient
    run.backward(batch, 0)

    assert_alike(gradients(run), expected, tolerance)


class StillModel:
    """loss = softplus(-m), where m is the margin of a linear model of the mean of a text's words."""

    def __init__(self, batch: Batch) -> None:
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Embedding(2, 7).double()
        self.words = torch.randn(len(batch.ids), 7, generator=generator).double()
        self.w = nn.Parameter(torch.randn(7, generator=generator).double())
        self.batch, self.signs = batch, torch.where(batch.labels > 0, 1.0, -1.0).double()
        self.shift = Shift(self.table, batch, Clock(Streams(0)))
        self.passes: dict[str, Any] = {}
        self.clock = self.shift.clock
        self.parts = SimpleNamespace(layers=[SimpleNamespace(heads=1)])

    @property
    def as_classifier(self) -> Any:
        return self

    def moved(self) -> Tensor:
        """The words, ``[tokens, width]``."""
        return self.shift(self.table, (), self.words)

    def losses(self) -> Tensor:
        """``[texts]``."""
        return F.softplus(-self.signs * (self.batch.plain_means(self.moved()) @ self.w))

    def backward(self) -> None:
        self.losses().mean().backward()

    def parameters(self) -> list[nn.Parameter]:
        return [self.w]

    def draw_again_(self, since: object = None) -> None:
        """Nothing is dropped."""

    def shifting(self, batch: Batch) -> AbstractContextManager[None]:
        return nullcontext()

    def holding_weights(self, asked: bool = True) -> AbstractContextManager[None]:
        return nullcontext()


def note_masks(monkeypatch: pytest.MonkeyPatch, site: str) -> list[str]:
    """Of the masks that a site draws from now on, what their streams' names have behind the site's."""
    drawn: list[str] = []
    ask = Clock.mask

    def mask(self: Clock, name: str, *about: Any) -> DropoutMask:
        if name.startswith(site):
            drawn.append(name.removeprefix(site))
        return ask(self, name, *about)

    monkeypatch.setattr(Clock, "mask", mask)
    return drawn
