"""A study as its page shows it at one moment; of a study that cannot be shown, what is wrong with it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from finegrid.errors import InputError, visible
from finegrid.facts.report import Facts
from finegrid.planning.status import STATES, study_status
from finegrid.study.load import read_study


class RenderPage(Protocol):
    def __call__(self, facts: Facts, *, live: bool) -> str: ...


@dataclass(frozen=True)
class PageMaker:
    """How a page is made: `report.facts.report_facts` and `report.page.render_page`."""

    facts: Callable[[Path], Facts]
    page: RenderPage


@dataclass(frozen=True)
class View:
    """The page of one revision, and what is wrong with it.

    Attributes:
        revision: of the sources that it was made of.
        page: HTML; empty where there is nothing to show.
        facts: ``report.json``; empty likewise.
        problem: why the page is missing, or is one of an earlier revision; empty if it is not.
        runs: how many are done, diverged, failed and left; None where that is not known.
        seconds_left: what is left will take, by forecast; None where that is not known.
    """

    revision: str
    page: str = ""
    facts: bytes = b""
    problem: str = ""
    runs: dict[str, int] | None = None
    seconds_left: float | None = None


def make_view(folder: Path, revision: str, make: PageMaker, before: View | None) -> View:
    """Make a study's page. Where that fails, the page that was there before is kept."""
    page, content, problem = (before.page, before.facts, "") if before else ("", b"", "")
    try:
        facts = make.facts(folder)
        fresh = make.page(facts, live=True)
        content = json.dumps(facts, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
        page = fresh
    except InputError as error:
        problem = str(error)
    except Exception as error:
        # A file may be damaged in a way that nobody thought of, and be mended while we watch.
        traceback.print_exc()
        problem = visible(f"{folder}: cannot be shown: {type(error).__name__}: {error}")
    runs, seconds_left = measure_progress(folder)
    return View(revision, page, content, problem, runs, seconds_left)


def measure_progress(folder: Path) -> tuple[dict[str, int] | None, float | None]:
    """Runs by what became of them, and predicted seconds until the rest is done: `finegrid status`."""
    try:
        study = read_study(folder)
        status = study_status(study, study.head.run)
        states = list(status.states().values())
        return {state: states.count(state) for state in STATES} if states else None, status.seconds_left()
    except Exception:  # the page has said what is wrong
        return None, None
