"""Predictions of one or several models over a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray

from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Batch

Logits = NDArray[np.float32]  # [texts, classes], in the order of the split


@torch.no_grad()
def predict(models: Sequence[Classifier], batches: Iterator[Batch], texts: int) -> list[Logits]:
    """Logits of every model, without dropout.

    The models are of one family: the frozen bottom of a batch is computed once, by the first of them.
    """
    logits = [np.empty((texts, model.classes), dtype=np.float32) for model in models]
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(model.evaluating())
        for batch in batches:
            shared = models[0].shared(batch)
            for model, out in zip(models, logits, strict=True):
                out[batch.rows] = model(shared).float().cpu().numpy()
    return logits
