"""Options that several commands have, and how a command takes what was typed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from finegrid.cli.completing import offer_studies, one_of
from finegrid.cli.say import tell, warn
from finegrid.data.findings import quote
from finegrid.data.settings import SEPARATOR_NAMES, Encoding, Format, Quoting, Separator
from finegrid.errors import InputError, input_error
from finegrid.in_chinese import translate
from finegrid.machine import AUTO, DEVICES, PRECISIONS
from finegrid.running.admitting import admit
from finegrid.spelling import LANGS, Lang, parse_lang
from finegrid.study.far_data import describe_far
from finegrid.study.imported import load_imported
from finegrid.study.load import load_study, override, read_study
from finegrid.study.settings import MOST_SEEDS, RunSettings
from finegrid.study.study import Study

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The study folder.", autocompletion=offer_studies)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that train. Default: what cores and memory carry.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda. Default: study.toml's.", autocompletion=one_of(*DEVICES))
]
Precision = Annotated[
    str | None,
    typer.Option(help="fp32, bf16 or auto. Default: study.toml's.", autocompletion=one_of(*PRECISIONS, AUTO)),
]
Memory = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="GiB for all workers together. Default: 60 % of the machine's, or 80 % of each GPU's."
    ),
]
On = Annotated[
    str | None, typer.Option(help="A Ray cluster: ray, or ray://host:10001. Default: this machine.")
]
States = Annotated[
    str | None,
    typer.Option(
        "--storage", help="With --on: folder or URL where states are kept that other nodes go on from."
    ),
]
Mix = Annotated[
    bool, typer.Option("--mix", help="Allow runs of several devices, precisions, threads, stacks, nodes.")
]
MixNodes = Annotated[bool, typer.Option("--mix", help="With --on: nodes may differ from each other.")]
Margin = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Points; smaller differences are none. Default: a tenth of the baseline's error, 0.2 to 0.5.",
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(min=0.0, help="Points that a recommended recipe may lose against the baseline."),
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Let the study's own strategies run, which are code.")
]
Seeds = Annotated[
    int | None, typer.Option(min=1, max=MOST_SEEDS, help="How many seeds. Default: study.toml's.")
]
Language = Annotated[
    str | None,
    typer.Option(
        callback=parse_lang,  # before anything is trained
        help="en or zh. Default: as LC_ALL or LANG say, English if they say neither.",
        autocompletion=one_of(*LANGS),
    ),
]
TextColumns = Annotated[
    list[str] | None, typer.Option(help="Text column, by name or number; twice for pairs.")
]
Header = Annotated[bool | None, typer.Option(help="Whether the first row names the columns.")]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="csv, tsv, jsonl or parquet. Default: as the files look.")
]
SeparatorOption = Annotated[
    str | None, typer.Option(help="Between columns: comma, tab, semicolon or bar, or the character.")
]
QuotingOption = Annotated[
    Quoting | None, typer.Option(help="rfc4180, or none: quotation marks are ordinary text.")
]
EncodingOption = Annotated[
    Encoding, typer.Option(help="Of text files, e.g. gb18030. Default: what is detected.")
]
NewFolder = Annotated[Path, typer.Option(help="The folder to make.")]


def load(
    folder: Path, lang: Lang, allow_code: bool = False, only_read: bool = False, **options: str | float | None
) -> tuple[Study, RunSettings]:
    """A study, and how to execute it: as study.toml says, or as the options that were given say.

    Tells what it reads from outside its folder.

    Args:
        folder: of the study.
        lang: of warnings.
        allow_code: whether the study's own strategies may run from now on.
        only_read: whether nothing is to be trained or probed: then the model may be elsewhere.
        options: that were given.

    Raises:
        InputError: with all problems of the file, or of the options.
    """
    admit(folder, allow_code, runs=not only_read)
    study = read_study(folder) if only_read else load_study(folder)
    for warning in study.warnings:
        warn(translate(warning, lang), lang)
    tell_far(study, lang)
    return study, override(study.head.run, **options)


def tell_far(study: Study, lang: Lang) -> None:
    """Tell what a study reads from outside its folder, before it is read."""
    if (far := describe_far(study, lang)) is not None:
        tell(far)


def tell_far_in(folder: Path, lang: Lang) -> None:
    """The same, where a folder holds a study, of who reads it later and over and over.

    That one says what is wrong with it.
    """
    with suppress(InputError):
        if load_imported(folder) is None:
            tell_far(read_study(folder), lang)


def parse_separator(typed: str | None) -> Separator | None:
    """A separator as the command line spells it: by its name, or itself.

    Raises:
        InputError: another character.
    """
    if typed is None:
        return None
    by_name = {name: mark for mark, name in SEPARATOR_NAMES.items()}
    mark = by_name.get(typed, typed.replace("\\t", "\t"))
    if mark not in SEPARATOR_NAMES:
        what = f"found {quote(typed)}, expected {', '.join(by_name)}, or the character itself."
        raise input_error("command line", "--separator", what)
    return mark


def gather(options: Mapping[str, Any], leave_out: Collection[str], **changed: object) -> dict[str, Any]:
    """Arguments for a value whose fields have the names of a command's options.

    A command passes ``locals()`` here, so that it names each option once, in its signature.

    Args:
        options: every option of the command by name, as it was given.
        leave_out: options that are no fields of the value.
        changed: fields that are not what was given, but made of it.
    """
    fields = {name: value for name, value in options.items() if name not in leave_out}
    return {**fields, **changed}
