"""``screen.json``: which factors a screen goes on with, decided once, on dev, from a fraction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from finegrid.errors import Problem, input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import DEFAULTS
from finegrid.refusals import saving
from finegrid.study.folder import SCREEN_FILE, StudyFolder
from finegrid.study.parsing import parse_strictly

REMOVE = f"Undo the edit of study.toml, or remove {SCREEN_FILE}: `finegrid run` then decides anew"


class ScreenTerms(BaseModel):
    """The settings that a screen was decided for: study.toml must not change them afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    score: str
    protocol: str
    resolution: int
    baseline: Levels
    factors: dict[str, list[Level]]
    bundles: dict[str, dict[str, Levels]] = {}  # by factor and level, its settings


class ScreenedFactor(BaseModel):
    """The effect of one factor on dev, in points, and whether it goes on; None where nothing is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    level: Level  # the second; the baseline has the first
    effect: float | None
    adjusted: tuple[float | None, float | None]
    decision: str
    survives: bool


class Screen(BaseModel):
    """A screen's decision, made when all runs of phase 1 had ended: its ``seeds`` and ``rows``."""

    # Survivors are written for whoever reads the file; here they follow from the factors.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)

    number: Literal[1] = Field(default=1, alias="schema")
    asked: ScreenTerms
    fingerprints: dict[str, str]  # of data and model
    margin: float  # points
    seeds: list[int]
    rows: int
    factors: dict[str, ScreenedFactor]

    @property
    def survivors(self) -> list[str]:
        """In the order of the factors."""
        return [name for name, factor in self.factors.items() if factor.survives]


def load_screen(folder: Path) -> Screen | None:
    """Read ``screen.json``; None if nothing is decided yet.

    Raises:
        InputError: the file is damaged.
    """
    path = StudyFolder(folder).screen
    if not path.exists():
        return None
    try:
        return parse_strictly(Screen, path.read_bytes())
    except (OSError, ValueError) as error:
        what = f"cannot be read as a decision of this finegrid ({error}). "
        what += "Remove it: `finegrid run` then decides anew."
        raise input_error(str(folder), SCREEN_FILE, what) from None


def save_screen(folder: Path, screen: Screen) -> None:
    spelled = {**screen.model_dump(by_alias=True), "survivors": screen.survivors}
    with saving(StudyFolder(folder).screen) as draft:
        draft.write_text(json.dumps(spelled, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def find_screen_problems(screen: Screen, asked: ScreenTerms) -> list[Problem]:
    """Where study.toml is not what the decision was made for, or the decision is not on its factors."""
    problems = [
        Problem(name, f"decided for {then}, but study.toml now has {now}. {REMOVE}.")
        for name, then, now in find_changes(screen.asked, asked)
    ]
    if not problems and screen.factors.keys() != asked.factors.keys():
        problems.append(Problem("factors", f"not those that were asked for. {REMOVE}."))
    return problems


def find_changes(then: ScreenTerms, now: ScreenTerms) -> Iterator[tuple[str, str, str]]:
    """Setting, as it was, as it is."""
    for name in ("score", "protocol", "resolution"):
        was, is_ = getattr(then, name), getattr(now, name)
        if was != is_:
            yield name, str(was), str(is_)
    # What the finegrid that decided did not know yet was at its default.
    before = {
        name: then.baseline.get(name, DEFAULTS.get(name, level)) for name, level in now.baseline.items()
    }
    for name, level in now.baseline.items():
        if level != before[name] and name not in now.factors:
            yield name, json.dumps(before[name]), json.dumps(level)
    if list(then.factors.items()) != list(now.factors.items()):
        yield "[factors]", json.dumps(then.factors), json.dumps(now.factors)
    if then.bundles != now.bundles:
        yield "[factors]", json.dumps(then.bundles), json.dumps(now.bundles)
