"""The workers of one command: they are started, listened to, replaced and sent home together."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from finegrid.errors import ClusterLostError, WorkerBrokeError
from finegrid.running.messages import (
    Broken,
    ClusterLost,
    Ended,
    Event,
    Hint,
    Lost,
    Problems,
    Refused,
    SetAside,
    StepDone,
    TurnedAway,
)
from finegrid.running.place import Place, ThisMachine
from finegrid.running.process import Worker, describe_exit, raise_error
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import warning_in, warning_why
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.unfit import tell_set_aside

E = TypeVar("E", bound=Event)
T = TypeVar("T")
MOST_LOSSES = 5  # of workers in a row that were lost before they were ready: then something is wrong with all


class WorkerLostError(Exception):
    """A worker is gone, and what it did can be done by another one."""


@dataclass
class Crew:
    """A study, how to execute it, and the workers that do. Use `employed` as a context."""

    study: Study
    settings: RunSettings
    watcher: Watcher
    place: Place = field(default_factory=ThisMachine)
    workers: list[Worker] = field(default_factory=list)
    events: queue.Queue[tuple[Worker, Event]] = field(default_factory=queue.Queue)
    losses: int = 0  # of workers that were not ready, since one was

    @contextmanager
    def employed(self) -> Iterator[None]:
        """End all workers afterwards, whatever happens."""
        try:
            yield
        finally:
            for worker in self.workers:
                worker.hang_up()  # all at once, so that they end together
            for worker in self.workers:
                worker.close()
            self.workers.clear()

    def start(self, index: int | None = None, kinds: Collection[str] | None = None) -> Worker:
        """Start a worker.

        Args:
            index: its place (on GPUs, a device) that no other one has; None: the first that is free.
            kinds: of devices that there is work for; None: any.
        """
        taken = {worker.index for worker in self.workers}
        place = next(number for number in count() if number not in taken) if index is None else index
        worker = self.place.employ(self.study, self.settings, place, self.events, kinds)
        self.workers.append(worker)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Send a worker home."""
        self.workers.remove(worker)
        worker.close()

    def wait_for(self, worker: Worker, kind: type[E]) -> E:
        """The next event of this kind from this worker.

        Raises:
            InputError: a worker cannot use what it was given.
            OSError: the system refuses what it needs.
            WorkerBrokeError: a worker broke, or ended.
            WorkerLostError: it is gone, and another one could do the same.
            ClusterLostError: nobody can be reached any more.
        """
        while True:
            source, event = self.events.get()
            match event:
                case Problems() | Refused() | Broken():
                    raise_error(event)
                case SetAside():
                    self.tell_set_aside(event)
                case StepDone(done) if source.family:
                    self.watcher.stepped(source.family, done)
                case Hint(telling):
                    self.watcher.said(telling)
                case ClusterLost(why):
                    raise ClusterLostError(why)
                case Lost() | TurnedAway() if source in self.workers:
                    self.take_leave(source, event)
                    if source is worker:
                        raise WorkerLostError(event.why)
            if source is worker and isinstance(event, kind):
                self.is_ready(worker)
                return event
            if isinstance(event, Ended) and source in self.workers:
                how = describe_exit(event.code)
                raise WorkerBrokeError(f"the worker process ended with {how}; see {source.log}")

    def insist(self, work: Callable[[], T]) -> T:
        """Do something with a worker, and with another one where that one is lost.

        Raises:
            WorkerBrokeError: several were lost.
        """
        while True:
            try:
                return work()
            except WorkerLostError:
                continue  # `take_leave` counts

    def is_ready(self, worker: Worker) -> None:
        """A worker has loaded data and model."""
        worker.ready = True
        self.losses = 0

    def take_leave(self, worker: Worker, event: Lost | TurnedAway) -> None:
        """Count and tell the loss of a worker.

        Raises:
            WorkerBrokeError: several were lost before they could begin.
        """
        self.dismiss(worker)
        match event:
            case TurnedAway(node, why):
                self.watcher.said(warning_why("turned away", why, node=node))
            case Lost(why):
                self.losses += not worker.ready
                if self.losses >= MOST_LOSSES:
                    raise WorkerBrokeError(f"{self.losses} workers were lost before they could begin: {why}")
                self.watcher.said(warning_why("lost", why, worker=worker.index))

    def tell_set_aside(self, event: SetAside) -> None:
        """That a saved state was of no use."""
        self.watcher.said(warning_in(tell_set_aside(event.file, event.reason)))

    def replace(self, worker: Worker, code: int, needed: bool) -> None:
        """Start a successor of a worker that has ended, if one is needed.

        Where one could not even start, nor would the next: its place stays empty.

        Raises:
            WorkerBrokeError: it is needed, and no place is left.
        """
        self.dismiss(worker)
        if needed and worker.ready:
            self.start(worker.index)
        elif needed and not self.workers:
            how = describe_exit(code)
            raise WorkerBrokeError(f"the worker process ended with {how}; see {worker.log}")
