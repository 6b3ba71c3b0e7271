"""A file that is read piece by piece gives what it gives as a whole: rows, problems, warnings."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from finegrid.data import text_source
from finegrid.data.cells_of_file import ColumnName, ColumnOptions, StudyReading, read_cells
from finegrid.data.delimited import find_line_end, read_lines, stream_lines
from finegrid.data.findings import FileFindings
from finegrid.data.row_file import open_rows
from finegrid.data.settings import Quoting
from finegrid.data.text_source import scan

TEXT = st.text(st.sampled_from('ab,\t"\r\n \u2028'), max_size=60)


@given(TEXT, st.integers(1, 9), st.sampled_from(["rfc4180", "none"]), st.sampled_from(",\t"))
def test_lines_in_pieces_are_the_lines_of_the_whole(
    text: str, size: int, quoting: Quoting, separator: str
) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found, expected = FileFindings("a"), FileFindings("a")
    lines = list(stream_lines(pieces, find_line_end(text), separator, quoting, found))

    assert lines == read_lines(text, separator, quoting, expected)
    assert found.problems() == expected.problems()


JSON_LINES = ['{"a": 1}', '{"b": "x", "a": null}', "", "{", "[]", " "]
CONTENT = st.one_of(
    st.text(st.sampled_from('ab1,\t"\r\n;x '), max_size=60),
    st.lists(st.sampled_from(JSON_LINES), max_size=6).map("\n".join),
)


@example('\r;\r"', ".csv", "rfc4180")
@given(CONTENT, st.sampled_from([".csv", ".tsv", ".txt", ".jsonl"]), st.sampled_from(["rfc4180", "none"]))
def test_a_file_in_parts_has_the_cells_and_the_problems_of_the_whole(
    content: str, ending: str, quoting: Quoting
) -> None:
    assume(content.strip() or ending != ".jsonl")  # which read as a whole is an empty line, and here is none
    options = ColumnOptions(of_study=StudyReading(("a", "b"), quoting=quoting))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{ending}"
        path.write_bytes(content.encode())
        whole, found = FileFindings("a"), FileFindings("a")
        cells, rows = read_cells(path, options, whole), open_rows(path, options, found)
        # A part tells the problem of a row before that of a later line: the order of kinds may differ.
        assert sorted(found.problems(), key=str) == sorted(whole.problems(), key=str)
        assert found.warnings == whole.warnings
        if rows is None or whole:
            assert rows is None and whole
            return
        columns: dict[ColumnName, list[object]] = {name: [] for name in rows.columns}
        places: list[int] = []
        for part in rows.parts(2):
            places += part.places
            for name in columns:
                columns[name] += part.columns[name]

    assert columns == {name: list(values) for name, values in cells.columns.items()}
    assert places == cells.places and rows.count == len(places)
    assert rows.sample.first == cells.first


@pytest.mark.parametrize(
    "text", ["a\r\nb\n\nc\n\n", "\ufeff巴a\n巴", "a\rb", "", "\n \n", "a\u2028b\nc", "x" * 50 + "\ny"]
)
def test_lines_of_a_file_that_is_read_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(text_source, "PIECE", 3)
    (tmp_path / "a").write_bytes(text.encode())
    source = scan(tmp_path / "a")
    clean = text.removeprefix("\ufeff")

    assert source is not None and "".join(source.pieces()) == clean
    assert list(source.lines()) == (clean.rstrip().split(source.line_end) if clean.strip() else [])


@pytest.mark.parametrize(
    "raw", [b"a\0b", "巴".encode("gb18030"), b"ab\xe5\xb7", b"%PDF-1", "a\ufeffb".encode()]
)
def test_what_is_not_plain_utf_8_is_left_to_those_who_read_it_whole(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a").write_bytes(raw)

    assert scan(tmp_path / "a") is None


def test_strings_of_parquet_that_are_no_text_are_a_problem_of_the_file(tmp_path: Path) -> None:
    """Reading lets them pass; they fail where a value of Python is made, in any column."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    damaged = pa.array([b"fine", b"\xb0"]).view(pa.string())
    for name in ("text", "other"):
        columns = {"text": ["one", "two"], "other": ["three", "four"], name: damaged}
        parquet.write_table(pa.table(columns), tmp_path / "texts.parquet")
        found = FileFindings("texts.parquet")

        assert open_rows(tmp_path / "texts.parquet", ColumnOptions(), found) is None
        (problem,) = found.problems()
        assert "not readable as Parquet" in problem.what and "Write the file again" in problem.what
