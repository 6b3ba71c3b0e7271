"""The command that judges predictions from anywhere: compare."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finegrid.cli.options import Json, Language, Margin
from finegrid.cli.say import say, say_json
from finegrid.data.cells_of_file import ColumnName
from finegrid.data.unlabelled import parse_column
from finegrid.next_words import next_line
from finegrid.spelling import Lang

if TYPE_CHECKING:
    from finegrid.comparing.compare import SystemsCompared
    from finegrid.facts.comparison import CompareFacts


def compare(
    system: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=FILE...",
            help="Predictions by id: CSV, TSV, JSONL or Parquet. The first system is the baseline; a name "
            "again adds a run; a file alone gives the name.",
        ),
    ],
    gold: Annotated[
        Path | None,
        typer.Option(help="Ids and gold labels. Default: a gold column of the predictions."),
    ] = None,
    score: Annotated[str, typer.Option(help="macro-f1, accuracy, mcc or f1:<label>.")] = "macro-f1",
    margin: Margin = None,
    paired_seeds: Annotated[
        bool, typer.Option("--paired-seeds", help="The n-th files of all systems share a seed.")
    ] = False,
    id_: Annotated[str | None, typer.Option("--id", help="Column of ids, by name or number.")] = None,
    predicted: Annotated[
        str | None, typer.Option(help="Column of predicted labels, by name or number.")
    ] = None,
    gold_column: Annotated[str | None, typer.Option(help="Column of gold labels, by name or number.")] = None,
    lang: Language = None,
    as_json: Json = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write a report: FILE.html (a page) or FILE.md (tables).")
    ] = None,
) -> None:
    """Judge systems by their predictions: which one to use, how sure that is, what would settle it."""
    from finegrid.comparing.files import compare_files
    from finegrid.comparing.words import print_comparison
    from finegrid.spelling import parse_lang

    language = parse_lang(lang)
    columns = tuple(map(take_column, (id_, predicted, gold_column)))
    compared, told = compare_files(system, gold, columns, score, margin, paired_seeds, out)
    if as_json:
        say_json(told)
    else:
        print_comparison(compared, told, language)
    if out is not None:
        lines = write_out(compared, told, out, language)
        say(*(() if as_json else lines))
    if not as_json:
        say(next_line("open" if out else "write page", out or Path("comparison.html"), language))


def write_out(compared: SystemsCompared, told: CompareFacts, out: Path, lang: Lang) -> list[str]:
    """Write the report, with the command that makes it again, and say so."""
    from finegrid.comparing.page import comparison_facts
    from finegrid.report.write import write_facts

    command = shlex.join(["finegrid", *sys.argv[1:]])
    return write_facts(comparison_facts(compared, told, out.stem, command), out, lang)


def take_column(name: str | None) -> ColumnName | None:
    return None if name is None else parse_column(name)
