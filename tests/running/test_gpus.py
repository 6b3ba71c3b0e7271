"""Several GPUs without a cluster: each has a worker of its own, and one that fails stops no other."""

from __future__ import annotations

import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.audits import audit_of
from support.studies import write_study

import finegrid.machine
from finegrid.errors import InputError, Problem, WorkerBrokeError
from finegrid.machine import gpus, usual_device
from finegrid.planning.capacity import check_workers
from finegrid.planning.families import Family
from finegrid.planning.rough import guess_workers
from finegrid.planning.status import study_status
from finegrid.recipe.identity import ENGINE
from finegrid.report.facts.origin import protocol_facts
from finegrid.running import place
from finegrid.running.crew import find_cause
from finegrid.running.messages import Broken, Ended, Event, Problems, Ready, RecordReady, Trained
from finegrid.running.progress.watcher import Watcher
from finegrid.running.runner import Runner
from finegrid.study.audit_file import Cost, RowAudit, save_audit
from finegrid.study.load import load_study, override
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

CUDA = RunSettings(device="cuda", family_size=1)
TWELVE = '[design]\nseeds = 2\n[factors]\n"reinit.layers" = [0, 1, 2]\n"freeze.layers" = [0, 1]\n'
Events = queue.Queue[tuple[Any, Event]]
NO_GPU = Problems("device", (Problem("cuda", "torch sees no CUDA device here. Use --device cpu."),))
FULL = Broken("out of memory: less", "out of memory: less")
ILL = Broken("Traceback (most recent call last):\n  x\nRuntimeError: CUDA error: ECC\nmore", "CUDA error")


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    """A study of twelve runs, audited on a GPU."""
    study = load_study(write_study(tmp_path / "twelve", bert, settings=TWELVE))
    rows = [RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={}) for row in study.rows]
    costs = [
        Cost(
            shared=row.recipe.priced_levels(),
            step_seconds=1,
            prefix_seconds=0,
            evaluation_seconds=9,
            test_seconds=3,
            memory=2**32,
        )
        for row in study.rows
    ]
    told = {"engine": ENGINE, "rows": rows, "measured": CUDA.alike}
    save_audit(study.folder, audit_of(*costs).model_copy(update=told))
    return study


class Pretended:
    """A worker on a pretended GPU, which trains in no time."""

    at_start: dict[int, list[Event | None]]  # by place, what its workers say in place of ready
    at_work: dict[int, list[Event | None]]  # what they say in place of training a family; None: it goes well
    kinds: dict[int, str]
    reasons: dict[int, str]  # why workers were ended
    trained: list[int]  # places
    started: list[int]

    def __init__(self, study: Study, settings: RunSettings, index: int, events: Events) -> None:
        self.index, self.events = index, events
        self.family: Family | None = None
        self.sent: set[str] = set()
        self.ready, self.reason, self.gpu = False, self.reasons.get(index, ""), ""
        self.log = study.files.log_of(index)
        self.started.append(index)
        self.say(self.at_start, Ready({}, {}, self.kinds.get(index, "H100")))

    def say(self, instead: dict[int, list[Event | None]], *usual: Event) -> None:
        failing = instead.get(self.index)
        if failing and (event := failing.pop(0)) is not None:
            usual = (event,) if isinstance(event, Ended) else (event, Ended(1))
        for event in usual:
            self.events.put((self, event))

    def train(self, family: Family, whole: bool) -> None:
        self.family, self.sent = family, set()
        if not any(self.at_work.get(self.index, [])[:1]):
            self.trained.append(self.index)
        records = [Record(run_id=run.run_id, seed=run.seed, status="done") for run in family.left]
        self.say(self.at_work, *map(RecordReady, records), Trained(family.family_id))

    def hang_up(self) -> None:
        """There is no process that could wait for it."""

    close = hang_up


class Told(list[str]):
    def hear(self, telling: Any) -> None:
        self.extend(telling("en"))
        assert all(telling("zh"))


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> type[Pretended]:
    """Those of three GPUs."""
    for name in ("at_start", "at_work", "kinds", "reasons"):
        monkeypatch.setattr(Pretended, name, {}, raising=False)
    for name in ("trained", "started"):
        monkeypatch.setattr(Pretended, name, [], raising=False)
    monkeypatch.setattr(place, "LocalWorker", Pretended)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    return Pretended


def run(study: Study, mix: bool = False, workers: int | None = None) -> tuple[list[str], Told]:
    told = Told()
    runner = Runner(study, CUDA, workers=workers, mix=mix, watcher=Watcher(said=told.hear))
    return sorted(record.status for record in runner.run()), told


ALL = ["done"] * 12


def test_families_go_to_whichever_gpu_is_free(study: Study, workers: type[Pretended]) -> None:
    assert run(study) == (ALL, ["reading data and checkpoint"])
    assert workers.started == [0, 1, 2] and {*workers.trained} == {0, 1, 2}


def test_fewer_workers_leave_gpus_alone(study: Study, workers: type[Pretended]) -> None:
    assert run(study, workers=2)[0] == ALL
    assert workers.started == [0, 1]


@pytest.mark.parametrize("event", [NO_GPU, FULL, ILL, Ended(-11)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_gpu_that_cannot_be_used_is_done_without_and_named(
    study: Study, workers: type[Pretended], event: Event, place: int
) -> None:
    workers.at_start[place] = [event]
    statuses, told = run(study)

    assert statuses == ALL and place not in workers.trained
    assert sorted(workers.started) == [0, 1, 2]
    (warning,) = [line for line in told if "trains nothing more" in line]
    assert f"GPU {5 + place}" in warning and f"worker-{place}.log" in warning
    if not isinstance(event, Ended):
        assert any(why in warning for why in ("no CUDA device", "out of memory", "CUDA error: ECC"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_gpu_whose_worker_hangs_while_it_begins_is_done_without(
    study: Study, workers: type[Pretended], place: int
) -> None:
    workers.at_start[place] = [Ended(-9)]
    workers.reasons[place] = "the worker process did nothing for 300 s while it began: a driver"
    statuses, told = run(study)

    assert statuses == ALL and place not in workers.trained
    (warning,) = [line for line in told if "trains nothing more" in line]
    assert f"GPU {5 + place} trains nothing more: the worker process did nothing for 300 s" in warning


def test_records_name_the_gpu_that_trained_them_and_older_ones_read_on(
    study: Study, workers: type[Pretended]
) -> None:
    workers.kinds |= {0: "H100", 1: "H100", 2: "T4"}
    run(study, mix=True)
    records = [*study.ledger]
    older = [record.to_json() for record in records]

    assert {record.processor for record in records} == {"H100", "T4"}
    assert all(told.pop("processor") for told in older)
    assert {Record.from_json(told).processor for told in older} == {None}
    assert named_in_report(records) == ["H100", "T4"]
    assert named_in_report([*map(Record.from_json, older)]) == []


def named_in_report(records: list[Record]) -> list[str]:
    """What the report's section on origin says of devices."""
    told = {"finished": lambda: [((0, 0), record) for record in records], "score": "macro-f1", "audit": None}
    pretended: Any = SimpleNamespace(**told)
    return protocol_facts(pretended, None)["processor"]


def test_where_no_gpu_can_be_used_the_last_one_says_why(study: Study, workers: type[Pretended]) -> None:
    workers.at_start |= {0: [FULL], 1: [FULL], 2: [NO_GPU]}
    with pytest.raises(InputError, match="torch sees no CUDA device"):
        run(study)
    assert not study.ledger.path.exists()


def test_what_no_other_gpu_would_mend_is_told_at_once(study: Study, workers: type[Pretended]) -> None:
    workers.at_start[0] = [Problems("model.name", (Problem("x", "is no checkpoint"),))]
    with pytest.raises(InputError, match="is no checkpoint"):
        run(study)
    assert workers.started == [0]
    workers.at_start[0] = [Broken("Traceback\n  File torch/cuda\nKeyError: 'a bug'", "KeyError")]
    with pytest.raises(WorkerBrokeError):
        run(study)
    assert workers.started == [0, 0]


def test_a_family_that_dies_is_recorded_and_the_next_worker_uses_the_gpu_on(
    study: Study, workers: type[Pretended]
) -> None:
    workers.at_work[1] = [FULL]
    statuses, told = run(study)

    assert statuses == ["done"] * 11 + ["failed"] and workers.started == [0, 1, 2, 1]
    assert not [line for line in told if "trains nothing more" in line]
    (failed,) = [record for record in study.ledger if record.status == "failed"]
    assert failed.reason == "out of memory: less; see logs/worker-1.log"


def test_a_gpu_that_kills_family_after_family_gets_no_more(study: Study, workers: type[Pretended]) -> None:
    """It fails sooner than others train, and would take what waits."""
    workers.at_work[1] = [ILL] * 12
    statuses, told = run(study)

    assert statuses == ["done"] * 10 + ["failed"] * 2 and workers.started == [0, 1, 2, 1]
    assert [line for line in told if "GPU 6 trains nothing more: CUDA error" in line]
    workers.at_work.clear()  # it is mended
    assert run(study)[0] == ALL


def test_a_gpu_that_fails_now_and_then_is_used_on(study: Study, workers: type[Pretended]) -> None:
    workers.at_work[1] = [ILL, None, ILL]

    assert run(study, workers=2)[0] == ["done"] * 10 + ["failed"] * 2
    assert workers.started == [0, 1, 1, 1]


def test_families_that_are_too_large_are_no_fault_of_their_gpu(
    study: Study, workers: type[Pretended]
) -> None:
    workers.at_work[1] = [FULL] * 2
    statuses, _ = run(study)

    assert statuses == ["done"] * 10 + ["failed"] * 2 and workers.started == [0, 1, 2, 1, 1]


def test_the_last_gpu_is_never_given_up(study: Study, workers: type[Pretended]) -> None:
    workers.at_work[0] = [ILL] * 12

    assert run(study, workers=1)[0] == ["failed"] * 12


def test_gpus_of_another_kind_are_used_only_with_mix(study: Study, workers: type[Pretended]) -> None:
    workers.kinds[2] = "T4"
    statuses, told = run(study)

    assert statuses == ALL and 2 not in workers.trained
    assert [line for line in told if "GPU 7" in line and "it is a T4, and the first one is a H100" in line]
    study.ledger.path.unlink()
    assert run(study, mix=True)[0] == ALL and 2 in workers.trained


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ("0,1", ["0", "1"]),
        ("3,1", ["3", "1"]),
        (" 2 , 0 ", ["2", "0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,1", ["0"]),
        ("0,,1", ["0"]),
        ("0,0", []),
        ("0,1,+1", []),
        ("GPU-8932f937,GPU-46ec7a5d", ["GPU-8932f937", "GPU-46ec7a5d"]),
        ("GPU-8932f937,0", ["GPU-8932f937"]),
        ("0,GPU-8932f937", ["0"]),
        ("GPU-8932f937,GPU-8932f937", []),
        ("MIG-5a0,MIG-7c1", ["MIG-5a0", "MIG-7c1"]),
    ],
)
def test_gpus_are_those_that_cuda_sees(
    monkeypatch: pytest.MonkeyPatch, allowed: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)

    assert gpus() == expected


def test_where_no_gpu_may_be_used_nothing_is_begun(
    study: Study, workers: type[Pretended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gpus" / "0000:17:00.0").mkdir(parents=True)
    monkeypatch.setattr(finegrid.machine, "NVIDIA", tmp_path / "gpus")
    monkeypatch.setattr(finegrid.machine, "version", lambda name: "2.11.0+cu130")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert usual_device() == "cuda"
    for allowed in ("", "-1", "0,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
        assert usual_device() == "cpu"
        with pytest.raises(InputError, match=f"CUDA_VISIBLE_DEVICES +is '{allowed}', with which CUDA"):
            run(study)
    check_workers(RunSettings(), None)
    assert workers.started == []


def test_a_number_of_a_gpu_is_said_otherwise() -> None:
    with pytest.raises(InputError, match=r"'cuda:1', expected cpu or cuda \(CUDA_VISIBLE_DEVICES says which"):
        override(RunSettings(), device="cuda:1")


def test_forecasts_reckon_with_as_many_gpus_as_there_are(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: dict[str, float] = {}
    for allowed in ("0", "0,1", "0,1,2", ""):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
        left[allowed] = study_status(study, CUDA).seconds_left() or 0.0

    assert left["0"] == left[""] > 0.0
    assert left["0"] == pytest.approx(2 * left["0,1"]) == pytest.approx(3 * left["0,1,2"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert guess_workers(CUDA, 100) == 3 and guess_workers(CUDA, 2) == 2


def test_the_cause_of_a_broken_worker_is_its_error_and_not_its_traceback() -> None:
    assert find_cause(WorkerBrokeError(ILL.traceback)) == "RuntimeError: CUDA error: ECC"
    assert find_cause(WorkerBrokeError("out of memory: less")) == "out of memory: less"
    assert find_cause(WorkerBrokeError("")) == "WorkerBrokeError"
