"""Write the JSON schemas of docs/reference/, from the types that the program itself writes and reads by.

python scripts/schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from finegrid.facts.report import Facts
from finegrid.facts.verdict import VerdictFacts

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


class Described(NamedTuple):
    """What a schema describes.

    Attributes:
        type: whatever pydantic knows a schema of.
        title: what has it.
        closed: whether objects have no other names than those that the type lists. Of what we write alone.
    """

    type: Any
    title: str
    closed: bool = False


# By name of the file.
SCHEMAS: dict[str, Described] = {
    "verdict.schema.json": Described(VerdictFacts, "finegrid verdict --json", closed=True),
    "report.schema.json": Described(Facts, "report.json, beside the page of finegrid report", closed=True),
}


def schema(name: str) -> dict[str, Any]:
    """One of `SCHEMAS`."""
    described = SCHEMAS[name]
    made = TypeAdapter(described.type).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **(close(made) if described.closed else made),
        "title": described.title,
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
    return json.dumps(schema(name), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for file in SCHEMAS:
        (REFERENCE / file).write_text(text(file), encoding="utf-8")
