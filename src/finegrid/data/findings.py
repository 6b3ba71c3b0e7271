"""Problems and warnings of one file: a problem stops everything, a warning does not."""

import reprlib

from finegrid.errors import Problem
from finegrid.spelling import count_noun

KEPT_PER_KIND = 5
QUOTED_CHARACTERS = 40


def quote(value: object) -> str:
    """The user's own text for a message: short, in quotes, with control characters spelled out."""
    if not isinstance(value, str):
        return reprlib.repr(value)  # which also bears JSON that is nested deeply
    return repr(value if len(value) <= QUOTED_CHARACTERS else value[: QUOTED_CHARACTERS - 1] + "…")


def quote_all(values: list[str], limit: int = 10) -> str:
    """``'a', 'b', 'c' and 7 more``."""
    quoted = ", ".join(quote(value) for value in values[:limit])
    return quoted + (f" and {len(values) - limit} more" if len(values) > limit else "")


class FileFindings:
    """Problems and warnings of one file. Of each kind of problem the first few are kept, the rest counted."""

    def __init__(self, file: str, unit: str = "line") -> None:
        self.file = file
        self.unit = unit  # what is counted: lines of a text file, rows of a table
        self.warnings: list[str] = []
        self._kept: dict[str, list[Problem]] = {}
        self._dropped: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether there is a problem."""
        return bool(self._kept)

    def where(self, place: int | None = None) -> str:
        return self.file if place is None else f"{self.file} {self.unit} {place}"

    def add_problem(self, kind: str, what: str, place: int | None = None) -> None:
        kept = self._kept.setdefault(kind, [])
        if len(kept) < KEPT_PER_KIND:
            kept.append(Problem(self.where(place), what))
        else:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def take(self, others: "FileFindings") -> None:
        """Add the problems of the same file that were found elsewhere."""
        for kind, kept in others._kept.items():
            room = KEPT_PER_KIND - len(self._kept.setdefault(kind, []))
            self._kept[kind] += kept[:room]
            more = len(kept[room:]) + others._dropped.get(kind, 0)
            self._dropped[kind] = self._dropped.get(kind, 0) + more

    def problems(self) -> list[Problem]:
        problems: list[Problem] = []
        for kind, kept in self._kept.items():
            problems += kept
            if count := self._dropped.get(kind, 0):
                problems.append(
                    Problem(self.file, f"... and {count_noun(count, 'more row')} like this ({kind})")
                )
        return problems
