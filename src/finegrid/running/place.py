"""Where a crew works: this machine, or a cluster."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import replace

from finegrid.machine import gpus
from finegrid.planning.capacity import HERE, Hardware, Offer, capacity, check_workers
from finegrid.planning.families import Family
from finegrid.running.messages import Event
from finegrid.running.process import LocalWorker, Worker
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

Events = queue.Queue[tuple[Worker, Event]]


class Place(ABC):
    """Where a crew works.

    Attributes:
        grows: whether more workers may find room while a study is at work.
    """

    grows: bool = False

    @abstractmethod
    def check(self, study: Study, settings: RunSettings, workers: int | None) -> None:
        """Refuse before anything is begun what cannot be done here.

        Raises:
            InputError: there is something of the kind.
        """

    @abstractmethod
    def hardware(self) -> Hardware:
        """What families are planned for."""

    def offer(self, study: Study, settings: RunSettings) -> Offer:
        """What there is to train a study, for who forecasts.

        Raises:
            InputError: nothing can be asked, or what was said will not do.
        """
        return HERE

    def gpus(self, settings: RunSettings) -> list[str]:
        """The GPUs that workers have one each of, by index; none where the place itself hands them out."""
        return []

    @abstractmethod
    def employ(
        self,
        study: Study,
        settings: RunSettings,
        index: int,
        events: Events,
        kinds: Collection[str] | None = None,
    ) -> Worker:
        """Start a worker.

        Args:
            study: whose runs it trains.
            settings: how.
            index: of the worker, which no other one has.
            events: where it puts what it has to say.
            kinds: of devices that there is work for; None: any.
        """

    def settle(self, settings: RunSettings, audit: Audit, families: Sequence[Family]) -> bool:
        """Take note of what the families need. Whether the workers who are there were hired for less."""
        return False

    @abstractmethod
    def count(
        self, settings: RunSettings, audit: Audit, waiting: int, asked: int | None, ready: int, starting: int
    ) -> int:
        """How many further workers to start.

        Args:
            settings: how families are trained.
            audit: what they cost.
            waiting: families that nobody trains yet.
            asked: as many workers as the user asks for; None: what there is room for.
            ready: workers who are there.
            starting: workers who are on their way.
        """

    def kind_of(self, worker: Worker) -> str:
        """On which kind of device a worker trains; empty where there is but one kind."""
        return ""

    def kind_of_record(self, record: Record) -> str:
        """On which kind of device a run was trained; empty if that is not known, or makes no difference."""
        return ""

    def sign(self, record: Record, worker: Worker) -> Record:
        """A record with where it was made."""
        return record

    def forget(self, study: Study, worker: Worker, state: str) -> None:
        """Remove what a family would have gone on from, by the state's name: it has ended."""
        study.files.state_of(state).unlink(missing_ok=True)


class ThisMachine(Place):
    """This machine: a process each."""

    def check(self, study: Study, settings: RunSettings, workers: int | None) -> None:
        check_workers(settings, workers)

    def hardware(self) -> Hardware:
        return Hardware.here()

    def gpus(self, settings: RunSettings) -> list[str]:
        return gpus() if settings.device == "cuda" else []

    def employ(
        self,
        study: Study,
        settings: RunSettings,
        index: int,
        events: Events,
        kinds: Collection[str] | None = None,
    ) -> Worker:
        return LocalWorker(study, settings, index, events)

    def sign(self, record: Record, worker: Worker) -> Record:
        return replace(record, processor=worker.gpu) if worker.gpu else record

    def count(
        self, settings: RunSettings, audit: Audit, waiting: int, asked: int | None, ready: int, starting: int
    ) -> int:
        return min(waiting, asked or capacity(settings, audit).workers) - ready - starting
