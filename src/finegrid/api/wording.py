"""Errors in the words of Python: problems name the arguments that were given, not options of a command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from finegrid.errors import InputError, Problem, input_error

P = ParamSpec("P")
T = TypeVar("T")

COMMAND_LINE = "command line"
OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)( [A-Z]+\b)?")  # with what stands for its value
COMMAND = re.compile(r"`[^`]*`|finegrid [a-z]+[^.;]*")  # what is meant for a terminal stays as it is
RENAMED = {"set": "settings", "out": "path"}  # options that arguments stand for under another name


def in_python(call: Callable[P, T]) -> Callable[P, T]:
    """A function whose errors name its own arguments where those of the command line name options."""
    arguments = frozenset(inspect.signature(call).parameters)

    @wraps(call)
    def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except InputError as error:
            raise translate(error, arguments, call.__qualname__) from None
        except ValueError as error:
            if "embedded null" not in str(error):
                raise
            what = "found a NUL character in a path, which no file's name has. Correct it."
            raise input_error(call.__qualname__, "path", what) from None

    return translated


def translate(error: InputError, arguments: frozenset[str], source: str) -> InputError:
    """The same problems, of the call ``source`` where they were the command line's."""
    return InputError(
        source if error.source == COMMAND_LINE else rename_options(error.source, arguments),
        [
            Problem(rename_options(problem.where, arguments), rename_options(problem.what, arguments))
            for problem in error.problems
        ],
    )


def rename_options(text: str, arguments: frozenset[str]) -> str:
    """``--paired-seeds`` is ``paired_seeds``, where there is such an argument."""

    def name(option: re.Match[str]) -> str:
        known = (option[1].replace("-", "_"), RENAMED.get(option[1], ""))
        argument = next((each for each in known if each in arguments), None)
        return option[0] if argument is None else f"{argument}=..." if option[2] else argument

    parts, place = [], 0
    for command in COMMAND.finditer(text):
        parts += [OPTION.sub(name, text[place : command.start()]), command[0]]
        place = command.end()
    return "".join([*parts, OPTION.sub(name, text[place:])])


def name_in(error: InputError, names: Mapping[str, str]) -> InputError:
    """The same problems, with what stands for something else called by its name."""

    def replaced(text: str) -> str:
        for found, name in names.items():
            text = text.replace(found, name)
        return text

    problems = [Problem(replaced(problem.where), replaced(problem.what)) for problem in error.problems]
    return InputError(replaced(error.source), problems)
