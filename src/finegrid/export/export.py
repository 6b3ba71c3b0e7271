"""Writes a study for another tool, as the options of ``finegrid export`` say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from finegrid.atomic import check_file, check_folder, find_others
from finegrid.errors import InputError, Problem, input_error, writing_to
from finegrid.export.content import MADE_BY, Content, load_content
from finegrid.export.csv_file import write_csv
from finegrid.export.effects import judge_study, make_effects_table
from finegrid.export.event_files import write_event_files
from finegrid.export.frame import Frame
from finegrid.export.mlflow_runs import hide_password, log_runs, make_store_uri
from finegrid.export.parquet_file import write_parquet
from finegrid.export.tables import (
    make_epochs_table,
    make_free_table,
    make_predictions_tables,
    make_runs_table,
)
from finegrid.export.words import say
from finegrid.extras import need
from finegrid.in_chinese import translate
from finegrid.next_words import next_line
from finegrid.refusals import saving
from finegrid.spelling import Lang, count_noun
from finegrid.study.folder import StudyFolder

FORMATS = ("csv", "parquet", "tensorboard", "mlflow")
TABLES = ("runs", "epochs", "effects", "free", "predictions")
ABOUT = "study.json"
Write = Callable[[Path, Iterable[Frame]], int]


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``finegrid export``."""

    to: str  # one of FORMATS
    out: Path | None = None  # else a folder in the study's
    predictions: bool = False
    tracking_uri: str | None = None


def export_study(folder: Path, options: ExportOptions, lang: Lang = "en") -> list[str]:
    """Write a study, or an imported table, for another tool. Returns what was written, in words.

    Args:
        folder: of the study or the table.
        options: those of `finegrid export`.
        lang: of the words. What is written is the same in both.

    Raises:
        InputError: no study, one that has not been started, options that do not go together, a missing
            library, or a place that is taken.
    """
    check_options(options)
    content = load_content(folder)
    return [
        *write_content(content, folder, options, lang),
        *(translate(note, lang) for note in content.unfit),
    ]


def write_content(content: Content, folder: Path, options: ExportOptions, lang: Lang) -> list[str]:
    out = options.out or StudyFolder(folder).export
    check_folder(out)
    with writing_to(out):
        return write_export(content, options, out, lang)


def write_export(content: Content, options: ExportOptions, out: Path, lang: Lang) -> list[str]:
    """Write what was collected, as the options say. Returns what was written, in words."""
    if options.to == "csv":
        return write_tables(content, out, "csv", write_csv, options.predictions, lang)
    if options.to == "parquet":
        return write_tables(content, out, "parquet", write_parquet, options.predictions, lang)
    if options.to == "tensorboard":
        place = out / "tensorboard"
        check_all_plain(place)
        count = write_event_files(content, place)
        runs = count_noun(count, "run") if lang == "en" else f"{count:,} 次运行"
        wrote = say("event files", lang, runs=runs)
        return [*describe_missing(content, lang), wrote, next_line("tensorboard", place, lang)]
    if options.tracking_uri is None:
        check_all_plain(out / "mlflow")
    uri = options.tracking_uri or make_store_uri(out / "mlflow")
    logged = log_runs(content, uri)
    counts = {"new": logged.new, "changed": logged.changed, "same": logged.same}
    return [*describe_missing(content, lang), say("logged", lang, store=hide_password(uri), **counts)]


def check_all_plain(place: Path) -> None:
    """Refuse a folder in which something leads elsewhere: a library writes what lies in it.

    Raises:
        InputError: with all links, devices and the like.
    """
    if others := [*find_others(place, place.name)]:
        raise InputError(str(place), [*others, Problem("", "Remove it, or choose another --out.")])


def check_options(options: ExportOptions) -> None:
    problems = []
    if options.predictions and options.to not in ("csv", "parquet"):
        what = f"found it with --to {options.to}. Predictions go into a table: --to csv or parquet."
        problems.append(Problem("--predictions", what))
    if options.tracking_uri is not None and options.to != "mlflow":
        what = f"found it with --to {options.to}. Expected --to mlflow, or no --tracking-uri."
        problems.append(Problem("--tracking-uri", what))
    if options.tracking_uri is not None and options.out is not None:
        what = "found both. Runs go either to the tracking store or to a folder. Leave one out."
        problems.append(Problem("--tracking-uri, --out", what))
    if problems:
        raise InputError("command line", problems)
    if options.to == "parquet":
        need("parquet", "command line", "--to parquet")


def write_tables(
    content: Content, out: Path, ending: str, write: Write, predictions: bool, lang: Lang
) -> list[str]:
    check_not_foreign(out, ending)
    lines = []

    def put(name: str, frames: Iterable[Frame], of: str) -> None:
        path = out / f"{name}.{ending}"
        count = write(path, frames)
        lines.append(say("wrote", lang, path=path, what=of or say("lines", lang, count=count)))

    write_about(content, out)
    put("runs", [make_runs_table(content)], content.describe_runs(lang))
    epochs = make_epochs_table(content)
    if len(epochs):
        put("epochs", [epochs], "")
    try:
        effects = make_effects_table(content.name, judge_study(content.folder))
    except InputError as error:  # the runs are there all the same
        lines.append(say("no effects", lang, why=f"{error.problems[0].where}: {error.problems[0].what}"))
    else:
        put("effects", [effects], "")
    free = make_free_table(content)
    if free is not None:
        put("free", [free], "")
    if predictions and any(run.run_id and run.status == "done" for run in content.runs):
        put("predictions", make_predictions_tables(content), "")
    elif predictions:
        lines.append(say("no predictions", lang))
    return [*lines, say("wrote", lang, path=out / ABOUT, what=say("about", lang))]


def check_not_foreign(out: Path, ending: str) -> None:
    """Refuse to write over tables that an export has not made."""
    existing = [name for table in TABLES if (out / (name := f"{table}.{ending}")).exists()]
    about = out / ABOUT
    check_file(about)
    if about.exists() and not is_ours(about):
        existing.append(ABOUT)
    if existing and not (about.exists() and is_ours(about)):
        foreign = f"{out} holds {existing[0]}, which finegrid has not written"
        what = f"{foreign}. Expected a folder of exports, or a new one. Choose another."
        raise input_error("command line", "--out", what)


def is_ours(about: Path) -> bool:
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def write_about(content: Content, out: Path) -> None:
    text = json.dumps(dict(content.about), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with saving(out / ABOUT, len(told := text.encode())) as draft:
        draft.write_bytes(told)


def describe_missing(content: Content, lang: Lang) -> list[str]:
    """A line on the runs that have nothing to show; nothing where there are none."""
    count = sum(run.status in ("left", "missing") for run in content.runs)
    return [say("missing", lang, count=count, runs=len(content.runs))] * bool(count)
