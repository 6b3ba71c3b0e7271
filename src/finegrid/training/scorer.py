"""The levels of free factors of one run: the averages that follow it, and what each level has chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finegrid.strategies.scoring import Averaging, EpochEnds, Scoring
from finegrid.training.adjusting import adjust_head_, divide, fit_temperature, log_shares, lower_by_shares
from finegrid.training.averages import StepAverage, Weights, average_of, copy_of, mean_of
from finegrid.training.evaluate import Logits


@dataclass
class Choice:
    """What one level has chosen so far, and what it predicts with it.

    Attributes:
        best_epoch: from 1; 0 while there is none.
        best_score: by which it was chosen.
        weights: averaged ones; None: those of that epoch.
        logits: by split, of that epoch, class shares taken off.
        temperature: that they are divided by, once the run has ended.
        members: epochs that a soup is made of.
        looks: how often dev was scored to choose them.
    """

    best_epoch: int = 0
    best_score: float = -1.0
    weights: Weights | None = None
    logits: dict[str, Logits] = field(default_factory=dict)
    temperature: float | None = None
    members: list[int] = field(default_factory=list)
    looks: int | None = None


class Scorer:
    """Scores a run at levels of free factors. Touches neither its weights nor what it has chosen."""

    def __init__(
        self,
        scorings: Mapping[str, Scoring],
        weights: Weights,
        steps: int,
        labels: NDArray[np.int64],
        classes: int,
    ) -> None:
        """
        Args:
            scorings: by the key of each level.
            weights: of the run, as they are before its first step.
            steps: of the whole run.
            labels: of the training texts.
            classes: how many there are.
        """
        self.scorings, self.weights = dict(scorings), dict(weights)
        self.shares = log_shares(labels, classes)
        self.averages: dict[Averaging, StepAverage] = {}
        for kind in (scoring.averaging for scoring in self.scorings.values()):
            if kind is not None and (average := average_of(kind, self.weights, steps)) is not None:
                self.averages[kind] = average
        self.choices = {key: Choice() for key in self.scorings}
        self.ends: dict[int, Weights] = {}  # weights by epoch, as long as some level may need them

    def mean(self, averaging: Averaging, epoch: int) -> Weights | None:
        """The averaged weights after an epoch, from 1; None where they are those of the epoch itself."""
        if not isinstance(averaging, EpochEnds):
            return self.averages[averaging].mean()
        before = [self.ends[one] for one in range(max(1, epoch - averaging.count + 1), epoch)]
        return mean_of([*before, self.weights]) if before else None

    def lower(self, key: str, logits: Mapping[str, Logits]) -> dict[str, Logits]:
        """What a level makes of logits, but for its temperature."""
        tau = self.scorings[key].tau
        return {split: lower_by_shares(values, tau, self.shares) for split, values in logits.items()}

    def judge(
        self, key: str, epoch: int, score: float, logits: dict[str, Logits], mean: Weights | None
    ) -> None:
        """Take in what a level makes of an epoch, if it is the best so far, or the last one counts.

        Args:
            key: of the level.
            epoch: from 1.
            score: of these logits; ties go to the earliest epoch.
            logits: by split.
            mean: averaged weights that gave them; None: those of the epoch itself.
        """
        choice, scoring = self.choices[key], self.scorings[key]
        if choice.best_epoch and not scoring.last_epoch and score <= choice.best_score:
            return
        choice.best_epoch, choice.best_score, choice.logits = epoch, score, logits
        choice.weights = None if mean is None else copy_of(mean)

    def keep_ends_(self, epoch: int, ranking: Sequence[int], best: tuple[int, Weights]) -> None:
        """Keep the weights of an epoch that has ended if some level may need them, and drop what none does.

        Args:
            epoch: from 1.
            ranking: all epochs so far, best first by the run's own scores.
            best: the run's best epoch, and the weights that it keeps of it anyway.
        """
        needed = self.needed_ends(epoch, ranking)
        if epoch in needed:
            self.ends[epoch] = copy_of(self.weights) if epoch != best[0] else best[1]
        self.ends = {one: weights for one, weights in self.ends.items() if one in needed}

    def needed_ends(self, epoch: int, ranking: Sequence[int]) -> set[int]:
        """Epochs whose weights some level may need after this one."""
        needed: set[int] = set()
        for key, scoring in self.scorings.items():
            match scoring.averaging:
                case EpochEnds(count):
                    needed.update(range(max(1, epoch - count + 2), epoch + 1))
            if self.choices[key].weights is None:
                needed.add(self.choices[key].best_epoch)
            needed.update(ranking[: scoring.soup])
        return needed - {0}

    def final_weights(self, key: str) -> Weights:
        """Those that a level predicts with, once it has chosen."""
        choice = self.choices[key]
        return self.ends[choice.best_epoch] if choice.weights is None else choice.weights

    def cool(self, key: str, gold: NDArray[np.int64]) -> None:
        """Divide a level's logits by its temperature. ``gold``: labels of dev."""
        choice = self.choices[key]
        if self.scorings[key].cools and choice.best_epoch:
            choice.temperature = fit_temperature(choice.logits["dev"], gold)
            choice.logits = {split: divide(z, choice.temperature) for split, z in choice.logits.items()}

    def become_(self, key: str, head: nn.Module) -> None:
        """Give the run the weights of a level, its adjustment of logits included: to be kept as a model."""
        for name, t in self.final_weights(key).items():
            self.weights[name].data.copy_(t)
        adjust_head_(head, self.scorings[key].tau, self.shares, self.choices[key].temperature or 1.0)

    @contextmanager
    def wearing(self, weights: Weights | None) -> Iterator[None]:
        """With other weights; afterwards with the very tensors of before. None: with its own."""
        own = {name: p.data for name, p in self.weights.items()}
        try:
            for name, t in (weights or {}).items():
                self.weights[name].data = t
            yield
        finally:
            for name, t in own.items():
                self.weights[name].data = t

    # State between epochs

    def about(self) -> dict[str, Any]:
        """What no tensor says, for JSON."""
        return {key: [choice.best_epoch, choice.best_score] for key, choice in self.choices.items()}

    def tensors(self, best: Weights) -> dict[str, Tensor]:
        """All tensors, by name. ``best``: weights that the run itself keeps, and saves."""
        found: dict[str, Tensor] = {}
        for index, average in enumerate(self.averages.values()):
            found |= {f"average/{index}/{name}": t for name, t in average.tensors().items()}
        for epoch, weights in self.ends.items():
            if weights is not best:
                found |= {f"end/{epoch}/{name}": t for name, t in weights.items()}
        for key, choice in self.choices.items():
            found |= {f"chosen/{key}/{name}": t for name, t in (choice.weights or {}).items()}
            found |= {
                f"logits/{key}/{split}": torch.from_numpy(z).clone() for split, z in choice.logits.items()
            }
        return found

    def fill_(self, saved: Mapping[str, Tensor], about: Mapping[str, Any], best: tuple[int, Weights]) -> None:
        """The inverse of `tensors` and `about`. ``best``: the run's own epoch, and its weights."""
        device = next(iter(self.weights.values())).device
        groups: dict[str, dict[str, Tensor]] = {}
        for name, t in saved.items():
            kind, group, rest = name.split("/", 2)
            groups.setdefault(f"{kind}/{group}", {})[rest] = t if kind == "logits" else t.to(device)
        for index, average in enumerate(self.averages.values()):
            average.fill_(groups.get(f"average/{index}", {}))
        self.ends = {
            int(group.partition("/")[2]): weights for group, weights in groups.items() if group[:4] == "end/"
        }
        for key, choice in self.choices.items():
            choice.best_epoch, choice.best_score = about[key]
            choice.weights = groups.get(f"chosen/{key}")
            choice.logits = {split: z.numpy() for split, z in groups.get(f"logits/{key}", {}).items()}
        if best[0]:
            self.ends.setdefault(*best)

    @property
    def keys(self) -> Collection[str]:
        return self.scorings.keys()
