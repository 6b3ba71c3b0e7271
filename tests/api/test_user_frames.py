"""Frames of the user's become files of the study, and every text comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from finegrid.api.frames import read_frame, write_frame
from finegrid.errors import InputError

TEXTS = [
    "a\nb\r\nc",
    "tab\there",
    'say "no", he said',
    "\0",
    "  ",
    "'=1+1",
    "体育，足球",
    "\u2028\ufeff",
    "",
    None,
]
LABELS = [1, 2, 1, 2, None, 1, 2, 1, 2, 1]
COLUMNS = {"text": TEXTS, "label": LABELS}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(TEXTS, LABELS, strict=True)]
FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas, of objects": lambda: pd.DataFrame({"text": np.array(TEXTS, dtype=object), "label": LABELS}),
    "pandas, shuffled": lambda: pd.DataFrame(COLUMNS).sample(frac=1, random_state=0).sort_index(),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "pyarrow": lambda: pa.table(COLUMNS),
    "columns": lambda: COLUMNS,
    "rows": lambda: ROWS,
    "categories": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("text").cast(pl.Categorical)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_text_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    write_frame(read_frame(FRAMES[kind](), "train"), tmp_path / "new" / "train.parquet")

    table = parquet.read_table(tmp_path / "new" / "train.parquet")

    assert table.column_names == ["text", "label"]
    assert table.column("text").to_pylist() == TEXTS
    assert table.column("label").to_pylist() == LABELS


def test_an_index_is_no_column_and_what_nobody_reads_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "when": pd.Timestamp(0), "n": [1, 2, 3]})
    write_frame(read_frame(frame[frame["n"] > 1], "train"), tmp_path / "train.parquet")

    assert parquet.read_table(tmp_path / "train.parquet").to_pydict() == {"text": ["b", "c"], "n": [2, 3]}


def test_a_missing_key_is_a_missing_value() -> None:
    table = read_frame([{"text": "a"}, {"text": "b", "label": "x"}], "train")

    assert table.to_pydict() == {"text": ["a", "b"], "label": [None, "x"]}


def test_missing_numbers_are_missing() -> None:
    assert read_frame({"text": ["a", float("nan")]}, "train").to_pydict() == {"text": ["a", None]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (7, "found a int, expected a path, a frame of pandas or polars"),
        ([], "found an empty list"),
        (["a", "b"], "found a list"),
        ({"text": "abc"}, "column 'text' is a str, expected a list of values"),
        ({"text": ["a", 1]}, "column 'text': .*Expected values of one type"),
        ({"text": ["a"], "label": [1, 2]}, "'text' has 1 value, 'label' has 2 values"),
        (pd.DataFrame({"text": ["a", 1]}), "cannot be read as a table: .*values of one type in each column"),
        (pl.Series("text", ["a"]), "cannot be read as a table"),
        ({"text": ["\ud800"]}, "column 'text': "),
    ],
)
def test_what_is_no_frame_is_refused_by_its_argument(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_frame(data, "train")

    assert [problem.where for problem in caught.value.problems] == ["train"]
