"""Cells of Markdown tables."""

from hypothesis import given
from hypothesis import strategies as st

from finegrid.data.markdown import escape_cell, strip_marks


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20))
def test_an_escaped_cell_shows_just_its_text(text: str) -> None:
    assert strip_marks(escape_cell(text)) == text
