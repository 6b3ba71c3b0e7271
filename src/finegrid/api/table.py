"""A table as a value: for pandas, polars, Arrow, a notebook, or as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from finegrid.api.showing import html_table, text_table
from finegrid.export.frame import Frame, FrameColumn
from finegrid.export.parquet_file import make_arrow

NO_PANDAS = (
    "to_frame() makes a frame of pandas, which cannot be imported. Install it: pip install pandas. "
    "polars.DataFrame(table) and table.to_arrow() work without it."
)
SHOWN_ROWS = 20


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """Rows of one kind. ``polars.DataFrame(table)`` and all else that knows Arrow takes it as it is.

    >>> table["effect"]           # a column, as a tuple
    >>> [row for row in table]    # rows, as dictionaries
    """

    _frames: tuple[Frame, ...] = field()  # of the same columns, one below the other; at least one

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self._frames[0].columns)

    def __len__(self) -> int:
        return sum(map(len, self._frames))

    def __getitem__(self, column: str) -> tuple[Any, ...]:
        """The values of a column; None where there is none.

        Raises:
            KeyError: no such column.
        """
        self._check(column)
        return tuple(value for frame in self._frames for value in values_of(frame[column]))

    def select(self, *columns: str) -> Table:
        """A table of some of the columns, in this order.

        Raises:
            KeyError: no such column.
        """
        for column in columns:
            self._check(column)
        return Table(tuple(Frame(tuple(frame[name] for name in columns)) for frame in self._frames))

    def _check(self, column: str) -> None:
        if column not in self.columns:
            raise KeyError(f"no column {column!r}. Found: {', '.join(self.columns)}.")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Rows, as dictionaries."""
        for frame in self._frames:
            for values in zip(*map(values_of, frame.columns), strict=True):
                yield dict(zip(self.columns, values, strict=True))

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``. Times are UTC; categories are dictionaries, and keep their order."""
        import pyarrow as pa

        return pa.concat_tables([make_arrow(frame) for frame in self._frames])

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401  # the message of pyarrow would not say what to do
        except ImportError as error:
            raise ModuleNotFoundError(NO_PANDAS, name="pandas") from error
        return self.to_arrow().to_pandas()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def head(self, rows: int) -> list[Sequence[Any]]:
        """The first rows, in the order of the columns."""
        found: list[Sequence[Any]] = []
        for row in self:
            if len(found) == rows:
                break
            found.append(tuple(row.values()))
        return found

    def __repr__(self) -> str:
        return text_table(self.columns, self.head(SHOWN_ROWS), len(self))

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.head(SHOWN_ROWS), len(self))


def values_of(column: FrameColumn) -> Sequence[Any]:
    """The values as Python has them: times as `datetime`, in UTC."""
    if column.kind != "time":
        return column.values
    return [None if value is None else datetime.fromtimestamp(value, UTC) for value in column.values]
