"""What the user is told when input is wrong: every problem of one source at once, and exit code 2."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong: where it stands, and what was found, what was expected, what to do."""

    where: str
    what: str


class InputError(Exception):
    """The user's input cannot be used. Carries all problems of one source (a file, a command line)."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        width = max((len(problem.where) for problem in self.problems), default=0)
        lines = [f"{self.source}: {count} problem{'s' if count != 1 else ''}"]
        for problem in self.problems:
            lines.append(f"  {problem.where:<{width}}    {problem.what}".rstrip())
        return "\n".join(lines)


def input_error(source: str, where: str, what: str) -> InputError:
    """An `InputError` with a single problem."""
    return InputError(source, [Problem(where, what)])
