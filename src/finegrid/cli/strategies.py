"""The command that checks a strategy of one's own: check-strategy."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finegrid.allowed_code import allow, check_allowed
from finegrid.cli.options import AllowCode, Json, Language
from finegrid.cli.say import say, say_json
from finegrid.errors import input_error
from finegrid.extras import need_to_train
from finegrid.recipe.own_code import OwnCode, read_file, read_installed
from finegrid.spelling import Lang, parse_lang
from finegrid.study.toml import parse_level

if TYPE_CHECKING:
    from finegrid.audit.contract import Kept


def check_strategy(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A Python file, or the name of an installed strategy.")
    ],
    level: Annotated[
        list[str] | None,
        typer.Option(help="factor=level that switches a factor on, or of the baseline; repeat."),
    ] = None,
    allow_code: AllowCode = False,
    lang: Language = None,
    as_json: Json = False,
) -> None:
    """Check on a small study what a strategy of your own promises. Exit code 1 if it breaks a promise."""
    language, levels = parse_lang(lang), dict(map(split_level, level or ()))
    need_to_train()
    code = read_code(file)
    if allow_code:
        allow({file: code.digest})
    check_allowed({file: code.digest})
    found = check_all(code, levels, None if as_json else language)
    if as_json:
        say_json({"schema": 1, "promises": [one.as_json() for one in found]})
    raise typer.Exit(int(any(one.broken for one in found)))


def read_code(file: str) -> OwnCode:
    """The code of a strategy: of a file, or of an installed package.

    Raises:
        InputError: there is none.
    """
    return read_file(file, Path()) if file.endswith(".py") or Path(file).exists() else read_installed(file)


def check_all(code: OwnCode, levels: dict[str, Any], lang: Lang | None) -> list[Kept]:
    """Every promise, said in a language as soon as it is checked; without one nothing is said."""
    from finegrid.audit.contract import Kept  # brings torch, as the next does
    from finegrid.audit.contract_study import contract_of

    found = []
    with contract_of(code, levels) as contract:
        for one in chain([Kept("whole")], contract.check()):
            found.append(one)
            if lang is not None:
                say(one.line(lang))
    return found


def split_level(text: str) -> tuple[str, Any]:
    """``factor=level`` of the command line.

    Raises:
        InputError: anything else.
    """
    factor, equals, level = text.partition("=")
    if not equals:
        raise input_error("command line", "--level", f'found "{text}", expected factor=level.')
    return factor.strip(), parse_level(level.strip())
