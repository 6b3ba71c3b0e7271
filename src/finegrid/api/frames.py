"""Frames of the user's as tables of Arrow: of pandas, polars, pyarrow, or columns and rows of Python."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from finegrid.api.wording import COMMAND_LINE
from finegrid.errors import InputError, first_line, input_error
from finegrid.spelling import count_noun, expand_user

# Arrow keeps what pandas calls an index as a column of such a name.
INDEX = re.compile(r"__index_level_\d+__")
KINDS = (
    "a path, a frame of pandas or polars, a table of pyarrow, a mapping of columns, or a list of rows as "
    "dictionaries"
)


@runtime_checkable
class ArrowStream(Protocol):
    """What has the Arrow PyCapsule interface: frames of pandas and polars, tables of pyarrow, ours."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


# Values are of any type: what type checkers make of {"text": ["a"], "label": [1]} is a mapping to objects.
Columns: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Sequence[Mapping[str, Any]]
Path_: TypeAlias = "str | os.PathLike[str]"
Data: TypeAlias = "Path_ | ArrowStream | Columns | Rows"


def path_of(data: object) -> Path | None:
    """The file that is meant; None of a frame."""
    return expand_user(data) if isinstance(data, str | os.PathLike) else None


def read_frame(data: object, name: str) -> Any:
    """A ``pyarrow.Table`` of what is no file; its strings are plain ones, and missing values are null.

    Args:
        data: one of `KINDS`, but for a path.
        name: the argument's.

    Raises:
        InputError: nothing of the kind, columns of unlike lengths, or values of several types in one.
    """
    import pyarrow as pa

    try:
        table = make_table(data, name)
        plain = {
            str(field.name): plain_strings(column)
            for field, column in zip(table.schema, table.columns, strict=True)
            if not INDEX.fullmatch(str(field.name))
        }
        return pa.table(plain)
    except InputError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        what = f"cannot be read as a table: {first_line(error)}. Expected {KINDS}, with values of one type "
        raise input_error(COMMAND_LINE, name, f"{what}in each column.") from None


def make_table(data: object, name: str) -> Any:
    import pyarrow as pa

    if isinstance(data, ArrowStream):
        return pa.table(data)
    if isinstance(data, Mapping):
        return from_columns(data, name)
    if isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
        names = dict.fromkeys(key for row in data for key in row)
        return from_columns({key: [row.get(key) for row in data] for key in names}, name)
    found = f"a {type(data).__name__}" if data else f"an empty {type(data).__name__}"
    raise input_error(COMMAND_LINE, name, f"found {found}, expected {KINDS}.")


def from_columns(columns: Mapping[Any, Any], name: str) -> Any:
    import pyarrow as pa

    arrays = {}
    for key, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            what = f"column {key!r} is a {type(values).__name__}, expected a list of values."
            raise input_error(COMMAND_LINE, name, what)
        try:
            arrays[str(key)] = pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            what = f"column {key!r}: {first_line(error)}. Expected values of one type."
            raise input_error(COMMAND_LINE, name, what) from None
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key!r} has {count_noun(count, 'value')}" for key, count in lengths.items())
        raise input_error(COMMAND_LINE, name, f"columns of unlike length: {told}.")
    return pa.table(arrays)


def plain_strings(column: Any) -> Any:
    """Views of strings, which polars hands over, as strings: older readers of Parquet know none."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not pa.types.is_string_view(kind):
        return column
    return pa.chunked_array(
        [pa.array(chunk.to_pylist(), pa.string()) for chunk in column.chunks], pa.string()
    )


def write_frame(table: Any, path: Path) -> None:
    """As Parquet, which keeps every text as it is: line ends, tabs, quotes, NUL, and what is missing.

    Only columns that may be texts, labels, groups or numbers: no other is read.
    """
    from pyarrow import parquet

    from finegrid.data.parquet import is_label

    chosen = [
        name for name, kind in zip(table.schema.names, table.schema.types, strict=True) if is_label(kind)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.select(chosen), path)
