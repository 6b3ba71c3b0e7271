"""Reads the rows of Parquet files, through pyarrow."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finegrid.data.columns import find_columns
from finegrid.data.findings import FileFindings, quote
from finegrid.extras import needing

with needing("parquet", "data", "Parquet"):  # an extra: this module is imported when there is such a file
    import pyarrow as pa
    import pyarrow.parquet as pq

# A damaged file may raise almost anything that pyarrow knows; all of it derives from these.
UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError)


def read_parquet(
    path: Path, wanted: Sequence[str | int], findings: FileFindings
) -> list[tuple[int, list[object]]]:
    """Row number from 1 and wanted values of each row."""
    findings.unit = "row"
    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            columns = find_columns(wanted, names, findings)
            if columns is None or not _check_types(file.schema_arrow, columns, findings):
                return []
            table = file.read(columns=[names[index] for index in columns])
            values = [table.column(names[index]).to_pylist() for index in columns]
    except UNREADABLE as error:
        _report(error, findings)
        return []
    return [(number, list(cells)) for number, cells in enumerate(zip(*values, strict=True), start=1)]


def read_simple_columns(
    path: Path, findings: FileFindings, most_rows: int | None = None
) -> dict[str | int, list[object]]:
    """Values of all columns that may be texts or labels, by name; of the first rows, if so asked."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names = [name for name, kind in zip(schema.names, schema.types, strict=True) if is_label(kind)]
            if most_rows is None:
                table = file.read(columns=names)
            else:
                batch = next(file.iter_batches(most_rows, columns=names), None)
                table = schema.empty_table() if batch is None else pa.Table.from_batches([batch])
            return {name: table.column(name).to_pylist() for name in names if names.count(name) == 1}
    except UNREADABLE as error:
        _report(error, findings)
        return {}


def iterate(path: Path, most: int, findings: FileFindings) -> Iterator[Any]:
    """A file as Arrow tables of so many rows, each of which can be made values of Python.

    Where it cannot be read, that stands in ``findings``.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(most):
                batch.validate(full=True)  # strings that are no UTF-8, too, which reading lets pass
                yield pa.Table.from_batches([batch])
    except UNREADABLE as error:
        _report(error, findings)


def read_schema(path: Path, findings: FileFindings) -> Any:
    """The schema of Arrow, or None and a problem."""
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow
    except UNREADABLE as error:
        _report(error, findings)
        return None


def list_columns(schema: Any, simple: bool) -> list[str]:
    """Names of columns; of those that may be texts or labels, and that no other has."""
    if not simple:
        return [str(name) for name in schema.names]
    named = zip(schema.names, schema.types, strict=True)
    return [str(name) for name, kind in named if is_label(kind) and schema.names.count(name) == 1]


def is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_label(kind: Any) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    whole = pa.types.is_integer(value) or pa.types.is_boolean(value)
    # pandas turns whole numbers into floating ones as soon as one value is missing.
    return bool(is_text(kind) or whole or pa.types.is_floating(value) or pa.types.is_null(value))


def _check_types(schema: Any, columns: list[int], findings: FileFindings) -> bool:
    *texts, label = columns
    wrong = [(index, "text") for index in texts if not is_text(schema.types[index])]
    if not is_label(schema.types[label]):
        wrong.append((label, "words or whole numbers"))
    for index, expected in wrong:
        name, kind = quote(schema.names[index]), schema.types[index]
        findings.add_problem(
            "column type", f"column {name} is of type {quote(str(kind))}, expected {expected}"
        )
    return not wrong


def _report(error: BaseException, findings: FileFindings) -> None:
    what = f"not readable as Parquet: {str(error)[:100]!r}. Write the file again"
    findings.add_problem("Parquet", what)


def write_kept_rows(
    source: Path, target: Path, columns: Sequence[str | int], kept: Mapping[int, str | None]
) -> None:
    """Write the kept rows, by their number from 1, with all columns; with another label where there is one.

    columns: of the texts, then of the label.
    """
    table = pq.read_table(source)
    rows = sorted(kept)
    table = table.take(pa.array([row - 1 for row in rows], type=pa.int64()))
    if any(spelling is not None for spelling in kept.values()):
        names = [str(name) for name in table.schema.names]
        found = find_columns(columns, names, FileFindings(""))
        assert found is not None, "the file has been read before"
        at = found[-1]
        values = zip(rows, table.column(at).to_pylist(), strict=True)
        labels = [value if kept[row] is None else kept[row] for row, value in values]
        table = table.set_column(at, names[at], pa.array(labels, type=pa.string()))
    pq.write_table(table, target)
