"""Writes a commented study.toml for the user's files, after everything in it has been checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.atomic import check_folder
from finegrid.data.reading_words import (
    describe_classes,
    describe_columns,
    describe_format,
    describe_rows,
)
from finegrid.data.sniff import Reading, Said, sniff
from finegrid.data.table import PARTS, DataTable, load_table
from finegrid.data.token_facts import TokenFacts, describe_tokens
from finegrid.data.unlabelled import parse_column
from finegrid.encoders.families import EMBEDDED
from finegrid.encoders.languages import find_language, propose_checkpoints
from finegrid.errors import InputError, input_error
from finegrid.in_chinese import translate
from finegrid.spelling import Lang
from finegrid.study.clean import StudyFiles, cleaning
from finegrid.study.drafting import InitOptions, draft_study_toml
from finegrid.study.folder import SETTINGS_FILE, StudyFolder
from finegrid.study.init_words import describe_settings
from finegrid.study.load import load_study
from finegrid.study.opening import open_checkpoint
from finegrid.study.proposals import TextLengths, propose_length
from finegrid.study.scored_label import check_scored_label
from finegrid.study.study import Study
from finegrid.study.toml import parse_levels

EMBEDDED_LANGUAGE = "Chinese"
MOST_LOOKED_AT = 2_000  # texts whose letters tell the language


@dataclass(frozen=True)
class WrittenStudy:
    """What `finegrid init` says: what it took the files for, and warnings about data and checkpoint.

    Attributes:
        took: Lines.
        warnings: Of data and checkpoint.
        study: As it was written.
        sizes: Texts of train, dev and test.
        mean_tokens: Of a text of each, cut at the baseline's length.
        majority: What always naming the most frequent class scores on dev, 0 to 1.
    """

    took: list[str]
    warnings: list[str]
    study: Study
    sizes: Mapping[str, int]
    mean_tokens: Mapping[str, float]
    majority: float


def draft_of(folder: Path) -> Path:
    """Where a study is made, before its folder is there: a sibling, so that relative paths mean the same."""
    folder = folder.resolve()
    return folder.parent / f".{folder.name}.draft"


def write_study(
    folder: Path,
    options: InitOptions,
    bring: Callable[[Path], None] = lambda draft: None,
    lang: Lang = "en",
) -> WrittenStudy:
    """Make a study folder, and say how its files were read.

    Args:
        folder: to make.
        options: those of `finegrid init`.
        bring: writes files that are to lie in the study into its draft, which it is given; ``options`` name
            them there (`draft_of`).
        lang: en or zh, of study.toml's comments and of what is said of the files and the study.

    Raises:
        InputError: anything wrong with files, columns, model or settings; then nothing is written.
    """
    if StudyFolder(folder).settings.exists():
        raise input_error(str(folder), SETTINGS_FILE, "exists already. Edit it, or choose another --out.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise input_error(str(folder), "--out", "exists and is not an empty folder. Choose another --out.")
    check_folder(folder)
    folder = folder.resolve()
    draft = draft_of(folder)
    check_folder(draft)
    shutil.rmtree(draft, ignore_errors=True)
    new_parents = [parent for parent in draft.parents if not parent.exists()]
    draft.mkdir(parents=True)
    try:
        bring(draft)
        reading = find_reading(options)
        asked = StudyFiles(options.files, reading.settings())
        with cleaning(asked, options.clean, options.near_twins, folder, draft, lang) as clean:
            files = clean.files
            named = replace(options, train=files["train"], dev=files.get("dev"), test=files.get("test"))
            settings = StudyFolder(draft).settings
            drafted = draft_study_toml(draft, named, clean.fields)
            settings.write_text(drafted.text, encoding="utf-8")
            study = check_draft(draft, folder)
            table = load_table(study.head.data, draft)
            check_scored_label(study.head.score, table)
            if options.model is None:
                check_embedded_knows(table)
            look = LengthLook(len(table.train), study, options)
            opened = open_checkpoint(study.checkpoint, table, look.choose)
            drafted = draft_study_toml(draft, named, clean.fields, look.facts, lang)
            settings.write_text(drafted.text, encoding="utf-8")
            study = check_draft(draft, folder)
            warnings = [*table.look(options.near_twins), *opened.warnings]
            folder.mkdir(exist_ok=True)
            # Clean files that lie in the study, then study.toml: it says that all is there.
            for entry in sorted(draft.iterdir(), key=lambda entry: entry.name == SETTINGS_FILE):
                entry.replace(folder / entry.name)
    except InputError:
        shutil.rmtree(draft)
        for parent in new_parents:
            parent.rmdir()
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    took = [*describe_reading(options, reading, table, opened.facts, lang), *clean.done]
    return WrittenStudy(
        [*took, *describe_settings(study, bool(drafted.proposals), lang)],
        [translate(warning, lang) for warning in warnings],
        replace(study, folder=folder),
        {part: len(getattr(table, part)) for part in PARTS},
        {fact.part: min(fact.mean, fact.max_length) for fact in opened.facts},
        float(np.bincount(table.dev.labels).max() / len(table.dev)),
    )


class LengthLook:
    """Looks at the lengths of the texts once, and proposes by them how many tokens to read."""

    def __init__(self, train: int, study: Study, options: InitOptions) -> None:
        self.train, self.study = train, study
        self.asked = options.as_published or "model.max_length" in parse_levels(options.levels)
        self.facts: TextLengths | None = None

    def choose(self, lengths: Sequence[NDArray[np.int64]]) -> int:
        """The baseline's length, in tokens.

        Args:
            lengths: of the texts of every split.
        """
        limit = self.study.checkpoint.positions
        all_ = np.concatenate(lengths)
        self.facts = TextLengths(
            self.train,
            # Of the split with the longest ones: so that at most 1 % of the texts of each are cut.
            max(int(np.percentile(one, 99, method="higher")) for one in lengths),
            int(all_.max()),
            limit,
            float((all_ > limit).mean()),
        )
        asked = self.study.baseline.model.max_length
        return asked if self.asked else int(propose_length(self.facts).level)


def check_embedded_knows(table: DataTable) -> None:
    """Refuse the embedded checkpoint, which nobody asked for, where the texts are not Chinese.

    Raises:
        InputError: they are in another language; says which checkpoints know it.
    """
    texts = [piece for text in table.train.texts[:MOST_LOOKED_AT] for piece in text]
    language = find_language(texts)
    if language == EMBEDDED_LANGUAGE:
        return
    look = f"your texts look {language}" if language else "your texts do not look Chinese"
    first, *more = propose_checkpoints(language)
    others = f"; or {', '.join(more)}" * bool(more)
    what = f"missing. Without it, {EMBEDDED} is taken, which knows Chinese alone, and {look}. Name one that "
    what += f"knows them, such as --model {first}{others}."
    raise input_error("command line", "--model", what)


def describe_reading(
    options: InitOptions, reading: Reading, table: DataTable, facts: list[TokenFacts], lang: Lang
) -> list[str]:
    names = {part: path.name for part, path in options.files.items()}
    return [
        describe_rows(names, table, lang),
        describe_columns(reading, lang),
        describe_format(reading, lang),
        describe_classes(table, lang),
        describe_tokens(facts, lang),
    ]


def check_draft(draft: Path, folder: Path) -> Study:
    """Load the study in ``draft``. Its problems name the ``folder`` that it is meant for."""
    try:
        return load_study(draft)
    except InputError as error:
        raise InputError(str(StudyFolder(folder).settings), error.problems) from None


def find_reading(options: InitOptions) -> Reading:
    """How the files are to be read: what the user has given, and the rest found out from all of them."""
    texts = [parse_column(name) for name in options.text]
    said = Said(
        text=None if not texts else texts[0] if len(texts) == 1 else (texts[0], texts[1]),
        label=None if options.label is None else parse_column(options.label),
        header=options.header,
        format=options.format,
        separator=options.separator,
        quoting=options.quoting,
        encoding=options.encoding,
    )
    return sniff(list(options.files.values()), said)
