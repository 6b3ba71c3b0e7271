"""A worker on a node, seen from the driver."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from finegrid.atomic import replacing_folder
from finegrid.errors import ClusterLostError, Problem, first_line
from finegrid.running.cluster.calls import Calls
from finegrid.running.cluster.facts import NodeFacts
from finegrid.running.cluster.node import Message
from finegrid.running.cluster.shipment import PART, Shipment, ShippedFile, receive, take
from finegrid.running.messages import (
    Ended,
    Event,
    FitJob,
    Hint,
    Job,
    Lost,
    Problems,
    Refused,
    parse_event,
)
from finegrid.running.process import Worker, describe_exit
from finegrid.running.progress.words import warning_of
from finegrid.study.prediction_file import add_family
from finegrid.study.study import Study

CLOSES_WITHIN = 5.0  # seconds
# How Ray says that it has killed a worker, and that a node is gone.
SAID_OF_MEMORY = ("memory pressure", "running low on memory", "OutOfMemoryError")
SAID_OF_NODES = ("node has died", "node died", "node is dead", "node was terminated", "shut down")


class RemoteWorker(Worker):
    """A worker on a node.

    Args:
        study: whose runs it trains, here at the driver.
        index: of the worker.
        events: where its events go.
        actor: Ray's handle of its `Node`.
        shipment: what the node needs of the study.
        shared: of a family that it is given, cached files that other nodes have made for such families.
        calls: who calls Ray.
    """

    def __init__(
        self,
        study: Study,
        index: int,
        events: queue.Queue[tuple[Worker, Event]],
        actor: Any,
        shipment: Shipment,
        shared: Callable[[RemoteWorker], Mapping[str, ShippedFile]],
        calls: Calls,
    ) -> None:
        super().__init__(index, study.files.log_of(index))
        self.facts: NodeFacts | None = None  # of the node; None: it waits for room
        self.actor, self.shipment = actor, shipment
        self.closed = False
        self.lost = False  # it answers no more
        self._study, self._events, self._shared, self._calls = study, events, shared, calls
        self._home = ""
        self._out: Path | None = None  # where a model is to be kept
        self._warned = False
        self._closing: Any = None

    @property
    def host(self) -> str:
        """The name of its node."""
        return self.facts.host if self.facts else "a node"

    def tell(self, event: Event, closed: bool = False) -> None:
        """Put an event into the queue; of a closed worker only what concerns all."""
        self.lost = self.lost or isinstance(event, Lost)
        if closed or not self.closed:
            self._events.put((self, event))

    def send(self, job: Job) -> None:
        if isinstance(job, FitJob):
            self._out = job.out
        line, shared = json.dumps(job.to_json()), dict(self._shared(self))
        self._calls.post(lambda: self.actor.send.remote(line, shared))

    def forget(self, state: str) -> None:
        """A family has ended, and its records are written down: its state goes."""
        self._calls.post(lambda: self.actor.forget.remote(state))

    def hear(self, messages: list[Message]) -> None:
        """Write what came with a message, and put its event into the queue.

        Raises:
            OSError: the driver's disk is full or broken.
        """
        for message in messages:
            self._home = message.home or self._home
            if message.log:
                self._write_log(message.log)
            if message.unsaved and not self._warned:
                self._warned = True
                self.tell(Hint(warning_of("unsaved", node=self.host, why=message.unsaved)))
            if message.kept:
                self._fetch_kept(message.kept)
            for name, content in message.files.items():
                add_family(self._study.files.predictions / Path(name).name, content)
            for event in self._events_of(message):
                self.tell(event)

    def _events_of(self, message: Message) -> Iterator[Event]:
        if message.ended is not None:
            # A signal is nobody's mistake: too little memory at that moment, or somebody's kill.
            yield (Lost(tell_loss(self.host, message)) if message.ended < 0 else Ended(message.ended))
        if message.event is not None:
            match event := parse_event(json.dumps(message.event)):
                case Problems(source, problems):
                    here = tuple(
                        Problem(self._as_here(one.where), self._as_here(one.what)) for one in problems
                    )
                    yield Problems(self._as_here(source), here)
                case Refused(_, _, path):
                    yield replace(event, path=f"{self.host}:{path}" if path else self.host)
                case _:
                    yield event

    def _fetch_kept(self, kept: Mapping[str, tuple[str, int]]) -> None:
        """Bring a model here that its node has kept; it is there in full or not at all.

        Raises:
            NotSentError: a part of it did not come.
            OSError: the driver's disk is full or broken.
            ValueError: what came is not what was sent.
        """
        assert self._out is not None
        with replacing_folder(self._out) as draft:
            for name, (digest, size) in kept.items():
                count = max(1, -(-size // PART))
                parts = tuple(self.actor.read_kept.remote(name, part) for part in range(count))
                receive(draft / Path(name).name, ShippedFile(digest, parts), take)

    def _as_here(self, text: str) -> str:
        """Where a node names its own folder, the study's."""
        return text.replace(self._home, str(self._study.folder)) if self._home else text

    def _write_log(self, text: str) -> None:
        with suppress(OSError):  # a log that cannot be written is no reason to end
            self.log.parent.mkdir(exist_ok=True)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(text)

    def hang_up(self) -> None:
        if not self.closed and self.facts is not None and not self.lost:
            self._calls.post(self._hang_up)
        self.closed = True

    def _hang_up(self) -> None:
        self._closing = self.actor.close.remote()

    def close(self) -> None:
        self.hang_up()
        with suppress(ClusterLostError):
            self._calls.ask(self._close)

    def _close(self) -> None:
        import ray

        with suppress(Exception):  # it may be gone already
            if self._closing is not None:
                ray.wait([self._closing], timeout=CLOSES_WITHIN)
            ray.kill(self.actor, no_restart=True)


def tell_loss(host: str, message: Message) -> str:
    """Why a worker's process is no more, which has told it with its last message."""
    if message.reason:
        return f"on {host} {message.reason}"
    return f"its process on {host} ended with {describe_exit(message.ended or 0)}"


def describe_loss(error: Exception, host: str) -> str:
    """Why a worker is lost, in one line: what Ray says has many."""
    told = " ".join((type(error).__name__, *str(error).split()))
    if lacks_memory_there(error):
        return f"Ray killed it on {host}, which ran out of memory"
    if any(words in told for words in SAID_OF_NODES):
        return f"{host} died, or cannot be reached"
    if type(error).__name__ in ("ActorDiedError", "ActorUnavailableError"):
        return f"its worker on {host} died"
    return f"{host}: {first_line(error)}"


def lacks_memory_there(error: Exception) -> bool:
    """Whether Ray has killed something because its node ran out of memory."""
    told = " ".join((type(error).__name__, *str(error).split()))
    return any(words in told for words in SAID_OF_MEMORY)
