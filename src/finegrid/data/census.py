"""Numbers the texts and labels of all splits, so that comparing rows is comparing numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

from finegrid.data.alike import Ints, fold_rows, number_equal
from finegrid.data.findings import quote
from finegrid.data.read import CheckedRows

EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Census:
    """The rows of some parts. Equal numbers, also of two parts, are equal texts or labels.

    Attributes:
        parts: the rows, by part.
        texts: ``[rows]`` by part, of the texts as they are.
        folded: ``[rows]`` by part, of the texts folded.
        labels: ``[rows]`` by part.
        distinct: the folded texts, by number.
    """

    parts: Mapping[str, CheckedRows]
    texts: Mapping[str, Ints]
    folded: Mapping[str, Ints]
    labels: Mapping[str, Ints]
    distinct: list[str]

    def quote_row(self, part: str, index: int) -> str:
        """The text of a row, and where it stands."""
        return f"{quote_text(self.parts[part], index)} ({self.parts[part].where(index)})"


def take_census(parts: Mapping[str, CheckedRows]) -> Census:
    """Texts are folded here, once: the dearest step of looking through the data."""
    texts, _ = number_equal({part: rows.texts for part, rows in parts.items()})
    folded, distinct = number_equal({part: fold_rows(rows.texts) for part, rows in parts.items()})
    labels, _ = number_equal({part: rows.labels for part, rows in parts.items()})
    return Census(parts, texts, folded, labels, cast(list[str], distinct))


def quote_text(rows: CheckedRows, index: int) -> str:
    return " / ".join(quote(piece) for piece in rows.texts[index])


def format_warning(what: str, examples: Iterable[str]) -> str:
    return f"{what}, e.g. {'; '.join(islice(examples, EXAMPLES))}"
