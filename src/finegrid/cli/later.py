"""Commands that are imported when they are called: ``status`` need not wait for what ``fit`` imports."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from finegrid.cli.interrupts import let_command_clean_up

HERE = Path(__file__).parent
TYPED = "finegrid.typed"  # key of a context's ``meta``: the whole command line


class Command(TyperCommand):
    """A command whose help is in the language of its reader."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with in_language(self, ctx):
            super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        let_command_clean_up()
        return super().invoke(ctx)


class Later(TyperCommand):
    """Stands for a command until it is called, or asked for its options. Help needs only its words."""

    def __init__(self, name: str, place: str) -> None:
        """``place``: module and function in this folder, such as ``setup.init``."""
        super().__init__(name, help=read_docstring(place))
        self.place = place

    @cached_property
    def command(self) -> Any:
        """The command itself."""
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(self.name, cls=Command)(find_function(self.place))
        return typer.main.get_command(alone)

    def get_params(self, ctx: Any) -> Any:
        return self.command.get_params(ctx)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.command.make_context(info_name, args, parent=parent, **extra)


def group_of(places: dict[str, str]) -> type[TyperGroup]:
    """The kind of group that has these commands, by name, in this order."""

    class Commands(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands.update({name: TyperCommand(name) for name in places})  # names to suggest

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return Later(cmd_name, places[cmd_name]) if cmd_name in places else None

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            ctx.meta[TYPED] = [*args]
            return super().parse_args(ctx, args)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            with in_language(self, ctx):
                super().format_help(ctx, formatter)

    return Commands


@contextmanager
def in_language(command: Any, context: Any) -> Iterator[None]:
    """Around the printing of a command's help: it is Chinese where the command line or the locale says so."""
    from finegrid.spelling import parse_lang  # help is all that is printed before a command is imported

    named = typed_lang(context.meta.get(TYPED, ()))
    known = named is None or named.startswith(("en", "zh"))  # else help comes before what is wrong
    if known and parse_lang(named) == "zh":
        from finegrid.cli.help_words import in_chinese

        with in_chinese(command, context):
            yield
    else:
        yield


def typed_lang(typed: Sequence[str]) -> str | None:
    """What stands behind ``--lang`` in a command line; None where it does not stand there."""
    after = [then for word, then in pairwise(typed) if word == "--lang"]
    joined = [word.partition("=")[2] for word in typed if word.startswith("--lang=")]
    return next(iter([*after, *joined]), None)


def find_function(place: str) -> Callable[..., None]:
    """Import a command's function."""
    module, _, function = place.partition(".")
    found: Callable[..., None] = getattr(importlib.import_module(f"finegrid.cli.{module}"), function)
    return found


def read_docstring(place: str) -> str:
    """What a command says of itself, without importing its module.

    Raises:
        LookupError: there is no such function.
    """
    module, _, function = place.partition(".")
    for node in parse(module).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node) or ""
    raise LookupError(f"cli/{module}.py has no function {function}")


@cache
def parse(module: str) -> ast.Module:
    return ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
