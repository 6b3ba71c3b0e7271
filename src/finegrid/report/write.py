"""What `finegrid report` writes: the page with its facts, the tables, or one figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from finegrid.atomic import check_file
from finegrid.errors import input_error, writing_to
from finegrid.facts.report import Facts
from finegrid.metrics import TOLERANCE
from finegrid.refusals import saving
from finegrid.report.facts.facts import report_facts
from finegrid.spelling import Lang
from finegrid.study.folder import StudyFolder
from finegrid.study.study import Study
from finegrid.words import say_wrote

FORMATS = ("html", "md", "svg", "png")


def write_report(
    folder: Path,
    style: str,
    figure: str | None,
    out: Path | None,
    lang: Lang,
    margin: float | None = None,
    tolerance: float = TOLERANCE,
    tell: Callable[[Study], None] = lambda study: None,
) -> list[str]:
    """Write what was asked for.

    Args:
        folder: of a study or an imported table.
        style: one of `FORMATS`.
        figure: for ``svg`` and ``png``, and only for these: which.
        out: where to; in the folder if not said. Tables then are returned instead.
        lang: of the words, and of the lines.
        margin: points. None: as the verdict chooses it.
        tolerance: points that a recommended recipe may lose against the baseline.
        tell: is given the study before more of it is read than study.toml; not of a table.

    Returns:
        Lines for the terminal.

    Raises:
        InputError: another format, a figure that does not exist or has no facts, or no figure named;
            or a place where something else than a file is.
    """
    check(style, figure, out)
    files = StudyFolder(folder)
    if out is None and style != "md":
        out = files.report if figure is None else files.figure(figure, style)
    if out is not None:
        check_file(out)  # before the verdict, which takes its time
    facts = report_facts(folder, margin, tolerance, tell)
    if style == "md":
        from finegrid.report.markdown import markdown

        text = markdown(facts, lang)
        return [text.rstrip("\n")] if out is None else [put(out, text.encode(), lang)]
    assert out is not None
    if figure is None:
        return write_page(facts, out, lang)
    from finegrid.report.chart import files as figures

    content = figures.figure(facts, figure, "svg" if style == "svg" else "png", lang)
    return [put(out, content, lang)]


def check(style: str, figure: str | None, out: Path | None) -> None:
    if style not in FORMATS:
        raise input_error("command line", "--format", f'found "{style}", expected {", ".join(FORMATS)}.')
    of_figures = style in ("svg", "png")
    if of_figures and figure is None:
        from finegrid.report.chart.charts import DRAW

        what = f"--format {style} draws one figure. Name it: --figure {', '.join(DRAW)}."
        raise input_error("command line", "--figure", what)
    if figure is not None and not of_figures:
        what = f'found "{figure}" with --format {style}. Figures are files of their own: --format svg or png.'
        raise input_error("command line", "--figure", what)
    if style == "html" and out is not None and out.suffix == ".json":
        what = f'found "{out}", where the facts of the page go. Give the page another ending: .html.'
        raise input_error("command line", "--out", what)


def write_facts(facts: Facts, out: Path, lang: Lang) -> list[str]:
    """Facts that are no study's: the page, or its tables, as the ending of ``out`` says."""
    if out.suffix.lower() == ".md":
        from finegrid.report.markdown import markdown

        return [put(out, markdown(facts, lang).encode(), lang)]
    return write_page(facts, out, lang)


def write_page(facts: Facts, out: Path, lang: Lang) -> list[str]:
    """The page, and beside it the facts that it shows."""
    from finegrid.report.page.page import render_page

    for target in (out, beside := out.with_suffix(".json")):
        check_file(target)
    page = render_page(facts, lang).encode()
    told = json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False).encode()
    return [put(beside, told, lang), put(out, page, lang)]


def put(out: Path, content: bytes, lang: Lang) -> str:
    with writing_to(out), saving(out, len(content)) as draft:
        draft.write_bytes(content)
    return say_wrote(out, lang)
