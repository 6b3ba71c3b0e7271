"""The JSON schema of ``study.toml``, made for editors: what may be set, and what it means."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from finegrid.recipe.recipe import Recipe
from finegrid.study.settings import Head

Schema = dict[str, Any]
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "the checkpoint: a folder, a hub id, or mini-zh, which comes with finegrid",
}


def study_toml_schema() -> Schema:
    """The JSON schema of ``study.toml``, in draft 7, which editors of TOML read.

    It checks every table by itself. What tables mean together, a checkpoint, or a design asks of each other,
    only ``finegrid plan`` checks.
    """
    head = Head.model_json_schema()
    parts = {part.name: part_schema(part.name) for part in fields(Recipe)}
    levels = {name: part["properties"] for name, part in parts.items()}
    model = parts["model"]
    parts["model"] = {
        **model,
        "properties": {"name": NAME, **model["properties"]},
        "required": ["name"],
    }
    tables = simplify(head["properties"], head["$defs"])
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "study.toml",
        "description": "A finegrid study: texts, a checkpoint, a baseline, and what is varied.",
        "type": "object",
        "properties": {**tables, **parts, "factors": factors_schema(levels)},
        "required": ["data", "model"],
        "additionalProperties": False,
    }


def part_schema(name: str) -> Schema:
    """The table of one part of the recipe: the baseline's levels."""
    part = type(getattr(Recipe(), name))
    schema = TypeAdapter(part).json_schema()
    return {
        "type": "object",
        "description": f"The baseline's levels; `finegrid explain {name}` tells what they do.",
        "properties": simplify(schema["properties"], schema.get("$defs", {})),
        "additionalProperties": False,
    }


def factors_schema(parts: dict[str, Schema]) -> Schema:
    """The table of what is varied: ``"reinit.layers" = [0, 6]``, or ``layers`` in a table ``reinit``."""
    dotted = {
        f"{part}.{field}": levels_schema(level)
        for part, levels in parts.items()
        for field, level in levels.items()
    }
    nested = {
        part: {
            "type": "object",
            "properties": {field: levels_schema(level) for field, level in levels.items()},
            "additionalProperties": False,
        }
        for part, levels in parts.items()
    }
    return {
        "type": "object",
        "description": "What the study varies: lists of levels, the first of them the baseline's.",
        "properties": {**dotted, **nested},
        "additionalProperties": bundle_schema(parts),
    }


def bundle_schema(parts: dict[str, Schema]) -> Schema:
    """The table of a bundle: by the name of a level its settings, dotted or nested."""
    plain = {part: {field: strip(level) for field, level in levels.items()} for part, levels in parts.items()}
    dotted = {f"{part}.{field}": level for part, levels in plain.items() for field, level in levels.items()}
    nested = {
        part: {"type": "object", "properties": levels, "additionalProperties": False}
        for part, levels in plain.items()
    }
    return {
        "type": "object",
        "description": "A bundle: a factor whose levels are named sets of settings, {} the baseline itself.",
        "minProperties": 2,
        "additionalProperties": {
            "type": "object",
            "properties": {**dotted, **nested},
            "additionalProperties": False,
        },
    }


def strip(level: Schema) -> Schema:
    """What a level may be, without words."""
    return {key: value for key, value in level.items() if key not in ("default", "description")}


def levels_schema(level: Schema) -> Schema:
    """A list of levels of one factor."""
    about = {key: value for key, value in level.items() if key == "description"}
    return {**about, "type": "array", "items": strip(level), "minItems": 2, "uniqueItems": True}


def simplify(schema: Any, definitions: Schema) -> Any:
    """A schema as editors take it best: definitions where they are used, no null, which TOML cannot say, and
    no titles that repeat a name.
    """
    if isinstance(schema, list):
        return [simplify(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return simplify({**target, **rest}, definitions)
    if "prefixItems" in schema:
        pair = schema["prefixItems"]
        schema = {**{key: v for key, v in schema.items() if key != "prefixItems"}, "items": pair}
    if {"type": "null"} in schema.get("anyOf", []):
        known = [option for option in schema["anyOf"] if option != {"type": "null"}]
        rest = {key: v for key, v in schema.items() if key not in ("anyOf", "default")}
        schema = {**known[0], **rest} if len(known) == 1 else {**rest, "anyOf": known}
    if schema.get("type") == "object":  # its fields have their own
        schema = {key: value for key, value in schema.items() if key != "default"}
    return {
        key: {name: simplify(each, definitions) for name, each in value.items()}
        if key == "properties"
        else simplify(value, definitions)
        for key, value in schema.items()
        if key not in ("title", "format") or key == "properties"
    }
