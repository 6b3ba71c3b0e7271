"""The workers of one command: they are started, listened to, replaced and sent home together."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from finegrid.errors import WorkerBrokeError
from finegrid.running.messages import Broken, Ended, Event, Problems, Refused, SetAside, StepDone
from finegrid.running.process import Worker, describe_exit, raise_error
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import warning_in
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.unfit import tell_set_aside

E = TypeVar("E", bound=Event)


@dataclass
class Crew:
    """A study, how to execute it, and the workers that do. Use `employed` as a context."""

    study: Study
    settings: RunSettings
    watcher: Watcher
    workers: list[Worker] = field(default_factory=list)
    events: queue.Queue[tuple[Worker, Event]] = field(default_factory=queue.Queue)

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

    def start(self, index: int = 0) -> Worker:
        """A worker for a place (on GPUs, a device) that no other one has."""
        worker = Worker(self.study, self.settings, index, self.events)
        self.workers.append(worker)
        return worker

    def wait_for(self, worker: Worker, kind: type[E]) -> E:
        """The next event of this kind from this worker.

        Raises:
            InputError: a worker cannot use what it was given.
            OSError: the system refuses what it needs.
            WorkerBrokeError: a worker broke, or ended.
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
            if source is worker and isinstance(event, kind):
                worker.ready = True
                return event
            if isinstance(event, Ended):
                how = describe_exit(event.code)
                raise WorkerBrokeError(f"the worker process ended with {how}; see {source.log}")

    def tell_set_aside(self, event: SetAside) -> None:
        """That a saved state was of no use."""
        self.watcher.said(warning_in(tell_set_aside(event.file, event.reason)))

    def replace(self, worker: Worker, code: int, needed: bool) -> None:
        """Start a successor of a worker that has ended, if one is needed.

        Where one could not even start, nor would the next: its place stays empty.

        Raises:
            WorkerBrokeError: it is needed, and no place is left.
        """
        self.workers.remove(worker)
        worker.close()
        if needed and worker.ready:
            self.start(worker.index)
        elif needed and not self.workers:
            how = describe_exit(code)
            raise WorkerBrokeError(f"the worker process ended with {how}; see {worker.log}")
