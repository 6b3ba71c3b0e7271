"""What goes into a page without becoming part of it: JSON, scripts, pictures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

# `<` ends a script, and `&` begins an entity where a page is read as XML; controls and separators are unseen.
ESCAPED = re.compile(
    "[<>&\x7f-\x9f\xad\u0600-\u0605\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
FEWEST_ROWS = 4
SHORTEST = 160  # characters of JSON worth keeping only once


def script_json(value: Any) -> Markup:
    """JSON that can stand in a script element whatever its strings hold."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", written))


def script_hash(script: str) -> str:
    """Of a script element's text, as a content security policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def svg_address(svg: str) -> str:
    """A picture as an address: apart from the page's names and out of reach of its scripts."""
    return "data:image/svg+xml," + quote(svg, safe=" =:/;,()!@*+-._~")


def columnar(value: Any) -> Any:
    """JSON whose tables (lists of objects with the same names) are kept by columns.

    Such a table stands as ``{"$rows": count, "columns": {name: [...]}}``; a column of equal values is that
    value in a list of its own.
    """
    if isinstance(value, dict):
        return {name: columnar(each) for name, each in value.items()}
    if not isinstance(value, list):
        return value
    names = list(value[0]) if value and isinstance(value[0], dict) else []
    if (
        len(value) < FEWEST_ROWS
        or not names
        or any(type(row) is not dict or list(row) != names for row in value)
    ):
        return [columnar(each) for each in value]
    columns = {name: [columnar(row[name]) for row in value] for name in names}
    return {"$rows": len(value), "columns": {name: alike(column) for name, column in columns.items()}}


def alike(column: list[Any]) -> list[Any]:
    """Its one value, if it has no other. In JSON 1 and 1.0 and true differ."""
    first = json.dumps(column[0])
    return column[:1] if all(json.dumps(each) == first for each in column) else column


def interned(value: Any) -> dict[str, Any]:
    """JSON whose larger equal pieces are kept once: ``{"pool": [...], "value": ...}``.

    Specifications of one chart in two languages and two themes share most of their data. A piece of the pool
    stands as ``{"$pool": index}``; pieces hold references to earlier ones only.
    """
    value = columnar(value)
    pool: list[Any] = []
    places: dict[str, int] = {}
    seen: dict[str, int] = {}

    def tally(piece: Any) -> None:
        if not isinstance(piece, dict | list):
            return
        key = json.dumps(piece, sort_keys=True)
        if len(key) < SHORTEST:
            return
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 1:
            for each in piece.values() if isinstance(piece, dict) else piece:
                tally(each)

    def keep(piece: Any) -> Any:
        if not isinstance(piece, dict | list):
            return piece
        key = json.dumps(piece, sort_keys=True)
        if key in places:
            return {"$pool": places[key]}
        short = len(key) < SHORTEST
        if isinstance(piece, dict):
            kept: Any = piece if short else {name: keep(each) for name, each in piece.items()}
        else:
            kept = piece if short else [keep(each) for each in piece]
        if short or seen[key] < 2:
            return kept
        pool.append(kept)
        places[key] = len(pool) - 1
        return {"$pool": places[key]}

    tally(value)
    return {"value": keep(value), "pool": pool}
