"""Writes frames as Parquet, with types: categories are dictionaries, and keep their order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finegrid.export.frame import Frame, FrameColumn
from finegrid.refusals import saving


def write_parquet(path: Path, frames: Iterable[Frame]) -> int:
    """Frames of the same columns, one below the other. Returns the lines."""
    from pyarrow import parquet

    count = 0
    with saving(path) as draft:
        writer = None
        try:
            for frame in frames:
                table = make_arrow(frame)
                writer = writer or parquet.ParquetWriter(draft, table.schema)
                writer.write_table(table)
                count += len(frame)
        finally:
            if writer is not None:
                writer.close()
    return count


def make_arrow(frame: Frame) -> Any:
    """A frame as a table of pyarrow."""
    import pyarrow as pa

    return pa.table({column.name: make_array(column) for column in frame.columns})


def make_array(column: FrameColumn) -> Any:
    import pyarrow as pa

    if column.kind == "category":
        place = {name: index for index, name in enumerate(column.categories)}
        indices = pa.array([None if v is None else place[v] for v in column.values], pa.int32())
        return pa.DictionaryArray.from_arrays(indices, pa.array(column.categories, pa.string()))
    if column.kind == "time":
        micros = [None if value is None else round(value * 1_000_000) for value in column.values]
        return pa.array(micros, pa.timestamp("us", tz="UTC"))
    types = {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "truth": pa.bool_(),
        "wholes": pa.list_(pa.int64()),
    }
    return pa.array(column.values, types[column.kind])
