"""Writes the labels that a model gave: beside the texts alone, or beside all columns of the user's file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finegrid.atomic import replacing
from finegrid.data.content import format_of_ending
from finegrid.data.delimited import join_cells
from finegrid.data.findings import quote_all
from finegrid.data.probabilities import NESTED, name_column
from finegrid.data.settings import SEPARATORS, Format
from finegrid.errors import input_error, visible
from finegrid.extras import need
from finegrid.inference.predict import PredictedTexts

OUT_ENDINGS = (".tsv", ".csv", ".txt", ".jsonl", ".ndjson", ".parquet")
PREDICTED = "predicted"
Columns = dict[str, Sequence[object]]


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


def write_predictions(
    predictions: PredictedTexts, style: Format, out: Path | None, keep_columns: bool = False
) -> None:
    """Write a row per text, in their order: to a file, or to stdout.

    Args:
        predictions: what the model said.
        style: format of the rows.
        out: the file, there in full or not at all; None: stdout.
        keep_columns: whether all columns of the user's file go along, or texts and labels alone.

    Raises:
        InputError: a column of the file has the name of one that is added.
    """
    columns = file_columns(predictions) if keep_columns else text_columns(predictions)
    if style == "parquet" and out is not None:
        with replacing(out) as draft:
            _write_parquet(predictions, columns, keep_columns, draft)
        return
    if style == "jsonl":
        lines = jsonl_lines(predictions, columns, keep_columns)
    else:
        lines = delimited_lines(predictions, columns, SEPARATORS[style])
    if out is not None:
        with replacing(out) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    for line in lines:
        # A terminal would obey control characters of a text; a pipe gets texts as they are.
        print("\t".join(map(visible, line.split("\t"))) if sys.stdout.isatty() else line)


def text_columns(predictions: PredictedTexts) -> Columns:
    """The texts, and the file's own labels where it has them."""
    read = predictions.read
    columns: Columns = dict(zip(read.names, zip(*read.texts, strict=True), strict=True))
    return columns if read.labels is None else {**columns, "label": read.labels}


def file_columns(predictions: PredictedTexts) -> Columns:
    """All columns of the user's file; without a header they are named by their numbers.

    Raises:
        InputError: one has the name of a column that is added.
    """
    if format_of_ending(predictions.file) == "parquet":
        import pyarrow.parquet as pq  # slow to import, and few need it

        table = pq.read_table(predictions.file)
        columns: Columns = {name: table.column(name).to_pylist() for name in table.column_names}
    else:
        columns = {str(name): values for name, values in predictions.read.cells.columns.items()}
    added = {PREDICTED, NESTED, *probability_names(predictions)}
    if both := [name for name in columns if name in added]:
        what = f"the file has {quote_all(both)} already, which finegrid adds. Rename what is there"
        raise input_error("predict", predictions.file.name, what)
    return columns


def probability_names(predictions: PredictedTexts) -> list[str]:
    return [name_column(label) for label in predictions.fitted.labels]


def delimited_lines(predictions: PredictedTexts, columns: Columns, separator: str) -> Iterator[str]:
    """The columns, ``predicted``, and a probability for each label."""
    yield join_cells([*columns, PREDICTED, *probability_names(predictions)], separator)
    rows = zip(*columns.values(), predictions.labels, predictions.probabilities, strict=True)
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


def jsonl_lines(predictions: PredictedTexts, columns: Columns, keep_columns: bool) -> Iterator[str]:
    """The columns, ``predicted``, and ``probabilities`` by label."""
    objects = predictions.read.cells.objects if keep_columns else ()
    rows: Iterator[Mapping[str, object]] = (
        iter(objects)
        if objects
        else (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
    )
    for row, label, probabilities in zip(rows, predictions.labels, predictions.probabilities, strict=True):
        rounded = (round(float(p), 6) for p in probabilities)
        by_label = dict(zip(predictions.fitted.labels, rounded, strict=True))
        line = {**row, PREDICTED: label, NESTED: by_label}
        yield json.dumps(line, ensure_ascii=False, default=str)


def _write_parquet(predictions: PredictedTexts, columns: Columns, keep_columns: bool, path: Path) -> None:
    """A table of Parquet; columns of a Parquet file keep their types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table: Any
    if keep_columns and format_of_ending(predictions.file) == "parquet":
        table = pq.read_table(predictions.file)
    else:
        table = pa.table({name: _as_array(values) for name, values in columns.items()})
    added: dict[str, Any] = {PREDICTED: predictions.labels}
    added |= dict(zip(probability_names(predictions), predictions.probabilities.T, strict=True))
    for name, values in added.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)


def _as_array(values: Sequence[object]) -> Any:
    """A column as Arrow types it; as words where values are of several types."""
    import pyarrow as pa

    try:
        return pa.array(list(values))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else format_cell(value) for value in values])
