"""Bundles: factors whose levels are named sets of settings, so that whole recipes can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from finegrid.recipe.identity import Level, Levels


@dataclass(frozen=True)
class Bundle:
    """The settings of every level by its name, the baseline's first. What a level leaves out is as there."""

    levels: Mapping[str, Levels]

    @property
    def settings(self) -> tuple[str, ...]:
        """All that any level sets, each once."""
        return tuple(dict.fromkeys(name for levels in self.levels.values() for name in levels))

    def as_json(self) -> dict[str, Levels]:
        return {name: dict(levels) for name, levels in self.levels.items()}


Bundles = Mapping[str, Bundle]  # by factor
NO_BUNDLES: Bundles = {}


def unbundle(levels: Mapping[str, Level], bundles: Bundles) -> Levels:
    """A row's levels as a recipe takes them: in the place of a bundle's level its settings."""
    plain: Levels = {}
    for name, level in levels.items():
        plain.update(bundles[name].levels[str(level)] if name in bundles else {name: level})
    return plain


def settings_of(factor: str, bundles: Bundles) -> tuple[str, ...]:
    """The settings of the recipe that a factor moves: those of its bundle, or itself."""
    return bundles[factor].settings if factor in bundles else (factor,)


def bundles_json(bundles: Bundles) -> dict[str, dict[str, Levels]]:
    """By factor and level, its settings."""
    return {name: bundle.as_json() for name, bundle in bundles.items()}
