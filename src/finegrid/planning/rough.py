"""What a study will take before anything is probed: from the model's size, the texts, and a timed product.

A forecast within a factor of two or three, not more: `finegrid plan --probe` measures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from finegrid.encoders.size import EncoderSize
from finegrid.machine import cores, gpus
from finegrid.recipe.recipe import Recipe
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

TIMED_ROWS = 512  # of the product that is timed: about the tokens of a batch
TIMED_PRODUCTS = 2e9  # multiplications and additions of one measurement: some 20 ms
REPEATS = 5
# Against probes of all-MiniLM-L6-v2 and mini-zh on two Zen 4 cores (docs/defaults.md).
EFFICIENCY = 0.8  # of a training step, beside a bare product
BF16_GAIN = 1.3
UPDATE_SECONDS = 3e-9  # of one weight by Adam: memory decides, not arithmetic
BACKWARD = 2.0  # times the forward pass


@dataclass(frozen=True)
class TextSizes:
    """By part, how many texts there are, and the mean of their tokens after cutting."""

    texts: Mapping[str, int]
    tokens: Mapping[str, float]


def guess_seconds(study: Study, size: EncoderSize, sizes: TextSizes) -> float | None:
    """Seconds of the clock for all runs of a study, roughly. None where a GPU trains, which is not timed."""
    if study.head.run.device != "cpu":
        return None
    speed = time_products(size.width) * EFFICIENCY
    if study.head.run.precision == "bf16":
        speed *= BF16_GAIN
    of_rows = [run_seconds(row.recipe, size, sizes, speed) for row in study.rows]
    runs = len(of_rows) * len(study.head.design.numbers)
    return sum(of_rows) * len(study.head.design.numbers) / guess_workers(study.head.run, runs)


def guess_workers(settings: RunSettings, runs: int) -> int:
    places = len(gpus()) if settings.device == "cuda" else cores() // settings.threads
    return max(1, min(places, runs))


def run_seconds(recipe: Recipe, size: EncoderSize, sizes: TextSizes, speed: float) -> float:
    """One run on one core.

    Args:
        recipe: of the run.
        size: of the encoder.
        sizes: of the texts.
        speed: multiplications and additions in a second.
    """
    frozen = min(recipe.frozen_layers, size.layers)
    epochs, texts = recipe.training.epochs, sizes.texts["train"] * recipe.texts.share
    forward = {part: layer_products(size, sizes.tokens[part]) / speed for part in sizes.texts}
    trained = texts * forward["train"] * (size.layers - frozen) * (1 + BACKWARD) * epochs
    looked_up = texts * forward["train"] * frozen
    evaluated = sizes.texts["dev"] * forward["dev"] * size.layers * epochs
    tested = sizes.texts["test"] * forward["test"] * size.layers
    steps = math.ceil(texts / recipe.training.batch_size) * epochs
    words = min(size.vocabulary, sum(sizes.texts[part] * sizes.tokens[part] for part in sizes.texts))
    weights = (size.layers - frozen) * size.layer_weights + words * size.width * (not frozen)
    return trained + looked_up + evaluated + tested + steps * weights * UPDATE_SECONDS


def layer_products(size: EncoderSize, tokens: float) -> float:
    """Multiplications and additions of one text in one layer, forward."""
    return tokens * (2 * size.layer_weights + 4 * tokens * size.width)


def time_products(width: int) -> float:
    """Multiplications and additions that a core does in a second, in products of an encoder's shape.

    Seconds of the processor, so that neither other programs nor threads of the library count.
    """
    random = np.random.default_rng(0)
    left = random.standard_normal((TIMED_ROWS, width), dtype=np.float32)
    right = random.standard_normal((width, 4 * width), dtype=np.float32)
    each = 2 * left.size * right.shape[1]
    count = max(1, round(TIMED_PRODUCTS / each))
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(count):
            left @ right
        took.append(time.process_time() - began)
    return float(each * count / max(min(took), 1e-6))
