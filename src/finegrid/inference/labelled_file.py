"""Writes the labels that a model gave, part by part: beside all columns of the user's file, or the texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finegrid.data.content import format_of_ending
from finegrid.data.delimited import join_cells
from finegrid.data.findings import quote_all
from finegrid.data.probabilities import NESTED, name_column
from finegrid.data.row_file import MOST_ROWS
from finegrid.data.settings import SEPARATORS, Format
from finegrid.data.unlabelled import TextFile
from finegrid.errors import input_error, visible
from finegrid.extras import need
from finegrid.inference.fitted import Fitted
from finegrid.inference.predict import LabelledPart
from finegrid.refusals import saving

OUT_ENDINGS = (".tsv", ".csv", ".txt", ".jsonl", ".ndjson", ".parquet")
PREDICTED = "predicted"
Parts = Iterable[LabelledPart]


def style_of(out: Path | None) -> Format:
    """The format that the ending of the output file stands for; TSV for the terminal.

    Raises:
        InputError: another ending.
    """
    kind = "tsv" if out is None else format_of_ending(out.with_name(out.name.lower()))
    if out is not None and (kind is None or out.suffix.lower() not in OUT_ENDINGS):
        what = f'the ending "{out.suffix}" is not known. Expected {", ".join(OUT_ENDINGS)}.'
        raise input_error("command line", "--out", what)
    assert kind is not None
    if kind == "parquet":
        need("parquet", "command line", "--out")
    return kind


class Written:
    """What columns are written of the rows of a file."""

    def __init__(self, file: TextFile, fitted: Fitted, keep_columns: bool = True) -> None:
        """
        Args:
            file: the user's.
            fitted: the model's.
            keep_columns: whether all columns of the file go along, or texts and labels alone.

        Raises:
            InputError: a column of the file has the name of one that is added.
        """
        self.file, self.fitted, self.keep_columns = file, fitted, keep_columns
        self.probabilities = [name_column(label) for label in fitted.labels]
        if keep_columns:
            self.names = [file.name_of(one) for one in file.rows.columns]
            self._refuse_added({PREDICTED, NESTED, *self.probabilities})
        else:
            self.names = [*file.names, *(["label"] if file.labelled else [])]

    def _refuse_added(self, added: set[str]) -> None:
        if both := [name for name in self.names if name in added]:
            what = (
                f"the file has {quote_all(both)} already, which finegrid adds. Rename what is there, or pass "
                "--no-keep-columns: then texts and labels alone are written"
            )
            raise input_error("predict", "columns", what)

    def columns_of(self, part: LabelledPart) -> list[Sequence[object]]:
        """The cells of a part, a list for each of the names."""
        if self.keep_columns:
            return [part.part.rows.columns[one] for one in self.file.rows.columns]
        texts: list[Sequence[object]] = [*zip(*part.part.texts, strict=True)]
        return texts if part.part.labels is None else [*texts, part.part.labels]

    def rows_of(self, part: LabelledPart) -> Iterable[dict[str, object]]:
        """The rows of a part; those of JSON lines with the keys that each has."""
        if self.keep_columns and part.part.rows.objects:
            return part.part.rows.objects
        rows = zip(*self.columns_of(part), strict=True)
        return (dict(zip(self.names, cells, strict=True)) for cells in rows)


def write_predictions(parts: Parts, written: Written, style: Format, out: Path | None) -> None:
    """Write a row per text, in their order and as they come: to a file, or to stdout.

    Args:
        parts: what the model says.
        written: which columns.
        style: format of the rows.
        out: the file, there in full or not at all; None: stdout.
    """
    if style == "parquet" and out is not None:
        with saving(out) as draft:
            write_parquet(parts, written, draft)
        return
    if style == "jsonl":
        lines = jsonl_lines(parts, written)
    else:
        lines = delimited_lines(parts, written, SEPARATORS[style])
    if out is not None:
        with saving(out) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    for line in lines:
        # A terminal would obey control characters of a text; a pipe gets texts as they are.
        print("\t".join(map(visible, line.split("\t"))) if sys.stdout.isatty() else line)


def delimited_lines(parts: Parts, written: Written, separator: str) -> Iterator[str]:
    """The columns, ``predicted``, and a probability for each label."""
    yield join_cells([*written.names, PREDICTED, *written.probabilities], separator)
    for part in parts:
        rows = zip(*written.columns_of(part), part.labels, part.probabilities, strict=True)
        for *cells, label, probabilities in rows:
            numbers = [f"{p:.6f}" for p in probabilities]
            yield join_cells([*map(format_cell, cells), label, *numbers], separator)


def format_cell(cell: object) -> str:
    """A value of JSON or Parquet in a cell of text; a missing one leaves it empty."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool | dict | list):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return str(cell)


def jsonl_lines(parts: Parts, written: Written) -> Iterator[str]:
    """The columns, ``predicted``, and ``probabilities`` by label."""
    labels = written.fitted.labels
    for part in parts:
        rows = zip(written.rows_of(part), part.labels, part.probabilities, strict=True)
        for row, label, probabilities in rows:
            by_label = dict(zip(labels, (round(float(p), 6) for p in probabilities), strict=True))
            line = {**row, PREDICTED: label, NESTED: by_label}
            yield json.dumps(line, ensure_ascii=False, default=str)


def write_parquet(parts: Parts, written: Written, path: Path) -> None:
    """A file of Parquet; columns of a Parquet file keep their types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = choose_schema(written)
    added = [(PREDICTED, pa.string()), *((name, pa.float64()) for name in written.probabilities)]
    schema = pa.schema([*own, *(pa.field(name, kind) for name, kind in added)], own.metadata)
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            table = part.part.rows.table if written.keep_columns else None
            kept = (
                list(map(as_array, written.columns_of(part), own.types)) if table is None else table.columns
            )
            numbers = [pa.array(column) for column in part.probabilities.T]
            writer.write_table(pa.table([*kept, pa.array(part.labels), *numbers], schema=schema))


def choose_schema(written: Written) -> Any:
    """The columns as Arrow types them: as a Parquet file has them, or so that all cells fit."""
    import pyarrow as pa

    rows = written.file.rows
    if written.keep_columns and rows.kind == "parquet":
        return next(rows.parts(1)).table.schema
    types = [pa.string()] * len(written.names)
    if written.keep_columns and rows.kind == "jsonl":
        types = [pa.null()] * len(written.names)
        for part in rows.parts(MOST_ROWS):
            types = list(map(merge_types, types, (part.columns[one] for one in rows.columns)))
    return pa.schema(list(zip(written.names, types, strict=True)))


def merge_types(kind: Any, values: Sequence[object]) -> Any:
    """The type that fits what a type fitted, and some more values; words where they are of several types."""
    import pyarrow as pa

    try:
        both = [pa.schema([("a", one)]) for one in (kind, pa.array(list(values)).type)]
        return pa.unify_schemas(both, promote_options="permissive").field("a").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def as_array(values: Sequence[object], kind: Any) -> Any:
    """Cells as a column of a type; as words where that is what it takes."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array([None if value is None else format_cell(value) for value in values], kind)
    return pa.array(list(values), kind)
