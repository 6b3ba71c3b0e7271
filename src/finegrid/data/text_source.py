"""A text file as pieces of characters, however it is packed and encoded, to be read as often as need be."""

from __future__ import annotations

import codecs
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from finegrid.data.content import DAMAGED, OTHER_KINDS, PACKED, read_content, refuse_other_text
from finegrid.data.encoding import MARK, Decoded
from finegrid.data.findings import FileFindings
from finegrid.data.settings import Encoding

PIECE = 1 << 20  # bytes, or characters
LONGEST_START = max(map(len, (*OTHER_KINDS, *PACKED)))
UNICODE: tuple[Encoding, ...] = ("auto", "utf-8")
WATCHED = ',\t;|"\n'  # characters of which it is known whether a file has any


@dataclass(frozen=True)
class TextSource:
    """The characters of a file, without byte order marks.

    Attributes:
        head: The first of them.
        whole: Whether these are all.
        has: Those of `WATCHED` that are somewhere in it.
    """

    head: str
    whole: bool
    has: frozenset[str]
    _open: Callable[[], AbstractContextManager[IO[str]]]

    @property
    def line_end(self) -> str:
        return "\n" if "\n" in self.has else "\r"

    @property
    def first_lines(self) -> str:
        """Of the head, the lines that are whole."""
        if self.whole:
            return self.head
        end = self.head.rfind(self.line_end)
        return self.head if end < 0 else self.head[:end]

    def pieces(self) -> Iterator[str]:
        """All characters, from the first."""
        with self._open() as file:
            while piece := file.read(PIECE):
                yield piece

    def lines(self) -> Iterator[str]:
        """Lines without their ends, cut nowhere else; those at the end that are blank are left out."""
        blank = []
        held = ""
        for piece in self.pieces():
            *whole, held = (held + piece).split(self.line_end)
            for line in whole:
                blank.append(line)
                if line.strip():
                    yield from blank
                    blank.clear()
        if held.strip():
            yield from (*blank, held)


def open_source(
    path: Path,
    encoding: Encoding,
    decode: Callable[[bytes], Decoded | None],
    findings: FileFindings,
) -> TextSource | None:
    """Open a text file. Where there are problems, they stand in ``findings``.

    What is UTF-8 is read piece by piece. Anything else is decoded as a whole, once, and put on the disk.

    Args:
        path: the file.
        encoding: that it is said to have.
        decode: what makes characters of bytes that are not plain UTF-8, and adds to the same findings.
        findings: of the file.
    """
    source = scan(path) if encoding in UNICODE else None
    if source is None:
        raw = read_content(path, findings)
        decoded = None if raw is None else decode(raw)
        if decoded is None:
            return None
        source = spool(decoded.text)
    # A list of JSON is told by its end, too.
    text = source.head if not source.head.lstrip().startswith("[") else "".join(source.pieces())
    return None if refuse_other_text(text, findings) else source


def scan(path: Path) -> TextSource | None:
    """A file that is UTF-8 throughout, packed or not; None where it is not, or no such text, or damaged."""
    seen: set[str] = set()
    head, size = "", 0
    try:
        with open_bytes(path) as file:
            decoder = codecs.getincrementaldecoder("utf-8")()
            while raw := file.read(PIECE):
                if b"\0" in raw or (size == 0 and raw.startswith(tuple(OTHER_KINDS))):
                    return None
                text = decoder.decode(raw)
                text = text.removeprefix(MARK) if size == 0 else text
                if MARK in text:
                    return None
                head = head or text
                size += len(raw)
                seen.update(mark for mark in WATCHED if mark not in seen and mark in text)
            decoder.decode(b"", final=True)
    except (UnicodeDecodeError, ValueError, *DAMAGED):
        return None  # whoever reads it as a whole tells why
    whole = size <= PIECE
    return TextSource(head, whole, frozenset(seen), lambda: open_text(path))


def open_bytes(path: Path) -> IO[bytes]:
    """A file as what was packed in it."""
    with path.open("rb") as file:
        start = file.read(LONGEST_START)
    opener = next((opener for magic, opener in PACKED.items() if start.startswith(magic)), None)
    opened: IO[bytes] = path.open("rb") if opener is None else opener(path)
    return opened


def open_text(path: Path) -> TextIOWrapper:
    raw: Any = open_bytes(path)
    return TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def spool(text: str) -> TextSource:
    """Characters that were decoded as a whole, on the disk, so that memory is free again."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115  # closed with its source
    file.write(text)

    def again() -> AbstractContextManager[IO[str]]:
        file.seek(0)
        return nullcontext(file)

    seen = frozenset(mark for mark in WATCHED if mark in text)
    source = TextSource(text[:PIECE], len(text) <= PIECE, seen, again)
    weakref.finalize(source, file.close)
    return source
