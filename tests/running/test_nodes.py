"""Workers that are lost, nodes that differ, and what a node is sent: without Ray, whose part is pretended."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from support.audits import audit_of
from support.strategies.own import name_own, write_own
from support.studies import write_study

from finegrid.data.table import fingerprint_tables
from finegrid.encoders.families import model_fingerprint
from finegrid.errors import ClusterLostError, InputError, Problem, WorkerBrokeError
from finegrid.planning.capacity import Hardware, Offer
from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun
from finegrid.planning.status import study_status
from finegrid.planning.status_words import plan_lines
from finegrid.recipe.identity import ENGINE
from finegrid.running import admitting, describing
from finegrid.running.admitting import admit
from finegrid.running.cluster import session
from finegrid.running.cluster.facts import NodeFacts, describe_kind, find_problems, tell_facts
from finegrid.running.cluster.node import Message
from finegrid.running.cluster.remote import describe_loss, tell_loss
from finegrid.running.cluster.scratch import Scratch
from finegrid.running.cluster.session import Cluster, check_on
from finegrid.running.cluster.shipment import Packer, StudyLayout, unpack
from finegrid.running.cluster.storage import Storage
from finegrid.running.cluster.where import place_of
from finegrid.running.fitting import Keeping
from finegrid.running.messages import (
    ClusterLost,
    Event,
    FitDone,
    FitJob,
    Job,
    Lost,
    Ready,
    RecordReady,
    Trained,
    TurnedAway,
)
from finegrid.running.place import Place, ThisMachine
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import tell_offer
from finegrid.running.runner import Runner
from finegrid.spelling import Lang
from finegrid.study.audit_file import Audit, Cost, RowAudit, load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.own_strategies import import_own
from finegrid.study.record import Record, Status
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.price import describe_price

FOUR = '[design]\nseeds = 2\n[factors]\n"reinit.layers" = [0, 1, 2, 3]'
ONE_EACH = RunSettings(family_size=1)
FACTS = NodeFacts("n1", "frodo", "Zen 5", True, 8, 2**34, (), {"finegrid": "1", "torch": "2"})


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    """A study of four recipes and two seeds, audited."""
    study = load_study(write_study(tmp_path / "four", bert, settings=FOUR))
    rows = [RowAudit(moved=row.recipe.moved(), run=row.recipe.moved(), inert={}) for row in study.rows]
    known = {"engine": ENGINE, "rows": rows, "measured": RunSettings().alike}
    save_audit(study.folder, audit_of().model_copy(update=known))
    return study


class Remote:
    """A worker on a node that trains in no time, unless it is told to be lost."""

    def __init__(self, place: Nodes, index: int, events: queue.Queue[tuple[Any, Event]]) -> None:
        self.index, self.place, self.events = index, place, events
        self.family: Family | None = None
        self.sent: set[str] = set()
        self.ready, self.reason, self.log = False, "", Path("worker.log")
        self.kind = place.kinds[len(place.made) % len(place.kinds)]
        self.closed = False
        place.made.append(self)
        self.tell(place.greets(self))

    def tell(self, event: Event) -> None:
        self.events.put((self, event))

    def train(self, family: Family, whole: bool) -> None:
        self.family, self.sent = family, set()
        self.place.given.append((self, family))
        for event in self.place.trains(self, family):
            self.tell(event)

    def hang_up(self) -> None:
        self.closed = True

    close = hang_up


def train(worker: Remote, family: Family) -> list[Event]:
    return [*records_of(family.left), Trained(family.family_id)]


def records_of(runs: Collection[PlannedRun], status: Status = "done") -> list[Event]:
    alike = {"device": "cpu", "precision": "fp32", "threads": 1}
    return [
        RecordReady(Record(run_id=run.run_id, seed=run.seed, status=status, **alike))  # type: ignore[arg-type]
        for run in runs
    ]


def diverge(worker: Remote, family: Family) -> list[Event]:
    """Train runs that leave no predictions, and so are finished without any."""
    return [*records_of(family.left, "diverged"), Trained(family.family_id)]


class Nodes(Place):
    """A cluster of nodes that nobody sees."""

    grows = True

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds or ("",)
        self.made: list[Remote] = []
        self.given: list[tuple[Remote, Family]] = []
        self.wanted: list[Collection[str] | None] = []
        self.trains: Callable[[Remote, Family], list[Event]] = train
        self.greets: Callable[[Remote], Event] = lambda worker: Ready({})

    def check(self, study: Study, settings: RunSettings, workers: int | None) -> None:
        pass

    def hardware(self) -> Hardware:
        return Hardware(4, 2**34, 1)

    def employ(self, study: Any, settings: Any, index: int, events: Any, kinds: Any = None) -> Any:
        self.wanted.append(kinds)
        return Remote(self, index, events)

    def count(self, settings: Any, audit: Any, waiting: int, asked: Any, ready: int, starting: int) -> int:
        return min(waiting, (asked or 2) - ready - starting)

    def kind_of(self, worker: Any) -> str:
        kind: str = worker.kind
        return kind


def run(study: Study, place: Nodes, **asked: Any) -> tuple[list[Record], list[str]]:
    """Train a study there. Returns the ledger's lines, and what was said."""
    said: list[str] = []
    watcher = Watcher(said=lambda telling: said.extend(telling("en")))
    Runner(study, ONE_EACH, watcher=watcher, place=place, **asked).run()
    return [*study.ledger], said


def test_a_family_whose_node_dies_is_given_again_and_no_run_fails(study: Study) -> None:
    place = Nodes()
    place.trains = lambda worker, family: train(worker, family) if worker.index else [Lost("frodo died")]
    records, said = run(study, place)

    assert [record.status for record in records] == ["done"] * 8
    assert len({record.run_id for record in records}) == 8
    assert "warning: worker 0 is lost (frodo died). What it was at begins again elsewhere" in said


def test_what_was_recorded_of_a_lost_family_is_neither_trained_nor_recorded_again(study: Study) -> None:
    place = Nodes()

    def lose_first(worker: Remote, family: Family) -> list[Event]:
        if len(place.given) == 1:
            return [*records_of(family.left[:3]), Lost("it died")]
        return [*records_of(family.runs), Trained(family.family_id)]  # a stack trains all of it anew

    place.trains = lose_first
    said: list[str] = []
    shared = RunSettings(family_size=4)
    runs = [*Runner(study, shared, place=place, seeds=[0]).run()]

    assert len(runs) == len([*study.ledger]) and {record.status for record in runs} == {"done"}
    assert not said


def test_a_family_that_is_lost_three_times_has_failed_and_says_why(study: Study) -> None:
    place = Nodes()
    doomed: list[str] = []

    def lose_one(worker: Remote, family: Family) -> list[Event]:
        doomed.append(family.family_id)
        return [Lost("no memory")] if family.family_id == doomed[0] else train(worker, family)

    place.trains = lose_one
    records, _ = run(study, place)

    (failed,) = [record for record in records if record.status == "failed"]
    assert failed.reason == "3 workers were lost with it; the last one: no memory"
    assert [family.family_id for _, family in place.given].count(doomed[0]) == 3
    assert len(records) == 8


def test_workers_who_are_lost_before_they_begin_end_the_study(study: Study) -> None:
    place = Nodes()
    place.greets = lambda worker: Lost("no disk")
    with pytest.raises(WorkerBrokeError, match="5 workers were lost before they could begin: no disk"):
        run(study, place)

    assert len(place.made) == 5


def test_a_late_node_that_differs_is_left_out_by_name_and_the_study_goes_on(study: Study) -> None:
    place = Nodes()
    place.greets = lambda worker: Ready({}) if len(place.made) != 2 else TurnedAway("sam", "it has Zen 4")
    records, said = run(study, place)

    assert len(records) == 8 and "warning: node sam is left out: it has Zen 4" in said


def test_a_cluster_that_is_gone_ends_the_study_and_what_was_recorded_stays(study: Study) -> None:
    place = Nodes()

    def go(worker: Remote, family: Family) -> list[Event]:
        return diverge(worker, family) if len(place.given) < 4 else [ClusterLost("the head died")]

    place.trains = go
    with pytest.raises(ClusterLostError, match="the head died"):
        run(study, place)

    assert len([*study.ledger]) == 3
    assert len(run(study, Nodes())[0]) == 8


def test_where_nodes_differ_each_seed_is_of_one_kind(study: Study) -> None:
    place = Nodes("Zen 4", "Zen 5")
    run(study, place, mix=True)
    kinds = {(worker.kind, family.left[0].seed) for worker, family in place.given}

    assert len(kinds) == 2 and len({seed for _, seed in kinds}) == 2
    assert {"Zen 4"} in [set(kinds or ()) for kinds in place.wanted] or len(place.made) == 2


def test_workers_without_work_are_sent_home(study: Study) -> None:
    place = Nodes()
    run(study, place)

    assert all(worker.closed for worker in place.made)


def test_nodes_that_differ_are_refused_by_name() -> None:
    here = tell_facts("n0")
    same = NodeFacts.from_json(here)
    older = replace(same, host="sam", versions={**same.versions, "torch": "2.0.0+cu118"})
    slow = replace(same, host="pippin", processor="Zen 4")
    bf16 = RunSettings(precision="bf16")
    plain = replace(same, host="merry", bf16=False)
    silent = Problem("bilbo", "said nothing")

    assert find_problems([same, replace(same, host="rosie")], RunSettings(), mix=False) == []
    (wrong,) = find_problems([same, older], RunSettings(), mix=False)
    assert wrong.where == "sam" and "it has torch 2.0.0+cu118" in wrong.what
    assert {p.where for p in find_problems([same, slow], RunSettings(), mix=False)} == {same.host, "pippin"}
    assert find_problems([same, slow, older], RunSettings(), mix=True) == []
    assert [p.where for p in find_problems([plain], bf16, mix=True)] == ["merry"]
    assert find_problems([silent], RunSettings(), mix=True) == [silent]
    other = replace(same, host="gimli", versions={**same.versions, "finegrid": "0.0.1"})
    assert [p.where for p in find_problems([same, other], RunSettings(), mix=True)] == ["gimli"]


def test_a_driver_without_a_gpu_may_have_torch_built_for_processors() -> None:
    same = NodeFacts.from_json(tell_facts("n0"))
    version = same.versions["torch"].partition("+")[0]
    built = replace(same, versions={**same.versions, "torch": f"{version}+cu999"})

    assert find_problems([built], RunSettings(), mix=False) == []


def test_a_study_goes_on_with_nodes_of_its_kind_only(study: Study) -> None:
    made = Record(run_id="a", seed=0, status="done", processor="Zen 4", versions=FACTS.versions)
    kind = Cluster("ray").kind_of_record(made)
    place = Nodes("Zen 5")
    place.trains = diverge
    run(study, place, seeds=[0])
    place.kind_of_record = lambda record: kind  # type: ignore[method-assign]

    assert kind == describe_kind("Zen 4", FACTS.versions) == "Zen 4 (torch 2)"
    with pytest.raises(InputError, match=r"runs made with Zen 4 .*; now there is Zen 5"):
        run(study, place)
    run(study, place, mix=True)


def test_a_worker_asks_for_what_the_probe_has_measured(study: Study) -> None:
    cost = Cost(
        shared={}, step_seconds=1, prefix_seconds=0, evaluation_seconds=1, test_seconds=1, memory=10**9
    )
    audit: Audit = audit_of(cost.model_copy(update={"member_memory": 10**8}))
    run_of = PlannedRun("a", {}, 0, (1,))
    family = Family((run_of,) * 3, (run_of,) * 3)
    place = Cluster("ray", _settings=RunSettings(threads=2))

    assert place.settle(RunSettings(threads=2), audit, [family])  # they were hired for nothing
    assert place._resources() == {"num_cpus": 2, "memory": 10**9 + 2 * 10**8 + 10**8 // 5}
    assert not place.settle(RunSettings(threads=2), audit, [family])
    assert session.describe_resources(place._resources()) == "2 CPU, 1.1 GiB"
    on_gpu = Cluster("ray", _settings=RunSettings(device="cuda"))
    assert not on_gpu.settle(RunSettings(device="cuda"), audit, [family])
    assert on_gpu._resources() == {"num_cpus": 1, "num_gpus": 1}


def test_as_many_workers_are_asked_for_as_there_is_room_for_and_again_as_many_as_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, about = Cluster("ray"), (ONE_EACH, audit_of())
    monkeypatch.setattr(Cluster, "_room", lambda self: 3)

    assert place.count(*about, waiting=100, asked=None, ready=0, starting=0) == 3
    assert place.count(*about, waiting=100, asked=None, ready=8, starting=3) == 5  # a cluster may grow
    assert place.count(*about, waiting=2, asked=None, ready=8, starting=0) == 2
    assert place.count(*about, waiting=100, asked=4, ready=1, starting=2) == 1


@pytest.mark.parametrize("on", ["slurm", "ray://", "http://head:10001"])
def test_other_places_are_refused(on: str) -> None:
    with pytest.raises(InputError, match=r"expected ray .* or ray://host:10001"):
        check_on(on)


def test_what_ray_says_of_a_loss_is_told_in_one_line() -> None:
    memory = "Task was killed due to the node running low on memory.\nMemory on the node was 30 GB / 32 GB"
    died = type("ActorDiedError", (Exception,), {})
    node = died("The actor died unexpectedly.\nThe actor is dead because its node has died. Node Id: 1")

    assert describe_loss(Exception(memory), "n1") == "Ray killed it on n1, which ran out of memory"
    assert describe_loss(node, "n1") == "n1 died, or cannot be reached"
    assert describe_loss(died("causes include: (1) the OOM killer"), "n1") == "its worker on n1 died"
    assert describe_loss(Exception("strange\nthings"), "n1") == "n1: strange"


def test_states_are_kept_elsewhere_only_on_a_cluster_and_without_ray_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match='found "/shared" without --on'):
        place_of(None, "/shared", mix=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'finegrid\[ray\]'"), place_of("ray", None, mix=False):
        pass
    with place_of(None, None, mix=False) as place:
        assert isinstance(place, ThisMachine)
    with place_of(None, None, mix=True):
        pass  # of devices, precisions, threads
    with pytest.raises(InputError, match=r"--mix +found without --on"):
        place_of(None, None, mix=True, only_nodes=True)


class Store(list[Any]):
    """An object store that is a list; counts what is fetched."""

    fetched = 0

    def put(self, part: Any) -> int:
        self.append(part.copy())
        return len(self) - 1

    def fetch(self, ref: int) -> Any:
        self.fetched += 1
        return self[ref]


def test_a_node_gets_everything_that_decides_on_runs_once_and_by_content(tmp_path: Path, bert: Path) -> None:
    factors = '[factors]\n"texts.extra" = ["", "extra.tsv"]'
    folder = write_study(tmp_path / "mine", bert, settings=factors)
    outside = tmp_path / "train.tsv"
    (folder / "train.tsv").rename(outside)
    (folder / "test.tsv").rename(tmp_path / "test.tsv")
    toml = folder / "study.toml"
    text = toml.read_text().replace('"train.tsv"', f'"{outside}"').replace('"test.tsv"', '"../test.tsv"')
    toml.write_text(text)
    study, store = load_study(folder), Store()
    session.prepare(study)
    packer = Packer(store.put)
    shipment = packer.pack(study)
    home = unpack(shipment, tmp_path / "node", store.fetch)
    sent, fetched = load_study(home), store.fetched
    unpack(packer.pack(study), tmp_path / "node", store.fetch)

    assert store.fetched == fetched == len(store)
    assert [row.recipe for row in sent.rows] == [row.recipe for row in study.rows]
    assert fingerprint_tables(sent.read_tables()) == fingerprint_tables(study.read_tables())
    assert model_fingerprint(sent.checkpoint.folder) == model_fingerprint(study.checkpoint.folder)
    assert sent.checkpoint.folder.name == study.checkpoint.folder.name
    assert (home / "extra.tsv").read_bytes() == (folder / "extra.tsv").read_bytes()
    assert (home / "../test.tsv").read_bytes() == (tmp_path / "test.tsv").read_bytes()
    assert [path.name for path in (home / "cache").glob("tokens-*")] != []
    assert StudyLayout.of(study).home == "up/study"


def test_a_node_gets_the_study_s_own_strategies(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(admitting, "ask", describing.tell)
    folder = write_study(tmp_path / "mine", bert, settings='[factors]\n"centre.share" = [0.0, 1.0]')
    write_own(tmp_path)
    name_own(folder, "../centre.py")
    admit(folder, allow_code=True, runs=True)
    study, store = load_study(folder), Store()
    home = unpack(Packer(store.put).pack(study), tmp_path / "node", store.fetch)
    sent = load_study(home)

    assert sent.own.digests == study.own.digests
    real = load_study(home, partial(import_own, allowed=[*sent.own.digests.values()]))
    assert [row.recipe.moved() for row in real.rows] == [row.recipe.moved() for row in study.rows]


def test_what_did_not_arrive_whole_is_refused(tmp_path: Path, bert: Path) -> None:
    study, store = load_study(write_study(tmp_path / "mine", bert)), Store()
    shipment = Packer(store.put).pack(study)
    store[0] = store[0][:-1]
    with pytest.raises(ValueError, match="is not what was sent"):
        unpack(shipment, tmp_path / "node", store.fetch)


def test_the_folder_of_a_node_goes_with_its_last_worker_or_with_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    first, second = Scratch.of("a"), Scratch.of("a")
    first.let_go()
    assert second.path.is_dir()
    other = Scratch.of("b")
    assert second.path.is_dir()  # it is held
    os.close(second._descriptor)  # its process was killed
    Scratch.of("c").let_go()
    assert not second.path.exists() and other.path.is_dir()


def test_states_are_kept_and_fetched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage.of("bucket")
    monkeypatch.chdir("/")  # as a node stands elsewhere
    storage.check()
    state = tmp_path / "f.safetensors"
    state.write_bytes(b"one")
    storage.save(state)
    state.write_bytes(b"two")
    Storage(f"file://{tmp_path}/bucket").save(state)
    state.unlink()

    assert storage.fetch(state) and state.read_bytes() == b"two"
    assert not storage.fetch(tmp_path / "g.safetensors") and not (tmp_path / "g.safetensors").exists()
    storage.remove("f.safetensors")
    assert [*(tmp_path / "bucket").iterdir()] == []


def test_a_storage_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for url in (str(tmp_path / "file"), "nowhere://bucket"):
        with pytest.raises(InputError, match=r"which cannot be written"):
            Storage(url).check()


def cost_of(memory: int) -> Cost:
    return Cost(
        shared={}, step_seconds=1, prefix_seconds=0, evaluation_seconds=1, test_seconds=1, memory=memory
    )


def known_cluster(*nodes: dict[str, float], mix: bool = False) -> Cluster:
    """A cluster whose nodes have been asked: what Ray has on each."""
    place = Cluster("ray", mix=mix, _settings=ONE_EACH, _checked=True)
    for number, resources in enumerate(nodes):
        place._facts[str(number)] = replace(FACTS, node=str(number))
        place._whole[str(number)] = resources
    return place


def measure(study: Study, memory: int = 2**30) -> None:
    """An audit that knows what the study's runs cost."""
    audit = load_audit(study.folder)
    assert audit is not None
    costs = [cost_of(memory).model_copy(update={"shared": row.recipe.priced_levels()}) for row in study.rows]
    save_audit(study.folder, audit.model_copy(update={"costs": costs}))


def test_a_cluster_offers_what_its_nodes_hold_of_processors_and_memory(study: Study) -> None:
    measure(study)
    large, small = {"CPU": 8.0, "memory": 3.5 * 2**30}, {"CPU": 2.0, "memory": 2.0**40}
    place = known_cluster(large, small, {"CPU": 8.0, "memory": 2.0**29}, {"memory": 2.0**40})
    offer = place.offer(study, ONE_EACH)

    assert (offer.nodes, offer.places) == (2, 3 + 2)
    assert offer.hardware == Hardware(8, 2**34, 1) and offer.named == ("--on", "ray")
    assert known_cluster(small, mix=True).offer(study, ONE_EACH).named == ("--on", "ray", "--mix")


def test_forecasts_count_the_workers_of_the_cluster_and_never_name_this_machine(study: Study) -> None:
    measure(study)
    place = known_cluster({"CPU": 3.0, "memory": 2.0**40}, {"CPU": 1.0, "memory": 2.0**40})

    def told(lang: Lang, workers: int | None = None, place: Place = place) -> tuple[float, str]:
        status = study_status(study, ONE_EACH, None, workers, place.offer(study, ONE_EACH))
        return status.seconds_left() or 0.0, "\n".join(
            [*plan_lines(status, (), lang), *describe_price(status, lang)]
        )

    alone, here = told("en", 1, ThisMachine())
    seconds, words = told("en")
    assert "on this machine with 1 worker" in here and "本机" in told("zh", 1, ThisMachine())[1]
    assert seconds == pytest.approx(alone / 4)
    assert "on 2 nodes of the cluster with up to 4 workers" in words and "this machine" not in words
    assert told("en", workers=2)[0] == pytest.approx(alone / 2)
    assert told("en", workers=50)[0] == seconds  # for more there is no room
    in_chinese = told("zh")[1]
    assert in_chinese.count("集群的 2 个节点上最多用 4 个进程") == 2 and "本机" not in in_chinese
    none, words = told("en", place=known_cluster())
    assert none == alone and words.count("no node of the cluster can hold") == 2
    assert "集群目前没有可以容纳" in told("zh", place=known_cluster())[1]


def test_who_trains_on_a_cluster_is_told_what_it_offers(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Nodes()
    place.offer = lambda study, settings: Offer(place.hardware(), 3, 7)  # type: ignore[method-assign]
    _, said = run(study, place)

    assert "the cluster has 3 nodes with room for 7 workers" in said
    assert tell_offer(3, 7)("zh") == ["集群有 3 个节点，可容纳 7 个进程"]
    assert tell_offer(0, 0)("en") == ["the cluster has no node for a worker yet"]


class Fitting(Remote):
    """A worker that is asked for a model."""

    def send(self, job: Job) -> None:
        assert isinstance(job, FitJob)
        cast(FitNodes, self.place).asked.append(job.family)
        for event in cast(FitNodes, self.place).fits(self, job):
            self.tell(event)


class FitNodes(Nodes):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.fits: Callable[[Fitting, FitJob], list[Event]] = fitted

    def employ(self, study: Any, settings: Any, index: int, events: Any, kinds: Any = None) -> Any:
        return Fitting(self, index, events)

    def sign(self, record: Record, worker: Any) -> Record:
        return replace(record, node="frodo")

    def forget(self, study: Study, worker: Any, state: str) -> None:
        self.forgotten.append(state)


def fitted(worker: Fitting, job: FitJob) -> list[Event]:
    return [FitDone(Record(run_id=job.run.run_id, seed=job.run.seed, status="diverged"))]


def fit(study: Study, place: FitNodes, tmp_path: Path) -> Record:
    return Runner(study, ONE_EACH, place=place).fit(study.baseline, 0, Keeping(tmp_path / "model"))


def test_a_model_whose_node_dies_is_fitted_by_another_one(study: Study, tmp_path: Path) -> None:
    place = FitNodes()
    place.fits = lambda worker, job: fitted(worker, job) if len(place.made) > 1 else [Lost("frodo died")]
    record = fit(study, place, tmp_path)

    assert record.node == "frodo" and record.stands_for == (1,)
    assert place.asked == [f"fit-{record.run_id}"] * 2 and place.forgotten == [f"fit-{record.run_id}"]


def test_a_model_that_is_lost_three_times_is_given_up_and_says_why(study: Study, tmp_path: Path) -> None:
    place = FitNodes()
    place.fits = lambda worker, job: [Lost("no memory")]
    with pytest.raises(WorkerBrokeError, match=r"^3 workers were lost with it; the last one: no memory$"):
        fit(study, place, tmp_path)

    assert len(place.asked) == 3


def test_a_node_that_reads_other_data_meanwhile_fits_nothing(study: Study, tmp_path: Path) -> None:
    audit = load_audit(study.folder)
    assert audit is not None
    save_audit(study.folder, audit.model_copy(update={"fingerprints": {"data": "first"}}))
    place = FitNodes()
    place.greets = lambda worker: Ready({"data": "other" if len(place.made) > 1 else "first"})
    place.fits = lambda worker, job: [Lost("it died")]
    with pytest.raises(InputError, match="changed while the study ran: data"):
        fit(study, place, tmp_path)


def test_a_worker_that_was_ended_on_its_node_is_lost_with_the_reason() -> None:
    assert tell_loss("frodo", Message(ended=-9, reason="the worker process hangs")) == (
        "on frodo the worker process hangs"
    )
    assert tell_loss("frodo", Message(ended=-11)) == "its process on frodo ended with signal 11"
