"""What goes into a page without becoming part of it: JSON, scripts, pictures."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

# `<` ends a script, `&` begins an entity where a page is read as XML, the separators end a line of JavaScript.
ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
SHORTEST = 160  # characters of JSON worth keeping only once


def script_json(value: Any) -> Markup:
    """JSON that can stand in a script element whatever its strings hold."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A half of a surrogate pair cannot be written as UTF-8.
    written = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Markup(written.translate(ESCAPED))


def script_hash(script: str) -> str:
    """Of a script element's text, as a content security policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def svg_address(svg: str) -> str:
    """A picture as an address: apart from the page's names and out of reach of its scripts."""
    return "data:image/svg+xml," + quote(svg, safe=" =:/;,()!@*+-._~")


def interned(value: Any) -> dict[str, Any]:
    """JSON whose larger equal pieces are kept once: ``{"pool": [...], "value": ...}``.

    Specifications of one chart in two languages and two themes share their data. A piece of the pool stands
    as ``{"$pool": index}``; pieces hold references to earlier ones only.
    """
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
