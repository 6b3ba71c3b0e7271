"""A recipe: every knob of one fine-tuning run, in the order in which the knobs take effect."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from finegrid.errors import InputError, Problem
from finegrid.model.settings import ModelSettings
from finegrid.optim import Optimizer
from finegrid.schedule import Schedule
from finegrid.training import Training
from finegrid.tricks.base import Trick
from finegrid.tricks.freeze import Freeze
from finegrid.tricks.pretrain import Pretrain
from finegrid.tricks.reinit import Reinit

if TYPE_CHECKING:
    from finegrid.model.families import CheckpointInfo

Level = bool | int | float | str
Levels = dict[str, Level]  # by dotted factor name

ENGINE = 3  # raised when numerics change, so that old and new runs are never taken for the same


@dataclass(frozen=True)
class Recipe:
    model: ModelSettings = ModelSettings()
    pretrain: Pretrain = Pretrain()
    reinit: Reinit = Reinit()
    freeze: Freeze = Freeze()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training = Training()

    @property
    def tricks(self) -> list[Trick]:
        parts = (getattr(self, field.name) for field in fields(self))
        return [part for part in parts if isinstance(part, Trick)]

    def levels(self) -> Levels:
        """Every factor by its dotted name, e.g. ``{"reinit.layers": 2, ...}``."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            f"{name}.{knob.name}": getattr(part, knob.name)
            for name, part in parts.items()
            for knob in fields(part)
        }

    def moved(self) -> Levels:
        """The factors that are not at their default."""
        return {name: level for name, level in self.levels().items() if level != DEFAULTS[name]}

    def at(self, levels: Mapping[str, Any]) -> Recipe:
        """This recipe with some factors moved to other levels.

        Raises:
            InputError: unknown factors, levels of the wrong type or out of range; all of them at once.
        """
        recipe = self
        problems = []
        for factor, level in levels.items():
            if factor not in DEFAULTS:
                problems.append(Problem(f'"{factor}"', unknown_factor(factor)))
                continue
            part, knob = factor.split(".")
            try:
                recipe = replace(recipe, **{part: replace(getattr(recipe, part), **{knob: level})})
            except ValidationError as error:
                problems.append(Problem(f'"{factor}"', describe(error, level)))
        if problems:
            raise InputError("recipe", problems)
        return recipe

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        """What this recipe asks of a checkpoint that it cannot do. Empty if all is well."""
        found = [
            problem for part in fields(self) for problem in getattr(self, part.name).problems(checkpoint)
        ]
        both = self.reinit.layers + self.freeze.layers
        if not found and self.reinit.layers and self.freeze.layers and both > checkpoint.layers:
            what = (
                f"{self.reinit.layers} + {self.freeze.layers} layers, but the encoder has "
                f"{checkpoint.layers}: some would be drawn afresh and then never trained."
            )
            found.append(Problem('"reinit.layers" + "freeze.layers"', what))
        return found


DEFAULTS: Levels = Recipe().levels()


def key_of(levels: Levels) -> str:
    """The same for equal levels, in whichever order: rows whose reduced levels have one key are one run."""
    return str(sorted(levels.items()))


def unknown_factor(name: str) -> str:
    close = difflib.get_close_matches(name, DEFAULTS, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(DEFAULTS)}."
    return f"no such factor.{hint}"


def describe(error: ValidationError, level: object) -> str:
    """Pydantic's finding in our three parts."""
    reasons = "; ".join(item["msg"].replace("Input should be", "expected") for item in error.errors())
    return f"level {level!r}: {reasons}."


def run_id(
    levels: Mapping[str, Level],
    seed: int,
    *,
    fingerprints: Mapping[str, str],
    precision: str,
    protocol: str,
    score: str,
) -> str:
    """Short stable name of one run.

    Args:
        levels: the factors that are not at their default. Others are left out, so that a strategy added
            next year does not rename the runs of today.
        seed: the run's seed.
        fingerprints: of data (and its split), tokeniser and model.
        precision: the resolved one, ``fp32`` or ``bf16``.
        protocol: which split chooses the epoch.
        score: by which score it chooses.
    """
    key = {
        "levels": dict(levels),
        "seed": seed,
        "fingerprints": dict(fingerprints),
        "precision": precision,
        "protocol": protocol,
        "score": score,
        "engine": ENGINE,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]


def card(factor: str) -> str:
    """The documentation of a factor (``reinit.layers``) or of a whole part (``reinit``).

    Raises:
        InputError: no such factor.
    """
    part, _, knob = factor.partition(".")
    parts = {field.name: getattr(Recipe(), field.name) for field in fields(Recipe)}
    if part not in parts or (knob and factor not in DEFAULTS):
        raise InputError("explain", [Problem(f'"{factor}"', unknown_factor(factor))])
    text = inspect.getdoc(importlib.import_module(type(parts[part]).__module__)) or ""
    knobs = [field for field in dataclasses.fields(parts[part]) if not knob or field.name == knob]
    lines = [f"{part}.{field.name}    {knob_summary(parts[part], field.name)}" for field in knobs]
    return "\n".join([text, "", *lines])


def knob_summary(part: Any, knob: str) -> str:
    """Description, allowed levels and default of one knob, from its pydantic field."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(type(part)).json_schema()["properties"][knob]
    allowed = (
        " | ".join(json.dumps(value) for value in schema["enum"]) if "enum" in schema else schema["type"]
    )
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    described = ", ".join([allowed, *bounds])
    return f"{schema.get('description', '')} ({described}; default {json.dumps(schema['default'])})"
