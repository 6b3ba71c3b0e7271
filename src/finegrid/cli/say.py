"""How commands answer: results on stdout, progress and warnings on stderr, and exit code 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from finegrid.errors import visible, visible_json
from finegrid.in_chinese import translate
from finegrid.spelling import Lang, Telling

if TYPE_CHECKING:
    from finegrid.planning.status import StudyStatus

TIME_OVER = 3  # exit code of `finegrid run --for` that has left runs


def say(*lines: str) -> None:
    """Results, on stdout."""
    print("\n".join(map(visible, lines)))


def sayer(lang: Lang) -> Callable[[Telling], None]:
    """Says results in a language."""
    return lambda telling: say(*telling(lang))


def teller(lang: Lang) -> Callable[[Telling], None]:
    """Tells progress in a language."""

    def tell_lines(telling: Telling) -> None:
        for line in telling(lang):
            tell(line)

    return tell_lines


def say_file(text: str) -> None:
    """What is to go into a file, on stdout: as it is, but a terminal would obey control characters."""
    if sys.stdout.isatty():
        say(*text.split("\n"))
    else:
        print(text)


def say_json(value: Mapping[str, Any]) -> None:
    """Results for a program, on stdout."""
    print(visible_json(json.dumps(value, ensure_ascii=False, indent=1)))


def say_status(
    status: StudyStatus,
    lines: Sequence[str],
    as_json: bool,
    more: Mapping[str, Any] | None = None,
    warned: bool = False,
    lang: Lang = "en",
) -> None:
    """How a study stands: in words, and what it warns of; or as JSON.

    Args:
        status: of the study.
        lines: the words.
        as_json: whether JSON is wanted.
        more: keys of the JSON.
        warned: whether what the audit warns of has been said before, or is not asked for.
        lang: of the warnings.
    """
    if as_json:
        say_json({**status.as_json(), **(more or {})})
        return
    say(*lines)
    for warning in status.on_file.notes if warned else status.warnings:
        warn(translate(warning, lang), lang)


def warn(text: str, lang: Lang = "en") -> None:
    """A warning, on stderr."""
    tell(f"warning: {text}" if lang == "en" else f"警告：{text}")


def tell(line: str) -> None:
    """Progress, or what went wrong, on stderr."""
    print(visible(line), file=sys.stderr, flush=True)


def exit_by(status: StudyStatus, lang: Lang) -> None:
    """End with exit code 1 where runs diverged or failed, and say how many."""
    from finegrid.planning.status_words import failure_lines  # no need of it for who only asks for help

    if lines := failure_lines(status, lang):
        exit_with(*lines)


def exit_with(*lines: str) -> None:
    """Say on stderr what went wrong, and end with exit code 1."""
    for line in lines:
        tell(line)
    raise typer.Exit(1)
