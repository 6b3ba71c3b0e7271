"""The workers of one command: they are started, listened to, replaced and sent home together."""

from __future__ import annotations

import math
import queue
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from finegrid.errors import ClusterLostError, InputError, WorkerBrokeError
from finegrid.refusals import MemoryNeeds
from finegrid.running.messages import (
    Broken,
    ClusterLost,
    Ended,
    Event,
    Hint,
    Lost,
    Problems,
    Ready,
    Refused,
    SetAside,
    StepDone,
    TurnedAway,
)
from finegrid.running.place import Place, ThisMachine
from finegrid.running.process import Worker, describe_exit, raise_error
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import tell_left_out, warning_in, warning_why
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.unfit import tell_set_aside

E = TypeVar("E", bound=Event)
T = TypeVar("T")
MOST_TIMES = 3  # that a family is given to workers who are lost with it: it may be what kills them
MOST_FAILURES = 2  # families in a row: with one of them it may be the family's fault
OF_FAMILY = re.compile("out of memory")  # one that is too large says nothing of the next one
OF_GPU = re.compile("CUDA|cuBLAS|cuDNN|out of memory|worker process (ended|did nothing)", re.IGNORECASE)
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
    mix: bool = False  # whether GPUs of several kinds may train
    workers: list[Worker] = field(default_factory=list)
    events: queue.Queue[tuple[Worker, Event]] = field(default_factory=queue.Queue)
    losses: int = 0  # of workers that were not ready, since one was
    gpu: str = ""  # of the first worker, as its maker calls it
    failures: Counter[int] = field(default_factory=Counter)  # by index, families in a row with which one died
    left_out: set[int] = field(default_factory=set)  # indices of workers that are done without
    meanwhile: Callable[[], object] = lambda: None  # done while the first worker loads data and model

    @property
    def gpus(self) -> list[str]:
        """Those of this machine that workers have one each of; none where any number may work."""
        return self.place.gpus(self.settings)

    @property
    def room(self) -> float:
        """How many more workers there may be."""
        here = {worker.index for worker in self.workers} | self.left_out
        return len({*range(len(self.gpus))} - here) if self.gpus else math.inf

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
        taken = {worker.index for worker in self.workers} | self.left_out
        place = next(number for number in count() if number not in taken) if index is None else index
        worker = self.place.employ(self.study, self.settings, place, self.events, kinds)
        self.workers.append(worker)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Send a worker home."""
        self.workers.remove(worker)
        worker.close()

    def start_first(self) -> tuple[Worker, Ready]:
        """The first worker, ready; on the next GPU where one cannot be used.

        Raises:
            InputError: a worker cannot use what it was given.
            OSError: the system refuses what it needs.
            WorkerBrokeError: a worker broke, or ended.
            WorkerLostError: it is gone, and another one could do the same.
        """
        places = max(1, len(self.gpus))
        for index in range(places):
            worker = self.start(index)
            self.meanwhile()
            try:
                ready = self.wait_for(worker, Ready)
            except (InputError, WorkerBrokeError) as error:
                if index == places - 1 or not blames_gpu(error):
                    raise
                self.dismiss(worker)
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
            WorkerLostError: it is gone, and another one could do the same.
            ClusterLostError: nobody can be reached any more.
        """
        while True:
            source, event = self.events.get()
            if source not in self.workers and not isinstance(event, ClusterLost | Hint):
                continue  # it was left out, or is lost
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
                case Lost() | TurnedAway():
                    self.take_leave(source, event)
                    if source is worker:
                        raise WorkerLostError(event.why)
            if source is worker and isinstance(event, kind):
                self.is_ready(worker, event)
                return event
            if isinstance(event, Ended):
                raise WorkerBrokeError(f"{tell_end(source, event.code)}; see {source.log}")

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

    def is_ready(self, worker: Worker, event: Event) -> None:
        """A worker has said something that it says only once it has loaded data and model."""
        worker.ready = True
        self.losses = 0
        if isinstance(event, Ready):
            worker.gpu = event.gpu

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

        Where one could not even start, nor would the next: its place stays empty. So does that of a GPU with
        which worker after worker dies, while others train: it would fail one family after the other.

        Raises:
            WorkerBrokeError: it is needed, and no place is left.
        """
        self.dismiss(worker)
        self.failures[worker.index] += not OF_FAMILY.search(worker.reason)
        ill = bool(self.gpus) and self.failures[worker.index] >= MOST_FAILURES
        if needed and worker.ready and not (ill and self.workers):
            self.start(worker.index)
        elif needed and self.workers:
            self.tell_left_out(worker, tell_end(worker, code))
        elif needed:
            raise WorkerBrokeError(f"{tell_end(worker, code)}; see {worker.log}")

    def can_spare(self, worker: Worker, event: Problems | Broken) -> bool:
        """Whether others train on, where a worker could not begin because of its GPU. Notes why."""
        try:
            raise_error(event)
        except (InputError, WorkerBrokeError) as error:
            worker.reason = find_cause(error)
            return bool(self.gpus) and blames_gpu(error) and not worker.ready and len(self.workers) > 1

    def leave_out_unlike(self, worker: Worker, gpu: str) -> bool:
        """Send home a worker on another kind of GPU than the first one's: last digits would differ."""
        if not self.gpus or gpu == self.gpu or self.mix:
            return False
        self.dismiss(worker)
        self.tell_left_out(worker, "unlike", gpu=gpu, first=self.gpu)
        return True

    def tell_left_out(self, worker: Worker, why: str, **fields: str) -> None:
        """That a place stays empty, and why: in English, or as a key of words and what they hold."""
        self.left_out.add(worker.index)
        place, name = "worker place", str(worker.index)
        if self.gpus:
            place, name = "gpu place", self.gpus[worker.index]
        self.watcher.said(tell_left_out(place, name, str(worker.log), why, **fields))


def tell_end(worker: Worker, code: int, needs: MemoryNeeds | None = None) -> str:
    """Why a worker is no more: in its own words, or how it ended.

    Args:
        worker: that has ended.
        code: of its process.
        needs: what it had in memory, if that is known.
    """
    return worker.reason or f"the worker process ended with {describe_exit(code, needs)}"


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
