"""Commands that read a study: table, verdict, report, watch, export."""

from __future__ import annotations

import webbrowser
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finegrid.cli.completing import one_of
from finegrid.cli.options import Folder, Json, Language, Margin, Tolerance, tell_far, tell_far_in
from finegrid.cli.say import say, say_file, say_json, tell, warn
from finegrid.in_chinese import translate
from finegrid.metrics import TOLERANCE
from finegrid.next_words import next_line
from finegrid.results.imported_table import render_imported
from finegrid.results.table import make_table, render_results, summary_lines
from finegrid.spelling import parse_lang
from finegrid.study.audit_file import load_audit
from finegrid.study.folder import StudyFolder
from finegrid.study.imported import load_imported
from finegrid.study.load import read_study

TABLES = ("markdown", "csv", "json")
REPORTS = ("html", "md", "svg", "png")
EXPORTS = ("csv", "parquet", "tensorboard", "mlflow")


def table(
    folder: Folder,
    style: Annotated[
        str, typer.Option("--format", help="markdown, csv or json.", autocompletion=one_of(*TABLES))
    ] = "markdown",
    extremes: Annotated[
        bool, typer.Option("--extremes", help="markdown: also the best and the worst row, and seconds.")
    ] = False,
    lang: Language = None,
) -> None:
    """Print the study's table, in the order of the design."""
    if style not in TABLES:
        raise typer.BadParameter(
            f'"{style}" is not a format. Expected markdown, csv or json.', param_hint="--format"
        )
    imported, language = load_imported(folder), parse_lang(lang)
    if imported is not None:
        say_file(render_imported(imported, style, language))
    else:
        found = make_table(read_study(folder), load_audit(folder))
        say_file(render_results(found, style, language))
        for note in found.notes:
            warn(translate(note, language), language)
        if extremes and style == "markdown":
            say("", *summary_lines(found, language))
    if style == "markdown":
        tell(next_line("verdict", folder, language))  # not on stdout, which may go into a file


def verdict(
    folder: Folder,
    margin: Margin = None,
    tolerance: Tolerance = TOLERANCE,
    lang: Language = None,
    as_json: Json = False,
) -> None:
    """Say what each strategy is worth, with an interval, and which recipe to use."""
    from finegrid.results.load import any_results
    from finegrid.verdict.brief import after_verdict
    from finegrid.verdict.interim import with_interim_decisions
    from finegrid.verdict.to_json import as_json as verdict_json
    from finegrid.verdict.words import print_verdict

    judged = with_interim_decisions(any_results(folder), margin, tolerance)
    facts = verdict_json(judged)
    if as_json:
        say_json(facts)
    else:
        language = parse_lang(lang)
        print_verdict(judged, facts, language)
        say(after_verdict(judged, facts, folder, language))


def report(
    folder: Folder,
    style: Annotated[
        str, typer.Option("--format", help="html, md, svg or png.", autocompletion=one_of(*REPORTS))
    ] = "html",
    figure: Annotated[
        str | None, typer.Option(help="Which figure, for svg and png: forest, frontier, seeds, ...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Default: DIR/report.html, DIR/FIGURE.svg; tables to the terminal.")
    ] = None,
    lang: Language = None,
    margin: Margin = None,
    tolerance: Tolerance = TOLERANCE,
) -> None:
    """Write the report: a page that needs nothing else, or tables and figures for papers and slides."""
    from finegrid.report.write import write_report

    language = parse_lang(lang)
    tell = partial(tell_far, lang=language)
    for line in write_report(folder, style, figure, out, language, margin, tolerance, tell):
        say(*line.split("\n"))
    if style == "html":
        say(next_line("open", out or StudyFolder(folder).report, language))


def watch(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine. Default: any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    lang: Language = None,
) -> None:
    """Show a study's report in a browser, and keep it up to date while the study runs."""
    from finegrid.report.facts.facts import report_facts
    from finegrid.report.page.page import render_page
    from finegrid.watch.app import make_app
    from finegrid.watch.serve import serve
    from finegrid.watch.view import PageMaker
    from finegrid.watch.words import say_shown

    tell_far_in(folder, language := parse_lang(lang))

    def show_address(address: str) -> None:
        print(say_shown(folder, address, language), flush=True)
        if browser:
            webbrowser.open(address)

    make_page = PageMaker(report_facts, partial(render_page, lang=language))
    serve(make_app(folder, make_page), port, show_address)


def export(
    folder: Folder,
    to: Annotated[
        str,
        typer.Option(help="csv, parquet, tensorboard or mlflow.", autocompletion=one_of(*EXPORTS)),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to write to. Default: DIR/export.")] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="csv, parquet: also what every run says of every text.")
    ] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="mlflow: a store or server. Default: a folder in DIR/export.")
    ] = None,
    lang: Language = None,
) -> None:
    """Take a study into other tools: tables of runs, epochs and effects, TensorBoard, MLflow."""
    from finegrid.export.export import FORMATS, ExportOptions, export_study

    if to not in FORMATS:
        known = "csv, parquet, tensorboard or mlflow"
        raise typer.BadParameter(f'"{to}" is not a format. Expected {known}.', param_hint="--to")
    language = parse_lang(lang)
    say(*export_study(folder, ExportOptions(to, out, predictions, tracking_uri), language))
    if to != "tensorboard":  # which names the command that shows it
        say(next_line("report", folder, language))
