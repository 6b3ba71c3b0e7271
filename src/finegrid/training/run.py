"""One run: a recipe with a seed, built up and stepped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from finegrid import metrics
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Batch
from finegrid.optim.adamw import AdamW
from finegrid.recipe.recipe import Recipe
from finegrid.training.evaluate import Logits
from finegrid.training.loaded import LoadedStudy


class DivergedError(Exception):
    """The loss, or a prediction, is no longer a finite number."""


def cross_entropy(model: Classifier, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch).float(), batch.labels)


@dataclass
class RunProgress:
    """What a run has to show so far. With its weights and moments, all that resuming needs."""

    status: str = "running"  # then done | diverged | failed
    reason: str = ""
    best_epoch: int = 0  # from 1; 0 while there is none
    best_score: float = -1.0  # mcc may be as low as -1: the first epoch is taken whatever it scores
    epochs: list[dict[str, Any]] = field(default_factory=list)
    memory: int = 0  # peak bytes of the process while the run's family trained
    test_seconds: float = 0.0


class Run:
    def __init__(self, loaded: LoadedStudy, run_id: str, recipe: Recipe, seed: int) -> None:
        self.loaded, self.run_id, self.recipe, self.seed = loaded, run_id, recipe, seed
        self.model = loaded.classifier(recipe, seed)
        for strategy in recipe.strategies:
            strategy.prepare_model(self.model, loaded.setting(seed))
        groups = recipe.optimizer.param_groups(self.model)
        self.loss_fn: Callable[[Classifier, Batch], Tensor] = cross_entropy
        for strategy in recipe.strategies:
            groups = strategy.param_groups(groups, self.model)
            self.loss_fn = strategy.wrap_loss(self.loss_fn)
        self.optimizer = AdamW(groups, bias_correction=recipe.optimizer.bias_correction)
        self.averagers = [a for strategy in recipe.strategies if (a := strategy.averager(self.model))]
        self.total_steps = loaded.steps_per_epoch(recipe) * recipe.training.epochs
        self.best_weights: dict[str, Tensor] = {}
        self.logits: dict[str, Logits] = {}  # of dev and test, at the best epoch
        self.progress = RunProgress()

    def step(self, batch: Batch, step: int) -> float:
        """Train on one batch. Returns the loss.

        Raises:
            DivergedError: the loss is not finite.
        """
        value = self.backward(batch, step)
        self.update(step)
        return value

    def backward(self, batch: Batch, step: int) -> float:
        """The first half of a step: leaves gradients. Returns the loss.

        Raises:
            DivergedError: the loss is not finite.
        """
        self.model.clock.step = step
        loss = self.loss_fn(self.model, batch)
        value = float(loss.detach())
        self.check(value, step)
        loss.backward()
        for strategy in self.recipe.strategies:
            strategy.after_backward(self.model, batch, self.loss_fn)
        return value

    def check(self, loss: float, step: int) -> None:
        """Refuse a loss that is not finite.

        Raises:
            DivergedError: it is not.
        """
        if not np.isfinite(loss):
            raise DivergedError(f"the loss was {loss} at step {step + 1} of {self.total_steps}")

    def update(self, step: int) -> None:
        """The second half of a step: spends the gradients."""
        self.optimizer.step(self.recipe.schedule.factor(step, self.total_steps))
        self.optimizer.zero_grad()
        for averager in self.averagers:
            averager.update()

    def judge(self, logits: dict[str, Logits]) -> None:
        """Take in an epoch's predictions, and keep weights and predictions if it is the best so far.

        Args:
            logits: of ``dev``; under the protocol ``best-test`` of ``test`` too, which then chooses.

        Raises:
            DivergedError: a prediction is not finite.
        """
        entry = self.progress.epochs[-1]
        for name, values in logits.items():
            if not np.isfinite(values).all():
                raise DivergedError(f"a {name} prediction was not finite after epoch {entry['epoch']}")
            entry[name] = self.scores(name, values)
        chooser = "test" if self.loaded.study.head.protocol == "best-test" else "dev"
        score = metrics.score_of(entry[chooser], self.loaded.study.head.score)
        if self.progress.best_epoch == 0 or score > self.progress.best_score:  # ties go to the earliest epoch
            self.progress.best_epoch, self.progress.best_score = entry["epoch"], score
            self.logits = dict(logits)
            self.best_weights = {name: p.detach().clone() for name, p in self.trained().items()}

    def take_test(self, logits: Logits) -> None:
        """Take in the predictions of test at the best epoch.

        Raises:
            DivergedError: a prediction is not finite.
        """
        if not np.isfinite(logits).all():
            raise DivergedError(f"a test prediction was not finite at epoch {self.progress.best_epoch}")
        self.logits["test"] = logits

    def scores(self, split: str, logits: Logits) -> dict[str, Any]:
        """All scores of predictions of ``dev`` or ``test``."""
        tokens = self.loaded.tokens
        return metrics.summary(getattr(tokens, split).labels, logits, tokens.labels)

    def trained(self) -> dict[str, Tensor]:
        """Trainable parameters by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def restore_best_(self) -> None:
        for name, p in self.trained().items():
            p.copy_(self.best_weights[name])


def running(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.progress.status == "running"]


@contextmanager
def guarded(*runs: Run) -> Iterator[None]:
    """Runs that diverge or fail end as that, with the reason; the others go on."""
    try:
        yield
    except DivergedError as error:
        end(runs, "diverged", str(error))
    except Exception as error:  # whatever it was, the ledger tells it and the study goes on
        end(runs, "failed", f"{type(error).__name__}: {error}")


def end(runs: Iterable[Run], status: str, reason: str) -> None:
    for run in runs:
        run.progress.status, run.progress.reason = status, reason
