"""What a study will run, and what came of a call that trained it, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from finegrid.api.showing import html_line
from finegrid.errors import visible
from finegrid.planning.status import StudyStatus
from finegrid.planning.status_words import bad_run_lines, plan_lines
from finegrid.recipe.identity import Level
from finegrid.spelling import count_noun


@dataclass(frozen=True)
class RunStates:
    """Distinct runs, by what has become of them."""

    distinct: int
    done: int
    diverged: int
    failed: int
    left: int

    @classmethod
    def of(cls, status: StudyStatus) -> RunStates | None:
        """None where only a look at the model can tell which runs are distinct."""
        counts = status.as_json()["runs"]
        return None if counts is None else cls(**counts)


@dataclass(frozen=True, repr=False)
class Plan:
    """What a study will run, and what that will take, as far as it is known.

    Attributes:
        recipes: Rows of the study's table.
        seeds: Every recipe is trained with each of them.
        factors: What is varied, and the levels; the first is the baseline's.
        probed: Whether finegrid has looked at data and model: ``plan(probe=True)``, or any ``run()``.
        runs: None before.
        seconds_left: That the runs left will take; None where nothing was measured.
        inert: Factors that do nothing in some rows, and why.
        warnings: About data and model.
    """

    recipes: int
    seeds: tuple[int, ...]
    factors: Mapping[str, Sequence[Level]]
    probed: bool
    runs: RunStates | None
    seconds_left: float | None
    inert: Mapping[str, str]
    warnings: tuple[str, ...]
    _lines: tuple[str, ...] = field(compare=False)
    _facts: Mapping[str, Any] = field(compare=False)

    @classmethod
    def of(cls, status: StudyStatus) -> Plan:
        audit = status.audit
        return cls(
            recipes=len(status.study.rows),
            seeds=tuple(status.seeds),
            factors={**status.study.factors, **status.study.free_factors},
            probed=audit is not None,
            runs=RunStates.of(status),
            seconds_left=status.seconds_left(),
            inert={factor: known["reason"] for factor, known in status.inert().items()},
            warnings=tuple(status.warnings),
            _lines=tuple(plan_lines(status)),
            _facts=status.as_json(),
        )

    def to_json(self) -> dict[str, Any]:
        """What `finegrid plan --json` prints."""
        return deepcopy(dict(self._facts))

    def __str__(self) -> str:
        return "\n".join(map(visible, self._lines))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_line(str(self), "pre")


@dataclass(frozen=True, repr=False)
class RunSummary:
    """What came of ``Study.run``.

    Attributes:
        runs: Of the whole study, those of earlier calls included.
        failures: A line for every run that diverged or failed, with the reason.
        said: What was said on the way: warnings, inert levels, what a screen has decided.
        ended: Why no more seeds were added, of ``run(until_decided=True)``; else empty.
    """

    runs: RunStates
    failures: tuple[str, ...]
    said: tuple[str, ...]
    ended: str = ""

    @classmethod
    def of(cls, status: StudyStatus, said: Sequence[str], ended: str = "") -> RunSummary:
        runs = RunStates.of(status)
        assert runs is not None  # whoever trains has audited
        return cls(runs, tuple(bad_run_lines(status, "en")), tuple(said), ended)

    @property
    def ok(self) -> bool:
        """Whether no run of the study diverged or failed, and none is left."""
        return self.runs.done == self.runs.distinct

    def __str__(self) -> str:
        runs = self.runs
        counts = [("diverged", runs.diverged), ("failed", runs.failed), ("left", runs.left)]
        told = [f"{runs.done} done", *(f"{count} {word}" for word, count in counts if count)]
        lines = [f"{count_noun(runs.distinct, 'run')}: {', '.join(told)}", *self.failures]
        return "\n".join(map(visible, [*lines, *([self.ended] if self.ended else [])]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_line(str(self), "pre")
