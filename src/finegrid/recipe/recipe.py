"""A recipe: every factor of one fine-tuning run, in the order in which they take effect."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Levels
from finegrid.spelling import find_near, format_level
from finegrid.strategies.augment import Augment
from finegrid.strategies.average import Average
from finegrid.strategies.child import Child
from finegrid.strategies.clip import Clip
from finegrid.strategies.contrast import Contrast
from finegrid.strategies.distil import Distil
from finegrid.strategies.dropout import DropoutSettings
from finegrid.strategies.fgm import Fgm
from finegrid.strategies.freelb import FreeLb
from finegrid.strategies.freeze import Freeze
from finegrid.strategies.head import HeadSettings
from finegrid.strategies.layerdrop import LayerDrop
from finegrid.strategies.lora import Lora
from finegrid.strategies.loss import Loss
from finegrid.strategies.mixout import Mixout
from finegrid.strategies.mixup import Mixup
from finegrid.strategies.model import ModelSettings
from finegrid.strategies.noise import Noise
from finegrid.strategies.optimizer import Optimizer, list_kinds_at_one_rate
from finegrid.strategies.part import Part, Price
from finegrid.strategies.pgd import Pgd
from finegrid.strategies.posthoc import Posthoc
from finegrid.strategies.pretrain import Pretrain
from finegrid.strategies.prior import Prior
from finegrid.strategies.probe import Probe
from finegrid.strategies.pseudo import Pseudo
from finegrid.strategies.rates import Rates
from finegrid.strategies.rdrop import RDrop
from finegrid.strategies.reinit import Reinit
from finegrid.strategies.sam import Sam
from finegrid.strategies.schedule import Schedule
from finegrid.strategies.scoring import FreePart, Scoring
from finegrid.strategies.seams import TABLE_READINGS, SharedChance, Strategy, TableReading, Unlabelled
from finegrid.strategies.smart import Smart
from finegrid.strategies.texts import Texts
from finegrid.strategies.train_only import Train
from finegrid.strategies.training import Training
from finegrid.strategies.unfreeze import Unfreeze

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo

Moves = tuple[tuple[str, Any], ...]  # levels, by the names of their factors


@dataclass(frozen=True)
class Recipe:
    model: ModelSettings = ModelSettings()
    texts: Texts = Texts()
    pseudo: Pseudo = Pseudo()
    augment: Augment = Augment()
    head: HeadSettings = HeadSettings()
    dropout: DropoutSettings = DropoutSettings()
    pretrain: Pretrain = Pretrain()
    noise: Noise = Noise()
    reinit: Reinit = Reinit()
    probe: Probe = Probe()
    layerdrop: LayerDrop = LayerDrop()
    freeze: Freeze = Freeze()
    loss: Loss = Loss()
    distil: Distil = Distil()
    contrast: Contrast = Contrast()
    mixup: Mixup = Mixup()
    rdrop: RDrop = RDrop()
    smart: Smart = Smart()
    fgm: Fgm = Fgm()
    pgd: Pgd = Pgd()
    freelb: FreeLb = FreeLb()
    sam: Sam = Sam()
    train: Train = Train()
    lora: Lora = Lora()
    mixout: Mixout = Mixout()
    optimizer: Optimizer = Optimizer()
    rates: Rates = Rates()
    unfreeze: Unfreeze = Unfreeze()
    child: Child = Child()
    prior: Prior = Prior()
    clip: Clip = Clip()
    schedule: Schedule = Schedule()
    training: Training = Training()
    average: Average = Average()
    posthoc: Posthoc = Posthoc()

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of all parts: finegrid's, and then those of a study's own strategies."""
        return names_of(type(self))  # type: ignore[arg-type]  # classes are hashable

    @property
    def blank(self) -> Recipe:
        """The recipe that has these parts, each at its defaults."""
        return type(self)()

    @property
    def defaults(self) -> Levels:
        """The levels of `blank`. Read them only."""
        return DEFAULTS if type(self) is Recipe else defaults_of(type(self))  # type: ignore[arg-type]

    @property
    def strategies(self) -> list[Strategy]:
        """All strategies, in the order in which they take effect."""
        parts = (getattr(self, name) for name in self.parts)
        return [part for part in parts if isinstance(part, Strategy)]

    @property
    def acting(self) -> list[Strategy]:
        """Those that are switched on: what is switched off is not asked, and costs nothing.

        What no run is without comes first, so that all others change what it says: the optimizer's rates.
        """
        return [*self._acting]

    @cached_property
    def _acting(self) -> tuple[Strategy, ...]:
        acting = [strategy for strategy in self.strategies if strategy.acts]
        return tuple(sorted(acting, key=lambda strategy: not strategy.always))

    @property
    def shares_prefix(self) -> bool:
        """Whether what frozen layers make of a batch may be computed once, for all runs of a family."""
        return all(strategy.shares_prefix for strategy in self.acting)

    @property
    def reads_table(self) -> TableReading:
        """When something looks at the whole table of words."""
        # What an averager makes of rows that are not there, nobody would know.
        found = ["in steps" if one.overrides("averager") else one.table_reading for one in self.acting]
        return max(found, key=TABLE_READINGS.index, default="never")

    @property
    def frozen_layers(self) -> int:
        """How many layers are frozen, from the bottom."""
        return max((strategy.frozen_layers for strategy in self.acting), default=0)

    @property
    def rate(self) -> float:
        """The peak learning rate of what has none of its own."""
        return self.optimizer.rate

    @property
    def at_unit_rate(self) -> Recipe:
        """With a rate of 1, so that other rates are multiples of it."""
        return self.at({"optimizer.rate": 1.0})

    @property
    def copies(self) -> int:
        """How often a run keeps what it trains, beside weights, gradients, moments and the best weights."""
        return sum(strategy.copies for strategy in self.acting)

    @property
    def unlabelled(self) -> Unlabelled | None:
        """Texts without labels that its runs train on."""
        return next((found for one in self.acting if (found := one.unlabelled) is not None), None)

    @property
    def without_unlabelled(self) -> Recipe:
        """The same, but for strategies that train on texts without labels."""
        using = {name for name in self.parts if getattr(getattr(self, name), "unlabelled", None) is not None}
        return replace(self, **{name: type(getattr(self, name))() for name in using})

    @property
    def shares_chance(self) -> set[SharedChance]:
        """What of chance all seeds share, which is then in no interval."""
        return {shared for strategy in self.acting if (shared := strategy.shares_chance) is not None}

    def start_keys(self, seed: int) -> tuple[Hashable, ...]:
        """What decides all that is dear and made before the first step. Empty where there is nothing."""
        keys = ((type(strategy).__name__, strategy.start_key(seed)) for strategy in self.acting)
        made = tuple(key for key in keys if key[1] is not None)
        return (*made, self.texts) if made else ()

    def priced_levels(self) -> Levels:
        """The moved levels that decide what a run takes: those of factors that have a price."""
        return dict(self._priced)

    @cached_property
    def _priced(self) -> Levels:
        free = ("nothing", "length") if self.frozen_layers else ("nothing", "length", "prefix")
        return {name: level for name, level in self.moved().items() if self._price(name) not in free}

    def timed_levels(self) -> Levels:
        """The same, and those that decide how many of its steps a run takes."""
        of_length = {name: level for name, level in self.moved().items() if self._price(name) == "length"}
        return {**self.priced_levels(), **of_length}

    def _price(self, factor: str) -> Price:
        part, _, name = factor.partition(".")
        price: Price = getattr(self, part).price(name)
        return price

    def levels(self) -> Levels:
        """Every factor by its dotted name, e.g. ``{"reinit.layers": 2, ...}``."""
        return dict(self._levels)

    @cached_property
    def _levels(self) -> Levels:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            f"{name}.{factor}": getattr(part, factor)
            for name, part in parts.items()
            for factor in names_of(type(part))  # type: ignore[arg-type]  # classes are hashable
        }

    def moved(self) -> Levels:
        """The factors that are not at their default, but for free ones: what names a run."""
        return {name: level for name, level in self._off_default.items() if name not in FREE}

    def free_levels(self) -> Levels:
        """The free factors that are not at their default."""
        return {name: level for name, level in self._off_default.items() if name in FREE}

    @cached_property
    def _off_default(self) -> Levels:
        """In the order of all levels. Most parts are those that every recipe has."""
        defaults = self.defaults
        parts = ((name, getattr(self, name)) for name in self.parts)
        return {
            factor: level
            for name, part in parts
            if part is not getattr(type(self), name)
            for own in names_of(type(part))  # type: ignore[arg-type]  # classes are hashable
            if (level := getattr(part, own)) != defaults[factor := f"{name}.{own}"]
        }

    @property
    def scoring(self) -> Scoring:
        """How its run is scored."""
        scoring = Scoring()
        for field in fields(self):
            if isinstance(part := getattr(self, field.name), FreePart):
                scoring = part.score_by(scoring)
        return scoring

    def at(self, levels: Mapping[str, Any]) -> Recipe:
        """This recipe with some factors moved to other levels.

        Raises:
            InputError: unknown factors, levels of the wrong type or out of range; all of them at once.
        """
        with suppress(AttributeError, TypeError, ValidationError):  # which `_at_each` has words for
            return move_recipe(self, tuple(levels.items()), tuple(map(type, levels.values())))
        return self._at_each(levels)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.parts))

    def _at_each(self, levels: Mapping[str, Any]) -> Recipe:
        """The same, level by level."""
        moved: dict[str, Any] = {}  # by name, the parts that change
        problems = []
        for factor, level in levels.items():
            if factor not in self.defaults:
                problems.append(Problem(f'"{factor}"', unknown_factor(factor, self.defaults)))
                continue
            part, name = factor.split(".")
            try:
                moved[part] = replace(moved.get(part, getattr(self, part)), **{name: level})
            except ValidationError as error:
                problems.append(Problem(f'"{factor}"', describe(error, level)))
        if problems:
            raise InputError("recipe", problems)
        return replace(self, **moved)

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this recipe asks of a checkpoint that it cannot do. Empty if all is well."""
        parts: list[Part] = [getattr(self, field.name) for field in fields(self)]
        levels = self.levels()
        of_parts = [problem for part in parts for problem in part.problems(checkpoint)]
        conflicts = [problem for part in parts for problem in part.conflicts(levels, checkpoint)]
        return of_parts or [*conflicts, *self._crowded()]

    def _crowded(self) -> list[Problem]:
        """More than one strategy that reads a batch again."""
        reading = [strategy for strategy in self.acting if strategy.reads_again()]
        if len(reading) < 2:
            return []
        by_part = {name.partition(".")[0]: name for name in reversed(self.moved())}  # the first of each
        names = [by_part[name] for name in self.parts if getattr(self, name) in reading]
        what = (
            f"{', '.join(format_level(self.levels()[name]) for name in names)}, but each reads a batch once "
            "more, at other words or other weights, and would undo what another has done. Keep one, and "
            "leave the others at their defaults."
        )
        return [Problem(" + ".join(f'"{name}"' for name in names), what)]


@lru_cache(maxsize=2**14)
def move_recipe(recipe: Recipe, levels: Moves, kinds: tuple[type, ...]) -> Recipe:
    """A recipe at other levels: one for all runs of a row. ``kinds`` of the levels tell 1 from true."""
    by_part: dict[str, dict[str, Any]] = {}
    for factor, level in levels:
        part, _, name = factor.partition(".")
        by_part.setdefault(part, {})[name] = level
    parts = {
        part: move_part(getattr(recipe, part), tuple(own.items()), tuple(map(type, own.values())))
        for part, own in by_part.items()
    }
    return replace(recipe, **parts)


@lru_cache(maxsize=2**12)
def move_part(part: Any, levels: Moves, kinds: tuple[type, ...]) -> Any:
    """A part at other levels: the rows of a design have few."""
    return replace(part, **dict(levels))


@lru_cache(maxsize=256)
def recipe_with(own: tuple[tuple[str, Strategy], ...]) -> Recipe:
    """The recipe that has strategies of a user's own after all others, everything at its default.

    Args:
        own: by the name of the part, switched off.
    """
    if not own:
        return BLANK
    more = [(name, type(strategy), strategy) for name, strategy in own]
    # Like `Recipe` it works its hash out once.
    kind = make_dataclass(
        "OwnRecipe", more, bases=(Recipe,), frozen=True, namespace={"__hash__": Recipe.__hash__}
    )
    recipe: Recipe = kind()
    return recipe


@cache
def names_of(part: type[Any]) -> tuple[str, ...]:
    """The factors of a kind of part, or the parts of a recipe. A verdict asks some hundred times."""
    return tuple(field.name for field in fields(part))


@cache
def defaults_of(kind: type[Recipe]) -> Levels:
    """The defaults of recipes with more parts than finegrid's."""
    return kind().levels()


BLANK = Recipe()
DEFAULTS: Levels = BLANK.levels()
# Factors whose levels name files.
FILES = frozenset(
    f"{field.name}.{name}" for field in fields(Recipe) for name in getattr(Recipe(), field.name).files
)
# Of these, the ones whose texts the baseline's run labels for others.
TAUGHT_BY_BASELINE = frozenset(
    f"{field.name}.{name}"
    for field in fields(Recipe)
    for name in getattr(Recipe(), field.name).taught_by_baseline
)
# And the ones whose levels name a teacher.
TEACHER_FACTORS = tuple(
    f"{field.name}.{name}" for field in fields(Recipe) for name in getattr(Recipe(), field.name).teachers
)
# Factors whose levels are all scored in one run; and those of them that move no score.
FREE = frozenset(name for name in DEFAULTS if getattr(Recipe(), name.partition(".")[0]).free)
KEEPS_ANSWERS = frozenset(
    name for name in FREE if name.partition(".")[2] in getattr(Recipe(), name.partition(".")[0]).keeps_answers
)


def unknown_factor(name: str, known: Collection[str] = DEFAULTS) -> str:
    close = find_near(name, known)
    hint = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(known)}."
    return f"no such factor.{hint}"


def describe(error: ValidationError, level: object) -> str:
    """Pydantic's finding in our three parts."""
    reasons = ", or ".join(item["msg"].replace("Input should be", "expected") for item in error.errors())
    return f"level {level!r}: {reasons}."


def find_unfair(recipes: Iterable[Recipe]) -> list[str]:
    """Levels that recipes have at the rate of another one, where each needs its own; the baseline first."""
    return [*list_kinds_at_one_rate(recipe.optimizer for recipe in recipes)]
