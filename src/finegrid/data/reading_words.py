"""What `finegrid init` took the files for, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from finegrid.data.doctor import RARE
from finegrid.data.findings import quote
from finegrid.data.guess_columns import TextColumn
from finegrid.data.settings import SEPARATOR_NAMES, SEPARATORS, resolve_separator
from finegrid.data.sniff import Reading
from finegrid.data.table import PARTS, DataTable
from finegrid.spelling import count_noun

MOST_CLASSES_NAMED = 12
MOST_RARE_NAMED = 5
QUOTES = {"rfc4180": "quotes as in RFC 4180", "none": "quotation marks as ordinary text"}


def describe_rows(files: Mapping[str, str], table: DataTable) -> str:
    """``rows     train.tsv 40, dev.tsv 10``, and what is drawn from the training file.

    files: names of the files by part.
    """
    sizes = {part: len(getattr(table, part)) for part in PARTS}
    drawn = [part for part in PARTS if part not in files]
    train = table.rows_of_file["train"]
    named = [f"{files['train']} {train:,}"]
    if drawn or sizes["train"] != train:
        parts = ", ".join(f"{part} {sizes[part]:,}" for part in ("train", *drawn))
        named[0] += f" (drawn: {parts})"
    named += [f"{files[part]} {sizes[part]:,}" for part in PARTS[1:] if part in files]
    return f"rows      {', '.join(named)}"


def describe_columns(reading: Reading) -> str:
    chosen = reading.columns
    text, label = _name_column(chosen.text), _name_column(chosen.label)
    kind = "texts" if isinstance(chosen.text, tuple) else "text"
    return f"columns   {kind}: {text} ({chosen.why_text}); label: {label} ({chosen.why_label})"


def describe_format(reading: Reading) -> str:
    """Format, header, separator, quoting and encoding; where files differ, of each."""
    kinds = dict.fromkeys(kind.upper() for kind in reading.formats.values())
    said = [" and ".join(kinds)]
    delimited = [kind for kind in reading.formats.values() if kind in SEPARATORS]
    if delimited:
        header = "a header" if reading.header else "no header"
        said.append(f"{header} ({reading.why_header})")
        marks = dict.fromkeys(
            SEPARATOR_NAMES[resolve_separator(kind, reading.separator)] for kind in delimited
        )
        said += [f"separated by {'s and '.join(marks)}s", QUOTES[reading.quoting]]
    if reading.encodings:
        said.append(_describe_encodings(reading))
    return f"format    {', '.join(said)}"


def describe_classes(table: DataTable) -> str:
    """How many texts of train each class has: of all, or of the largest and the rare ones."""
    counts = Counter(dict.fromkeys(table.labels, 0))
    counts.update(table.labels[index] for index in table.train.labels.tolist())
    ordered = counts.most_common()
    named = ", ".join(f"{quote(label)} {count:,}" for label, count in ordered[:MOST_CLASSES_NAMED])
    rest = len(ordered) - MOST_CLASSES_NAMED
    line = f"classes   {len(ordered):,}, in train: {named}"
    if rest > 0:
        line += f" and {rest:,} smaller ones"
    rare = [(label, count) for label, count in ordered if count < RARE]
    if rare:
        which = ", ".join(f"{quote(label)} {count:,}" for label, count in rare[-MOST_RARE_NAMED:])
        more = f" and {len(rare) - MOST_RARE_NAMED:,} more" * (len(rare) > MOST_RARE_NAMED)
        line += f"; {count_noun(len(rare), 'rare one')} (under {RARE} texts): {which}{more}"
    return line


def _name_column(column: TextColumn) -> str:
    columns: Sequence[str | int] = column if isinstance(column, tuple) else (column,)
    return " and ".join(quote(name) if isinstance(name, str) else f"number {name}" for name in columns)


def _describe_encodings(reading: Reading) -> str:
    names = dict.fromkeys(reading.encodings.values())
    said = " and ".join(name.upper() for name in names)
    samples = "; ".join(quote(sample) for sample in reading.samples.values() if sample)
    return f"{said}, which reads {samples}" if samples else said
