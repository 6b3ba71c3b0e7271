"""Averages of a run's weights that follow its steps, and means of weights that were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from finegrid.strategies.scoring import Averaging, Moving, Snapshots

Weights = Mapping[str, Tensor]  # of all that trains, by name


class MovingAverage:
    """m = d m + (1 - d) theta after each update; until the window is full, the mean of all so far."""

    def __init__(self, kind: Moving, weights: Weights, steps: int) -> None:
        """``steps``: of the whole run. ``weights``: that train; looked at anew after every step."""
        self.decay = max(0.0, 1 - 1 / (kind.window * steps))
        self.weights = list(weights.values())
        self.means = {name: p.detach().clone() for name, p in weights.items()}

    def decay_at(self, step: int) -> float:
        """At an update, counted from 0: that of a plain mean until the window is full."""
        return min(self.decay, step / (step + 1))

    def mean(self) -> Weights | None:
        """The very tensors that go on to change."""
        return self.means

    def tensors(self) -> dict[str, Tensor]:
        return {f"mean/{name}": t for name, t in self.means.items()}

    def fill_(self, saved: Weights) -> None:
        for name, mean in self.means.items():
            mean.copy_(saved[f"mean/{name}"])


class LatestSnapshots:
    """The latest few snapshots, evenly spaced in steps."""

    def __init__(self, kind: Snapshots, weights: Weights, steps: int) -> None:
        """``steps``: of the whole run. ``weights``: that train; looked at anew after every step."""
        self.count = kind.count
        self.every = max(1, round(kind.window * steps / kind.count))
        self.weights = weights
        self.taken: dict[int, Weights] = {}  # by the number of steps that were done

    def follow_(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        if (step + 1) % self.every == 0:
            if len(self.taken) == self.count:
                del self.taken[min(self.taken)]
            self.taken[step + 1] = copy_of(self.weights)

    def mean(self) -> Weights | None:
        """None as long as there is none."""
        return mean_of([self.taken[step] for step in sorted(self.taken)]) if self.taken else None

    def tensors(self) -> dict[str, Tensor]:
        return {f"{step}/{name}": t for step, taken in self.taken.items() for name, t in taken.items()}

    def fill_(self, saved: Weights) -> None:
        self.taken = {}
        for key, t in saved.items():
            step, _, name = key.partition("/")
            self.taken[int(step)] = {**self.taken.get(int(step), {}), name: t}


StepAverage = MovingAverage | LatestSnapshots


def average_of(kind: Averaging | None, weights: Weights, steps: int) -> StepAverage | None:
    """What follows a run's steps; None where nothing does. ``weights``: as they are before the first step."""
    match kind:
        case Moving():
            return MovingAverage(kind, weights, steps)
        case Snapshots():
            return LatestSnapshots(kind, weights, steps)
    return None


@torch.no_grad()
def follow_(averages: Sequence[StepAverage], step: int) -> None:
    """Take in the weights after a step (counted from 0) of all runs of a family: few calls, whole lists."""
    by_decay: dict[float, tuple[list[Tensor], list[Tensor]]] = {}
    for average in averages:
        if isinstance(average, LatestSnapshots):
            average.follow_(step)
            continue
        means, weights = by_decay.setdefault(average.decay_at(step), ([], []))
        means.extend(average.means.values())
        weights.extend(average.weights)
    for decay, (means, weights) in by_decay.items():
        torch._foreach_lerp_(means, weights, 1 - decay)


@torch.no_grad()
def copy_of(weights: Weights) -> Weights:
    return {name: p.detach().clone() for name, p in weights.items()}


@torch.no_grad()
def mean_of(each: Sequence[Weights]) -> Weights:
    """Summed in float64, in the given order. Of one: itself."""
    if len(each) == 1:
        return each[0]
    return {
        name: (torch.stack([weights[name].double() for weights in each]).sum(dim=0) / len(each)).to(t.dtype)
        for name, t in each[0].items()
    }
