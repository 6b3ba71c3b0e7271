"""Workers, seen from their parent."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from finegrid.atomic import open_to_append
from finegrid.errors import InputError, WorkerBrokeError
from finegrid.machine import VISIBLE, gpus
from finegrid.planning.families import Family
from finegrid.refusals import LESS_MEMORY, MemoryNeeds
from finegrid.running import life
from finegrid.running.messages import (
    Broken,
    Ended,
    Event,
    Fatal,
    Job,
    Problems,
    Ready,
    Refused,
    RunToTrain,
    TrainJob,
    parse_event,
)
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

# -P: a file random.py where the user stands is none of our modules.
WORKER = (sys.executable, "-P", "-m", "finegrid.running.worker")


# glibc gives large blocks back to the system when they are freed, and every step then pays for fresh pages:
# 2,500 page faults, 3 of 60 ms, at mini shape; more at base. Let it keep what it has had.
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the most that glibc takes
    "MALLOC_TOP_PAD_": str(2**26),
}


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


HANGS = "a disk or a driver that hangs, or too little address space (`ulimit -v`)"


class Worker(ABC):
    """Who trains families, here or elsewhere: is sent jobs, and puts events into a queue."""

    def __init__(self, index: int, log: Path) -> None:
        self.index = index
        self.log = log
        self.family: Family | None = None
        self.sent: set[str] = set()  # run ids whose record has arrived
        self.ready = False  # has loaded data and model: what breaks from here on is the family's affair
        self.reason = ""  # why it broke, in its own words, or why it was ended
        self.gpu = ""  # what its maker calls the one that it computes on
        self.recompute = False  # whether layers of its family are computed twice, and not kept

    @abstractmethod
    def send(self, job: Job) -> None:
        """Give it a job. If it has ended, its last event is about to say so."""

    @abstractmethod
    def hang_up(self) -> None:
        """Let it end by itself, without waiting for it."""

    @abstractmethod
    def close(self) -> None:
        """Wait until it has ended, and end it by force if that takes long."""

    def train(self, family: Family, whole: bool) -> None:
        """Train what is left of a family, or all of it anew: a stack rounds by how many it has."""
        self.family, self.sent = family, set()
        runs = family.runs if whole else family.left
        self.send(TrainJob(family.family_id, tuple(map(RunToTrain.of, runs)), self.recompute))


class LocalWorker(Worker):
    """A worker process, and the thread that reads its events."""

    def __init__(
        self,
        study: Study,
        settings: RunSettings,
        index: int,
        events: queue.Queue[tuple[Worker, Event]],
        gpu: int | None = None,
    ) -> None:
        """``gpu`` is the number of the GPU among those that this process may use; None: the index."""
        super().__init__(index, log := study.files.log_of(index))
        log.parent.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            **ALLOCATOR,
            **dict.fromkeys(THREADS, str(settings.threads)),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONIOENCODING": "utf-8",
        }
        if settings.device == "cuda":
            environment[VISIBLE] = gpus()[index if gpu is None else gpu]
        with open_to_append(log) as stderr:
            self.process = subprocess.Popen(
                [*WORKER, str(study.folder), settings.model_dump_json(), *study.own.digests.values()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        self._events = events
        self._begun = threading.Event()  # it has loaded data and model, or has ended
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                try:
                    event = parse_event(line)
                except json.JSONDecodeError:
                    continue  # the last line of a worker that was killed while it wrote
                if isinstance(event, Ready):
                    self._begun.set()
                self._events.put((self, event))
        self._begun.set()
        self._events.put((self, Ended(self.process.wait())))

    def _watch(self) -> None:
        """End a process that hangs before it has loaded data and model."""
        process = life.Life(self.process.pid)
        while not self._begun.wait(life.LOOK_SECONDS):
            if why := process.look():
                self.reason = f"{why}: {HANGS}"
                self.process.kill()
                return

    def send(self, job: Job) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job.to_json()) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and `Ended` is about to say so

    def hang_up(self) -> None:
        """Close its stdin: the worker then ends itself."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def close(self) -> None:
        self.hang_up()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def raise_error(event: Fatal) -> NoReturn:
    """Raise here what has ended a worker.

    Raises:
        InputError: it could not use what the user gave it.
        OSError: the system refused what it needs.
        WorkerBrokeError: it broke.
    """
    match event:
        case Problems(source, problems):
            raise InputError(source, problems)
        case Refused(number, said, path):
            raise OSError(number, said, path)
        case Broken(traceback):
            raise WorkerBrokeError(traceback)


def describe_exit(code: int, needs: MemoryNeeds | None = None) -> str:
    """How a process ended. ``needs``: what it had in memory, if that is known."""
    if code == -9:
        less = LESS_MEMORY if needs is None else needs.less()
        return f"signal 9 (killed; often: out of memory: {less})"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
