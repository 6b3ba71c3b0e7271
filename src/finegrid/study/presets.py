"""Ready-made studies. ``thucnews64`` is the grid of the public THUCNews study, in the order of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finegrid.recipe.identity import Level, Levels
from finegrid.study.bundles import Bundles


@dataclass(frozen=True)
class PresetColumn:
    """A column of the published table, and how it writes the two levels of a factor."""

    name: str
    factor: str
    off: str
    on: str


@dataclass(frozen=True)
class Preset:
    baseline: Levels  # what the published study trained with, where a study.toml does not say otherwise
    factors: dict[str, list[Level]]
    columns: tuple[PresetColumn, ...]
    bundles: Bundles = field(default_factory=dict)

    @property
    def table(self) -> dict[str, Any]:
        """The factors as ``[factors]`` of a study.toml has them."""
        return {
            name: dict(self.bundles[name].levels) if name in self.bundles else levels
            for name, levels in self.factors.items()
        }

    def matches(self, factors: Mapping[str, Sequence[Level]]) -> bool:
        """Whether a study varies just these factors, in this order, at these levels."""
        return [(name, list(levels)) for name, levels in factors.items()] == list(self.factors.items())


def thucnews64(layers: int, has_pooler: bool = True) -> Preset:
    """The 64 combinations, for an encoder with this many layers; half of them are frozen or drawn afresh.

    Of an encoder without a pooler (ELECTRA, DistilBERT) the 32 that do not touch it.
    """
    half = layers // 2
    factors: dict[str, list[Level]] = {
        "optimizer.bias_correction": [True, False],
        "optimizer.decay_on": ["all", "matrices"],
        "reinit.pooler": [False, True],
        "reinit.layers": [0, half],
        "freeze.layers": [0, half],
        "schedule.warmup_ratio": [0.0, 0.1],
    }
    baseline: Levels = {
        "model.pooling": "first-last-mean",
        "model.max_length": 44,
        "optimizer.rate": 5e-5,
        "training.batch_size": 256,
        "training.epochs": 32,
    }
    names = [
        "bertadam",
        "weight_decay",
        "reinit_pooler",
        "reinit_layers",
        "frozen_layers",
        "warmup_proportion",
    ]
    spellings = [("0", "1")] * 3 + [("0", str(half))] * 2 + [("0.0", "0.1")]
    columns = tuple(
        PresetColumn(name, factor, *levels)
        for name, factor, levels in zip(names, factors, spellings, strict=True)
    )
    if not has_pooler:
        del factors["reinit.pooler"]
        columns = tuple(column for column in columns if column.factor in factors)
    return Preset(baseline, factors, columns)


PRESETS = {"thucnews64": thucnews64}
