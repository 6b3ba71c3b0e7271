"""How a study at work looks on a terminal: a few lines that stay below what has been said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from finegrid.errors import visible
from finegrid.in_chinese import name_state
from finegrid.running.progress.study_progress import FamilyProgress, StudyProgress
from finegrid.running.progress.words import say
from finegrid.spelling import Lang, format_duration
from finegrid.words import SHARED

NARROW = 60  # columns; below, only what matters most
OTHER_LINES = 9  # of the picture, beside the families, and one for the cursor


def draw(progress: StudyProgress, now: float, width: int, height: int, lang: Lang = "en") -> RenderableType:
    """The picture, at most ``width`` columns by ``height`` lines; no line is wrapped.

    Args:
        progress: the study.
        now: by the clock of the study's times.
        width: columns of the terminal.
        height: its lines.
        lang: en or zh.
    """
    if not progress.families:
        worked = say("working", lang, time=format_duration(now - progress.started, lang))
        return line(worked, style="dim") if progress.doing else Text()
    narrow = width < NARROW
    parts: list[RenderableType] = [
        Text(),
        bar(progress.share),
        line(counts(progress, now, narrow, lang), style="bold"),
    ]
    parts.append(families_table(progress.at_work, narrow, max(1, height - OTHER_LINES), lang))
    parts += best_lines(progress, narrow, lang)
    if trouble := trouble_words(progress, lang):
        parts.append(line(trouble, style="yellow"))
    return Group(*parts)


def bar(share: float) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(ProgressBar(total=1.0, completed=share), Text(f"{100 * share:.0f} %"))
    return grid


def counts(progress: StudyProgress, now: float, narrow: bool, lang: Lang) -> str:
    left = progress.seconds_left(now)
    words = [say("counts", lang, ended=progress.ended, runs=progress.to_train)]
    words += [] if narrow else [say("gone", lang, time=format_duration(now - progress.started, lang))]
    words += [] if left is None else [say("left", lang, time=format_duration(left, lang))]
    return SHARED[lang]["comma"].join(words)


def families_table(families: list[FamilyProgress], narrow: bool, most: int, lang: Lang) -> Table:
    """The runs at work. Those of one family train together, and are one line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False, pad_edge=False)
    columns = (
        ["rows", "seed", "epoch"]
        if narrow
        else ["worker", "runs", "rows", "seed", "epoch", "", "loss", "dev"]
    )
    for name in columns:
        wide = name == "rows"
        head = say(f"head {name}", lang) if name else ""
        table.add_column(head, no_wrap=True, overflow="ellipsis", ratio=1 if wide else None)
    table.expand = True
    for family in families[:most]:
        at = "at epoch" if family.step else "starting"
        epoch = say(at, lang, epoch=family.epoch, epochs=family.epochs)
        cells: list[RenderableType] = [spans(family.rows, lang), str(family.seed), epoch]
        if not narrow:
            small = ProgressBar(total=1.0, completed=family.share, width=10)
            cells = [str(family.worker), str(family.runs), *cells, small, *score_cells(family)]
        table.add_row(*cells)
    if len(families) > most:
        table.add_row(*[""] * (0 if narrow else 2), say("more", lang, count=len(families) - most))
    return table


def score_cells(family: FamilyProgress) -> list[str]:
    """The loss of the last epoch that ended, and the score on dev after it: means over the family."""
    score = family.last_score
    if score is None:
        return ["", ""]
    return ["" if score.loss is None else f"{score.loss:.4f}", f"{score.dev:.4f}"]


def best_lines(progress: StudyProgress, narrow: bool, lang: Lang) -> list[Text]:
    if progress.best is None:
        return []
    rows = progress.rows.get(progress.best.run_id)  # none of a run of another precision
    named = say("rows and", lang, rows=name_rows(rows, lang)) if rows else ""
    which = say("of seed", lang, rows=named, seed=progress.best.seed)
    score = f"{progress.score} {progress.dev(progress.best):.4f}"
    if narrow:
        return [
            line(say("best", lang, score=score)),
            line(say("no verdict", lang, which=which), style="dim"),
        ]
    luck = say("luck" if progress.finished > 1 else "only one", lang, finished=progress.finished)
    return [line(say("best of", lang, score=score, which=which)), line(luck, style="dim")]


def trouble_words(progress: StudyProgress, lang: Lang) -> str:
    words = [
        say("bad", lang, count=count, status=name_state(status, lang))
        for status, count in progress.bad.items()
    ]
    if progress.warnings:
        words.append(
            say("one warning" if progress.warnings == 1 else "warnings", lang, count=progress.warnings)
        )
    return say("see above", lang, trouble=SHARED[lang]["comma"].join(words)) if words else ""


def line(text: str, style: str = "") -> Text:
    """One line, whatever is in the text: a score may be named by a label."""
    return Text(visible(text), style=style, no_wrap=True, overflow="ellipsis")


def name_rows(numbers: Collection[int], lang: Lang) -> str:
    """``row 3``, ``rows 1-4, 9``; ``第 1-4、9 行``."""
    return say("row" if len(numbers) == 1 else "rows", lang, rows=spans(numbers, lang))


def spans(numbers: Iterable[int], lang: Lang = "en") -> str:
    """``1-4, 9``."""
    found = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        found.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return SHARED[lang]["list comma"].join(found)
