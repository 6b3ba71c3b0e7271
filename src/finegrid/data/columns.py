"""Finds the wanted columns of a file, by name or by number counted from 1."""

from collections.abc import Sequence

from finegrid.data.findings import FileFindings, quote, quote_all
from finegrid.spelling import count_noun, find_near

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
    columns = [_find_column(column, names, findings, hint) for column in wanted]
    return _refuse_repeats(columns, wanted, findings)


def number_columns(wanted: Sequence[str | int], width: int, findings: FileFindings) -> list[int] | None:
    """The same for a file without header, which has ``width`` columns and no names."""
    columns = [_number_column(column, width, findings) for column in wanted]
    return _refuse_repeats(columns, wanted, findings)


def _find_column(column: str | int, names: Sequence[str], findings: FileFindings, hint: str) -> int | None:
    if isinstance(column, int):
        return _number_column(column, len(names), findings)
    count = names.count(column)
    if count == 1:
        return names.index(column)
    if count > 1:
        what = f"{count} columns are called {quote(column)}. Rename all but one, or give the column's number"
    else:
        close = suggest_name(column, names)
        what = f"no column {quote(column)}.{close} Found: {quote_all(list(names))}{hint}"
    findings.add_problem("column", what)
    return None


def _number_column(column: str | int, width: int, findings: FileFindings) -> int | None:
    if isinstance(column, str):
        what = f"header = false, so there is no column {quote(column)}. Give its number, counted from 1"
    elif not 1 <= column <= width:
        what = f"no column {column}: there {'is' if width == 1 else 'are'} {count_noun(width, 'column')}"
    else:
        return column - 1
    findings.add_problem("column", what)
    return None


def _refuse_repeats(
    columns: Sequence[int | None], wanted: Sequence[str | int], findings: FileFindings
) -> list[int] | None:
    indices = [index for index in columns if index is not None]
    if len(indices) < len(columns):
        return None
    if len(set(indices)) < len(indices):
        names = " and ".join(quote(column) for column in wanted)
        findings.add_problem("column", f"{names} are not all different columns. Give each its own column")
        return None
    return indices


def suggest_name(word: str, names: Sequence[str]) -> str:
    """`` Did you mean 'label'?``, or nothing."""
    folded = {name.casefold(): name for name in names}
    close = find_near(word.casefold(), folded)
    return f" Did you mean {quote(folded[close[0]])}?" if close else ""
