"""CSV and TSV: what was written comes back, and what is broken is named with its line."""

import csv
import io
import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finegrid.data.delimited import read_lines
from finegrid.data.findings import FileFindings

# A carriage return that ends a plain field belongs to the line end; csv.writer quotes it in these files.
CELL = st.text(alphabet="ab\"\n\r\t ,;'中文\u2028\x85\x0b\x0c\ufffd𝄞", max_size=8)
ROWS = st.lists(st.tuples(CELL, CELL.map(lambda text: text + "x")), min_size=1, max_size=6)


def read(
    text: str, separator: str = ",", quoting: str = "rfc4180"
) -> tuple[list[tuple[int, list[str]]], str]:
    findings = FileFindings("f")
    lines = read_lines(text, separator, quoting, findings)  # type: ignore[arg-type]
    return lines, "\n".join(f"{problem.where}: {problem.what}" for problem in findings.problems())


@given(rows=ROWS, separator=st.sampled_from([",", "\t"]), all_quoted=st.booleans())
def test_what_csv_writes_is_read_back_identical(
    rows: list[tuple[str, str]], separator: str, all_quoted: bool
) -> None:
    file = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=separator, lineterminator="\r\n", quoting=quoting).writerows(rows)

    lines, problems = read(file.getvalue(), separator)

    assert problems == ""
    assert [tuple(fields) for _, fields in lines] == rows


@given(rows=ROWS)
def test_a_row_is_placed_on_the_physical_line_where_it_starts(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    starts = []
    for row in rows:
        starts.append(file.getvalue().count("\n") + 1)
        csv.writer(file, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow(row)

    assert [number for number, _ in read(file.getvalue())[0]] == starts


@given(text=st.text(alphabet='ab",\t\r\n', max_size=40))
def test_without_quoting_nothing_can_be_wrong_and_nothing_is_lost(text: str) -> None:
    lines, problems = read(text, ",", "none")

    assert problems == ""
    assert (
        "".join("".join(fields) for _, fields in lines).split() == re.sub("[,\n]", "", text).split()
        or "\r" in text
    )


@given(text=st.text(alphabet='a",\n', max_size=30))
def test_rfc_4180_agrees_with_python_csv_where_both_accept(text: str) -> None:
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        expected = None
    while expected and not "".join(expected[-1]).strip() and len(expected[-1]) < 2:
        expected.pop()

    lines, problems = read(text)

    assert (problems != "") == (expected is None)
    if expected is not None:
        assert [fields for _, fields in lines] == [fields or [""] for fields in expected]


def test_line_ends_are_lf_crlf_or_cr_and_nothing_else() -> None:
    assert read("a,b\nc,d\n")[0] == [(1, ["a", "b"]), (2, ["c", "d"])]
    assert read("a,b\r\nc,d\r\n")[0] == [(1, ["a", "b"]), (2, ["c", "d"])]
    assert read("a,b\rc,d\r")[0] == [(1, ["a", "b"]), (2, ["c", "d"])]
    assert read('"a",b\r"c",d')[0] == [(1, ["a", "b"]), (2, ["c", "d"])]
    assert read("a\u2028\x85\x0b\x0c\x1e,b")[0] == [(1, ["a\u2028\x85\x0b\x0c\x1e", "b"])]


def test_blank_lines_at_the_end_are_left_out() -> None:
    assert read('a,b\n\n"c",d\r\n \n\r\n\n')[0] == [(1, ["a", "b"]), (2, [""]), (3, ["c", "d"])]


def test_a_quote_inside_a_plain_field_is_ordinary() -> None:
    assert read('5" disk,b"c"\n') == ([(1, ['5" disk', 'b"c"'])], "")


def test_without_quoting_every_line_is_a_row() -> None:
    assert read('"a,b"\n"c\n', quoting="none") == ([(1, ['"a', 'b"']), (2, ['"c'])], "")


def test_a_quote_that_is_never_closed_is_named_with_the_line_where_it_opened() -> None:
    lines, problems = read('a,b\n"x\ny",c\nd,"open\ne,f\n')

    assert len(lines) == 2
    assert problems.startswith("f line 4: ") and "never closed" in problems and 'quoting = "none"' in problems
    assert "'\"open'" in problems


def test_text_after_a_closing_quote_is_named_and_the_next_lines_are_still_read() -> None:
    lines, problems = read('"a"b,c\nd,e\n"f\n"g,h\ni,"j"\n')

    assert [fields for _, fields in lines] == [["d", "e"], ["i", "j"]]
    assert "f line 1: " in problems and "'b,c'" in problems and 'quoting = "none"' in problems
    assert "f line 3: " in problems and "in line 4" in problems


def test_fields_of_a_megabyte_are_read() -> None:
    long = "长" * 1_000_000

    assert read(f'"{long}",{long}\n')[0] == [(1, [long, long])]


@pytest.mark.parametrize("line", ['"a""b",c', '"""",c', '"",c'])
def test_many_quoted_lines_take_linear_time(line: str) -> None:
    assert len(read(f"{line}\n" * 20_000)[0]) == 20_000
    assert len(read(f"{line}\n" * 20_000 + '"')[0]) == 20_000
