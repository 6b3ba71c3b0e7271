"""The command that judges predictions from anywhere: compare."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from finegrid.cli.options import Json, Language, Margin
from finegrid.cli.say import say, say_json
from finegrid.data.unlabelled import ColumnName, parse_column


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
    lang: Language = "en",
    as_json: Json = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write a report: FILE.html (a page) or FILE.md (tables).")
    ] = None,
) -> None:
    """Judge systems by their predictions: which one to use, how sure that is, what would settle it."""
    from finegrid.comparing.answers import AnswerColumns
    from finegrid.comparing.compare import compare_systems
    from finegrid.comparing.page import check_ending, comparison_facts
    from finegrid.comparing.paired import read_paired
    from finegrid.comparing.systems import parse_systems
    from finegrid.comparing.to_json import compare_json
    from finegrid.comparing.words import print_comparison
    from finegrid.spelling import parse_lang

    language = parse_lang(lang)
    check_ending(out)
    columns = AnswerColumns(*map(take_column, (id_, predicted, gold_column)))
    answers = read_paired(parse_systems(system, paired_seeds), gold, columns)
    compared = compare_systems(answers, score, margin, paired_seeds)
    told = compare_json(compared)
    if as_json:
        say_json(told)
    else:
        print_comparison(compared, told, language)
    if out is not None:
        from finegrid.report.write import write_facts

        facts = comparison_facts(compared, told, out.stem, shlex.join(["finegrid", *sys.argv[1:]]))
        lines = write_facts(facts, out, language)
        if not as_json:
            say(*lines)


def take_column(name: str | None) -> ColumnName | None:
    return None if name is None else parse_column(name)
