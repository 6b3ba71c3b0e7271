"""Write the JSON schemas of docs/reference/, from the types that the program itself writes and reads by.

python scripts/schemas.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from finegrid.facts.comparison import CompareFacts
from finegrid.facts.report import Facts
from finegrid.facts.verdict import VerdictFacts
from finegrid.study.record import record_schema
from finegrid.study.schema import study_toml_schema

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def closed_schema(type_: Any, title: str) -> dict[str, Any]:
    """The schema of a type that finegrid alone writes: objects have no other names than those of the type."""
    made = close(TypeAdapter(type_).json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": title}


# By name of the file.
SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "verdict.schema.json": lambda: closed_schema(VerdictFacts, "finegrid verdict --json"),
    "report.schema.json": lambda: closed_schema(Facts, "report.json, beside the page of finegrid report"),
    "compare.schema.json": lambda: closed_schema(CompareFacts, "finegrid compare --json"),
    "runs.schema.json": record_schema,
    "study.schema.json": study_toml_schema,
}


def close(piece: Any) -> Any:
    """The same where objects have no other names than their properties."""
    if isinstance(piece, list):
        return [close(each) for each in piece]
    if not isinstance(piece, dict):
        return piece
    closed = {name: close(each) for name, each in piece.items()}
    is_object = piece.get("type") == "object" and isinstance(piece.get("properties"), dict)
    return {**closed, "additionalProperties": False} if is_object else closed


def text(name: str) -> str:
    """As the file has it."""
    return json.dumps(SCHEMAS[name](), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for file in SCHEMAS:
        (REFERENCE / file).write_text(text(file), encoding="utf-8")
