"""`run --for`: what begins, what waits for another time, and that the time is kept."""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from support.audits import audit_of
from support.studies import write_study

from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.identity import ENGINE
from finegrid.running import deadline, place
from finegrid.running.deadline import Deadline
from finegrid.running.messages import Event, Ready
from finegrid.running.runner import Runner
from finegrid.study.audit_file import RowAudit, save_audit
from finegrid.study.load import load_study
from finegrid.study.settings import RunSettings

AUDIT = audit_of()


def family(name: str, runs: int = 1) -> Family:
    planned = tuple(PlannedRun(f"{name}{n}", {}, 0, (n,)) for n in range(runs))
    return Family(planned, planned)


@pytest.fixture(autouse=True)
def a_run_takes_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "family_seconds", lambda family, audit: 10.0 * len(family.left))
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)


def names(waiting: Any) -> list[list[str]]:
    return [[run.run_id for run in family.left] for family in waiting]


def test_without_a_time_families_are_taken_in_their_order() -> None:
    waiting = deque([family("a", 9), family("b")])

    assert Deadline().take(waiting, AUDIT) == family("a", 9)
    assert names(waiting) == [["b0"]]


def test_a_family_that_is_too_long_is_begun_with_as_many_runs_as_end_in_time() -> None:
    waiting = deque([family("a", 3), family("b")])
    taken = Deadline(ends=125.0).take(waiting, AUDIT)

    assert taken is not None and names([taken]) == [["a0", "a1"]]
    assert names(waiting) == [["b0"]]  # what is left of the first is no other worker's
    assert taken.family_id == family("a", 3).family_id


def test_a_family_that_may_not_be_split_lets_a_shorter_one_go_first() -> None:
    waiting = deque([family("a", 3), family("b")])
    taken = Deadline(125.0, lambda family: False).take(waiting, AUDIT)

    assert taken == family("b") and names(waiting) == [["a0", "a1", "a2"]]


def test_where_nothing_ends_in_time_nothing_waits_any_longer() -> None:
    waiting = deque([family("a", 3), family("b")])

    assert Deadline(ends=109.0).take(waiting, AUDIT) is None
    assert not waiting


def test_what_took_longer_than_forecast_makes_the_rest_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Deadline(ends=160.0)
    clock.began(family("a"), AUDIT)
    monkeypatch.setattr(time, "monotonic", lambda: 130.0)  # three times the ten seconds
    clock.ended(family("a"))

    assert clock.pace == 3.0
    assert clock.take(deque([family("b", 2)]), AUDIT) == family("b", 2).without(["b1"])
    assert Deadline().pace == 1.0


class Stuck:
    """A worker that begins and never ends."""

    def __init__(self, study: Any, settings: RunSettings, index: int, events: queue.Queue[tuple[Any, Event]]):
        self.index, self.sent = index, set[str]()
        self.family: Family | None = None
        self.ready, self.reason, self.log = True, "", Path("worker.log")
        self.given: list[Family] = []
        events.put((self, Ready({})))

    def train(self, family: Family, whole: bool) -> None:
        self.family = family

    def hang_up(self) -> None:
        pass

    close = hang_up


def test_once_the_time_is_over_a_command_stops_in_the_middle_of_its_runs(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with the clock as it is
    monkeypatch.setattr(place, "LocalWorker", Stuck)
    study = load_study(write_study(tmp_path, bert, settings='[factors]\n"reinit.layers" = [0, 1]'))
    rows = [RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={}) for row in study.rows]
    known = {"engine": ENGINE, "rows": rows, "measured": RunSettings().alike}
    save_audit(study.folder, audit_of().model_copy(update=known))
    began = time.monotonic()
    records = [*Runner(study, RunSettings(), ends=began + 0.3).run()]

    assert records == [] and 0.3 <= time.monotonic() - began < 30
    assert math.isinf(Deadline().ends)
