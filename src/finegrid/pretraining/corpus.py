"""Reads plain text as documents: compressed or not, lines or JSON lines, repeated lines dropped."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO

from finegrid.errors import InputError, Problem, input_error
from finegrid.extras import needing
from finegrid.pretraining.words import say
from finegrid.spelling import Lang

JSON_LINES = (".jsonl", ".ndjson")


@dataclass
class FileCount:
    """How many lines of one file were kept and dropped, and why."""

    name: str
    lines: int = 0  # that are not blank
    repeated: int = 0  # dropped: an equal line came before, here or in an earlier file
    excluded: int = 0  # dropped: equal to a line of the files to do without
    short: int = 0  # documents dropped: too few tokens to learn from
    documents: int = 0
    characters: int = 0

    def describe(self, lang: Lang) -> Sequence[str]:
        """What was kept and dropped, in a line."""
        kept = say("file", lang, name=self.name, lines=self.lines, millions=self.characters / 1e6)
        dropped = {"repeated": self.repeated, "excluded": self.excluded}
        return [kept + "".join(say(key, lang, count=count) for key, count in dropped.items() if count)]


@dataclass
class Corpus:
    """Documents, each some lines, and where they come from."""

    documents: list[tuple[str, ...]] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)  # of each document: which file
    files: list[FileCount] = field(default_factory=list)


def read_corpus(paths: Sequence[Path], key: str = "text", without: Sequence[Path] = ()) -> Corpus:
    """Read text files in order.

    A document is what blank lines separate; in a file without blank lines each line is one, and in JSON lines
    each object. Lines are compared after white space is evened out.

    Args:
        paths: lines of text, or ``.jsonl``; also with ``.xz``, ``.gz``, ``.bz2``, ``.zst`` behind.
        key: the text's key in JSON lines.
        without: files with lines that must not be learned from, such as the texts of a test split.

    Raises:
        InputError: missing, damaged or empty files, what is not UTF-8, objects without the key; all of them.
    """
    problems: list[Problem] = []
    excluded: set[str] = set()
    for path in without:
        with collecting(problems):
            excluded.update(line for document in read_file(path, key) for line in document)
    corpus, seen = Corpus(), set[str]()
    for index, path in enumerate(paths):
        count = FileCount(path.name)
        corpus.files.append(count)
        with collecting(problems):
            for document in read_file(path, key):
                kept = tuple(keep_lines(document, seen, excluded, count))
                if kept:
                    corpus.documents.append(kept)
                    corpus.sources.append(index)
                    count.documents += 1
            if not count.lines:
                raise input_error(str(path), "corpus", "no text in it. Give a file with a text on each line.")
    if problems:
        raise InputError("corpus", problems)
    return corpus


class collecting:
    """Keeps an `InputError` for later, so that all of them are raised at once."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if isinstance(error, InputError):
            self.problems.extend(Problem(error.source, problem.what) for problem in error.problems)
        return isinstance(error, InputError)


def keep_lines(
    document: Iterable[str], seen: set[str], excluded: set[str], count: FileCount
) -> Iterator[str]:
    """The lines that are neither repeated nor excluded; counts what is dropped."""
    for line in document:
        count.lines += 1
        if line in excluded:
            count.excluded += 1
        elif line in seen:
            count.repeated += 1
        else:
            seen.add(line)
            count.characters += len(line)
            yield line


def leave_out_(document: tuple[str, ...], count: FileCount) -> None:
    """Count a document as dropped that was kept before: it turned out too short."""
    count.short += 1
    count.documents -= 1
    count.characters -= sum(map(len, document))


def read_file(path: Path, key: str) -> Iterator[list[str]]:
    """The documents of one file, blank lines gone and white space evened out."""
    compressed = path.suffix.lower() in (".xz", ".gz", ".bz2", ".zst")
    inner = path.with_suffix("") if compressed else path
    try:
        with open_bytes(path) as file:
            if inner.suffix.lower() in JSON_LINES:
                yield from read_json_documents(file, path, key)
            else:
                lines = [" ".join(text.split()) for text in decode_lines(file, path)]
                yield from split_blocks(lines)
    except FileNotFoundError:
        raise input_error(str(path), "corpus", "no such file. Give files of text.") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        what = f"cannot be read: {error}. Is it whole, and what its ending says?"
        raise input_error(str(path), "corpus", what) from error


def split_blocks(lines: list[str]) -> Iterator[list[str]]:
    if "" not in lines:
        yield from ([line] for line in lines)
        return
    for blank, block in groupby(lines, key=lambda line: not line):
        if not blank:
            yield list(block)


def read_json_documents(file: IO[bytes], path: Path, key: str) -> Iterator[list[str]]:
    for number, line in enumerate(decode_lines(file, path), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)[key]
        except (ValueError, RecursionError, KeyError, TypeError, IndexError):
            text = None
        if not isinstance(text, str):
            what = f'line {number} is no object with a text under "{key}". Name the key with --field.'
            raise input_error(str(path), "corpus", what)
        if lines := [clean for part in text.splitlines() if (clean := " ".join(part.split()))]:
            yield lines


def decode_lines(file: IO[bytes], path: Path) -> Iterator[str]:
    for number, raw in enumerate(file, start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            what = f"line {number} is not UTF-8 (byte {error.start + 1} of it). Convert the file to UTF-8."
            raise input_error(str(path), "corpus", what) from error


def open_bytes(path: Path) -> IO[bytes]:
    """A file, decompressed by what its ending says."""
    ending = path.suffix.lower()
    if ending == ".xz":
        return lzma.open(path)
    if ending == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if ending == ".bz2":
        return bz2.open(path)
    if ending == ".zst":
        import io

        with needing("parquet", "corpus", path.name):
            import pyarrow

        if not path.exists():
            raise FileNotFoundError(path)
        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")
