"""Missing runs of a large table, by the structure of the additive model.

`outcomes.Completion.operator` writes every value as a weighted sum of finished runs: recipes x seeds x runs
numbers. Here the same follows from tables of seeds x seeds, so that the cost grows with the recipes.

A missing run stands at the mean of its recipe's runs + the effect of its seed - the mean effect of the seeds
in which the recipe ran. The effects of seeds solve C b = R y, where R takes the recipe's mean off every run
and C = R R'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CHUNK = 256  # recipes at a time


@dataclass(frozen=True)
class Gaps:
    """How missing runs follow from finished ones.

    Attributes:
        ran: ``[recipes, seeds]``, which runs finished; every recipe and every seed has one.
    """

    ran: NDArray[np.bool_]

    @cached_property
    def connected(self) -> NDArray[np.bool_]:
        """``[recipes, seeds]``: whether the runs connect the recipe with the seed."""
        linked = (self.ran.T.astype(int) @ self.ran.astype(int)) > 0  # [seeds, seeds], share a recipe
        for _ in range(len(linked)):
            linked = (linked.astype(int) @ linked.astype(int)) > 0
        reached: NDArray[np.bool_] = (self.ran.astype(int) @ linked.astype(int)) > 0
        return reached

    def fill_(self, values: NDArray[np.floating[Any]]) -> None:
        """Put the missing runs in. ``values``: ``[recipes, seeds]`` or ``[recipes, seeds, texts]``."""
        ran = self.ran.reshape(*self.ran.shape, *[1] * (values.ndim - 2))
        count = self._count.reshape(-1, *[1] * (values.ndim - 2))
        total = np.zeros(values.shape[1:])
        parts = [slice(start, start + CHUNK) for start in range(0, len(values), CHUNK)]
        for part in parts:
            known = np.where(ran[part], values[part], 0.0)
            total += np.where(ran[part], known - (known.sum(axis=1) / count[part])[:, None], 0.0).sum(axis=0)
        seeds = np.tensordot(self._inverse, total, axes=1)
        for part in parts:
            known = np.where(ran[part], values[part], 0.0)
            own = known.sum(axis=1) / count[part]
            shared = np.tensordot(self._mean[part], seeds, axes=1)
            put = (own - shared)[:, None] + seeds
            put = np.where(self.connected[part].reshape(ran[part].shape), put, 0.0)
            values[part] = np.where(ran[part], values[part], put)

    def spreads(self, weights: Any) -> tuple[Floats, Floats]:
        """For weighted sums over recipes, a value per seed as weighted sums of finished runs, A y.

        Args:
            weights: ``[sums, recipes]``, an array or a sparse one, over recipes that are connected.

        Returns:
            A A', ``[sums, seeds, seeds]``; and D, of the same shape: of what one seed's runs add to all of
            its recipes, in the direction of the sum itself, the part that each seed's value picks up.
        """
        seeds = self.ran.shape[1]
        shape = (-1, seeds, seeds)
        squares = weights**2
        size = np.asarray(squares.sum(axis=1))
        local, centring, filling = self._tables
        own = np.asarray(squares @ (local @ local.transpose(0, 2, 1)).reshape(len(local), -1)).reshape(shape)
        mixed = np.asarray(weights @ (local @ centring.transpose(0, 2, 1)).reshape(len(local), -1))
        shift = np.asarray(weights @ filling.reshape(len(local), -1)).reshape(shape)
        mixed = mixed.reshape(shape) @ self._inverse @ shift.transpose(0, 2, 1)
        product = own + mixed + mixed.transpose(0, 2, 1) + shift @ self._inverse @ shift.transpose(0, 2, 1)
        direct = np.asarray(squares @ local.reshape(len(local), -1)).reshape(shape)
        along = np.asarray(weights @ centring.reshape(len(local), -1)).reshape(shape)
        return product, (direct + shift @ self._inverse @ along) / size[:, None, None]

    @cached_property
    def _count(self) -> Floats:
        """``[recipes]``, finished runs."""
        return np.asarray(self.ran.sum(axis=1), dtype=float)

    @cached_property
    def _mean(self) -> Floats:
        """``[recipes, seeds]``: weights of the mean over the recipe's seeds."""
        return self.ran / self._count[:, None]

    @cached_property
    def _inverse(self) -> Floats:
        """``[seeds, seeds]``: of C."""
        crossed = np.diag(self.ran.sum(axis=0)) - self._mean.T @ self.ran
        return np.asarray(np.linalg.pinv(crossed, rcond=1e-10, hermitian=True))

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats]:
        """``[recipes, seeds, seeds]`` each: a recipe's values by its own runs; R; by the effects of seeds."""
        seeds = self.ran.shape[1]
        eye = np.eye(seeds)
        ran = self.ran.astype(float)
        absent = (~self.ran & self.connected).astype(float)
        local = ran[:, :, None] * eye + absent[:, :, None] * self._mean[:, None, :]
        centring = ran[:, None, :] * (eye - self._mean[:, :, None])  # column: a run; row: an effect
        filling = absent[:, :, None] * (eye - self._mean[:, None, :])
        return local, centring, filling
