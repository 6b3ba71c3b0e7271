"""What was found in one file: problems, which stop everything, and warnings, which do not."""

import reprlib

from finegrid.errors import Problem

SHOWN_PER_KIND = 5
SHOWN_CHARACTERS = 40


def shown(value: object) -> str:
    """The user's own text for a message: short, in quotes, with control characters made visible."""
    if not isinstance(value, str):
        return reprlib.repr(value)  # which also bears JSON that is nested deeply
    return repr(value if len(value) <= SHOWN_CHARACTERS else value[: SHOWN_CHARACTERS - 1] + "…")


def several(values: list[str], limit: int = 10) -> str:
    """``'a', 'b', 'c' and 7 more``."""
    listed = ", ".join(shown(value) for value in values[:limit])
    return listed + (f" and {len(values) - limit} more" if len(values) > limit else "")


def counted(count: int, noun: str) -> str:
    """``1 text``, ``2,000 texts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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

    def problem(self, kind: str, what: str, place: int | None = None) -> None:
        kept = self._kept.setdefault(kind, [])
        if len(kept) < SHOWN_PER_KIND:
            kept.append(Problem(self.where(place), what))
        else:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def problems(self) -> list[Problem]:
        listed: list[Problem] = []
        for kind, kept in self._kept.items():
            listed += kept
            if count := self._dropped.get(kind, 0):
                listed.append(Problem(self.file, f"... and {counted(count, 'more row')} like this ({kind})"))
        return listed
