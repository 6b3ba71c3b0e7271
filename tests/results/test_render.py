"""Tables as they are printed, whatever their cells hold."""

from finegrid.data.findings import FileFindings
from finegrid.data.markdown import read_markdown
from finegrid.results.render import render_table

HOSTILE = ("a|b\\c\nd", "*e*", "\x1b[2J", "_f_")


def test_markdown_cells_cannot_break_the_table() -> None:
    text = render_table(["x|y", "e", "f", "g"], [HOSTILE], {}, "markdown")

    assert text.splitlines()[2] == r"| a\|b\\c\\nd | \*e\* | \\x1b[2J | \_f\_ |"
    header, row = read_markdown(text, FileFindings("printed.md"))
    assert header[1] == ["x|y", "e", "f", "g"]
    assert row[1] == [r"a|b\c\nd", "*e*", r"\x1b[2J", "_f_"]
