"""Tables as they are printed, whatever their cells hold."""

from string import Formatter

from finegrid.data.findings import FileFindings
from finegrid.data.markdown import read_markdown
from finegrid.results.render import render_table
from finegrid.results.words import CHINESE, ENGLISH

HOSTILE = ("a|b\\c\nd", "*e*", "\x1b[2J", "_f_")


def test_markdown_cells_cannot_break_the_table() -> None:
    text = render_table(["x|y", "e", "f", "g"], [HOSTILE], {}, "markdown")

    assert text.splitlines()[2] == r"| a\|b\\c\\nd | \*e\* | \\x1b[2J | \_f\_ |"
    header, row = read_markdown(text, FileFindings("printed.md"))
    assert header[1] == ["x|y", "e", "f", "g"]
    assert row[1] == [r"a|b\c\nd", "*e*", r"\x1b[2J", "_f_"]


def test_words_of_tables_have_the_same_keys_and_fields_in_both_languages() -> None:
    def fields(template: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(template) if name}

    assert ENGLISH.keys() == CHINESE.keys()
    assert [key for key in ENGLISH if fields(ENGLISH[key]) != fields(CHINESE[key])] == []
