"""What is done to logits after training: class shares taken off, and a temperature."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finegrid.training.evaluate import Logits

COOLEST, HOTTEST = 0.05, 20.0  # temperatures
HALVINGS = 60  # of the interval between their logarithms: beyond float64


def log_shares(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Of every class among training texts. One without texts is taken to be as frequent as the first."""
    counts = np.bincount(labels, minlength=classes).astype(float)
    counts[counts == 0] = counts.max()
    return np.log(counts / len(labels))


def lower_by_shares(logits: Logits, tau: float, shares: NDArray[np.float64]) -> Logits:
    """``shares``: ``[classes]``, logarithms."""
    return logits - (tau * shares).astype(np.float32) if tau else logits


def divide(logits: Logits, temperature: float) -> Logits:
    return (logits / np.float32(temperature)).astype(np.float32)


def fit_temperature(logits: Logits, gold: NDArray[np.int64]) -> float:
    """The one whose mean log loss is least; the log loss is convex in its inverse.

    Args:
        logits: ``[texts, classes]``.
        gold: ``[texts]``.
    """
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    own = float(z[np.arange(len(z)), gold].mean())

    def slope(inverse: float) -> float:
        p = np.exp(inverse * z)
        return float(((p * z).sum(axis=1) / p.sum(axis=1)).mean()) - own

    low, high = np.log(1 / HOTTEST), np.log(1 / COOLEST)
    if slope(float(np.exp(low))) >= 0:
        return HOTTEST
    if slope(float(np.exp(high))) <= 0:
        return COOLEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


@torch.no_grad()
def adjust_head_(head: nn.Module, tau: float, shares: NDArray[np.float64], temperature: float) -> None:
    """Let a head say the adjusted logits by itself: in the weights of its last linear layer."""
    last = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    if tau:
        last.bias.sub_(torch.from_numpy((tau * shares).astype(np.float32)).to(last.bias.device))
    if temperature != 1.0:
        last.weight.div_(temperature)
        last.bias.div_(temperature)
