"""The command line: parse, call in order, print."""

from __future__ import annotations

import io
import json
import shlex
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from finegrid import __version__
from finegrid.data.unlabelled import ColumnOptions, parse_column
from finegrid.errors import InputError, input_error, refusal, visible
from finegrid.inference.fit import check_out, fitted_lines, wished_recipe
from finegrid.inference.predict import predict_file, put, score_lines, style_of
from finegrid.machine import AUTO, cores, fastest_precision
from finegrid.metrics import MARGIN
from finegrid.planning.status import StudyStatus, probed, seeds_seen
from finegrid.planning.status_words import plan_lines, status_lines
from finegrid.pretraining.settings import DEFAULTS as PRETRAIN
from finegrid.pretraining.settings import FRESH_RATE, GENTLE_RATE, PretrainSettings, choose_rate, parse_stages
from finegrid.recipe.card import card
from finegrid.recipe.recipe import Recipe
from finegrid.results.imported_table import imported_lines, render_imported
from finegrid.results.table import make_table, render_results, summary_lines
from finegrid.running.process import WorkerBrokeError
from finegrid.running.progress.show import Show, warn
from finegrid.running.runner import Runner
from finegrid.study.audit_file import load_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.demo import prepare_demo
from finegrid.study.imported import Imported, load_imported, save_imported
from finegrid.study.importing.examples import load_example as find_example
from finegrid.study.importing.importing import DECLARED, ImportOptions, import_table
from finegrid.study.init import InitOptions, write_study
from finegrid.study.load import load_study, override
from finegrid.study.settings import MOST_SEEDS, RunSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.parse import parse_budget

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which BERT fine-tuning strategies are worth it on your data, and what do they cost?",
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The study folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that train. Default: what cores and memory carry.")
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda. Default: study.toml's.")]
Precision = Annotated[str | None, typer.Option(help="fp32, bf16 or auto. Default: study.toml's.")]
Memory = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="GiB for all workers together. Default: 60 % of the machine's, or 80 % of each GPU's."
    ),
]
Margin = Annotated[float, typer.Option(min=0.0, help="Points; smaller differences are none.")]
Seeds = Annotated[
    int | None, typer.Option(min=1, max=MOST_SEEDS, help="How many seeds. Default: study.toml's.")
]


@app.command()
def init(
    train: Annotated[Path, typer.Option(help="Training texts: CSV, TSV, JSONL or Parquet.")],
    out: Annotated[Path, typer.Option(help="The study folder to make.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a folder, a hub id, or mini-zh.")] = "mini-zh",
    dev: Annotated[
        Path | None, typer.Option(help="Texts that choose epochs. Default: a part of train.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Texts that measure. Default: a part of train.")] = None,
    preset: Annotated[str, typer.Option(help="The grid to run.")] = "thucnews64",
    text: Annotated[
        list[str] | None, typer.Option(help="Text column, by name or number; twice for pairs.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column, by name or number.")] = None,
    header: Annotated[bool | None, typer.Option(help="Whether the first row names the columns.")] = None,
    score: Annotated[str, typer.Option(help="macro-f1, accuracy, mcc or f1:<label>.")] = "macro-f1",
    seeds: Annotated[int, typer.Option(min=1, help="Replicates of every recipe.")] = 1,
    design: Annotated[str, typer.Option(help="full, fractional, one-at-a-time or screen.")] = "full",
    resolution: Annotated[
        str | None, typer.Option(help="Of a fraction or screen: III, IV or V. Default: IV.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="factor=level of the baseline; repeat.")
    ] = None,
) -> None:
    """Write a commented study.toml for your files, after checking them."""
    wishes = InitOptions(
        train=train,
        dev=dev,
        test=test,
        model=model,
        preset=preset,
        text=tuple(text or ()),
        label=label,
        header=header,
        score=score,
        seeds=seeds,
        design=design,
        resolution=resolution,
        levels=tuple(set_ or ()),
    )
    for warning in write_study(out, wishes):
        warn(warning)
    say(f"wrote {out / 'study.toml'}; look at it, then: finegrid run {out}")


@app.command()
def plan(
    folder: Folder,
    probe: Annotated[
        bool, typer.Option("--probe", help="Look at the model: inert levels, time, memory.")
    ] = False,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    seeds: Seeds = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Choose design and seeds for this time: 3h, 90m, 1h30m. Probes if need be."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a study will run, and what it will take."""
    seconds = None if budget is None else parse_budget(budget, seeds)
    study, settings = load(folder, device=device, precision=precision, memory=memory)
    if probe or (seconds is not None and not probed(study, settings)):
        audit(study, settings)
    look = outlook(study, settings, seeds, workers)
    if seconds is None:
        tell(look, plan_lines(look), as_json)
        return
    from finegrid.verdict.budget.budget import plan_budget
    from finegrid.verdict.budget.words import budget_json, budget_lines

    bought = plan_budget(look, seconds)
    tell(look, [*plan_lines(look), *budget_lines(bought)], as_json, {"budget": budget_json(bought)})


@app.command()
def run(
    folder: Folder,
    seeds: Seeds = None,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    mix: Annotated[
        bool, typer.Option("--mix", help="Allow runs of several devices, precisions, threads, stacks.")
    ] = False,
    rows: Annotated[str | None, typer.Option(help="Only these rows of the table, e.g. 1,35,50.")] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Add seeds, at planned looks, until every verdict is in.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="With --until-decided: stop before this time is over, e.g. 3h, 90m.")
    ] = None,
    margin: Margin = MARGIN,
) -> None:
    """Train what is still missing. Running again resumes."""
    study, settings = load(folder, device=device, precision=precision, memory=memory)
    if until_decided:
        check_alone(rows, seeds)
        check_decided(study)
        ended = add_seeds(study, settings, workers, mix, budget, margin)
        say(ended, f"the verdict: finegrid verdict {folder}")
        exit_by(load_study(folder), settings, None)
        return
    if budget is not None:
        what = f'found "{budget}" without --until-decided. `finegrid plan --budget` says what fits into it.'
        raise input_error("command line", "--budget", what)
    train(study, settings, workers, seeds, mix, parse_rows(rows, len(study.rows)))
    if study.undecided and rows is None:
        study = screen(study, margin)
        if len(study.rows) > len(study.first_rows):
            train(study, settings, workers, seeds, mix)
    say(*summary_lines(make_table(study, load_audit(folder))), f"the table: finegrid table {folder}")
    exit_by(study, settings, seeds)


@app.command()
def status(folder: Folder, as_json: Json = False) -> None:
    """Say what is done, what failed, and what is left."""
    study, settings = load(folder)
    look = outlook(study, settings, None, None)
    tell(look, status_lines(look), as_json)


@app.command()
def table(
    folder: Folder,
    style: Annotated[str, typer.Option("--format", help="markdown, csv or json.")] = "markdown",
) -> None:
    """Print the study's table, in the order of the design."""
    if style not in ("markdown", "csv", "json"):
        raise typer.BadParameter(
            f'"{style}" is not a format. Expected markdown, csv or json.', param_hint="--format"
        )
    imported = load_imported(folder)
    if imported is not None:
        print(render_imported(imported, style))
        return
    print(render_results(make_table(load_study(folder), load_audit(folder)), style))


@app.command()
def fit(
    folder: Folder,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A row of the table, baseline, or factor=level,... on top of it. Default: the verdict's."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the model goes. Default: DIR/models/best.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the study's first.")] = None,
    device: Device = None,
    precision: Precision = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there already.")] = False,
    margin: Margin = MARGIN,
) -> None:
    """Train one recipe of a study and keep its model. Running again resumes."""
    study, settings = load(folder, device=device, precision=precision)
    wished = wished_recipe(study, recipe) if recipe else recommended(study, margin)
    place = check_out(out or folder / "models" / "best", force)
    with Show(study.head.score, study.folder) as watcher:
        number = study.head.design.numbers[0] if seed is None else seed
        record = Runner(study, settings, watcher=watcher).fit(wished, number, place)
    if record["status"] != "done":
        print(visible(f"no model was kept: the run {record['status']}: {record['reason']}"), file=sys.stderr)
        raise typer.Exit(1)
    say(*fitted_lines(record, study.head.score), f"wrote {place}; now: finegrid predict {place} FILE")


@app.command("predict")
def predict_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that finegrid fit wrote.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Texts: CSV, TSV, JSONL, Parquet, or .txt with a text a line."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="FILE.tsv or FILE.jsonl. Default: TSV to the terminal.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Text column, by name or number; twice for pairs.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column, by name or number, to score.")] = None,
    header: Annotated[bool | None, typer.Option(help="Whether the first row names the columns.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: cpu.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, bf16 or auto. Default: fp32.")] = None,
) -> None:
    """Label the texts of a file with a model that was kept."""
    style = style_of(out)
    asked = ColumnOptions(
        tuple(map(parse_column, text or ())), None if label is None else parse_column(label), header
    )
    settings = override(RunSettings(threads=cores()), device=device, precision=precision)
    found = predict_file(model, file, asked, settings)
    put(found, style, out)
    for warning in found.warnings:
        warn(warning)
    for line in score_lines(found):
        print(visible(line), file=sys.stderr)


@app.command("import")
def import_(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Recipes and results: CSV, TSV or a markdown table.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    inert: Annotated[
        list[str] | None,
        typer.Option(help="A factor without effect: rows that differ in it alone are repeats; repeat."),
    ] = None,
    result: Annotated[str | None, typer.Option(help="Column of the results. Default: by its name.")] = None,
    seconds: Annotated[str | None, typer.Option(help="Column of seconds. Default: by its name.")] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="factor=level of the baseline. Default: the first row's; repeat.")
    ] = None,
) -> None:
    """Take over a table of recipes and results from anywhere. Nothing is trained."""
    declared = dict.fromkeys(inert or (), DECLARED)
    keep(out, import_table(table, ImportOptions(result, seconds, declared, tuple(baseline or ()))))


@app.command()
def example(
    name: Annotated[str, typer.Argument(help="thucnews64-published.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
) -> None:
    """Make the folder of a published table that comes with finegrid."""
    keep(out, find_example(name))


@app.command()
def verdict(
    folder: Folder,
    margin: Margin = MARGIN,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    as_json: Json = False,
) -> None:
    """Say what each strategy is worth, with an interval, and which recipe to use."""
    from finegrid.results.load import any_results
    from finegrid.spelling import parse_lang
    from finegrid.verdict.interim import settled
    from finegrid.verdict.to_json import as_json as spelled
    from finegrid.verdict.words import print_verdict

    found = settled(any_results(folder), margin)
    if as_json:
        print(json.dumps(spelled(found), ensure_ascii=False, indent=1))
    else:
        print_verdict(found, parse_lang(lang))


@app.command()
def report(
    folder: Folder,
    style: Annotated[str, typer.Option("--format", help="html, md, svg or png.")] = "html",
    figure: Annotated[
        str | None, typer.Option(help="Which figure, for svg and png: forest, frontier, seeds, ...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Default: DIR/report.html, DIR/FIGURE.svg; tables to the terminal.")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    margin: Margin = MARGIN,
) -> None:
    """Write the report: a page that needs nothing else, or tables and figures for papers and slides."""
    from finegrid.report.write import write_report
    from finegrid.spelling import parse_lang

    for line in write_report(folder, style, figure, out, parse_lang(lang), margin):
        print(line)


@app.command()
def confirm(
    folder: Folder,
    test: Annotated[
        Path | None, typer.Option(help="Fresh labelled texts. Default: the study's own test texts.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=MOST_SEEDS, help="How many, not used before.")] = 5,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    margin: Margin = MARGIN,
    as_json: Json = False,
) -> None:
    """Train the recommended recipe and the baseline on fresh seeds, and compare them. Resumes."""
    from finegrid.results.load import load_results
    from finegrid.verdict.confirm import compare, prepare, two_rows
    from finegrid.verdict.interim import settled

    study = load_study(folder)
    results = load_results(study)
    recommended = settled(results, margin).recommended
    if recommended is None:
        raise input_error(str(folder), "verdict", "no run has finished yet. `finegrid run` trains the study.")
    place = prepare(study, results, results.recipes[recommended], seeds, test)
    small, settings = load(place, device=device, precision=precision, memory=memory)
    train(small, settings, workers, None, mix=False, rows=two_rows(place))
    found = compare(results, results.recipes[recommended], place, fresh_texts=test is not None)
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
    else:
        say(*found.lines())
    exit_by(small, settings, None)


@app.command()
def watch(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine. Default: any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a study's report in a browser, and keep it up to date while the study runs."""
    from finegrid.report.facts.facts import report_facts
    from finegrid.report.page.page import render_page
    from finegrid.watch.app import make_app
    from finegrid.watch.serve import serve
    from finegrid.watch.view import PageMaker

    def ready(address: str) -> None:
        print(visible(f"{folder} is shown at {address} (only on this machine; Ctrl-C ends it)"), flush=True)
        if browser:
            webbrowser.open(address)

    serve(make_app(folder, PageMaker(report_facts, render_page)), port, ready)


@app.command()
def export(
    folder: Folder,
    to: Annotated[str, typer.Option(help="csv, parquet, tensorboard or mlflow.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write to. Default: DIR/export.")] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="csv, parquet: also what every run says of every text.")
    ] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="mlflow: a store or server. Default: a folder in DIR/export.")
    ] = None,
) -> None:
    """Take a study into other tools: tables of runs and epochs, TensorBoard, MLflow."""
    from finegrid.export.export import FORMATS, ExportOptions, export_study

    if to not in FORMATS:
        known = "csv, parquet, tensorboard or mlflow"
        raise typer.BadParameter(f'"{to}" is not a format. Expected {known}.', param_hint="--to")
    say(*export_study(folder, ExportOptions(to, out, predictions, tracking_uri)))


@app.command()
def explain(factor: Annotated[str, typer.Argument(help="reinit.layers, or a whole part: reinit.")]) -> None:
    """Print the card of a factor: paper, idea, levels, deviations."""
    print(card(factor))


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to.")] = Path("finegrid-demo"),
    seeds: Annotated[int, typer.Option(min=1, max=MOST_SEEDS, help="Replicates of every recipe.")] = 1,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
) -> None:
    """Run the 64 recipes on the embedded data set and checkpoint. Resumes an unfinished demo."""
    prepare_demo(folder, seeds)
    study, settings = load(folder, device=device, precision=precision)
    train(study, settings, workers, None, mix=False)
    made = make_table(study, load_audit(folder))
    print(render_results(made, "markdown"))
    say(*summary_lines(made), f"what each strategy is worth: finegrid verdict {folder}")
    exit_by(study, settings, None)


@app.command()
def pretrain(
    corpus: Annotated[
        list[Path], typer.Option(help="Files of text, .txt or .jsonl, also .xz, .gz, .bz2 or .zst; repeat.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make; the same command goes on.")],
    init: Annotated[
        str | None, typer.Option("--init", help="Checkpoint to go on from: a folder, a hub id, or mini-zh.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Or the config.json of a BERT to start from random weights.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens to see.")] = None,
    budget: Annotated[str | None, typer.Option(help="Or the time to take: 90m, 1h30m.")] = None,
    weight: Annotated[
        list[float] | None, typer.Option(min=0.0, help="How often an epoch shows each file; in order.")
    ] = None,
    without: Annotated[
        list[Path] | None, typer.Option(help="Files whose lines are not to be learned from; repeat.")
    ] = None,
    field: Annotated[str, typer.Option(help="Key of the text in JSON lines.")] = "text",
    grow: Annotated[str, typer.Option(help="Layers of each stage, such as 3,6,12.")] = "",
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = PRETRAIN.length,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of a step.")] = PRETRAIN.batch_tokens,
    rate: Annotated[
        float | None,
        typer.Option(help=f"Peak learning rate. Default: {FRESH_RATE:g}; with --init {GENTLE_RATE:g}."),
    ] = None,
    warmup: Annotated[float, typer.Option(help="Share of the run with a rising rate.")] = PRETRAIN.warmup,
    mask_share: Annotated[float, typer.Option(help="Share of tokens to hide.")] = PRETRAIN.mask_share,
    masking: Annotated[str, typer.Option(help="Hide whole pieces, words or spans.")] = PRETRAIN.masking,
    pair_share: Annotated[
        float, typer.Option(help="Share of sequences that are pairs.")
    ] = PRETRAIN.pair_share,
    held_out: Annotated[float, typer.Option(help="Share of the text to judge by.")] = PRETRAIN.held_out,
    dropout: Annotated[bool, typer.Option("--dropout", help="With the config's dropout.")] = False,
    dtype: Annotated[
        str, typer.Option(help="Of the finished weights: bfloat16 or float32.")
    ] = PRETRAIN.dtype,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores. Default: all.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = PRETRAIN.device,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or auto.")] = AUTO,
) -> None:
    """Pre-train a BERT on your own unlabelled text, from a checkpoint or from nothing."""
    settings = PretrainSettings(
        corpus=tuple(corpus),
        init=init,
        config=config,
        tokens=tokens,
        seconds=parse_budget(budget) if budget is not None else None,
        weights=tuple(weight or ()),
        without=tuple(without or ()),
        field=field,
        grow=parse_stages(grow),
        length=length,
        batch_tokens=batch_tokens,
        rate=choose_rate(init) if rate is None else rate,
        warmup=warmup,
        mask_share=mask_share,
        masking=masking,
        pair_share=pair_share,
        held_out=held_out,
        dropout=dropout,
        device=device,
        precision=fastest_precision(device) if precision == AUTO else precision,
        dtype=dtype,
        seed=seed,
    )
    settings.check()
    from finegrid.pretraining.command import pretrain as make

    make(settings, out, threads or cores(), tell_progress, shlex.join(["finegrid", *sys.argv[1:]]))


def keep(folder: Path, imported: Imported) -> None:
    """Write an imported table, and say how it was understood."""
    save_imported(folder, imported)
    for warning in imported.warnings:
        warn(warning)
    say(*imported_lines(imported), f"wrote {folder / 'imported.json'}; now: finegrid verdict {folder}")


def load(folder: Path, **given: str | float | None) -> tuple[Study, RunSettings]:
    study = load_study(folder)
    return study, override(study.head.run, **given)


def recommended(study: Study, margin: float) -> Recipe:
    """The verdict's, where there is one; else a word on how to name another."""
    from finegrid.verdict.interim import recommended_recipe

    return recommended_recipe(study, margin) or wished_recipe(study, None)


def check_alone(rows: str | None, seeds: int | None) -> None:
    """The looks of a study decide on whole seeds of all rows."""
    for option, value in (("--rows", rows), ("--seeds", seeds)):
        if value is not None:
            what = f"found {value} together with --until-decided, which chooses itself. Leave one out."
            raise input_error("command line", option, what)


def check_decided(study: Study) -> None:
    """Looks add seeds to a table; that of an undecided screen still grows."""
    if study.undecided:
        what = "this screen is not decided yet. `finegrid run` without --until-decided does that first."
        raise input_error("command line", "--until-decided", what)


def screen(study: Study, margin: float) -> Study:
    """Decide a screen if it can be decided. Returns the study with the rows that it then has."""
    from finegrid.verdict.screening import decide_screen

    say(*decide_screen(study, margin))
    return load_study(study.folder)


def add_seeds(
    study: Study, settings: RunSettings, workers: int | None, mix: bool, budget: str | None, margin: float
) -> str:
    """Train until every strategy has its verdict, or no more is to be had. Returns why it ended."""
    from finegrid.verdict.interim import until_decided, write_looks

    until = float("inf") if budget is None else time.monotonic() + parse_budget(budget)
    if study.head.design.looks is None:
        write_looks(study.folder)
        study = load_study(study.folder)
    if budget is not None and not probed(study, settings):
        audit(study, settings)

    def predicted(seeds: int) -> float:
        look = outlook(study, settings, seeds, workers)
        return look.seconds_left() or 0.0  # None: not probed, and then there is no budget

    def train_seeds(seeds: int) -> None:
        train(study, settings, workers, seeds, mix)

    return until_decided(study, train_seeds, predicted, until - time.monotonic(), margin, say)


def audit(study: Study, settings: RunSettings) -> None:
    """Look at the model and the data."""
    with Show(study.head.score, study.folder) as watcher:
        Runner(study, settings, watcher=watcher).audit()


def parse_rows(text: str | None, count: int) -> set[int] | None:
    if text is None:
        return None
    numbers = text.replace(" ", "").split(",")
    if not all(number.isdecimal() and 1 <= int(number) <= count for number in numbers):
        raise input_error("command line", "--rows", f'found "{text}", expected numbers from 1 to {count}.')
    return {int(number) for number in numbers}


def train(
    study: Study,
    settings: RunSettings,
    workers: int | None,
    seeds: int | None,
    mix: bool,
    rows: set[int] | None = None,
) -> None:
    numbers = range(seeds) if seeds else None
    with Show(study.head.score, study.folder) as watcher:
        Runner(study, settings, workers, numbers, mix, rows, watcher).run()


def tell_progress(line: str) -> None:
    """A line of progress, on stderr."""
    print(visible(line), file=sys.stderr, flush=True)


def outlook(study: Study, settings: RunSettings, seeds: int | None, workers: int | None) -> StudyStatus:
    numbers = tuple(range(seeds)) if seeds else seeds_seen(study)
    return StudyStatus(study, settings, fitting_audit(study), numbers, workers)


def tell(look: StudyStatus, lines: list[str], as_json: bool, more: dict[str, Any] | None = None) -> None:
    if as_json:
        print(json.dumps({**look.as_json(), **(more or {})}, ensure_ascii=False, indent=1))
        return
    say(*lines)
    for warning in look.audit.warnings if look.audit is not None else []:
        warn(warning)


def say(*lines: str) -> None:
    """Results, on stdout."""
    print("\n".join(map(visible, lines)))


def exit_by(study: Study, settings: RunSettings, seeds: int | None) -> None:
    """Exit code 1 where runs diverged or failed."""
    states = outlook(study, settings, seeds, None).states().values()
    bad = sum(state in ("failed", "diverged") for state in states)
    if bad:
        print(
            f"{bad} of {len(states)} runs failed or diverged; finegrid status {study.folder}", file=sys.stderr
        )
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show:
        print(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line. Exit codes: 0 done, 1 some runs failed, 2 wrong input, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese is no reason to fail
    try:
        app()
    except InputError as error:
        print(error, file=sys.stderr)
    except WorkerBrokeError as error:
        print(f"finegrid could not start training:\n{error}", file=sys.stderr)
    except OSError as error:
        print(visible(refusal(error)), file=sys.stderr)
    except SystemExit as ended:
        if ended.code == 130:
            print("stopped; the same command goes on", file=sys.stderr)
        raise
    sys.exit(2)
