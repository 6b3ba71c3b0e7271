"""Hugging Face's Trainer, one step at a time, for whoever times it against ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch


def step_of(trainer: Any) -> Callable[[], torch.Tensor]:
    """A step of Hugging Face's Trainer as its ``train`` makes it; clipped where its arguments ask for that.

    The step returns its real tokens, where the batch is.
    """
    trainer.create_optimizer_and_scheduler(10_000)
    trainer.current_gradient_accumulation_steps = 1  # train() sets it
    wrapped, optimizer = trainer.accelerator.prepare(trainer.model.train(), trainer.optimizer)

    def batches() -> Iterator[Any]:
        while True:
            yield from trainer.get_train_dataloader()

    stream = batches()

    def step() -> torch.Tensor:
        batch = next(stream)
        trainer.training_step(wrapped, batch)
        if trainer.args.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(wrapped.parameters(), trainer.args.max_grad_norm)
        optimizer.step()
        trainer.lr_scheduler.step()
        wrapped.zero_grad()
        tokens: torch.Tensor = batch["attention_mask"].sum()
        return tokens

    return step
