"""A new study from Python: files or frames, settings and factors, checked as `finegrid init` checks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from finegrid.api.frames import Data, path_of, read_frame, write_frame
from finegrid.api.wording import COMMAND_LINE, name_in
from finegrid.errors import InputError, Problem
from finegrid.study.drafting import InitOptions
from finegrid.study.folder import StudyFolder
from finegrid.study.init import WrittenStudy, draft_of, write_study
from finegrid.study.toml import format_toml

# Levels by factor, of a bundle settings by the level's name; or names, each at its usual levels.
Factors: TypeAlias = "Mapping[str, Any] | Sequence[str]"


@dataclass(frozen=True)
class StudyData:
    """The parts of a study's data that are given, as files; frames become files of the study.

    Attributes:
        files: By part. Those of frames lie in the study's draft.
        frames: By part, tables of Arrow.
    """

    files: Mapping[str, Path]
    frames: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, parts: Mapping[str, Data | None]) -> StudyData:
        """Take what is given for each part.

        Raises:
            InputError: something that is neither a path nor a frame.
        """
        given = {part: data for part, data in parts.items() if data is not None}
        files = {part: path for part, data in given.items() if (path := path_of(data)) is not None}
        frames = {part: read_frame(data, part) for part, data in given.items() if part not in files}
        inside = StudyFolder(draft_of(folder)).data
        staged = {part: inside / f"{part}.parquet" for part in frames}
        return cls({part: {**files, **staged}[part] for part in given}, frames)

    def bring(self, draft: Path) -> None:
        """Write the frames into the study."""
        for part, table in self.frames.items():
            write_frame(table, StudyFolder(draft).data / f"{part}.parquet")

    @property
    def names(self) -> dict[str, str]:
        """What messages are to call the files that nobody has seen."""
        names: dict[str, str] = {}
        for part in self.frames:
            path = self.files[part]
            for spelled in (str(path), f"{path.parent.name}/{path.name}", path.name):
                names[spelled] = f"the {part} frame"
        return names


def create_study(folder: Path, data: StudyData, options: InitOptions) -> WrittenStudy:
    """Make a study's folder, with the frames in it.

    Raises:
        InputError: as `write_study`, with frames called by the argument that they were given as.
    """
    try:
        written = write_study(folder, options, data.bring)
    except InputError as error:
        raise name_in(error, data.names) from None
    return written


def take_factors(factors: Factors | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Factors that are only named, and those with levels.

    Raises:
        InputError: a level that study.toml cannot hold.
    """
    if factors is None or isinstance(factors, str):
        return tuple(name.strip() for name in (factors or "").split(",") if name.strip()), {}
    if not isinstance(factors, Mapping):
        return tuple(map(str, factors)), {}
    problems: list[Problem] = []
    varied = {str(name): take_levels(name, levels, problems) for name, levels in factors.items()}
    if problems:
        raise InputError(COMMAND_LINE, problems)
    return (), varied


def take_levels(name: str, levels: object, problems: list[Problem]) -> Any:
    """The levels of a factor as Python has them; a bundle's as tables of settings."""
    if isinstance(levels, Mapping):
        return {
            str(level): {
                str(key): take_level(f"{name}.{level}.{key}", value, problems) for key, value in of.items()
            }
            for level, of in levels.items()
            if is_table(f"{name}.{level}", of, problems)
        }
    if isinstance(levels, str | bytes) or not hasattr(levels, "__iter__"):
        what = f"found {levels!r}, expected a list of levels: [0, 6]."
        problems.append(Problem(f"factors[{name!r}]", what))
        return []
    return [take_level(f"factors[{name!r}]", level, problems) for level in levels]


def is_table(where: str, settings: object, problems: list[Problem]) -> bool:
    if isinstance(settings, Mapping):
        return True
    what = f'found {settings!r}, expected settings: {{"optimizer.rate": 1e-4}}.'
    problems.append(Problem(where, what))
    return False


def take_level(where: str, level: object, problems: list[Problem]) -> Any:
    """A level, where it is of numpy as a number of Python."""
    plain = level.item() if isinstance(level, np.generic) else level
    if not isinstance(plain, bool | int | float | str) or (isinstance(plain, float) and not isfinite(plain)):
        what = f"found {plain!r}, expected true or false, a number or a word."
        problems.append(Problem(where, what))
    return plain


def take_settings(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Settings of the baseline as `finegrid init --set` takes them.

    Raises:
        InputError: a level that study.toml cannot hold.
    """
    problems: list[Problem] = []
    levels = {
        str(name): take_level(f"settings[{name!r}]", level, problems)
        for name, level in (settings or {}).items()
    }
    if problems:
        raise InputError(COMMAND_LINE, problems)
    return tuple(f"{name}={format_toml(level)}" for name, level in levels.items())
