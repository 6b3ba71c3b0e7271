"""Problems with the user's input: all of one source are reported at once, with exit code 2."""

import errno
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Control and format characters (also those that turn the direction of writing), halves of surrogate pairs,
# line and paragraph separators.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)  # to write: another user's files, or a read-only disk
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # which libraries write into their messages

MOST_SHOWN = 60  # problems of one source, which may have thousands
MOST_OF_PLACE, MOST_OF_WHAT = 500, 4000  # characters of a line: values may have millions


@dataclass(frozen=True)
class Problem:
    """One problem: where it stands, and what was found, what was expected, what to do."""

    where: str
    what: str


class InputError(Exception):
    """The user's input cannot be used. Carries all problems of one source (a file, a command line)."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        shown = [
            (shorten(problem.where, MOST_OF_PLACE), problem.what) for problem in self.problems[:MOST_SHOWN]
        ]
        width = max((len(where) for where, _ in shown), default=0)
        lines = [f"{shorten(self.source, MOST_OF_PLACE)}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {where:<{width}}    {shorten(what, MOST_OF_WHAT)}".rstrip() for where, what in shown]
        if count > MOST_SHOWN:
            lines.append(f"  ... and {count - MOST_SHOWN:,} more")
        return "\n".join(map(visible, lines))


class WorkerBrokeError(Exception):
    """A worker could not even start; carries its traceback. A bug, or a broken installation."""


class ClusterLostError(Exception):
    """The cluster that a study is trained on cannot be reached any more. What has ended by then is kept."""


def input_error(source: str, where: str, what: str) -> InputError:
    """An `InputError` with a single problem."""
    return InputError(source, [Problem(where, what)])


ROOM, ALLOW = "Make room", "Allow it"
# By what the system refused: what helps. Afterwards the same command goes on.
WHAT_HELPS = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EROFS: "Make it writable",
    errno.EACCES: ALLOW,
    errno.EPERM: ALLOW,
    errno.EMFILE: "Allow more open files (ulimit -n)",
    errno.ENFILE: "Allow more open files (ulimit -n)",
    errno.EFBIG: "Allow larger files (ulimit -f)",
    errno.EIO: "Look after the disk",
}


def refusal(error: OSError) -> str:
    """What the system refused, and what to do about it. Not every error names its file."""
    where = "" if error.filename is None else f" {error.filename}"
    help_ = WHAT_HELPS.get(error.errno or 0)
    advice = f". {help_}; the same command goes on." if help_ else ""
    return f"cannot read or write{where}: {error.strerror or error}{advice}"


@contextmanager
def without_stderr() -> Iterator[None]:
    """For a moment, what libraries write to stderr leads nowhere: Rust tells of a panic there by itself."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def refusing_panics() -> Iterator[None]:
    """Where a tokeniser works: what Rust calls a panic is no `Exception`, and would pass all who catch these.

    Raises:
        InputError: the tokenizers library panicked.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        what = f"the tokenizers library fails with it: {first_line(error)}. Take another tokeniser."
        raise input_error("model.name", "tokenizer", what) from None


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Around writing to a place that ``--out`` names.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
        what = f"{out} cannot be written: {error.strerror}. Name another place with --out."
        raise input_error("command line", "--out", what) from None


def first_line(error: BaseException) -> str:
    """What a library said, in one line without colours; its kind where it said nothing."""
    lines = COLOURS.sub("", str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def visible_json(text: str) -> str:
    """JSON for the terminal: the same value, with control characters spelled as JSON spells them."""
    return "".join(
        spell_json(char) if char > "\x7e" and unicodedata.category(char) in UNSEEN else char for char in text
    )


def spell_json(char: str) -> str:
    """A character as JSON can spell any: ``\\u202e``, or two such."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def shorten(text: str, most: int) -> str:
    """A text without its middle where it is longer; the end often says what to do."""
    return text if len(text) <= most else f"{text[: most * 3 // 4]} … {text[-most // 4 :]}"


def visible(line: str) -> str:
    """A line for the terminal, control characters spelled out: labels and file names may hold any."""
    if line.isprintable():  # nearly every line: then nothing in it is of `UNSEEN`
        return line
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in UNSEEN else char
        for char in line
    )
