"""Writes the user's files without what looks wrong, and a list of what was taken out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finegrid.atomic import check_folder
from finegrid.data.clean import Cleaned, clean_rows
from finegrid.data.delimited import join_cells
from finegrid.data.findings import FileFindings, quote
from finegrid.data.leaks import MOST_TEXTS
from finegrid.data.read import CheckedRows, read_rows
from finegrid.data.reading_phrases import say
from finegrid.data.rewrite import name_target, write_rows
from finegrid.data.settings import DataSettings
from finegrid.errors import InputError, input_error
from finegrid.in_chinese import translate
from finegrid.refusals import saving
from finegrid.spelling import Lang
from finegrid.words import SHARED

REMOVED_FILE = "removed.tsv"
COLUMNS = ("file", "line", "done", "why", "like", "text")
# Problems of single rows, which are taken out; all others the user has to mend.
OF_ROWS = {
    "missing text": "no text",
    "text is no string": "text is no string",
    "empty text": "no text",
    "missing label": "no label",
    "label": "label is no word or whole number",
    "missing group": "no group",
    "group": "group is no word or whole number",
    "no character of text": "no character of text in it",
    "empty line": "empty line",
    "too few fields": "too few fields",
    "too many fields": "too many fields",
    "header again": "the header again",
}
MOST_UNFIT = 0.1  # of the rows: where more cannot be read, the file is read in a wrong way


@dataclass(frozen=True)
class CleanFiles:
    """Clean files, and what was done, in words."""

    files: Mapping[str, Path]  # by part
    done: list[str]


class _RowFindings(FileFindings):
    """Findings of one file that remember every row with a problem."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.unfit: dict[int, str] = {}  # why, by place
        self.kinds: set[str] = set()

    def add_problem(self, kind: str, what: str, place: int | None = None) -> None:
        super().add_problem(kind, what, place)
        self.kinds.add(kind)
        if place is not None:
            self.unfit.setdefault(place, OF_ROWS.get(kind, kind))


def clean_files(
    settings: DataSettings, base: Path, out: Path, near_twins: bool, lang: Lang = "en"
) -> CleanFiles:
    """Write clean files and ``removed.tsv`` into a folder.

    Args:
        settings: how the files are read, with absolute paths or such as seen from ``base``.
        base: where paths start.
        out: the folder; it is there and empty.
        near_twins: whether to look for near-twins among very many texts too.

    Raises:
        InputError: with all problems of all files that are not problems of single rows.
    """
    findings = {part: _RowFindings(str(path)) for part, path in settings.files.items()}
    rows = {part: read_rows(path, base, settings, findings[part]) for part, path in settings.files.items()}
    _refuse_unreadable(findings, rows)
    total = sum(map(len, rows.values()))
    cleaned = clean_rows(rows, bool(settings.shares), near_twins or total <= MOST_TEXTS)
    targets = _name_targets(settings.files)
    lines: list[tuple[str, ...]] = []
    for part, source in settings.files.items():
        kept = _spell_kept(cleaned, part)
        left = write_rows(base / source, out / targets[part], settings, kept)
        unfit = dict.fromkeys(left, OF_ROWS["header again"]) | findings[part].unfit
        for place in cleaned_places(cleaned, part):
            unfit.pop(place, None)
        lines += _list_done(cleaned, part, targets, unfit, left)
    with saving(out / REMOVED_FILE) as draft:
        text = "".join(f"{join_cells(line, chr(9))}\n" for line in (COLUMNS, *lines))
        draft.write_text(text, encoding="utf-8", newline="")
    done = [_sum_up(targets[part], lines, lang) for part in settings.files]
    return CleanFiles({part: out / targets[part] for part in settings.files}, done)


@contextmanager
def making_folder(folder: Path) -> Iterator[None]:
    """An empty folder to write into; what was written goes again if anything fails.

    Raises:
        InputError: it is there and holds something, or is no folder.
    """
    check_folder(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise input_error(str(folder), "--clean", "exists and is not an empty folder. Choose another.")
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for path in new:
            path.rmdir()
        raise


def cleaned_places(cleaned: Cleaned, part: str) -> set[int]:
    """Where the rows of a file stand that could be read."""
    return set(cleaned.parts[part].places.tolist())


def _refuse_unreadable(findings: Mapping[str, _RowFindings], rows: Mapping[str, CheckedRows]) -> None:
    """Where there are problems that are not of single rows, or of too many."""
    for part, found in findings.items():
        few = len(found.unfit) <= MOST_UNFIT * (len(found.unfit) + len(rows[part]))
        if found and not (found.kinds <= OF_ROWS.keys() and few and len(rows[part])):
            raise InputError("data", [p for each in findings.values() for p in each.problems()])


def _name_targets(files: Mapping[str, Path]) -> dict[str, str]:
    """The names of the clean files: as they are, after the part's where two would be alike."""
    names = {part: name_target(path) for part, path in files.items()}
    taken = Counter([*names.values(), REMOVED_FILE])
    return {part: name if taken[name] == 1 else f"{part}-{name}" for part, name in names.items()}


def _spell_kept(cleaned: Cleaned, part: str) -> dict[int, str | None]:
    """The rows that stay, by their place, with their labels where these are spelled anew."""
    rows, changed = cleaned.parts[part], cleaned.changed[part]
    return {int(rows.places[row]): rows.labels[row] if row in changed else None for row in cleaned.keep(part)}


def _list_done(
    cleaned: Cleaned, part: str, names: Mapping[str, str], unfit: Mapping[int, str], left: Mapping[int, str]
) -> list[tuple[str, ...]]:
    """The lines of the list for one file, by place."""
    rows, file = cleaned.parts[part], names[part]
    lines = {
        place: (file, str(place), "removed", why, "", left.get(place, "")) for place, why in unfit.items()
    }

    def spell(row: int, where: str) -> str:
        return " / ".join(cleaned.parts[where].texts[row])

    for row, label in cleaned.changed[part].items():
        why = f"label {quote(label)} set to {quote(rows.labels[row])}"
        place = int(rows.places[row])
        lines[place] = (file, str(place), "changed", why, "", spell(row, part))
    for row, reason in cleaned.removed[part].items():
        like = ""
        if reason.like is not None:
            where, other = reason.like
            like = f"{names[where]} {rows.unit} {cleaned.parts[where].places[other]}: {spell(other, where)}"
        place = int(rows.places[row])
        lines[place] = (file, str(place), "removed", reason.why, like, spell(row, part))
    return [lines[place] for place in sorted(lines)]


def _sum_up(name: str, lines: list[tuple[str, ...]], lang: Lang) -> str:
    """``clean     train.csv: 52 rows taken out (text also in test: 40, repeated row: 12)``."""
    of_file = [line for line in lines if line[0] == name]
    whys = Counter(line[3] for line in of_file if line[2] == "removed")
    changed = sum(line[2] == "changed" for line in of_file)
    reasons = SHARED[lang]["list comma"].join(
        say("of reason", lang, why=translate(why, lang), count=count) for why, count in whys.most_common()
    )
    because = say("because", lang, reasons=reasons) if reasons else ""
    taken = whys.total()
    said = say("clean one" if taken == 1 else "clean", lang, file=name, count=taken) + because
    if changed:
        said += say("changed one" if changed == 1 else "changed", lang, count=changed)
    return said
