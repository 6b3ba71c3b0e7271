"""How a study at work looks on a terminal: a few lines that stay below what has been said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from finegrid.errors import visible
from finegrid.running.progress.study_progress import FamilyProgress, StudyProgress
from finegrid.spelling import format_duration

NARROW = 60  # columns; below, only what matters most
OTHER_LINES = 9  # of the picture, beside the families, and one for the cursor


def draw(progress: StudyProgress, now: float, width: int, height: int) -> RenderableType:
    """The picture, at most ``width`` columns by ``height`` lines; no line is wrapped.

    Args:
        progress: the study.
        now: by the clock of the study's times.
        width: columns of the terminal.
        height: its lines.
    """
    if not progress.families:
        return (
            line(f"working for {format_duration(now - progress.started)}", style="dim")
            if progress.doing
            else Text()
        )
    narrow = width < NARROW
    parts: list[RenderableType] = [
        Text(),
        bar(progress.share),
        line(counts(progress, now, narrow), style="bold"),
    ]
    parts.append(families_table(progress.at_work, narrow, most=max(1, height - OTHER_LINES)))
    parts += best_lines(progress, narrow)
    if trouble := trouble_words(progress):
        parts.append(line(trouble, style="yellow"))
    return Group(*parts)


def bar(share: float) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(ProgressBar(total=1.0, completed=share), Text(f"{100 * share:.0f} %"))
    return grid


def counts(progress: StudyProgress, now: float, narrow: bool) -> str:
    left = progress.seconds_left(now)
    words = [f"{progress.ended} of {progress.to_train} runs"]
    words += [] if narrow else [f"{format_duration(now - progress.started)} gone"]
    words += [] if left is None else [f"about {format_duration(left)} left"]
    return ", ".join(words)


def families_table(families: list[FamilyProgress], narrow: bool, most: int) -> Table:
    """The runs at work. Those of one family train together, and are one line."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False, pad_edge=False)
    columns = (
        ["rows", "seed", "epoch"]
        if narrow
        else ["worker", "runs", "rows", "seed", "epoch", "", "loss", "dev"]
    )
    for name in columns:
        wide = name == "rows"
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if wide else None)
    table.expand = True
    for family in families[:most]:
        epoch = f"{family.epoch} of {family.epochs}" if family.step else "starting"
        cells: list[RenderableType] = [spans(family.rows), str(family.seed), epoch]
        if not narrow:
            small = ProgressBar(total=1.0, completed=family.share, width=10)
            cells = [str(family.worker), str(family.runs), *cells, small, *score_cells(family)]
        table.add_row(*cells)
    if len(families) > most:
        table.add_row(*[""] * (0 if narrow else 2), f"and {len(families) - most} more")
    return table


def score_cells(family: FamilyProgress) -> list[str]:
    """The loss of the last epoch that ended, and the score on dev after it: means over the family."""
    score = family.last_score
    if score is None:
        return ["", ""]
    return ["" if score.loss is None else f"{score.loss:.4f}", f"{score.dev:.4f}"]


def best_lines(progress: StudyProgress, narrow: bool) -> list[Text]:
    if progress.best is None:
        return []
    rows = progress.rows.get(progress.best.run_id)  # none of a run of another precision
    named = f"{name_rows(rows)}, " if rows else ""
    which = f"{named}seed {progress.best.seed}"
    score = f"{progress.score} {progress.dev(progress.best):.4f}"
    many = progress.finished > 1
    luck = f"the highest of {progress.finished} runs is partly luck" if many else "the only run so far"
    if narrow:
        return [line(f"best on dev so far: {score}"), line(f"  {which}; not the verdict", style="dim")]
    return [line(f"best on dev so far: {score}, {which}"), line(f"  {luck}: not the verdict", style="dim")]


def trouble_words(progress: StudyProgress) -> str:
    words = [f"{count} {status}" for status, count in progress.bad.items()]
    if progress.warnings:
        words.append(f"{progress.warnings} warning{'s' * (progress.warnings != 1)}")
    return f"{', '.join(words)}: see above" if words else ""


def line(text: str, style: str = "") -> Text:
    """One line, whatever is in the text: a score may be named by a label."""
    return Text(visible(text), style=style, no_wrap=True, overflow="ellipsis")


def name_rows(numbers: Collection[int]) -> str:
    """``row 3``, ``rows 1-4, 9``."""
    return f"row{'s' * (len(numbers) != 1)} {spans(numbers)}"


def spans(numbers: Iterable[int]) -> str:
    """``1-4, 9``."""
    found = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        found.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return ", ".join(found)
