"""The card of a factor: what `finegrid explain` prints."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from dataclasses import fields
from typing import Any

from finegrid.errors import InputError, Problem
from finegrid.recipe.recipe import DEFAULTS, Recipe, unknown_factor


def card(factor: str) -> str:
    """The documentation of a factor (``reinit.layers``) or of a whole part (``reinit``).

    Raises:
        InputError: no such factor.
    """
    part, _, name = factor.partition(".")
    parts = {field.name: getattr(Recipe(), field.name) for field in fields(Recipe)}
    if part not in parts or (name and factor not in DEFAULTS):
        raise InputError("explain", [Problem(f'"{factor}"', unknown_factor(factor))])
    text = inspect.getdoc(importlib.import_module(type(parts[part]).__module__)) or ""
    factors = [field for field in dataclasses.fields(parts[part]) if not name or field.name == name]
    lines = [f"{part}.{field.name}    {summarise_factor(parts[part], field.name)}" for field in factors]
    return "\n".join([text, "", *lines])


def summarise_factor(part: Any, name: str) -> str:
    """Description, allowed levels and default of one factor, from its pydantic field."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(type(part)).json_schema()["properties"][name]
    described = " | ".join(describe_levels(option) for option in schema.get("anyOf", [schema]))
    return f"{schema.get('description', '')} ({described}; default {json.dumps(schema['default'])})"


def describe_levels(schema: dict[str, Any]) -> str:
    """The allowed levels of one type."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    allowed = " | ".join(json.dumps(value) for value in values) if values else schema["type"]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return ", ".join([allowed, *bounds])
