"""The strategies of its own that a study has: ``[strategies]`` of study.toml, and ``strategies.json``.

Reading commands know them by what ``strategies.json`` says, which `finegrid plan` writes: they run no code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finegrid.errors import InputError, Problem, input_error
from finegrid.recipe.described import Description, recipe_described
from finegrid.recipe.own_code import (
    NAME,
    OwnCode,
    find_name_problem,
    import_strategy,
    read_file,
    read_installed,
)
from finegrid.recipe.recipe import BLANK, Recipe, recipe_with
from finegrid.refusals import saving
from finegrid.study.folder import STRATEGIES_FILE, StudyFolder
from finegrid.study.parsing import describe_misfit, parse_strictly
from finegrid.study.settings import Head, StrategySettings

TABLE = "strategies"
DESCRIBE = "`finegrid plan DIR --allow-code` describes it; read it first: it is code that runs."


@dataclass(frozen=True)
class OwnStrategies:
    """The strategies of its own that a study has.

    Attributes:
        blank: A recipe with them, everything at its default.
        digests: The hashes of their code, by part.
        descriptions: What is known of them; none where their code runs.
        warnings: Where their code is not what was described.
    """

    blank: Recipe = BLANK
    digests: Mapping[str, str] = field(default_factory=dict)
    descriptions: tuple[Description, ...] = ()
    warnings: tuple[str, ...] = ()

    def fingerprint(self, levels: Iterable[str]) -> dict[str, str]:
        """What a recipe's runs are made of beside its levels: the code of the strategies that these move.

        Args:
            levels: the factors that are not at their default.
        """
        moved = {factor.partition(".")[0] for factor in levels}
        return {f"{TABLE}.{name}": digest for name, digest in self.digests.items() if name in moved}


NONE = OwnStrategies()
# Given the folder of a study, and what its ``[strategies]`` names.
FindOwn = Callable[[Path, StrategySettings], OwnStrategies]


class StrategiesFile(BaseModel):
    """``strategies.json``: what `finegrid plan` has found out about them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    number: Annotated[Literal[1], Field(alias="schema")] = 1
    settings: str  # SHA-256 of what of study.toml decides on levels
    strategies: tuple[Description, ...]


def find_strategies(content: Mapping[str, Any], folder: Path, find: FindOwn) -> OwnStrategies:
    """Those of a study.

    Args:
        content: of study.toml.
        folder: of the study.
        find: what is known of them.

    Raises:
        InputError: with all that is wrong with the table, or with the strategies.
    """
    settings = read_settings(content, folder)
    return find(folder, settings) if settings.names else NONE


def read_settings(content: Mapping[str, Any], folder: Path) -> StrategySettings:
    """The table.

    Raises:
        InputError: it does not fit.
    """
    try:
        return StrategySettings.model_validate(content.get(TABLE, {}))
    except ValidationError as error:
        what = f"{describe_misfit(error)}. Expected files = [...], or installed = [...]."
        raise input_error(str(StudyFolder(folder).settings), TABLE, what) from None


def read_codes(folder: Path, settings: StrategySettings) -> list[OwnCode]:
    """The code of all, in the order in which they act. Nothing of it runs.

    Raises:
        InputError: with all files that are not there, and all names that cannot be.
    """
    codes: list[OwnCode] = []
    problems: list[Problem] = []
    readers = {name: partial(read_file, folder=folder) for name in settings.files}
    for name, read in (readers | dict.fromkeys(settings.installed, read_installed)).items():
        try:
            codes.append(read(name))
        except InputError as error:
            problems += [Problem(name, problem.what) for problem in error.problems]
    problems += find_clashes(codes)
    if problems:
        raise InputError(str(StudyFolder(folder).settings), problems)
    return codes


def find_clashes(codes: Iterable[OwnCode]) -> list[Problem]:
    """Names that stand for something else already."""
    taken = dict.fromkeys((*Head.model_fields, "factors"), "a table of study.toml")
    problems = []
    for code in codes:
        if code.name in taken:
            problems.append(
                Problem(code.source, f'"{code.name}" is {taken[code.name]}. Give it another name.')
            )
        taken.setdefault(code.name, f"what {code.source} is called, too")
    return problems


def recall_own(folder: Path, settings: StrategySettings) -> OwnStrategies:
    """What ``strategies.json`` says of them: for all who run no code.

    Raises:
        InputError: it does not tell of all of them.
    """
    described = {one.source: one for one in load_described(folder)}
    missing = [name for name in settings.names if name not in described]
    if missing:
        problems = [Problem(name, f"{STRATEGIES_FILE} does not tell of it. {DESCRIBE}") for name in missing]
        raise InputError(str(StudyFolder(folder).settings), problems)
    found = tuple(described[name] for name in settings.names)
    digests = {one.name: one.digest for one in found}
    return OwnStrategies(
        recipe_described(found), digests, found, tuple(find_changed(folder, settings, digests))
    )


def find_changed(folder: Path, settings: StrategySettings, digests: Mapping[str, str]) -> list[str]:
    """Warnings of code that is not what was described. Where it is not here, nothing tells."""
    try:
        codes = read_codes(folder, settings)
    except InputError:
        return []
    return [
        f"{code.source} has changed since {STRATEGIES_FILE} was written, which what follows is of. "
        "`finegrid plan` describes it anew."
        for code in codes
        if digests.get(code.name) != code.digest
    ]


def load_described(folder: Path) -> tuple[Description, ...]:
    """What was described; nothing where there is no file, or one that does not fit: it is made anew."""
    found = load_file(folder)
    return () if found is None else found.strategies


def load_file(folder: Path) -> StrategiesFile | None:
    """``strategies.json``; None if there is none that fits: it is made anew."""
    try:
        found = parse_strictly(StrategiesFile, StudyFolder(folder).strategies.read_bytes())
        check_recipe(found.strategies)
        return found
    except (OSError, ValueError, TypeError, RuntimeError):  # the last two: of pydantic, about types
        return None


def check_recipe(descriptions: Sequence[Description]) -> None:
    """Refuse what no strategies are like, as where somebody has edited the file.

    Raises:
        ValueError: so it is; or TypeError.
    """
    for name in (names := [one.name for one in descriptions]):
        if find_name_problem(name) or names.count(name) > 1:
            raise ValueError(name)
    for factor in (factor for one in descriptions for factor in one.factors):
        if not NAME.fullmatch(factor.name):
            raise ValueError(factor.name)
    recipe_described(tuple(descriptions)).at({}).levels()


def save_file(folder: Path, found: StrategiesFile) -> None:
    with saving(StudyFolder(folder).strategies) as draft:
        draft.write_text(format_file(found), encoding="utf-8")


def format_file(found: StrategiesFile) -> str:
    return json.dumps(found.model_dump(by_alias=True), ensure_ascii=False, indent=1) + "\n"


def import_own(folder: Path, settings: StrategySettings, allowed: Collection[str]) -> OwnStrategies:
    """The strategies themselves: their code runs.

    Args:
        folder: of the study.
        settings: what it names.
        allowed: hashes of the code that may run.

    Raises:
        InputError: with all that is wrong with them, or code that has changed since it was allowed.
    """
    codes = read_codes(folder, settings)
    changed = [
        Problem(code.source, "has changed meanwhile. Run again.")
        for code in codes
        if code.digest not in allowed
    ]
    if changed:
        raise InputError(str(StudyFolder(folder).settings), changed)
    parts, problems = [], []
    for code in codes:
        try:
            parts.append((code.name, import_strategy(code)()))
        except InputError as error:
            problems += [
                Problem(f"{code.source}: {problem.where}", problem.what) for problem in error.problems
            ]
    if problems:
        raise InputError(str(StudyFolder(folder).settings), problems)
    return OwnStrategies(recipe_with(tuple(parts)), {code.name: code.digest for code in codes})
