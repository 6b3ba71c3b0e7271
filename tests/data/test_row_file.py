"""A file that is read piece by piece gives what it gives as a whole: rows, problems, warnings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finegrid.data.delimited import find_line_end, read_lines, stream_lines
from finegrid.data.findings import FileFindings
from finegrid.data.settings import Quoting

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
