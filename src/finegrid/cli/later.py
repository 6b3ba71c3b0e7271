"""Commands that are imported when they are called: ``status`` need not wait for what ``fit`` imports."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

HERE = Path(__file__).parent


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
        alone.command(self.name)(find_function(self.place))
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

    return Commands


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
