"""Reads JSON that others may have touched: checked strictly by types, and what does not fit told in words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from finegrid.spelling import count_noun

T = TypeVar("T")
NEWEST = 1  # schema of all files of a study
NAMED = 3  # lines or files that do not fit, and are named
SHOWN = 40  # characters of a value that does not fit


class CutError(ValueError):
    """JSON that ends before it is whole, as a crash leaves it."""


@cache
def adapter_of(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def parse_strictly(kind: type[T], text: str | bytes) -> T:
    """Read JSON as a type has it: no number for a word, no truth for a number.

    Whether numbers must be finite, the type says itself.

    Raises:
        CutError: it ends too early.
        ValueError: it does not fit, in words.
    """
    try:
        found: T = adapter_of(cast(Hashable, kind)).validate_json(text, strict=True)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid" and "EOF" in first["msg"]:
            raise CutError("cut") from None
        raise ValueError(describe_misfit(error)) from None


def describe_misfit(error: ValidationError) -> str:
    """``seed: found "0", expected a valid integer``; of a newer schema, what reads it."""
    errors = error.errors(include_url=False)
    first = errors[0]
    for one in errors:
        found = one["input"]
        if one["loc"] == ("schema",) and isinstance(found, int) and found > NEWEST:
            return f"written by a newer finegrid (schema {found}); update finegrid"
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{where} is missing"
    expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if not where:
        return f"not what was expected: {expected}"
    return f"{where}: found {show_value(first['input'])}, expected {expected}"


def show_value(value: Any) -> str:
    """A value for a message, cut."""
    if isinstance(value, (Mapping, list)):
        return "a table" if isinstance(value, Mapping) else "a list"
    told = repr(value)
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}..."


@dataclass(frozen=True)
class Misfit:
    """A line that was left out, and why."""

    line: int  # from 1
    why: str


@dataclass(frozen=True)
class Lines(Generic[T]):
    """What a file of JSON lines holds: entries with the numbers of their lines, and lines that do not fit."""

    entries: tuple[tuple[int, T], ...] = ()
    misfits: tuple[Misfit, ...] = ()


def read_lines(path: Path, parse: Callable[[bytes], T]) -> Lines[T]:
    """Read a file of JSON lines. A line that a crash has cut was never there; no file is no lines.

    Args:
        path: of the file.
        parse: reads a line, or raises ValueError and says why not.

    Raises:
        OSError: the file cannot be read.
    """
    entries: list[tuple[int, T]] = []
    misfits = []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return Lines()
    with file:
        for number, line in enumerate(file, start=1):
            if is_cut(line):
                continue
            try:
                entries.append((number, parse(line)))
            except CutError:
                continue
            except ValueError as error:
                misfits.append(Misfit(number, str(error)))
    return Lines(tuple(entries), tuple(misfits))


def is_cut(line: bytes) -> bool:
    """Whether a line is empty, or no whole object: that ends with a brace."""
    return not line.strip(b"\x00 \t\r\n").endswith(b"}")


def describe_misfits(file: str, misfits: Sequence[Misfit], advice: str) -> list[str]:
    """One sentence on the lines of a file that were left out; none where none was."""
    if not misfits:
        return []
    named = name_first([f"line {misfit.line}: {misfit.why}" for misfit in misfits], "; ")
    return [f"{file}: {count_noun(len(misfits), 'line')} left out ({named}). {advice}"]


def name_first(names: Sequence[str], between: str = ", ") -> str:
    """``a, b, c, and 2 more``: those that a sentence has room for, and how many there are beside them."""
    more = [f"and {len(names) - NAMED:,} more"] * (len(names) > NAMED)
    return between.join([*names[:NAMED], *more])
