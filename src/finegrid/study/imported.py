"""``imported.json``: a table of recipes and results from elsewhere, in the place of a study's ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from finegrid.errors import input_error
from finegrid.recipe.identity import Level, Levels
from finegrid.refusals import saving
from finegrid.study.folder import IMPORTED_FILE, LEDGER_FILE, SETTINGS_FILE, StudyFolder
from finegrid.study.parsing import parse_strictly
from finegrid.study.plain_files import check_read

SCHEMA = 1
LARGEST = 1e15  # a double still tells whole numbers apart
NOTHING_TO_RUN = "an imported table: there is nothing to run; finegrid verdict"


class ImportedRow(BaseModel):
    """One line of the table: a recipe with what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    index: int  # as the table counts, else from 1; rows with one index are one recipe with several seeds
    levels: Levels  # of every factor
    seed: int | None = None  # None: the table does not tell
    result: float | None  # as Imported.scale says; None: the table has no number here
    seconds: float | None = None  # see Imported.seconds_per


class Imported(BaseModel):
    """A table of recipes and results. Nothing is known of it but what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_number: Annotated[Literal[1], Field(alias="schema")] = 1
    title: str
    source: str  # name of the file it came from
    score: str  # as the table, or who imported it, calls the result
    lower_is_better: bool = False
    scale: Literal["points", "own"] = (
        "points"  # of results: 0 to 100 (mcc: from -100), or as the table has it
    )
    seconds_per: Literal["epoch", "run"] | None = None  # what the rows' seconds are of; None: there are none
    factors: dict[str, list[Level]]  # two or more levels each; the first is the baseline's
    inert: dict[str, str] = {}  # factors declared to be without effect, and why
    rows: list[ImportedRow]  # in the order of the table
    notes: list[str] = []  # where it comes from, and how it was made
    warnings: list[str] = []

    def as_written(self, row: ImportedRow) -> float | None:
        """The result from 0 to 1, as in the table of a study; on a scale of its own, as it is."""
        if row.result is None:
            return None
        return row.result if self.scale == "own" else round(row.result / 100, 12)

    def recipe_of(self, row: ImportedRow) -> tuple[Level, ...]:
        """Levels of the factors that may have an effect: rows with equal ones are repeats of each other."""
        return tuple(row.levels[name] for name in self.factors if name not in self.inert)

    def same_as(self) -> list[int]:
        """``[rows]``: the index of the first row that is the same recipe; its own if none comes before."""
        first: dict[tuple[Level, ...], int] = {}
        return [first.setdefault(self.recipe_of(row), row.index) for row in self.rows]


def load_imported(folder: Path) -> Imported | None:
    """Read ``imported.json``; None if the folder has none.

    Raises:
        InputError: unreadable, or not what this finegrid writes.
    """
    check_read(folder)
    path = StudyFolder(folder).imported
    try:
        imported = parse_strictly(Imported, path.read_bytes())
        if why := next(find_contradictions(imported), ""):
            raise ValueError(why)
        return imported
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise input_error(str(folder), "DIR", "not a folder. Expected one that finegrid made.") from None
    except OSError as error:
        raise input_error(str(folder), IMPORTED_FILE, f"cannot be read: {error.strerror}.") from None
    except ValueError as error:
        what = f"{error}. Expected schema {SCHEMA} of finegrid. Import the table again."
        raise input_error(str(folder), IMPORTED_FILE, what) from None


def find_contradictions(imported: Imported) -> Iterator[str]:
    """Where parts of a table do not go together, as where somebody has edited it."""
    if not imported.rows:
        yield "rows: found none"
    if not set(imported.inert) <= imported.factors.keys():
        yield "inert: found what is no factor"
    for name, levels in imported.factors.items():
        if len(levels) < 2 or len(set(map(repr, levels))) < len(levels):
            yield f"factors.{name}: expected two levels or more, each once"
    known = {name: set(map(repr, levels)) for name, levels in imported.factors.items()}
    for number, row in enumerate(imported.rows):
        if row.levels.keys() != known.keys() or any(
            repr(level) not in known[name] for name, level in row.levels.items()
        ):
            yield f"rows.{number}.levels: not those of the factors"
        numbers = (row.index, row.seed or 0, row.result or 0, row.seconds or 0)
        if max(map(abs, numbers)) > LARGEST or (row.seconds or 0) < 0:
            yield f"rows.{number}: found a number that is no result"


def save_imported(folder: Path, imported: Imported) -> None:
    """Write ``imported.json`` and nothing else.

    Raises:
        InputError: the folder is a study already, or no folder.
    """
    check_free(folder)
    text = json.dumps(imported.model_dump(by_alias=True), ensure_ascii=False, indent=1, allow_nan=False)
    with saving(StudyFolder(folder).imported) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def check_free(folder: Path) -> None:
    """Refuse a folder that a study, or another imported table, lives in."""
    if folder.exists() and not folder.is_dir():
        raise input_error("command line", "--out", f"{folder} is not a folder. Choose another --out.")
    for name in (SETTINGS_FILE, LEDGER_FILE, IMPORTED_FILE):
        if (folder / name).exists():
            what = f"{folder} holds a study already ({name}). Choose another --out."
            raise input_error("command line", "--out", what)
