"""Tables as values: for Arrow, pandas and polars, as text and as HTML."""

from __future__ import annotations

import re

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.export_studies import no_library

from finegrid.api.table import Table
from finegrid.export.frame import Frame, FrameColumn, make_category

HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m'


def table(rows: int = 3, text: str = "体育") -> Table:
    frame = Frame(
        (
            make_category("word", [text] * rows, ["first", text]),
            FrameColumn("number", "number", [None, 2e-05, 12.345][:rows] + [1.0] * (rows - 3)),
            FrameColumn("rows", "wholes", [[1, 2]] * rows),
            FrameColumn("truth", "truth", [True] * rows),
            FrameColumn("when", "time", [1_795_539_586.5] * rows),
        )
    )
    return Table((frame, frame))


def test_rows_and_columns_are_those_of_all_its_parts() -> None:
    found = table()

    assert len(found) == 6 and found.columns == ("word", "number", "rows", "truth", "when")
    assert found["number"] == (None, 2e-05, 12.345) * 2
    assert [row["number"] for row in found] == [*found["number"]]
    assert found.select("truth", "word").columns == ("truth", "word")
    with pytest.raises(KeyError, match=r"no column 'nix'\. Found: word, number"):
        found["nix"]


def test_pandas_polars_and_arrow_get_the_same() -> None:
    arrow, frame, other = table().to_arrow(), table().to_frame(), pl.DataFrame(table())

    assert isinstance(frame, pd.DataFrame) and frame.shape == other.shape == (6, 5)
    assert arrow["number"].to_pylist() == other["number"].to_list() == [None, 2e-05, 12.345] * 2
    assert list(frame["word"].cat.categories) == ["first", "体育"]
    assert pa.table(table()).equals(arrow)
    assert frame["when"][0] == pd.Timestamp("2026-11-24T16:59:46.500Z")


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    no_library(monkeypatch, "pandas")

    with pytest.raises(ModuleNotFoundError, match="pip install pandas"):
        table().to_frame()
    assert table().to_arrow().num_rows == 6


def test_what_is_the_users_is_escaped_in_a_notebook() -> None:
    shown = table(text=HOSTILE)._repr_html_()

    assert "<img" not in shown and "\x1b" not in shown
    assert shown.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\x1b[31m") == 6


def test_text_lines_up_and_says_what_is_not_shown() -> None:
    lines = repr(table(rows=40)).splitlines()

    assert lines[0].split() == ["word", "number", "rows", "truth", "when"]
    assert len(lines) == 22 and lines[-1] == "[80 rows, of which 20 are shown]"
    assert re.split(r" {2,}", lines[2]) == ["体育", "2e-05", "1, 2", "true", "2026-11-24 16:59:46+00:00"]
    assert "\x1b" not in repr(table(text=HOSTILE))
    many = Table((Frame(tuple(FrameColumn("x" * 30 + str(n), "whole", [n]) for n in range(9))),))
    assert repr(many).splitlines()[-1] == "[1 row; 6 more columns]"
