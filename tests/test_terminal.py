"""Lines of a terminal: whole words, no letter lost, none longer than the terminal is wide."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.text import Text

from finegrid.terminal import align, fold, fold_lines, open_console

ENGLISH = (
    "freeze.layers = 6: do not use with optimizer.bias_correction = true; cannot tell yet with "
    "optimizer.bias_correction = false (chance < 1 %), `finegrid run some/rather/long/path/to/a/study`"
)
CHINESE = (
    "在测试集上预计与基线相差 +0.12 分（有 95 % 的概率在 -0.06 至 +0.31 之间）；"
    "比基线低 0.5 分以上的概率为 < 1 %。"
)
WIDTHS = (20, 40, 60, 80, 100, 120, 160)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_folding_loses_no_letter_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = fold(Text(text), width, indent=2)

    assert "".join(line.plain for line in lines).replace(" ", "") == text.replace(" ", "")
    assert max(cell_len(line.plain) for line in lines) <= width


@pytest.mark.parametrize("width", WIDTHS[2:])
def test_lines_break_between_words_alone(width: int) -> None:
    lines = [line.plain.strip() for line in fold(Text(ENGLISH), width, indent=2)]

    assert " ".join(lines) == ENGLISH
    assert not any(line.startswith(("=", "%")) or line.endswith((" =", "<")) for line in lines)


@pytest.mark.parametrize("width", range(20, 60))
def test_no_chinese_line_begins_with_a_comma(width: int) -> None:
    assert not any(line.plain.strip()[0] in "，。；）" for line in fold(Text(CHINESE), width))


def test_what_is_longer_than_a_line_breaks_behind_a_mark_of_it() -> None:
    lines = fold(Text("see some/rather/long/path/to/a/study"), 18)

    assert [line.plain for line in lines] == ["see", "some/rather/long/", "path/to/a/study"]


def test_what_follows_is_indented_below_its_line() -> None:
    assert [line.plain for line in fold_lines(["  one two three"], 11)] == ["  one two", "    three"]


def test_colours_stay_where_they_were() -> None:
    first, second = fold(Text("one ").append("two three", "red"), 8)

    assert [(span.start, span.end) for span in first.spans] == [(4, 7)]
    assert [second.plain[span.start : span.end].strip() for span in second.spans] == ["three"]


def test_a_table_folds_its_last_column_or_says_that_it_cannot() -> None:
    rows = [[Text("name"), Text("word")], [Text("a = 1"), Text("no difference beyond 0.5 points")]]

    told = [line.plain for line in align(rows, [False], 30, 20) or ()]
    assert told[0] == "name    word"
    assert told[2:] == ["a = 1   no difference beyond", "        0.5 points"]
    assert align(rows, [False], 24, 20) is None


def test_columns_says_how_wide_a_pipe_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert open_console().width == 72
    monkeypatch.delenv("COLUMNS")
    assert open_console().width == 160
