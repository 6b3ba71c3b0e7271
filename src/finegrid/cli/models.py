"""Commands that keep a model and use it: fit, export-onnx, predict."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from finegrid.cli.options import (
    AllowCode,
    Device,
    EncodingOption,
    Folder,
    FormatOption,
    Header,
    Language,
    Margin,
    MixNodes,
    On,
    Precision,
    QuotingOption,
    SeparatorOption,
    States,
    TextColumns,
    Tolerance,
    load,
    parse_separator,
)
from finegrid.cli.say import exit_with, say, tell, warn
from finegrid.data.cells_of_file import ColumnOptions
from finegrid.data.settings import Encoding, Format, Quoting
from finegrid.data.unlabelled import parse_column
from finegrid.in_chinese import translate
from finegrid.inference.fit import check_onnx_extra, check_out, find_recipe, fitted_lines, not_kept_line
from finegrid.inference.fitted import load_fitted
from finegrid.inference.given import given_texts, progress
from finegrid.inference.labelled_file import Written, style_of, write_predictions
from finegrid.inference.predict import open_labelled, score_lines
from finegrid.inference.push import HubTarget, plan_push
from finegrid.machine import cores
from finegrid.metrics import TOLERANCE
from finegrid.next_words import next_line
from finegrid.recipe.recipe import Recipe
from finegrid.running import launch
from finegrid.running.cluster.where import place_of
from finegrid.running.launch import show_in
from finegrid.spelling import Lang, parse_lang
from finegrid.study.folder import StudyFolder
from finegrid.study.kept_files import ONNX
from finegrid.study.load import override
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.words import say_wrote


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
    on: On = None,
    storage: States = None,
    mix: MixNodes = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there already.")] = False,
    margin: Margin = None,
    tolerance: Tolerance = TOLERANCE,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Write model.onnx, too. Needs pip install 'finegrid\\[onnx]'."),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Upload the model to the Hugging Face hub, without any texts."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see what is pushed. Default: you alone.")
    ] = False,
    allow_code: AllowCode = False,
    lang: Language = None,
) -> None:
    """Train one recipe of a study and keep its model. Running again resumes."""
    language = parse_lang(lang)
    study, settings = load(folder, language, allow_code, device=device, precision=precision)
    chosen = find_recipe(study, recipe, partial(recommend, margin=margin, tolerance=tolerance))
    kept = check_out(out or StudyFolder(folder).best_model, force)
    if onnx:
        check_onnx_extra()
    target = plan_push(push_to_hub, public)
    from finegrid.report.model_card import study_blocks  # brings scipy

    about = study_blocks(study, chosen, margin, tolerance)
    with place_of(on, storage, mix, only_nodes=True) as place:
        record = launch.fit(study, settings, chosen, seed, kept, onnx, about, show_in(language), place)
    say_kept(record, study.head.score, kept, target, language)


def say_kept(record: Record, score: str, place: Path, target: HubTarget | None, lang: Lang) -> None:
    """What came of a run whose model was to be kept, and pushed to a target; exit code 1 if none was."""
    if not record.done:
        exit_with(not_kept_line(record, lang))
    say(*fitted_lines(record, score, lang), say_wrote(place, lang))
    if target is not None:
        say(target.push(place, lang))
    say(next_line("predict", place, lang))


def export_onnx(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that finegrid fit wrote.")],
    lang: Language = None,
) -> None:
    """Write a kept model as ONNX into its folder, and check that it gives the same logits."""
    fitted = load_fitted(model, "export-onnx")
    check_onnx_extra()
    from finegrid.inference.onnx_file import export_onnx as export  # brings torch

    export(model, fitted)
    say(say_wrote(model / ONNX, parse_lang(lang)))


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that finegrid fit wrote.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Texts: CSV, TSV, JSONL, Parquet, or .txt with a text a line; - for standard input.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="FILE.tsv, .csv, .jsonl or .parquet. Default: TSV to the terminal."),
    ] = None,
    text: TextColumns = None,
    text_value: Annotated[
        list[str] | None,
        typer.Option(help="A text itself, instead of FILE; more than once for more, or for pairs."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column, by name or number, to score.")] = None,
    header: Header = None,
    format_: FormatOption = None,
    separator: SeparatorOption = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = "auto",
    keep_columns: Annotated[
        bool, typer.Option(help="Write all columns of FILE, or its texts and labels alone.")
    ] = True,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: cpu.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, bf16 or auto. Default: fp32.")] = None,
    lang: Language = None,
) -> None:
    """Label texts with a model that was kept."""
    style, language = style_of(out), parse_lang(lang)
    asked = say_how_to_read(text, label, header, format_, separator, quoting, encoding)
    settings = override(RunSettings(threads=cores()), device=device, precision=precision)
    with given_texts(model, file, text_value) as (path, name):
        if text_value:
            asked = ColumnOptions(format="jsonl")
        labelled = open_labelled(model, path, asked, settings, name)
        written = Written(labelled.file, labelled.fitted, keep_columns)
        with progress(labelled.file.count, out is None, language) as count:
            write_predictions(count(labelled.parts()), written, style, out)
    for warning in labelled.warnings():
        warn(translate(warning, language), language)
    for line in score_lines(labelled, language):
        tell(line)


def say_how_to_read(
    text: list[str] | None,
    label: str | None,
    header: bool | None,
    kind: Format | None,
    separator: str | None,
    quoting: Quoting | None,
    encoding: Encoding,
) -> ColumnOptions:
    """What the options say of a file. Raises InputError: a separator that is none."""
    return ColumnOptions(
        tuple(map(parse_column, text or ())),
        None if label is None else parse_column(label),
        header,
        kind,
        parse_separator(separator),
        quoting,
        encoding,
    )


def recommend(study: Study, margin: float | None, tolerance: float) -> Recipe | None:
    """What the verdict recommends; None where the baseline has no finished run."""
    from finegrid.verdict.interim import recommended_recipe  # brings scipy, and is not always asked

    return recommended_recipe(study, margin, tolerance)
