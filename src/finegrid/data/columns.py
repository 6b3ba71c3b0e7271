"""Where the wanted columns stand: by name or by number counted from 1."""

import difflib
from collections.abc import Sequence

from finegrid.data.findings import FileFindings, counted, several, shown

ENGLISH_TEXTS = ("text", "texts", "sentence", "title", "content", "headline", "review", "comment", "question")
CHINESE_TEXTS = ("文本", "标题", "内容", "句子", "正文", "评论", "问题")
TEXT_NAMES = frozenset(ENGLISH_TEXTS + CHINESE_TEXTS)
ENGLISH_LABELS = ("label", "labels", "category", "class", "target", "topic", "sentiment", "intent")
CHINESE_LABELS = ("标签", "类别", "分类", "类型", "情感")
LABEL_NAMES = frozenset(ENGLISH_LABELS + CHINESE_LABELS)
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("query", "title"),
    ("句子1", "句子2"),
    ("文本1", "文本2"),
)


def find_columns(
    wanted: Sequence[str | int], names: Sequence[str], findings: FileFindings, hint: str = ""
) -> list[int] | None:
    """Index of each wanted column in the named columns, or None and a problem for each that is missing."""
    found = [_find(column, names, findings, hint) for column in wanted]
    return _all_different(found, wanted, findings)


def number_columns(wanted: Sequence[str | int], width: int, findings: FileFindings) -> list[int] | None:
    """The same for a file without header, which has ``width`` columns and no names."""
    found = [_number(column, width, findings) for column in wanted]
    return _all_different(found, wanted, findings)


def _find(column: str | int, names: Sequence[str], findings: FileFindings, hint: str) -> int | None:
    if isinstance(column, int):
        return _number(column, len(names), findings)
    count = names.count(column)
    if count == 1:
        return names.index(column)
    if count > 1:
        what = f"{count} columns are called {shown(column)}. Rename all but one, or give the column's number"
    else:
        what = f"no column {shown(column)}.{did_you_mean(column, names)} Found: {several(list(names))}{hint}"
    findings.problem("column", what)
    return None


def _number(column: str | int, width: int, findings: FileFindings) -> int | None:
    if isinstance(column, str):
        what = f"header = false, so there is no column {shown(column)}. Give its number, counted from 1"
    elif not 1 <= column <= width:
        what = f"no column {column}: there {'is' if width == 1 else 'are'} {counted(width, 'column')}"
    else:
        return column - 1
    findings.problem("column", what)
    return None


def _all_different(
    found: Sequence[int | None], wanted: Sequence[str | int], findings: FileFindings
) -> list[int] | None:
    columns = [index for index in found if index is not None]
    if len(columns) < len(found):
        return None
    if len(set(columns)) < len(columns):
        names = " and ".join(shown(column) for column in wanted)
        findings.problem("column", f"{names} are not all different columns. Give each its own column")
        return None
    return columns


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`` Did you mean 'label'?``, or nothing."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f" Did you mean {shown(folded[close[0]])}?" if close else ""
