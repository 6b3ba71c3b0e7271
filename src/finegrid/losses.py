"""Log loss and Brier score of texts: how good probabilities are, not only which of them is the largest."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Loss = Literal["log_loss", "brier"]
LOSSES: tuple[Loss, ...] = ("log_loss", "brier")
CHUNK = 1_000_000  # probabilities at a time: 8 MB each of a few arrays


def losses_of_texts(
    gold: NDArray[np.int64], logits: NDArray[np.floating[Any]]
) -> dict[Loss, NDArray[np.float64]]:
    """Log loss (nats) and Brier score (0 to 2) of every text; their means are the scores.

    Args:
        gold: ``[texts]``.
        logits: ``[texts, classes]``.
    """
    from scipy.special import log_softmax  # a third of a second that who only asks for names need not spend

    found: dict[Loss, NDArray[np.float64]] = {name: np.empty(len(gold)) for name in LOSSES}
    step = max(CHUNK // logits.shape[1], 1)
    for start in range(0, len(gold), step):
        part = slice(start, start + step)
        logs = log_softmax(logits[part].astype(np.float64), axis=1)
        there = np.arange(len(logs)), gold[part]
        off = np.exp(logs)
        off[there] -= 1.0
        found["log_loss"][part] = -logs[there]
        found["brier"][part] = np.square(off).sum(axis=1)
    return found
