"""What decides on the last digits of whatever a study computes once and keeps for all of its runs."""

from __future__ import annotations

import torch

from finegrid.model.kernels.operations import describe_rounding
from finegrid.recipe.identity import ENGINE
from finegrid.study.settings import RunSettings


def rounding_of(settings: RunSettings) -> dict[str, str | int]:
    """By name: engine, device, precision, threads, and `describe_rounding`. A part of the cache's keys.

    Further pre-training's has all but the threads, which change no bit of it.
    """
    return {"engine": ENGINE, **settings.alike, **describe_rounding(torch.device(settings.device))}
