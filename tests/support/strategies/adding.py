"""Add strategies to `Recipe` for a test, as a line in the dataclass would; and real ones like them."""

from __future__ import annotations

from dataclasses import make_dataclass
from functools import cached_property

import pytest

from finegrid.recipe import recipe
from finegrid.recipe.recipe import DEFAULTS, Recipe
from finegrid.strategies.child import Child
from finegrid.strategies.fgm import Fgm
from finegrid.strategies.freelb import FreeLb
from finegrid.strategies.layerdrop import LayerDrop
from finegrid.strategies.mixout import Mixout
from finegrid.strategies.pgd import Pgd
from finegrid.strategies.rdrop import RDrop
from finegrid.strategies.sam import Sam
from finegrid.strategies.seams import Strategy
from finegrid.strategies.smart import Smart
from finegrid.strategies.unfreeze import Unfreeze
from support.strategies.ema import Ema
from support.strategies.lion import Lion

# Every one with a level that switches it on.
EVERY: dict[str, tuple[Strategy, str, bool | float]] = {
    "rdrop": (RDrop(), "alpha", 1.0),
    "ema": (Ema(), "decay", 0.9),
    "smart": (Smart(), "weight", 1.0),
    "fgm": (Fgm(), "epsilon", 0.5),
    "pgd": (Pgd(), "steps", 2),
    "freelb": (FreeLb(), "steps", 2),
    "sam": (Sam(), "rho", 0.1),
    "child": (Child(), "share", 0.5),
    "lion": (Lion(), "on", True),
    "layerdrop": (LayerDrop(), "p", 0.5),
    "mixout": (Mixout(), "p", 0.5),
    "unfreeze": (Unfreeze(), "every", 0.2),
}
# A second pass takes a run out of stacks, and so do layers that are left out; groups that are left alone for
# a while take it out of graphs.
STACKED = [name for name in EVERY if name not in ("smart", "fgm", "pgd", "freelb", "sam", "layerdrop")]
CAPTURED = [name for name in STACKED if name != "unfreeze"]
SPECIAL = ("__dataclass_fields__", "__init__", "__eq__", "__hash__", "__repr__")


def add_strategies_(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `Recipe` a field for each strategy of `EVERY`, at its defaults, until the test is over."""
    fields = [(name, type(strategy), strategy) for name, (strategy, _, _) in EVERY.items()]
    longer = make_dataclass("Recipe", fields, bases=(Recipe,), frozen=True)
    for name in SPECIAL:
        monkeypatch.setattr(Recipe, name, getattr(longer, name))
    for name, _, strategy in fields:
        monkeypatch.setattr(Recipe, name, strategy, raising=False)
    forget_recipes(monkeypatch)
    for factor, level in Recipe().levels().items():
        monkeypatch.setitem(DEFAULTS, factor, level)


def forget_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test is over, ask recipes anew whatever they have been asked before."""
    for name, kept in vars(Recipe).copy().items():
        if isinstance(kept, cached_property):
            monkeypatch.setattr(Recipe, name, property(kept.func))
    for name in ("names_of", "move_recipe", "move_part"):
        asked = getattr(recipe, name)
        monkeypatch.setattr(recipe, name, getattr(asked, "__wrapped__", asked))


def factor_of(name: str) -> str:
    return f"{name}.{EVERY[name][1]}"
