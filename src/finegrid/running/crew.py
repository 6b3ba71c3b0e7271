"""The workers of one command: they are started, listened to, replaced and sent home together."""

from __future__ import annotations

import queue
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from finegrid.errors import InputError, WorkerBrokeError
from finegrid.machine import gpus
from finegrid.running.messages import Broken, Ended, Event, Problems, Ready, Refused, SetAside, StepDone
from finegrid.running.process import Worker, describe_exit, raise_error
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import tell_left_out, warning_in
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.unfit import tell_set_aside

E = TypeVar("E", bound=Event)
MOST_FAILURES = 2  # families in a row: with one of them it may be the family's fault
OF_FAMILY = re.compile("out of memory")  # one that is too large says nothing of the next one
OF_GPU = re.compile("CUDA|cuBLAS|cuDNN|out of memory|worker process ended", re.IGNORECASE)


@dataclass
class Crew:
    """A study, how to execute it, and the workers that do. Use `employed` as a context."""

    study: Study
    settings: RunSettings
    watcher: Watcher
    mix: bool = False  # whether GPUs of several kinds may train
    workers: list[Worker] = field(default_factory=list)
    events: queue.Queue[tuple[Worker, Event]] = field(default_factory=queue.Queue)
    gpu: str = ""  # of the first worker, as its maker calls it
    failures: Counter[int] = field(default_factory=Counter)  # by place, families in a row with which one died

    @property
    def gpus(self) -> list[str]:
        """Of which each serves one worker; none where processors train, which any number may share."""
        return gpus() if self.settings.device == "cuda" else []

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

    def start_first(self) -> tuple[Worker, Ready]:
        """The first worker, ready; on the next GPU where one cannot be used.

        Raises:
            InputError: a worker cannot use what it was given.
            OSError: the system refuses what it needs.
            WorkerBrokeError: a worker broke, or ended.
        """
        places = max(1, len(self.gpus))
        for index in range(places):
            worker = self.start(index)
            try:
                ready = self.wait_for(worker, Ready)
            except (InputError, WorkerBrokeError) as error:
                if index == places - 1 or not blames_gpu(error):
                    raise
                self.workers.remove(worker)
                worker.close()
                self.tell_left_out(worker, find_cause(error))
            else:
                self.gpu = ready.gpu
                return worker, ready
        raise AssertionError("there is no place")

    def wait_for(self, worker: Worker, kind: type[E]) -> E:
        """The next event of this kind from this worker.

        Raises:
            InputError: a worker cannot use what it was given.
            OSError: the system refuses what it needs.
            WorkerBrokeError: a worker broke, or ended.
        """
        while True:
            source, event = self.events.get()
            if source not in self.workers:
                continue  # it was left out
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

        Where one could not even start, nor would the next: its place stays empty. So does that of a GPU with
        which worker after worker dies, while others train: it would fail one family after the other.

        Raises:
            WorkerBrokeError: it is needed, and no place is left.
        """
        self.workers.remove(worker)
        worker.close()
        how = f"the worker process ended with {describe_exit(code)}"
        self.failures[worker.index] += not OF_FAMILY.search(worker.reason)
        ill = bool(self.gpus) and self.failures[worker.index] >= MOST_FAILURES
        if needed and worker.ready and not (ill and self.workers):
            self.start(worker.index)
        elif needed and self.workers:
            self.tell_left_out(worker, worker.reason or how)
        elif needed:
            raise WorkerBrokeError(f"{how}; see {worker.log}")

    def can_spare(self, worker: Worker, event: Problems | Broken) -> bool:
        """Whether others train on, where a worker could not begin because of its GPU. Notes why."""
        try:
            raise_error(event)
        except (InputError, WorkerBrokeError) as error:
            worker.reason = find_cause(error)
            return bool(self.gpus) and blames_gpu(error) and not worker.ready and len(self.workers) > 1

    def leave_out_unlike(self, worker: Worker, gpu: str) -> bool:
        """Send home a worker on another kind of GPU than the first one's: last digits would differ."""
        if gpu == self.gpu or self.mix:
            return False
        self.workers.remove(worker)
        worker.close()
        self.tell_left_out(worker, "unlike", gpu=gpu, first=self.gpu)
        return True

    def tell_left_out(self, worker: Worker, why: str, **fields: str) -> None:
        """That a place stays empty, and why: in English, or as a key of words and what they hold."""
        place, name = "worker place", str(worker.index)
        if self.gpus:
            place, name = "gpu place", self.gpus[worker.index]
        self.watcher.said(tell_left_out(place, name, str(worker.log), why, **fields))


def blames_gpu(error: InputError | WorkerBrokeError) -> bool:
    """Whether a worker could not start because of its GPU: another one may do."""
    if isinstance(error, InputError):
        return error.source in ("device", "precision")
    return OF_GPU.search(find_cause(error)) is not None


def find_cause(error: InputError | WorkerBrokeError) -> str:
    """One line of what a worker said: of a traceback the first one of its error, and not where that was."""
    if isinstance(error, InputError):
        return error.problems[0].what.partition(". ")[0]  # what to do is for who has no other GPU
    lines = str(error).strip().splitlines()
    after = max((at for at, line in enumerate(lines) if line.startswith((" ", "Traceback"))), default=-1) + 1
    return lines[min(after, len(lines) - 1)] if lines else type(error).__name__
