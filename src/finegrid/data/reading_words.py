"""What `finegrid init` took the files for, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from finegrid.data.doctor import RARE
from finegrid.data.findings import quote
from finegrid.data.guess_columns import TextColumn
from finegrid.data.reading_phrases import say
from finegrid.data.settings import SEPARATORS, resolve_separator
from finegrid.data.sniff import Reading
from finegrid.data.table import PARTS, DataTable
from finegrid.in_chinese import translate
from finegrid.spelling import Lang
from finegrid.words import SHARED

MOST_CLASSES_NAMED = 12
MOST_RARE_NAMED = 5


def describe_rows(files: Mapping[str, str], table: DataTable, lang: Lang = "en") -> str:
    """``rows     train.tsv 40, dev.tsv 10``, and what is drawn from the training file.

    files: names of the files by part.
    """
    comma, sizes = SHARED[lang]["list comma"], {part: len(getattr(table, part)) for part in PARTS}
    drawn = [part for part in PARTS if part not in files]
    train = table.rows_of_file["train"]
    named = [f"{files['train']} {train:,}"]
    if drawn or sizes["train"] != train:
        parts = comma.join(f"{say(part, lang)} {sizes[part]:,}" for part in ("train", *drawn))
        named[0] += say("drawn", lang, parts=parts)
    named += [f"{files[part]} {sizes[part]:,}" for part in PARTS[1:] if part in files]
    return say("rows", lang, rows=comma.join(named))


def describe_columns(reading: Reading, lang: Lang = "en") -> str:
    chosen = reading.columns
    return say(
        "columns",
        lang,
        kind=say("texts" if isinstance(chosen.text, tuple) else "text", lang),
        text=_name_column(chosen.text, lang),
        why_text=translate(chosen.why_text, lang),
        label=_name_column(chosen.label, lang),
        why_label=translate(chosen.why_label, lang),
    )


def describe_format(reading: Reading, lang: Lang = "en") -> str:
    """Format, header, separator, quoting and encoding; where files differ, of each."""
    kinds = dict.fromkeys(kind.upper() for kind in reading.formats.values())
    said = [say("and", lang).join(kinds)]
    delimited = [kind for kind in reading.formats.values() if kind in SEPARATORS]
    if delimited:
        header = "header" if reading.header else "no header"
        said.append(say(header, lang, why=translate(reading.why_header, lang)))
        marks = dict.fromkeys(say(resolve_separator(kind, reading.separator), lang) for kind in delimited)
        said.append(say("separated", lang, marks=say("and", lang).join(marks)))
        said.append(say(reading.quoting, lang))
    if reading.encodings:
        said.append(_describe_encodings(reading, lang))
    return say("format", lang, format=SHARED[lang]["comma"].join(said))


def describe_classes(table: DataTable, lang: Lang = "en") -> str:
    """How many texts of train each class has: of all, or of the largest and the rare ones."""
    counts = Counter(dict.fromkeys(table.labels, 0))
    counts.update(table.labels[index] for index in table.train.labels.tolist())
    ordered = counts.most_common()
    named = _list_classes(ordered[:MOST_CLASSES_NAMED], lang)
    rest = len(ordered) - MOST_CLASSES_NAMED
    line = say("classes", lang, classes=len(ordered), named=named)
    if rest > 0:
        line += say("smaller", lang, count=rest)
    rare = [(label, count) for label, count in ordered if count < RARE]
    if rare:
        which = _list_classes(rare[-MOST_RARE_NAMED:], lang)
        if len(rare) > MOST_RARE_NAMED:
            which += say("more", lang, count=len(rare) - MOST_RARE_NAMED)
        key = "one rare" if len(rare) == 1 else "rare"
        line += say(key, lang, count=len(rare), least=RARE, which=which)
    return line


def _list_classes(classes: Sequence[tuple[str, int]], lang: Lang) -> str:
    return SHARED[lang]["list comma"].join(f"{quote(label)} {count:,}" for label, count in classes)


def _name_column(column: TextColumn, lang: Lang) -> str:
    columns: Sequence[str | int] = column if isinstance(column, tuple) else (column,)
    return say("and", lang).join(
        quote(name) if isinstance(name, str) else say("number", lang, number=name) for name in columns
    )


def _describe_encodings(reading: Reading, lang: Lang) -> str:
    names = dict.fromkeys(reading.encodings.values())
    said = say("and", lang).join(name.upper() for name in names)
    samples = SHARED[lang]["list semi"].join(quote(sample) for sample in reading.samples.values() if sample)
    return say("reads", lang, encodings=said, samples=samples) if samples else said
