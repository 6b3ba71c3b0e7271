"""Muon: momentum whose singular values are brought near 1, for matrices; AdamW for all else.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon); scaled as in Liu et al. 2025 (2502.16982), so that one
rate suits both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from finegrid.optim.adamw import AdamW
from finegrid.optim.updater import State, Update, as_tensor, zeros_like_each

MOMENTUM = 0.95  # these four as in torch.optim.Muon
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
EPS = 1e-7
RMS_OF_ADAMW = 0.2  # Liu et al. 2025, section 2.2: the root mean square of AdamW's usual steps


@dataclass(frozen=True)
class Muon:
    """The update rule of Muon.

    Attributes:
        rest: the rule of all that is no matrix of a layer.
        matrices: that Muon updates.
    """

    rest: AdamW
    matrices: frozenset[Tensor]
    names = ("momentum", *AdamW.names)
    evaluated = ""

    @property
    def key(self) -> str:
        return f"muon, rest {self.rest.key}"

    def new_state(self, p: Tensor) -> State:
        return zeros_like_each(p, ("momentum",)) if p in self.matrices else self.rest.new_state(p)

    def number_for_graphs(self, updates: int) -> float:
        return self.rest.number_for_graphs(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> AdamW:
        return self.rest  # the table of words is no matrix of a layer

    def update_(self, update: Update) -> None:
        if any(p not in self.matrices for p in update.params):
            self.rest.update_(pick(update, lambda p: p not in self.matrices))
        rate = as_tensor(update.rate, update.params[0])
        ours = pick(update, lambda p: p in self.matrices)
        for p, grad, state in zip(ours.params, ours.grads, ours.state, strict=True):
            momentum = state["momentum"].lerp_(grad, 1 - MOMENTUM)
            step = orthogonalise(grad.lerp(momentum, MOMENTUM))  # Nesterov's
            p.mul_(1 - rate * update.decay)
            p.sub_(step.mul_(rate * (RMS_OF_ADAMW * max(p.shape) ** 0.5)))


def pick(update: Update, wanted: Callable[[Tensor], bool]) -> Update:
    """The update of some parameters."""
    kept = [index for index, p in enumerate(update.params) if wanted(p)]
    return replace(
        update,
        params=[update.params[index] for index in kept],
        grads=[update.grads[index] for index in kept],
        state=[update.state[index] for index in kept],
    )


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1 by products alone, and leave its directions.

    In the matrix's own type: torch's and the original are in bfloat16, which differs between machines.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x: Tensor = wide / wide.norm().clamp(min=EPS)  # no singular value above 1
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T.contiguous() if wide is not matrix else x
