"""Places of workers: who dies is replaced where it was, and every place has a GPU of its own."""

from __future__ import annotations

import io
import os
import queue
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.audits import audit_of
from support.studies import write_study

from finegrid.planning.capacity import Capacity
from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.identity import ENGINE
from finegrid.running import place, scheduling
from finegrid.running.messages import (
    Broken,
    Ended,
    Event,
    Ready,
    RecordReady,
    Refused,
    SetAside,
    StepDone,
    Trained,
)
from finegrid.running.process import LocalWorker
from finegrid.running.progress.watcher import Watcher
from finegrid.running.runner import Runner
from finegrid.study.audit_file import RowAudit, save_audit
from finegrid.study.ledger import Ledger
from finegrid.study.load import load_study
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

FOUR = '[design]\nseeds = 1\n[factors]\n"reinit.layers" = [0, 1, 2, 3]'
Events = queue.Queue[tuple[Any, Event]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Study:
    """A study of four runs, audited."""
    study = load_study(write_study(tmp_path_factory.mktemp("four"), bert, settings=FOUR))
    rows = [RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={}) for row in study.rows]
    save_audit(
        study.folder,
        audit_of().model_copy(update={"engine": ENGINE, "rows": rows, "measured": RunSettings().alike}),
    )
    return study


class Pretended:
    """A worker that trains in no time; the first one in place 1 dies in the middle of its family."""

    made: list[int]  # places, in the order in which workers were started

    def __init__(self, study: Study, settings: RunSettings, index: int, events: Events) -> None:
        self.index, self.events = index, events
        self.doomed = index == 1 and 1 not in self.made
        self.made.append(index)
        self.family: Family | None = None
        self.sent: set[str] = set()
        self.ready, self.reason, self.gpu, self.log = True, "", "", Path(f"worker-{index}.log")
        self.tell(Ready({}))

    def tell(self, event: Event) -> None:
        self.events.put((self, event))

    def train(self, family: Family, whole: bool) -> None:
        self.family, self.sent = family, set()
        if self.doomed:
            self.tell(StepDone(1))
            self.tell(Ended(-9))
            return
        for run in family.left:
            self.tell(RecordReady(Record(run_id=run.run_id, seed=run.seed, status="done")))
        self.tell(Trained(family.family_id))

    def hang_up(self) -> None:
        """There is no process that could wait for it."""

    close = hang_up


def test_families_go_seed_by_seed_and_the_longest_of_a_seed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"a": 1.0, "b": 2.0}
    monkeypatch.setattr(scheduling, "family_seconds", lambda family, audit: seconds[family.runs[0].run_id[0]])
    runs = [PlannedRun(f"{name}{seed}", {}, seed, (1,)) for seed in (7, 0) for name in seconds]
    families = [Family((run,), (run,)) for run in runs]

    ordered = scheduling.in_order(families, audit_of())
    assert [family.runs[0].run_id for family in ordered] == ["b7", "a7", "b0", "a0"]


def test_a_dead_workers_successor_takes_its_place(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", Pretended)
    records = [*Runner(study, RunSettings(family_size=1), workers=2).run()]

    assert Pretended.made == [0, 1, 1]
    assert sorted(record.status for record in records) == ["done", "done", "done", "failed"]
    (reason,) = (record.reason for record in records if record.reason)
    texts = study.baseline.training.batch_size
    assert "often: out of memory: run.recompute = true (the results stay the same), " in reason
    assert f"training.micro_batch = {texts // 2} (now {texts} texts at once)" in reason


class Half(Pretended):
    """A worker that dies when the first record of its family has arrived."""

    def train(self, family: Family, whole: bool) -> None:
        self.family, self.sent = family, set()
        first = family.left[0]
        self.tell(RecordReady(Record(run_id=first.run_id, seed=first.seed, status="done")))
        self.tell(Ended(-9))


@pytest.fixture
def one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capacity, "size_of", lambda capacity, run: 4)


@pytest.mark.usefixtures("one_family")
@pytest.mark.parametrize(
    ("kind", "ends"), [(Pretended, ["done"] * 4), (Half, ["done", "failed", "failed", "failed"])]
)
def test_a_family_is_one_sync_of_the_ledger_and_nothing_is_told_before_it(
    study: Study, monkeypatch: pytest.MonkeyPatch, kind: type[Pretended], ends: list[str]
) -> None:
    told: list[str] = []
    append = Ledger.append

    def note(ledger: Ledger, *records: Record) -> None:
        append(ledger, *records)
        told.append(f"{len(records)} synced")

    monkeypatch.setattr(Ledger, "append", note)
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", kind)
    watcher = Watcher(recorded=lambda record: told.append(record.status))
    seed = 20 + len(ends) + ends.count("failed")
    records = [*Runner(study, RunSettings(family_size=4), workers=1, seeds=[seed], watcher=watcher).run()]

    assert told == ["4 synced", *ends] and [record.status for record in records] == ends
    assert [record.stands_for for record in records] == [(1,), (2,), (3,), (4,)]


@pytest.mark.usefixtures("one_family")
def test_what_has_ended_when_the_time_is_over_is_kept(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Pretended):
        def train(self, family: Family, whole: bool) -> None:
            self.family, self.sent = family, set()
            run = family.left[0]
            self.tell(RecordReady(Record(run_id=run.run_id, seed=run.seed, status="done")))

    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", Slow)
    ends = time.monotonic() + 0.5
    records = Runner(study, RunSettings(family_size=4), workers=1, seeds=[40], ends=ends).run()

    assert [record.status for record in records] == ["done"]


class Stopped(Pretended):
    """A worker that the system refuses something, or that breaks."""

    says: Event

    def train(self, family: Family, whole: bool) -> None:
        self.family, self.sent = family, set()
        self.tell(self.says)
        self.tell(Ended(0))


def test_what_the_machine_refuses_ends_the_study_and_fails_no_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = study.ledger.latest()
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(Stopped, "says", Refused(28, "No space left on device", "state/x"), raising=False)
    monkeypatch.setattr(place, "LocalWorker", Stopped)
    with pytest.raises(OSError, match="No space left on device: 'state/x'"):
        Runner(study, RunSettings(family_size=1), workers=1, seeds=[5]).run()

    assert study.ledger.latest() == before


def test_a_worker_that_lacks_memory_says_so_in_the_ledger(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(Stopped, "says", Broken("Traceback", "out of memory: less"), raising=False)
    monkeypatch.setattr(place, "LocalWorker", Stopped)
    records = Runner(study, RunSettings(family_size=4), workers=1, seeds=[6]).run()

    assert {record.reason for record in records} == {"out of memory: less; see logs/worker-0.log"}


def test_a_state_that_was_set_aside_is_told(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Pretended):
        def train(self, family: Family, whole: bool) -> None:
            self.tell(SetAside("state/x", "not finite"))
            super().train(family, whole)

    said: list[str] = []
    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", Told)
    watcher = Watcher(said=lambda telling: said.extend(telling("en")))
    Runner(study, RunSettings(family_size=4), workers=1, seeds=[7], watcher=watcher).run()

    assert [line for line in said if "state/x.unfit" in line and "not finite" in line]


def test_a_study_that_has_gone_is_not_made_anew(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Moved(Pretended):
        def train(self, family: Family, whole: bool) -> None:
            study.folder.rename(study.folder.with_name("elsewhere"))
            super().train(family, whole)

    monkeypatch.setattr(Pretended, "made", [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", Moved)
    try:
        with pytest.raises(FileNotFoundError, match="deleted, moved or renamed"):
            Runner(study, RunSettings(family_size=4), workers=1, seeds=[8]).run()
        assert not study.folder.exists()
    finally:
        study.folder.with_name("elsewhere").rename(study.folder)


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What processes are given that would be started, had they been."""
    given: list[dict[str, str]] = []

    class Process:
        def __init__(self, command: list[str], env: dict[str, str], **options: Any) -> None:
            self.stdout, self.pid = io.StringIO(), os.getpid()
            given.append(env)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    return given


@pytest.mark.parametrize(("device", "expected"), [("cuda", ["4", "7"]), ("cpu", ["4,7", "4,7"])])
def test_every_worker_has_a_gpu_of_its_own(
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    environments: list[dict[str, str]],
    device: str,
    expected: list[str],
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    settings = RunSettings.model_validate({"device": device})
    for index in range(2):
        LocalWorker(study, settings, index, queue.Queue())

    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments] == expected


def test_on_a_node_a_worker_has_the_gpu_that_it_was_given_there(
    study: Study, monkeypatch: pytest.MonkeyPatch, environments: list[dict[str, str]]
) -> None:
    """Ray gives each worker one, whatever its index is among all workers."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    LocalWorker(study, RunSettings(device="cuda"), 5, queue.Queue(), gpu=0)

    assert environments[0]["CUDA_VISIBLE_DEVICES"] == "7"
