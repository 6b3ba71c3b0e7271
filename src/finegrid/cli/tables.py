"""Commands that take over tables from elsewhere: import, example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finegrid.cli.options import Language, NewFolder
from finegrid.cli.say import say, warn
from finegrid.in_chinese import translate
from finegrid.next_words import next_line
from finegrid.results.imported_table import imported_lines
from finegrid.spelling import Lang, parse_lang
from finegrid.study.folder import StudyFolder
from finegrid.study.imported import Imported, save_imported
from finegrid.study.importing import examples
from finegrid.study.importing.importing import DECLARED, ImportOptions, import_table
from finegrid.words import say_wrote


def import_(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Recipes and results: CSV, TSV or a markdown table.")
    ],
    out: NewFolder,
    inert: Annotated[
        list[str] | None,
        typer.Option(help="A factor without effect: rows that differ in it alone are repeats; repeat."),
    ] = None,
    result: Annotated[str | None, typer.Option(help="Column of the results. Default: by its name.")] = None,
    seconds: Annotated[str | None, typer.Option(help="Column of seconds. Default: by its name.")] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="factor=level of the baseline. Default: the first row's; repeat.")
    ] = None,
    lower_is_better: Annotated[
        bool | None,
        typer.Option(
            "--lower-is-better/--higher-is-better",
            help="Of the results. Needed where their name sounds like an error or a loss.",
        ),
    ] = None,
    lang: Language = None,
) -> None:
    """Take over a table of recipes and results from anywhere. Nothing is trained."""
    declared = dict.fromkeys(inert or (), DECLARED)
    options = ImportOptions(result, seconds, declared, tuple(baseline or ()), lower_is_better)
    keep(out, import_table(table, options), parse_lang(lang))


def example(
    name: Annotated[str, typer.Argument(help="thucnews64-published.")],
    out: NewFolder,
    lang: Language = None,
) -> None:
    """Make the folder of a published table that comes with finegrid."""
    keep(out, examples.load_example(name), parse_lang(lang))


def keep(folder: Path, imported: Imported, lang: Lang) -> None:
    """Write an imported table, and say how it was understood."""
    save_imported(folder, imported)
    for warning in imported.warnings:
        warn(translate(warning, lang), lang)
    wrote = say_wrote(StudyFolder(folder).imported, lang)
    say(*imported_lines(imported, lang), wrote, next_line("verdict", folder, lang))
