"""The pre-training loop, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from finegrid.optim.adamw import AdamW
from finegrid.optim.updater import ParamGroup, Updater
from finegrid.pretraining.batches import MaskedBatch, make_masked_batches
from finegrid.pretraining.examples import Examples, Vocabulary
from finegrid.pretraining.growing import grow
from finegrid.pretraining.heads import Pretrainer
from finegrid.pretraining.pairs import PairedEpoch, draw_epoch
from finegrid.pretraining.schedule import PretrainSchedule
from finegrid.pretraining.settings import PretrainSettings
from finegrid.pretraining.shards import Sums, Threads
from finegrid.pretraining.state import PretrainProgress, load_progress, load_state_, save_state
from finegrid.pretraining.words import say
from finegrid.spelling import Lang, Telling
from finegrid.streams import Streams
from finegrid.unfit import UnfitError, set_aside, tell_set_aside

LARGEST_NORM = 1.0  # of the gradient (Devlin et al. 2019, code)
SAVE_SECONDS = 120.0
TELL_SECONDS = 15.0
POINTS = 20  # of the loss curve, and the start


@dataclass(frozen=True)
class PretrainTexts:
    """Examples to learn from, examples held out to judge by, and their vocabulary."""

    train: Examples
    held_out: Examples
    vocabulary: Vocabulary


class PretrainLoop:
    """One run, from its saved state to its end."""

    def __init__(
        self,
        settings: PretrainSettings,
        texts: PretrainTexts,
        model: Any,
        state: Path,
        threads: int,
        tell: Callable[[Telling], None],
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        """Prepare, and go on from ``state`` if there is one.

        Args:
            settings: checked.
            texts: tokenised by the model's tokeniser.
            model: a ``transformers.BertForPreTraining`` of the first stage's depth.
            state: the file that the run is saved to.
            threads: cores to use; results do not depend on them. A GPU needs one.
            tell: is given lines of progress.
            save_seconds: between two saves.
        """
        self.settings, self.texts, self.state, self.tell = settings, texts, state, tell
        self.device = torch.device(settings.device)
        self.threads = threads if self.device.type == "cpu" else 1
        self.save_seconds = save_seconds
        self.streams = Streams(settings.seed)
        depth = model.config.num_hidden_layers
        self.schedule = PretrainSchedule(settings, settings.grow or (depth,))
        self.heads = model.config.num_attention_heads
        self.progress = PretrainProgress(layers=depth)
        self._take_over_(model)
        try:
            self._go_on_(model)
        except UnfitError as unfit:  # found before anything was filled
            set_aside(state)
            self.tell(tell_set_aside(str(state), unfit.reason))
            self.progress = PretrainProgress(layers=depth)
            self._take_over_(model)

    def _go_on_(self, model: Any) -> None:
        """Take over what was saved, if anything was.

        Raises:
            UnfitError: nothing can go on from it.
        """
        saved = load_progress(self.state)
        if saved is None:
            return
        stages = self.settings.grow or (self.progress.layers,)
        if saved.layers not in stages or saved.batch >= self._draw_epoch(saved.epoch).batches:
            raise UnfitError("other progress", f"{saved.layers} layers, batch {saved.batch}")
        if saved.layers != self.progress.layers:
            self._take_over_(grow(model, saved.layers))
        load_state_(self.state, self.model, self.optimizer)
        self.progress = saved

    def _take_over_(self, model: Any) -> None:
        compute = torch.bfloat16 if self.settings.precision == "bf16" else model.dtype
        self.model = Pretrainer(model.to(self.device), self.streams, compute, self.settings.dropout).train()
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        decay = self.settings.weight_decay
        groups: list[ParamGroup] = [
            {"params": matrices, "lr": 1.0, "weight_decay": decay},
            {"params": vectors, "lr": 1.0, "weight_decay": 0.0},
        ]
        self.optimizer = Updater(groups, AdamW())

    def run(self) -> None:
        """Train to the end."""
        progress = self.progress
        with Threads(self.threads) as threads:
            held_out = self._pack_held_out()
            clock = Stopwatch(progress)
            saved_at = reported_at = time.monotonic()
            tokens_then = progress.tokens
            for shards, ahead in self.steps():
                done = self.schedule.share_done(progress.tokens, progress.seconds)
                if progress.points < int(min(1.0, done) * POINTS) + 1:
                    self._judge(threads, held_out, done)
                    progress.points = int(min(1.0, done) * POINTS) + 1
                    clock.read()
                if done >= 1:
                    break
                self._grow(done)
                self.step(threads, shards, ahead, done)
                clock.read()
                now = time.monotonic()
                if now - reported_at >= TELL_SECONDS:
                    speed = (progress.tokens - tokens_then) / (now - reported_at)
                    self._report("loss", done, loss=progress.told / max(1, progress.hidden), speed=speed)
                    reported_at, tokens_then = now, progress.tokens
                if now - saved_at >= self.save_seconds:
                    save_state(self.state, self.model, self.optimizer, progress)
                    saved_at = now
        save_state(self.state, self.model, self.optimizer, progress)

    def step(
        self, threads: Threads, shards: list[MaskedBatch], ahead: Callable[[], None], done: float
    ) -> None:
        """One step, and the counters moved on.

        Args:
            threads: that do the work.
            shards: of one batch.
            ahead: prepares the next one meanwhile.
            done: the share of the run behind us.
        """
        progress = self.progress
        sums = threads.gradients_(self.model, shards, progress.step, ahead)
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        torch._foreach_mul_(grads, torch.clamp(LARGEST_NORM / (norm + 1e-6), max=1.0))
        since = None if progress.grown_at is None else progress.step - progress.grown_at
        rate = self.schedule.rate(done, since)
        self.optimizer.step([group["lr"] * rate for group in self.optimizer.groups])
        progress.step += 1
        progress.tokens += sum(shard.batch.real_tokens for shard in shards)
        progress.told += sums.nats
        progress.hidden += sums.hidden

    def _grow(self, done: float) -> None:
        layers = self.schedule.layers_at(done)
        if layers != self.progress.layers:
            self._take_over_(grow(self.model.model, layers))
            self.progress.layers, self.progress.grown_at = layers, self.progress.step
            self._report("grown", done, layers=layers)

    def _judge(self, threads: Threads, held_out: list[tuple[int, MaskedBatch]], done: float) -> None:
        """One more point of the curve."""
        progress, sums, file_sums = self.progress, Sums(), [Sums() for _ in self.settings.corpus]
        judged = threads.judge(self.model, [shard for _, shard in held_out])
        for (source, _), outcome in zip(held_out, judged, strict=True):
            sums.add_(outcome)
            file_sums[source].add_(outcome)
        point = {
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 1),
            "layers": progress.layers,
            "train_loss": progress.told / max(1, progress.hidden),
            "loss": sums.loss,
            "accuracy": sums.accuracy,
            "pair_accuracy": sums.pair_accuracy,
        }
        progress.curve.append(point)
        progress.by_file = [
            {"loss": sums_of_file.loss, "accuracy": sums_of_file.accuracy, "hidden": sums_of_file.hidden}
            for sums_of_file in file_sums
        ]
        progress.told, progress.hidden = 0.0, 0
        self._report("judged", done, loss=sums.loss, accuracy=sums.accuracy, pairs=sums.pair_accuracy)

    def _report(self, key: str, done: float, **figures: float) -> None:
        millions, layers = self.progress.tokens / 1e6, self.progress.layers

        def report(lang: Lang) -> list[str]:
            at = say("at", lang, done=done, millions=millions, layers=layers)
            return [say(key, lang, at=at, **figures)]

        self.tell(report)

    def _draw_epoch(self, number: int) -> PairedEpoch:
        settings = self.settings
        return draw_epoch(
            self.texts.train,
            self.streams,
            str(number),
            weights=settings.file_weights,
            pair_share=settings.pair_share,
            max_length=settings.length,
            batch_tokens=settings.batch_tokens,
        )

    def steps(self) -> Iterator[tuple[list[MaskedBatch], Callable[[], None]]]:
        """Batches from the state's on, each with a call that prepares the next one meanwhile."""
        epoch, number, batch = self._draw_epoch(self.progress.epoch), self.progress.epoch, self.progress.batch
        ready = [self._pack(self.texts.train, epoch, batch)]
        while True:

            def ahead() -> None:
                nonlocal epoch, number, batch
                batch += 1
                if batch == epoch.batches:
                    number, batch = number + 1, 0
                    epoch = self._draw_epoch(number)
                ready.append(self._pack(self.texts.train, epoch, batch))
                self.progress.epoch, self.progress.batch = number, batch

            yield ready.pop(), ahead

    def _pack(self, examples: Examples, epoch: PairedEpoch, index: int) -> list[MaskedBatch]:
        return make_masked_batches(
            examples.tokens,
            epoch,
            epoch.batch(index),
            share=self.settings.mask_share,
            masking=self.settings.masking,
            vocabulary=self.texts.vocabulary,
            heads=self.heads,
            device=self.device,
        )

    def _pack_held_out(self) -> list[tuple[int, MaskedBatch]]:
        """The held-out texts, hidden and paired once and for all, and which file each shard is from."""
        held_out: list[tuple[int, MaskedBatch]] = []
        for source in range(len(self.settings.corpus)):
            epoch = draw_epoch(
                self.texts.held_out,
                self.streams,
                "held-out",
                weights=[float(source == file) for file in range(len(self.settings.corpus))],
                pair_share=self.settings.pair_share,
                max_length=self.settings.length,
                batch_tokens=2**40,
            )
            for index in range(epoch.batches):
                shards = self._pack(self.texts.held_out, epoch, index)
                held_out.extend((source, shard) for shard in shards)
        return held_out


class Stopwatch:
    """Adds to a run's seconds what has passed since it was last read."""

    def __init__(self, progress: PretrainProgress) -> None:
        self.progress = progress
        self.then = time.monotonic()

    def read(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self.then
        self.then = now
