"""A Ray cluster as the place where workers work: who connects is the driver, and the only one who writes."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
import threading
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from finegrid.data.tokens import tokenise
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import ClusterLostError, InputError, Problem, first_line, input_error
from finegrid.extras import need
from finegrid.machine import cores
from finegrid.planning.capacity import Hardware, Offer, capacity
from finegrid.planning.families import Family
from finegrid.recipe.identity import key_of
from finegrid.running.cluster.calls import Calls
from finegrid.running.cluster.facts import NodeFacts, describe_kind, find_problems, find_unfit, tell_facts
from finegrid.running.cluster.node import Node
from finegrid.running.cluster.remote import RemoteWorker, describe_loss, lacks_memory_there
from finegrid.running.cluster.shipment import PART, Packer, Shipment, ShippedFile
from finegrid.running.cluster.storage import Storage
from finegrid.running.messages import ClusterLost, Hint, Lost, Refused, TurnedAway
from finegrid.running.place import Events, Place
from finegrid.running.process import Worker
from finegrid.running.progress.words import telling
from finegrid.study.audit_file import Audit, Cost, load_audit
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

HERE, AWAY = "ray", "ray://"  # what --on may be
BEAT_SECONDS = 2.0  # in which a node says something, if only that it is alive
HUNG_SECONDS = 60.0  # without a beat, after which a node counts as lost
GONE_SECONDS = 15.0  # without an answer of the head; Ray itself ends the process after 60
LOOK_SECONDS = 120.0  # in which a node must say what it is
PATIENCE_SECONDS = 20.0  # without a worker, after which it is told that there is no room
MOST_STARTING = 1000  # workers that wait for room at once
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
RAYLET_GONE = "Ray's node on this machine has died"
NODE_ID = "ray.io/node-id"  # a label that Ray gives every node


def check_on(on: str) -> str:
    """What ``--on`` names.

    Raises:
        InputError: no place that finegrid knows.
    """
    if on != HERE and not (on.startswith(AWAY) and len(on) > len(AWAY)):
        what = f'found "{on}", expected ray (RAY_ADDRESS, or one started here) or ray://host:10001.'
        raise input_error("command line", "--on", what)
    return on


@contextmanager
def connected(on: str, storage: str | None, mix: bool) -> Iterator[Cluster]:
    """A cluster to work on. It is connected to once a study asks for it.

    Args:
        on: ``ray``, or the address of a Ray client's server.
        storage: folder or URL where states are kept; None: nowhere.
        mix: whether nodes may differ; then each takes whole seeds.

    Raises:
        InputError: no such place, or Ray is not installed.
    """
    check_on(on)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # Ray reads them when it is imported
    need("ray", "command line", f"--on {on}")
    cluster = Cluster(on, None if storage is None else Storage.of(storage), mix)
    try:
        yield cluster
    finally:
        cluster.close()


@dataclass
class Cluster(Place):
    """A Ray cluster.

    Attributes:
        on: Its address, or ``ray``.
        storage: Where states are kept that other nodes go on from.
        mix: Whether nodes may differ.
    """

    on: str
    storage: Storage | None = None
    mix: bool = False
    grows = True
    calls: Calls = field(default_factory=Calls)
    _session: str = field(default_factory=lambda: secrets.token_hex(8))
    _facts: dict[str, NodeFacts] = field(default_factory=dict)  # by node, of those that fit
    _whole: dict[str, Mapping[str, float]] = field(default_factory=dict)  # by node, all that Ray has there
    _checked: bool = False  # whether the nodes were asked
    _refused: set[str] = field(default_factory=set)  # nodes that differ
    _kind: str = ""  # of all nodes, unless they may differ
    _memory: int = 0  # bytes that a worker asks for; 0: not known
    _settings: RunSettings = field(default_factory=RunSettings)
    _made: dict[str, dict[str, ShippedFile]] = field(default_factory=dict)  # by what families cost alike
    _workers: dict[Any, tuple[RemoteWorker, float]] = field(default_factory=dict)  # by what is waited for
    _changed: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _packer: Packer | None = None
    _raylet: str = ""  # the socket of Ray's node here; empty if it is not known
    _prepared: bool = False  # whether the study's texts are tokenised
    _latest: RemoteWorker | None = None  # who is told what concerns all
    _asked_since: float = 0.0
    _told_waiting: bool = False

    # --- connecting ---

    def connect(self) -> None:
        """Connect, if that has not been done.

        Raises:
            InputError: nobody answers, or Ray is of another version there.
        """
        if self._packer is not None:
            return
        import ray

        with signals_kept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is told below
            try:
                start_or_find(self.on)
            except Exception as error:  # of sockets, of Ray, of versions that differ
                found = f"no Ray can be used there: {first_line(error)}."
                what = f"{found} Is it running, with Ray {ray.__version__} and the same Python?"
                raise input_error("command line", f"--on {self.on}", what) from None
        self._raylet = find_raylet()
        self._packer = Packer(self._put)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._watch_head, daemon=True).start()

    def close(self) -> None:
        """Leave the cluster."""
        self._over.set()
        if self._packer is None:
            return
        import ray

        # A head that is gone keeps Ray waiting.
        leaving = threading.Thread(target=ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(1.0 if self.calls.gone else 20.0)

    def _put(self, part: Any) -> Any:
        """Put something into the object store.

        Raises:
            ClusterLostError: the node here is gone: Ray would end this process at once, without a word.
        """
        import ray

        if not answers(self._raylet):
            self._tell_gone(RAYLET_GONE)
            raise ClusterLostError(RAYLET_GONE)
        return ray.put(part)

    # --- what a crew asks of its place ---

    def check(self, study: Study, settings: RunSettings, workers: int | None) -> None:
        self.connect()
        if self.storage is not None:
            self.storage.check()
        self._settings = settings
        self._made.clear()
        nodes = self.calls.ask(self._look)
        if problems := find_problems(nodes, settings, self.mix):
            raise InputError("cluster", problems)
        self._facts = {facts.node: facts for facts in nodes if isinstance(facts, NodeFacts)}
        self._kind = next((facts.kind(settings) for facts in self._facts.values()), "")
        self._prepared, self._checked = False, True
        self._memory = self._guess_memory(load_audit(study.folder))

    def offer(self, study: Study, settings: RunSettings) -> Offer:
        if not self._checked or settings != self._settings:
            self.check(study, settings, None)
        memory = self._guess_memory(load_audit(study.folder))
        held = [self._fit_into(self._whole.get(node, {}), memory) for node in self._facts]
        named = ("--on", self.on, *(["--mix"] if self.mix else []))
        return Offer(self.hardware(), sum(map(bool, held)), sum(held), named)

    def hardware(self) -> Hardware:
        nodes = self._facts.values()
        if not nodes:
            return Hardware.here()
        return Hardware(
            min(facts.cores for facts in nodes),
            min(facts.memory for facts in nodes),
            max(1, min(len(facts.gpus) for facts in nodes)),
        )

    def employ(
        self,
        study: Study,
        settings: RunSettings,
        index: int,
        events: Events,
        kinds: Collection[str] | None = None,
    ) -> Worker:
        return self.calls.ask(partial(self._employ, study, index, events, kinds))

    def _employ(self, study: Study, index: int, events: Events, kinds: Collection[str] | None) -> Worker:
        import ray

        options: dict[str, Any] = {**self._resources(), "max_concurrency": 4, "max_restarts": 0}
        if avoided := self._avoided(kinds):
            options["label_selector"] = {NODE_ID: f"!in({','.join(sorted(avoided))})"}
        actor = ray.remote(Node).options(**options).remote(self._session)
        worker = RemoteWorker(study, index, events, actor, self._ship(study), self._shared_with, self.calls)
        self._latest = worker
        with self._changed:
            if not any(one.facts for one, _ in self._workers.values()):
                self._asked_since = time.monotonic()
            self._workers[actor.look.remote()] = worker, 0.0
        return worker

    def settle(self, settings: RunSettings, audit: Audit, families: Sequence[Family]) -> bool:
        if settings.device == "cuda":
            return False  # what was measured is the GPU's, which is asked for as a whole
        hired = self._memory
        runs = {key_of(family.runs[0].recipe.priced_levels()): family for family in families}
        costs = [(audit.cost(family.runs[0].recipe), len(family.runs)) for family in runs.values()]
        needed = max((self._most_memory([cost], size) for cost, size in costs if cost), default=0)
        self._memory = needed
        return not needed <= hired <= 2 * needed

    def count(
        self, settings: RunSettings, audit: Audit, waiting: int, asked: int | None, ready: int, starting: int
    ) -> int:
        if asked is not None:
            return min(waiting, asked - ready - starting)
        # As many as there is room for, and as many again: they wait, and a cluster that can will grow.
        return min(waiting, min(MOST_STARTING, max(1, self.calls.ask(self._room), ready)) - starting)

    def kind_of(self, worker: Worker) -> str:
        assert isinstance(worker, RemoteWorker)
        return worker.facts.kind(self._settings) if worker.facts else ""

    def kind_of_record(self, record: Record) -> str:
        return describe_kind(record.processor, record.versions) if record.processor else ""

    def sign(self, record: Record, worker: Worker) -> Record:
        assert isinstance(worker, RemoteWorker)
        if worker.facts is None:
            return record
        return replace(record, node=worker.facts.host, processor=worker.facts.device(self._settings))

    def forget(self, study: Study, worker: Worker, state: str) -> None:
        assert isinstance(worker, RemoteWorker)
        super().forget(study, worker, state)
        worker.forget(state)

    # --- nodes ---

    def _look(self) -> list[NodeFacts | Problem]:
        """What the nodes are that could have a worker, or why one cannot say."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = {}
        for node in ray.nodes():
            if node["Alive"] and self._holds_a_worker(node["Resources"]):
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = ray.remote(tell_facts).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
                nodes[task.remote(node["NodeID"])] = node
                self._whole[node["NodeID"]] = node["Resources"]
        asked = list(nodes)
        if asked:
            ray.wait(asked, num_returns=len(asked), timeout=LOOK_SECONDS)
        errors = ray.exceptions
        gone = (errors.NodeDiedError, errors.TaskUnschedulableError, errors.WorkerCrashedError)
        found: list[NodeFacts | Problem] = []
        for ref, node in nodes.items():
            try:
                found.append(NodeFacts.from_json(ray.get(ref, timeout=0)))
            except ray.exceptions.GetTimeoutError:
                found.append(Problem(node["NodeManagerHostname"], f"said nothing for {LOOK_SECONDS:.0f} s"))
            except gone:
                continue  # it died; if it did not, a worker that comes to it is asked again
            except Exception as error:  # whatever keeps finegrid from being imported there
                found.append(Problem(node["NodeManagerHostname"], describe_unusable(error)))
        return found

    def _resources(self, memory: int | None = None) -> dict[str, float]:
        """What a worker asks for, with the memory that is known by now or another amount."""
        memory = self._memory if memory is None else memory
        asked: dict[str, float] = {"num_cpus": self._settings.threads}
        if self._settings.device == "cuda":
            asked["num_gpus"] = 1
        if memory:
            asked["memory"] = memory
        return asked

    def _holds_a_worker(self, resources: Mapping[str, float]) -> bool:
        return self._fit_into(resources) > 0

    def _fit_into(self, resources: Mapping[str, float], memory: int | None = None) -> int:
        """How many workers fit into some of Ray's resources; each takes the memory of `_resources`."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        asked = {names[name]: amount for name, amount in self._resources(memory).items()}
        return int(min(resources.get(name, 0.0) // amount for name, amount in asked.items()))

    def _room(self) -> int:
        """How many workers find room now."""
        import ray

        try:
            free = ray.available_resources()
            whole = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        except Exception:  # whoever watches the head says what is wrong
            return 0
        return min(self._fit_into(free), sum(map(self._fit_into, whole)))

    def _most_memory(self, costs: Collection[Cost], members: int) -> int:
        if self._settings.device == "cuda":
            return 0
        stacked = self._settings.stack_size > 1
        return max((cost.of_family(members, stacked) for cost in costs), default=0)

    def _guess_memory(self, audit: Audit | None) -> int:
        """What the largest family takes, before it is known which are left; 0 where nothing was measured."""
        settings = self._settings
        if audit is None or audit.measured != settings.priced_by or not audit.costs:
            return 0
        most = capacity(settings, audit, self.hardware()).worker_bytes
        at_least, at_most = (self._most_memory(audit.costs, size) for size in (1, settings.family_size))
        return max(at_least, min(most, at_most))

    def _avoided(self, kinds: Collection[str] | None) -> set[str]:
        """Nodes that no worker is wanted on."""
        others = {
            node
            for node, facts in self._facts.items()
            if kinds is not None and facts.kind(self._settings) not in kinds
        }
        return self._refused | others

    # --- workers ---

    def _ship(self, study: Study) -> Shipment:
        """What a study's workers need, in the object store.

        Raises:
            InputError: bad data.
            OSError: a file cannot be read, or the object store is full.
        """
        import ray

        assert self._packer is not None
        if not self._prepared:
            prepare(study)
            self._prepared = True
        try:
            return self._packer.pack(study)
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
            what = "Ray's object store is full: start Ray with more (--object-store-memory), or let it spill"
            raise OSError(errno.ENOSPC, what) from None

    def _shared_with(self, worker: RemoteWorker) -> Mapping[str, ShippedFile]:
        """What other nodes have made for families like the one that a worker is given."""
        if worker.family is None:
            return {}
        return self._made.get(key_of(worker.family.runs[0].recipe.priced_levels()), {})

    def _listen(self) -> None:
        """Hear all workers, until the session is over."""
        import ray

        while not self._over.wait(0.0):
            with self._changed:
                waited = list(self._workers)
            self._tell_waiting()
            if not waited:
                self._over.wait(0.1)
                continue
            try:
                done, _ = ray.wait(waited, num_returns=1, timeout=0.5)
                if done:
                    done, _ = ray.wait(waited, num_returns=len(waited), timeout=0)
            except Exception as error:
                self._tell_gone(first_line(error))
                return
            for ref in done:
                self._hear(ref)
            self._give_up_hung()

    def _hear(self, ref: Any) -> None:
        """Take what a worker has said, and wait for what it says next."""
        import ray

        with self._changed:
            worker, _ = self._workers.pop(ref)
        if worker.closed:
            return
        try:
            said = ray.get(ref)
            if isinstance(said, dict):
                self._greet(worker, NodeFacts.from_json(said))
            else:
                self._share_made(worker, said)
                worker.hear(said)
            if not worker.closed:
                following = worker.actor.listen.remote(BEAT_SECONDS)
                with self._changed:
                    self._workers[following] = worker, time.monotonic()
        except ConnectionError as error:
            self._tell_gone(first_line(error))
        except OSError as error:
            worker.tell(Refused.of(error))
        except Exception as error:  # the actor is gone, or its node, or what was sent
            worker.tell(Lost(describe_loss(error, worker.host)))

    def _greet(self, worker: RemoteWorker, facts: NodeFacts) -> None:
        """A worker has found room: let it begin, unless its node differs."""
        why = find_unfit(facts, self._settings, self.mix)
        if not why and not self.mix and self._kind not in ("", facts.kind(self._settings)):
            why = f"it has {facts.kind(self._settings)}, the others {self._kind}"
        if why:
            self._refused.add(facts.node)
            worker.tell(TurnedAway(facts.host, why))
            return
        self._facts[facts.node] = worker.facts = facts
        self._kind = self._kind or facts.kind(self._settings)
        storage = self.storage.url if self.storage else ""
        worker.actor.begin.remote(worker.shipment, self._settings.model_dump_json(), worker.index, storage)

    def _share_made(self, worker: RemoteWorker, messages: Sequence[Any]) -> None:
        """Ask a node for what its worker has made, so that others need not."""
        if worker.family is None:
            return
        key = key_of(worker.family.runs[0].recipe.priced_levels())
        for message in messages:
            for name, (digest, size) in message.made.items():
                parts = [worker.actor.read_cache.remote(name, part) for part in range(-(-size // PART))]
                self._made.setdefault(key, {})[name] = ShippedFile(digest, tuple(parts))

    def _give_up_hung(self) -> None:
        """Count as lost who has said nothing for too long."""
        now = time.monotonic()
        with self._changed:
            hung = {
                ref: worker
                for ref, (worker, since) in self._workers.items()
                if since and now - since > HUNG_SECONDS
            }
            for ref in hung:
                del self._workers[ref]
        for worker in hung.values():
            worker.tell(Lost(f"{worker.host} has said nothing for {HUNG_SECONDS:.0f} s"))

    def _tell_waiting(self) -> None:
        """Say once that no worker has found room."""
        with self._changed:
            workers = [worker for worker, _ in self._workers.values()]
            waits = workers and not any(worker.facts for worker in workers)
            if not waits or self._told_waiting or time.monotonic() - self._asked_since < PATIENCE_SECONDS:
                return
            self._told_waiting = True
        asked = describe_resources(self._resources())
        workers[0].tell(Hint(telling("no room", asked=asked)))

    def _tell_gone(self, why: str) -> None:
        """The cluster is gone."""
        if self._over.is_set():
            return
        self.calls.gone = why
        if self._latest is not None:
            self._latest.tell(ClusterLost(why), closed=True)

    def _watch_head(self) -> None:
        """See whether the head still answers. Ray would end this process, without a word of ours."""
        import ray

        if self.on != HERE:
            return
        raylet = self._raylet
        host, _, port = str(ray.get_runtime_context().gcs_address).rpartition(":")
        answered = time.monotonic()
        while not self._over.wait(1.0):
            if not answers(raylet):
                self._tell_gone(RAYLET_GONE)
                return
            try:
                socket.create_connection((host, int(port)), timeout=5.0).close()
                answered = time.monotonic()
            except OSError as error:
                if time.monotonic() - answered > GONE_SECONDS:
                    self._tell_gone(f"the head at {host}:{port} does not answer ({first_line(error)})")
                    return


def start_or_find(on: str) -> None:
    """Connect to the Ray that ``--on`` names; to one that is started here, if none is running.

    Raises:
        Exception: whatever keeps Ray from it.
    """
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    silence()
    if on != HERE:
        ray.init(on, **quiet)
        return
    named = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(named or "auto", **quiet)
    except ConnectionError:
        if named:
            raise
        ray.init("local", num_cpus=cores(), include_dashboard=False, **quiet)


def find_raylet() -> str:
    """The socket of Ray's node on this machine; empty where there is none, or a version hides it."""
    import ray

    try:
        return str(ray._private.worker.global_worker.node.raylet_socket_name)
    except AttributeError:
        return ""


def answers(path: str) -> bool:
    """Whether somebody listens at a socket; also where that is not known."""
    if not path:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as here:
        here.settimeout(5.0)
        try:
            here.connect(path)
        except TimeoutError:
            return True  # it is there, and busy
        except OSError:
            return False
    return True


def silence() -> None:
    """Keep Ray from printing where results go; what happens to workers is told in our own words.

    It has no setting for this. A version that prints otherwise is left as it is.
    """
    import ray

    inner = getattr(getattr(ray, "_private", None), "worker", None)
    if inner is not None and hasattr(inner, "print_to_stdstream"):
        inner.print_to_stdstream = lambda *_, **__: None


@contextmanager
def signals_kept() -> Iterator[None]:
    """Ray handles signals its own way, and would end the process without a word of ours."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(study: Study) -> None:
    """Split and tokenise the data here, once for all nodes.

    Raises:
        InputError: bad data.
    """
    tokenizer = load_tokenizer(study.checkpoint.folder)
    for table in study.read_tables():
        tokenise(table, tokenizer, study.files.cache)


def describe_resources(asked: Mapping[str, float]) -> str:
    """``1 CPU, 1 GPU, 2.4 GiB``."""
    words = {"num_cpus": "{:g} CPU", "num_gpus": "{:g} GPU"}
    told = [words[name].format(amount) for name, amount in asked.items() if name in words]
    if memory := asked.get("memory"):
        told.append(f"{memory / 2**30:.1f} GiB")
    return ", ".join(told)


def describe_unusable(error: Exception) -> str:
    """Why a node cannot even say what it is."""
    if lacks_memory_there(error):
        return "has no memory left, and Ray kills what starts there. Free some, or leave the node out."
    lines = str(error).strip().splitlines()
    said = lines[-1] if lines else type(error).__name__
    return f"finegrid does not run there ({said}). Install it, or leave the node out."
