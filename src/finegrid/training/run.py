"""One run: a recipe with a seed, built up and stepped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from finegrid import metrics
from finegrid.model.packing.batches import Batch, Packed
from finegrid.model.rows import gradients_as_of_all
from finegrid.optim.updater import Number, Updater
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import MemoryNeeds, describe_failure, find_refusal
from finegrid.strategies.criterion import CROSS_ENTROPY, Blend, Outputs
from finegrid.strategies.scoring import Scoring
from finegrid.study.record import EnginePath
from finegrid.training.build import build_criterion, build_groups, build_model, build_rule, rates_at
from finegrid.training.evaluate import Logits
from finegrid.training.loaded import LoadedStudy
from finegrid.training.scorer import Choice, Scorer


class InState:
    """Weights to evaluate with that the update rule keeps beside those that it steps, and saves with them."""

    def __init__(self, optimizer: Updater, name: str) -> None:
        self.optimizer, self.name = optimizer, name

    def update(self) -> None: ...

    @contextmanager
    def applied(self) -> Iterator[None]:
        self._exchange_()
        try:
            yield
        finally:
            self._exchange_()

    @torch.no_grad()
    def _exchange_(self) -> None:
        for p, state in self.optimizer.state.items():
            stepped = p.clone()
            p.copy_(state[self.name])
            state[self.name].copy_(stepped)

    def tensors(self) -> dict[str, Tensor]:
        return {}


class DivergedError(Exception):
    """The loss, or a prediction, is no longer a finite number."""


@dataclass
class RunProgress:
    """What a run has to show so far. With its weights and moments, all that resuming needs."""

    status: str = "running"  # then stopped (early: it has still to predict test), done | diverged | failed
    reason: str = ""
    best_epoch: int = 0  # from 1; 0 while there is none
    best_score: float = -1.0  # mcc may be as low as -1: the first epoch is taken whatever it scores
    epochs: list[dict[str, Any]] = field(default_factory=list)
    memory: int = 0  # peak bytes of the process while the run's family trained
    test_seconds: float = 0.0
    path: EnginePath = "plain"
    free_seconds: float = 0.0  # for scoring it at the levels of free factors


class Run:
    def __init__(
        self,
        loaded: LoadedStudy,
        run_id: str,
        recipe: Recipe,
        seed: int,
        free: Mapping[str, Scoring] | None = None,
    ) -> None:
        """``free``: how it is scored beside its own way, by the keys of free levels; it trains as without."""
        self.loaded, self.run_id, self.recipe, self.seed = loaded, run_id, recipe, seed
        setting = loaded.setting(seed, recipe)
        self.model = build_model(loaded, recipe, seed)
        self.criterion = build_criterion(recipe, setting)
        rule = build_rule(recipe, self.model, setting)
        self.optimizer = Updater(build_groups(recipe, self.model), rule)
        # Both are asked in every step, and worked out once.
        self.acting, self.shares_prefix = recipe.acting, recipe.shares_prefix
        self.waits = any("factor" in group for group in self.optimizer.groups)
        self.micro_batch = recipe.training.portion  # texts; 0: whole batches
        self.averagers = [a for strategy in self.acting if (a := strategy.averager(self.model))]
        if rule.evaluated:
            self.averagers.append(InState(self.optimizer, rule.evaluated))
        self.total_steps = loaded.steps_per_epoch(recipe) * recipe.training.epochs
        self.blend: Blend | None = None  # of the batch that is read now, where a strategy mixes its texts
        self.clipped: Tensor | None = None  # steps of this epoch; nan if gradients were not finite
        self.best_weights: dict[str, Tensor] = {}
        self.logits: dict[str, Logits] = {}  # of dev and test, at the best epoch
        self.progress = RunProgress()
        self.scorer = self._make_scorer(free) if free else None

    def _make_scorer(self, free: Mapping[str, Scoring]) -> Scorer:
        labels = self.loaded.training_texts(self.recipe).labels
        return Scorer(free, self.trained(), self.total_steps, labels, len(self.loaded.tokens.labels))

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

        def once_more() -> None:
            self._add_gradients_(batch, step)

        shifts = any(strategy.shifts for strategy in self.acting)
        self.pair_(batch, step)
        with self.leaving_alone(step), self.model.shifting(batch, shifts):
            for strategy in self.acting:
                strategy.move_words(self.model, batch, step)
            value = self._add_gradients_(batch, step, check=True)
            for strategy in self.acting:
                strategy.more_gradients(self.model, batch, once_more)
        return value

    @contextmanager
    def leaving_alone(self, step: int) -> Iterator[None]:
        """Compute no gradients, until the end, of what a step leaves alone."""
        rates = self.rates(step) if self.waits else []
        groups = [group for group, rate in zip(self.optimizer.groups, rates, strict=False) if rate is None]
        waiting = [p for group in groups for p in group["params"]]
        for p in waiting:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in waiting:
                p.requires_grad_(True)

    def _add_gradients_(self, batch: Batch, step: int, check: bool = False) -> float:
        """Add the gradients of the mean over a batch's texts, portion by portion. Returns that mean.

        Raises:
            DivergedError: the loss is not finite, and that is to be checked.
        """
        portions = batch.portions(self.micro_batch)
        total = 0.0
        with self.model.hold_still(len(portions) > 1):
            for portion in portions:
                loss = self._loss_of(portion, step)
                if len(portions) > 1:
                    loss = loss * (len(portion.lengths) / len(batch.lengths))
                total += float(loss.detach())
                if check:
                    self.check(total, step)
                loss.backward()
        return total

    def _loss_of(self, portion: Packed, step: int) -> Tensor:
        """The mean over the texts of a portion, with what strategies add by passes of their own."""

        def read() -> Tensor:
            return self.outputs_of((self.model.features(portion, step),), portion).logits[0]

        outputs = self.outputs(portion, step)
        loss = self.loss(outputs)
        for strategy in self.acting:
            more = strategy.more_losses(self.model, portion, outputs, read, step)
            loss = loss if more is None else loss + more.mean()
        return loss

    def pair_(self, batch: Batch, step: int) -> None:
        """Find a partner for every text of a batch, where a strategy mixes them."""
        if self.criterion.pair is not None:
            partners, share = self.draw_pairs(batch, step)
            device = batch.labels.device
            self.blend = Blend(torch.from_numpy(partners).to(device), torch.tensor(share, device=device))

    def draw_pairs(self, batch: Batch, step: int) -> tuple[NDArray[np.int64], float]:
        """The same as numbers, where a strategy mixes texts."""
        assert self.criterion.pair is not None
        epoch, number = divmod(step, self.loaded.steps_per_epoch(self.recipe))
        return self.criterion.pair(epoch, number, batch.rows)

    @property
    def hides_words(self) -> bool:
        """Whether a batch of its may have tokens whose words are not read."""
        return any(strategy.hides_words for strategy in self.acting)

    @property
    def needs(self) -> MemoryNeeds:
        """What it has in memory at once, for messages."""
        return MemoryNeeds(self.micro_batch or self.recipe.training.batch_size, self.model.engine.recompute)

    def outputs(self, batch: Packed, step: int) -> Outputs:
        """What the model says of a batch, as often as the criterion wants to see it."""
        features = tuple(self.model.features(batch, step) for _ in range(self.criterion.views))
        return self.outputs_of(features, batch)

    def outputs_of(self, features: tuple[Tensor, ...], batch: Packed) -> Outputs:
        """What the head says of the vectors of each view, as often as the criterion wants to hear it."""
        samples, blend = range(self.criterion.samples), self.blend
        read = features if blend is None else [blend.of(vectors) for vectors in features]
        by_view = [tuple(self.model.head(vectors).float() for _ in samples) for vectors in read]
        first, more = tuple(passes[0] for passes in by_view), tuple(passes[1:] for passes in by_view)
        return Outputs(first, features, batch.labels, batch.texts, more, blend)

    def loss(self, outputs: Outputs) -> Tensor:
        """The mean over the texts of what the criterion says of each."""
        if self.criterion is CROSS_ENTROPY:
            return F.cross_entropy(outputs.logits[0], outputs.labels)  # the same but for rounding, and faster
        return self.criterion.losses(outputs).mean()

    def check(self, loss: float, step: int) -> None:
        """Refuse a loss that is not finite.

        Raises:
            DivergedError: it is not.
        """
        if not np.isfinite(loss):
            raise DivergedError(f"the loss was {loss} at step {step + 1} of {self.total_steps}")

    def check_gradients(self, clipped: float, where: str) -> None:
        """Refuse gradients whose norm is not finite: scaled by it, they would be nothing.

        Args:
            clipped: steps that were, see `change_gradients_`.
            where: they were met, for the message.

        Raises:
            DivergedError: it is not.
        """
        if not np.isfinite(clipped):
            raise DivergedError(f"the norm of the gradients was not finite at {where}")

    def update(self, step: int) -> None:
        """The second half of a step: spends the gradients.

        Raises:
            DivergedError: the norm of the gradients is not finite, and a strategy looks at it.
        """
        self.change_gradients_()
        if self.clipped is not None:
            self.check_gradients(float(self.clipped), f"step {step + 1} of {self.total_steps}")
        self.spend_(step)

    @torch.no_grad()
    def change_gradients_(self) -> None:
        """What strategies do to the gradients before they are spent."""
        changing = [strategy for strategy in self.acting if strategy.overrides("change_gradients_")]
        if changing:
            with gradients_as_of_all(self.table, self.optimizer.gradients()) as gradients:
                for strategy in changing:
                    self._count_(strategy.change_gradients_(gradients))

    def _count_(self, clipped: Tensor | None) -> None:
        """Add to the steps that were clipped, on the device and in one place: a graph writes there, too."""
        if clipped is not None:
            self.clipped = clipped if self.clipped is None else self.clipped.add_(clipped)

    def spend_(self, step: int) -> None:
        """What turns gradients into new values."""
        rates = self.rates(step)
        self.optimizer.count_(rates)
        self.spend_by_(rates, self.optimizer.updates)

    def rates(self, step: int) -> list[float | None]:
        """Of every parameter group at a step; None of a group that is left alone."""
        return rates_at(self.acting, self.optimizer.groups, step, self.total_steps)

    @torch.no_grad()
    def spend_by_(self, rates: Sequence[Number | None] | Tensor, updates: Sequence[Number] | Tensor) -> None:
        """The same by numbers, which lie in tensors where a step is captured.

        Args:
            rates: ``[groups]``.
            updates: ``[groups]``, the number of this update.
        """
        self.optimizer.update_(rates, updates)
        self.optimizer.zero_grad()
        for averager in self.averagers:
            averager.update()

    def judge(self, logits: dict[str, Logits]) -> None:
        """Take in an epoch's predictions, and keep weights and predictions if it is the best so far.

        Args:
            logits: of ``dev``; under the protocol ``best-test`` of ``test`` too, which then chooses.

        Raises:
            DivergedError: a prediction is not finite, or the norm of the epoch's gradients was not.
        """
        entry = self.progress.epochs[-1]
        if self.clipped is not None:
            self.check_gradients(clipped := float(self.clipped), f"a step of epoch {entry['epoch']}")
            entry["clipped"] = int(clipped)
            self.clipped.zero_()
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

    @property
    def chosen(self) -> dict[str, Choice]:
        """What every level of free factors has chosen; without those that found nothing finite."""
        choices = {} if self.scorer is None else self.scorer.choices
        return {key: choice for key, choice in choices.items() if choice.best_epoch}

    def scores(self, split: str, logits: Logits) -> dict[str, Any]:
        """All scores of predictions of ``dev`` or ``test``."""
        tokens = self.loaded.tokens
        return metrics.summary(getattr(tokens, split).labels, logits, tokens.labels)

    @property
    def table(self) -> nn.Embedding:
        """Of words. It holds the rows that the study's texts need, unless something looks at all."""
        return self.model.parts.embedding_table

    def trained(self) -> dict[str, Tensor]:
        """Trainable parameters by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def restore_best_(self) -> None:
        for name, p in self.trained().items():
            p.copy_(self.best_weights[name])


def running(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.progress.status == "running"]


def trained(runs: Sequence[Run]) -> list[Run]:
    """Once no more steps are made: those that have still to predict test, whether they ended early or not."""
    return [run for run in runs if run.progress.status in ("running", "stopped")]


def stop_early_(runs: Sequence[Run]) -> None:
    """End the runs whose patience with dev is over. Who is left goes on as if they were there."""
    for run in running(runs):
        if run.recipe.training.ends(len(run.progress.epochs), run.progress.best_epoch):
            run.progress.status = "stopped"


@contextmanager
def guarded(*runs: Run) -> Iterator[None]:
    """Runs that diverge or fail end as that, with the reason; the others go on.

    Raises:
        Exception: the system refuses what no run can do without: see `find_refusal`.
    """
    try:
        yield
    except DivergedError as error:
        end(runs, "diverged", str(error))
    except Exception as error:  # whatever it was, the ledger tells it and the study goes on
        if find_refusal(error) is not None:
            raise  # the next run would meet it, too
        end(runs, "failed", describe_failure(error, runs[0].needs if runs else None))


def end(runs: Iterable[Run], status: str, reason: str) -> None:
    for run in runs:
        run.progress.status, run.progress.reason = status, reason
