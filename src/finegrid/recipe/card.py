"""The card of a strategy: what `finegrid explain` prints."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

from finegrid.recipe.catalogue import find, parts


def card(name: str) -> str:
    """The documentation of a factor (``reinit.layers``), of a whole part (``reinit``), or of a strategy.

    Args:
        name: as people may call it: see `catalogue.find`.

    Raises:
        InputError: no such strategy, or several.
    """
    found = find(name)
    part = parts()[found.part]
    text = inspect.getdoc(importlib.import_module(type(part).__module__)) or ""
    lines = [f"{factor}    {summarise_factor(part, factor.partition('.')[2])}" for factor in found.factors]
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
