"""Tokenisers whose parts may take any time or memory: tried out in a process of its own before they are used.

Regular expressions may take exponential time, and replacements may double a text again and again. The
tokenizers library computes in threads that nothing can interrupt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

from finegrid.data.findings import quote
from finegrid.encoders import tokenise_sample
from finegrid.encoders.charsmap import is_tame
from finegrid.encoders.files import describe_stand_in, is_deep
from finegrid.errors import first_line, input_error

MOST_SECONDS = 20  # for a tokeniser to be read and a few texts to be tokenised, which takes some 0.2 s
LEAST_SPEED = 50_000  # characters a second on top of that; tokenisers read a million
MOST_GIB = 4
MOST_BYTES = 200_000_000  # of a tokenizer.json: those of a million tokens have some 60 MB
MOST_ADDED = 20_000  # tokens beside the vocabulary: transformers compares each with all
MOST_PARTS = 12  # of a normaliser or pre-tokeniser
LONGEST_WORD = 1000  # which word pieces try to spell; its time grows with the square
UNTYPED, SMALL = "of no type", "of little effect"
# Parts of which none makes a text much longer, nor takes long; ByteLevel may double it, and stands once.
NORMALIZERS = {
    *("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Strip"),
    *("StripAccents", "Sequence", SMALL),
}
PRE_TOKENIZERS = {
    *("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation"),
    *("UnicodeScripts", "Whitespace", "WhitespaceSplit", "Sequence", SMALL),
}
MODELS = {"WordPiece", "WordLevel", "BPE", "Unigram"}
LONGEST_PIECE = 200  # characters of a Unigram's: its time grows with them. sentencepiece makes 16 at most


def try_out(path: Path, texts: Sequence[str] = (), made_of: Path | None = None) -> None:
    """Let a process of its own read ``tokenizer.json`` and tokenise texts, if it has unusual parts.

    Args:
        path: of the file.
        texts: beside a few of ours. What is slow only on rare texts shows on these alone.
        made_of: the file that it was made of, which messages name.

    Raises:
        InputError: it cannot be read, or takes more time or memory than any tokeniser does.
    """
    named = path if made_of is None else made_of
    unusual, added = look_at(path)
    if added > MOST_ADDED:
        what = f"has {added:,} added tokens, expected {MOST_ADDED:,} at most."
        raise input_error(str(named.parent), named.name, what)
    if not unusual:
        return
    spelled = json.dumps(list(texts))
    seconds = MOST_SECONDS + len(spelled) / LEAST_SPEED
    what = f"{len(texts):,} texts" if texts else f"{len(tokenise_sample.SAMPLE)} short texts"
    command = [sys.executable, "-P", str(tokenise_sample.__file__), str(path), str(MOST_GIB)]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    about = ", ".join(dict.fromkeys(unusual))
    try:
        ended = subprocess.run(
            command,
            env=environment,
            input=spelled,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        slow = f"did not tokenise {what} within {seconds:.3g} s: {about}. finegrid does not use it."
        raise input_error(str(named.parent), named.name, slow) from None
    said = ended.stdout.strip()
    if said == "ok":
        return
    if not said:  # a failed allocation ends the process
        said = f"ended while it tokenised {what}, for which it may take {MOST_GIB} GiB of memory"
    raise input_error(str(named.parent), named.name, f"cannot be used ({about}): {said}.")


def has_unusual(path: Path) -> bool:
    """Whether a ``tokenizer.json`` has parts that `try_out` tries.

    Raises:
        InputError: as `read_whole`.
    """
    return bool(look_at(path)[0])


def look_at(path: Path) -> tuple[tuple[str, ...], int]:
    """What is unusual in a ``tokenizer.json``, and how many tokens it adds to its vocabulary.

    Raises:
        InputError: as `read_whole`.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise input_error(str(path.parent), path.name, f"cannot be loaded: {first_line(error)}.") from None
    return _look_at(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=8)  # a file of 250,000 pieces takes half a second to read
def _look_at(path: Path, size: int, changed: int) -> tuple[tuple[str, ...], int]:
    content = read_whole(path)
    added = content.get("added_tokens")
    return tuple(find_unusual(content)), len(added) if isinstance(added, list) else 0


def read_whole(path: Path) -> dict[str, Any]:
    """The content of ``tokenizer.json``.

    Raises:
        InputError: it is too large, nested too deeply, or no object of JSON.
    """
    source, name = str(path.parent), path.name
    if (instead := describe_stand_in(path)) is not None:
        raise input_error(source, name, instead)
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            what = f"has {size:,} bytes, expected {MOST_BYTES:,} at most. Is it a tokeniser's?"
            raise input_error(source, name, what)
        content = json.loads(path.read_bytes(), object_pairs_hook=gather_pairs)
    except (OSError, ValueError, RecursionError) as error:
        raise input_error(source, name, f"cannot be loaded: {first_line(error)}.") from None
    if not isinstance(content, dict) or is_deep(content):
        raise input_error(source, name, "cannot be loaded: expected an object of JSON, as tokenizers writes.")
    return content


def gather_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of a key that stands twice libraries take one value or the other."""
    gathered = dict(pairs)
    if len(gathered) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {quote(twice)} stands twice in an object")
    return gathered


def find_unusual(content: dict[str, Any]) -> list[str]:
    """Parts of a tokeniser that may take long, as messages call them. Usual checkpoints have none."""
    found = [
        *find_unusual_parts(content.get("normalizer"), "normaliser", NORMALIZERS),
        *find_unusual_parts(content.get("pre_tokenizer"), "pre-tokeniser", PRE_TOKENIZERS),
    ]
    if "Regex" in json.dumps(content.get("decoder")):
        found.append("its decoder has a regular expression")
    model = content.get("model")
    about = model if isinstance(model, dict) else {}
    kind = about.get("type", "BPE")
    if not isinstance(kind, str) or kind not in MODELS:  # early files name no type
        found.append(f"its model is {quote(kind)}")
    if kind == "Unigram" and (most := measure_pieces(about.get("vocab"))) > LONGEST_PIECE:
        found.append(f"its model has pieces of {most:,} characters")
    longest = about.get("max_input_chars_per_word", 0)
    if not isinstance(longest, int) or longest > LONGEST_WORD:
        found.append(f"its model takes words of {quote(longest)} characters")
    return found


def measure_pieces(vocabulary: Any) -> int:
    """Characters of the longest piece of a Unigram; more than any has where it is no list of pieces."""
    try:
        return max((len(piece) for piece, _ in vocabulary), default=0)
    except (TypeError, ValueError):
        return MOST_BYTES


def find_unusual_parts(part: Any, called: str, usual: Set[str]) -> list[str]:
    """What is not among the usual kinds of a normaliser or pre-tokeniser, or makes too many of them."""
    kinds = list(list_kinds(part))
    if others := [kind for kind in dict.fromkeys(kinds) if kind not in usual]:
        return [f"its {called} is {', '.join(map(quote, others[:3]))}"]
    many = len(kinds) > MOST_PARTS or kinds.count("ByteLevel") > 1
    return [f"its {called} has {len(kinds)} parts"] if many else []


def is_small(part: dict[str, Any]) -> bool:
    """Whether a part whose kind may do anything does little: a table of sentencepiece, a sign for another."""
    if part["type"] == "Precompiled":
        return is_tame(part.get("precompiled_charsmap"))
    if part["type"] not in ("Replace", "Split"):
        return False
    pattern, content = part.get("pattern"), part.get("content", "")
    plain = pattern.get("String") if isinstance(pattern, dict) and len(pattern) == 1 else None
    return isinstance(plain, str) and isinstance(content, str) and len(content) <= len(plain) > 0


def list_kinds(part: Any) -> Iterator[str]:
    """The kinds of a normaliser or pre-tokeniser, and of all that are inside; `SMALL` of what does little."""
    if part is None:
        return
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        yield UNTYPED
        return
    yield SMALL if is_small(part) else part["type"]
    for value in part.values():
        for inner in value if isinstance(value, list) else ():
            yield from list_kinds(inner)
