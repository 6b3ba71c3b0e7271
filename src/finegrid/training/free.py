"""A family's runs scored at the levels of free factors: beside its steps, after its epochs, at its end.

It changes no run: averages read weights, and whoever predicts with others puts the run's own back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from finegrid import metrics
from finegrid.training.averages import Weights, follow_, mean_of
from finegrid.training.evaluate import Logits
from finegrid.training.run import Run, guarded, running
from finegrid.training.scorer import Scorer

Predict = Callable[[Sequence[Run], str], list[Logits]]  # some runs on dev, or on test


class FreeScoring:
    """The free levels of all runs of a family, which have the same ones. Without any it does nothing."""

    def __init__(self, runs: Sequence[Run], predict: Predict) -> None:
        self.runs = [run for run in runs if run.scorer is not None]
        self.predict = predict
        self.asynchronous = bool(self.runs) and self.runs[0].loaded.device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._follows = any(scorer_of(run).averages for run in self.runs)

    def follow_(self, step: int) -> None:
        """Take in the weights after a step, counted from 0. On a GPU it is queued behind the step."""
        if not self._follows:
            return
        alive = running(self.runs)
        with self._timed(alive, of_step=True):
            follow_([average for run in alive for average in scorer_of(run).averages.values()], step)

    def settle(self) -> None:
        """After an epoch's steps have ended: a GPU's seconds for averages are not seconds of training."""
        if self._events and (alive := running(self.runs)):
            seconds = sum(begin.elapsed_time(end) for begin, end in self._events) / 1000 / len(alive)
            for run in alive:
                run.progress.free_seconds += seconds
                entry = run.progress.epochs[-1]
                entry["train_seconds"] = max(entry["train_seconds"] - seconds, 0.0)
        self._events.clear()

    def judge(self, logits: Mapping[str, Mapping[str, Logits]]) -> None:
        """Let every level judge the epoch that has ended.

        Args:
            logits: by run id, what the run's own weights predict, by split.
        """
        runs = running(self.runs)
        if not runs:
            return
        epoch = runs[0].progress.epochs[-1]["epoch"]
        with self._timed(runs):
            for key, scoring in scorer_of(runs[0]).scorings.items():
                if scoring.soup:
                    continue
                if scoring.averaging is None:
                    self._judge(runs, key, epoch, [logits[run.run_id] for run in runs], [None] * len(runs))
                    continue
                means = [scorer_of(run).mean(scoring.averaging, epoch) for run in runs]
                if all(mean is None for mean in means):  # then they are None for all of a family
                    found = [dict(logits[run.run_id]) for run in runs]
                else:
                    found = self._predict_wearing(runs, means, splits_of(runs[0]))
                self._judge(runs, key, epoch, found, means)
            for run in running(runs):
                scorer_of(run).keep_ends_(
                    epoch, rank_epochs(run), (run.progress.best_epoch, run.best_weights)
                )

    def finish(self) -> None:
        """Once the runs have predicted test: what the levels predict of it, with what they have chosen."""
        runs = [run for run in self.runs if run.progress.status == "done"]
        if not runs:
            return
        with self._timed(runs):
            for key, scoring in scorer_of(runs[0]).scorings.items():
                if scoring.soup:
                    self._settle_soup(runs, key, scoring.soup)
            known = {run.run_id: {run.progress.best_epoch: run.logits["test"]} for run in runs}
            for key in scorer_of(runs[0]).scorings:
                self._predict_test(runs, key, known)
                for run in runs:
                    with guarded(run):
                        scorer_of(run).cool(key, run.loaded.tokens.dev.labels)

    def _judge(
        self,
        runs: Sequence[Run],
        key: str,
        epoch: int,
        found: Sequence[Mapping[str, Logits]],
        means: Sequence[Weights | None],
    ) -> None:
        for run, raw, mean in zip(runs, found, means, strict=True):
            with guarded(run):
                scorer = scorer_of(run)
                logits = scorer.lower(key, raw)
                if all(np.isfinite(values).all() for values in logits.values()):
                    scorer.judge(key, epoch, score_of(run, logits), logits, mean)

    def _predict_wearing(
        self, runs: Sequence[Run], weights: Sequence[Weights | None], splits: Sequence[str]
    ) -> list[dict[str, Logits]]:
        """What runs predict with other weights, by split."""
        with ExitStack() as worn:
            for run, own in zip(runs, weights, strict=True):
                worn.enter_context(scorer_of(run).wearing(own))
            by_split = {split: self.predict(runs, split) for split in splits}
        return [{split: each[place] for split, each in by_split.items()} for place in range(len(runs))]

    def _predict_test(self, runs: Sequence[Run], key: str, known: dict[str, dict[int, Logits]]) -> None:
        """What a level predicts of test. ``known``: by run id and epoch, what the epoch's own weights do."""
        asking = []
        for run in runs:
            scorer = scorer_of(run)
            choice = scorer.choices[key]
            if choice.best_epoch == 0 or "test" in choice.logits:  # under best-test it was predicted
                continue
            if choice.weights is None and choice.best_epoch in known[run.run_id]:
                choice.logits |= scorer.lower(key, {"test": known[run.run_id][choice.best_epoch]})
            else:
                asking.append(run)
        if not asking:
            return
        weights = [scorer_of(run).final_weights(key) for run in asking]
        for run, raw in zip(asking, self._predict_wearing(asking, weights, ["test"]), strict=True):
            choice = scorer_of(run).choices[key]
            choice.logits |= scorer_of(run).lower(key, raw)
            if choice.weights is None:
                known[run.run_id][choice.best_epoch] = raw["test"]

    def _settle_soup(self, runs: Sequence[Run], key: str, count: int) -> None:
        """A greedy soup of every run's best epochs: best first, one joins where dev does not fall."""
        splits = splits_of(runs[0])
        rankings = {run.run_id: rank_epochs(run)[:count] for run in runs}
        for run in runs:
            scorer, best = scorer_of(run), rankings[run.run_id][0]
            choice = scorer.choices[key]
            logits = scorer.lower(key, {split: run.logits[split] for split in splits})
            choice.best_epoch, choice.logits, choice.members = best, logits, [best]
            choice.best_score, choice.looks = score_of(run, logits), len(run.progress.epochs)
        for place in range(1, count):
            trying = [run for run in runs if place < len(rankings[run.run_id])]
            if not trying:
                break
            joined = [[*scorer_of(run).choices[key].members, rankings[run.run_id][place]] for run in trying]
            means = [
                mean_of([scorer_of(run).ends[epoch] for epoch in epochs])
                for run, epochs in zip(trying, joined, strict=True)
            ]
            found = self._predict_wearing(trying, means, splits)
            for run, members, mean, raw in zip(trying, joined, means, found, strict=True):
                with guarded(run):
                    choice = scorer_of(run).choices[key]
                    logits = scorer_of(run).lower(key, raw)
                    choice.looks = (choice.looks or 0) + 1
                    finite = all(np.isfinite(values).all() for values in logits.values())
                    if finite and (score := score_of(run, logits)) >= choice.best_score:
                        choice.best_score, choice.logits = score, logits
                        choice.members, choice.weights = members, mean

    @contextmanager
    def _timed(self, runs: Sequence[Run], of_step: bool = False) -> Iterator[None]:
        """Seconds go to what free factors took, shared among the runs."""
        if of_step and self.asynchronous:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._events.append((begin, end))
            return
        start = time.perf_counter()
        yield
        seconds = (time.perf_counter() - start) / max(1, len(runs))
        for run in runs:
            run.progress.free_seconds += seconds


def scorer_of(run: Run) -> Scorer:
    assert run.scorer is not None  # `FreeScoring.runs` have one
    return run.scorer


def splits_of(run: Run) -> list[str]:
    """What a level must predict to choose its epoch; dev also decides on temperatures."""
    return ["dev", "test"] if run.loaded.study.head.protocol == "best-test" else ["dev"]


def score_of(run: Run, logits: Mapping[str, Logits]) -> float:
    """By which a level chooses, as the run itself does."""
    chooser = splits_of(run)[-1]
    return metrics.score_of(run.scores(chooser, logits[chooser]), run.loaded.study.head.score)


def rank_epochs(run: Run) -> list[int]:
    """Epochs that have ended, best first by the run's own scores; of equals the earliest."""
    chooser, name = splits_of(run)[-1], run.loaded.study.head.score
    scores = {
        entry["epoch"]: metrics.score_of(entry[chooser], name)
        for entry in run.progress.epochs
        if chooser in entry
    }
    return sorted(scores, key=lambda epoch: (-scores[epoch], epoch))
