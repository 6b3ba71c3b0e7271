"""A worker on a node: an actor of Ray that starts the ordinary worker process, and passes on its events.

It holds nothing that matters: whatever becomes of it, its family can be trained again.
"""

from __future__ import annotations

import hashlib
import platform
import queue
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from finegrid.errors import InputError, Problem, first_line
from finegrid.inference.fit import check_onnx_extra
from finegrid.refusals import describe_failure, find_refusal
from finegrid.running.cluster.facts import NodeFacts
from finegrid.running.cluster.scratch import Scratch
from finegrid.running.cluster.shipment import (
    PART,
    Bytes,
    NotSentError,
    Shipment,
    ShippedFile,
    receive,
    take,
    unpack,
)
from finegrid.running.cluster.storage import Storage
from finegrid.running.messages import (
    Broken,
    Ended,
    EpochDone,
    Event,
    FitDone,
    FitJob,
    Problems,
    RecordReady,
    Refused,
    Sent,
    StepDone,
    Trained,
    TrainJob,
    parse_job,
)
from finegrid.running.process import LocalWorker, Worker
from finegrid.study.folder import MADE_ONCE, StudyFolder
from finegrid.study.leftovers import size_of
from finegrid.study.load import load_study
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings

MOST_SHARED = 4 * 2**30  # bytes of a file that other nodes are offered; a larger one they make themselves
MOST_LOG = 2**16  # bytes of the log that are sent at once


@dataclass
class Message:
    """What a node tells the driver."""

    event: dict[str, Any] | None = None  # of the worker, as it has sent it
    files: dict[str, bytes] = field(default_factory=dict)  # predictions that belong to a record
    made: dict[str, tuple[str, int]] = field(default_factory=dict)  # cached files, their digest and size
    kept: dict[str, tuple[str, int]] = field(default_factory=dict)  # files of a model, digest and size
    ended: int | None = None  # the worker's exit code
    reason: str = ""  # why it was ended
    home: str = ""  # the study's folder there, once it is laid out
    unsaved: str = ""  # why a state could not be kept in the storage
    log: str = ""


class Node:
    """The actor. Ray calls its methods in several threads.

    Args:
        session: names the folder of this command.
    """

    def __init__(self, session: str) -> None:
        import ray

        self._node = str(ray.get_runtime_context().get_node_id())
        self._session = session
        self._out: queue.Queue[Message] = queue.Queue()
        self._events: queue.Queue[tuple[Worker, Event]] = queue.Queue()
        self._scratch: Scratch | None = None
        self._worker: LocalWorker | None = None
        self._files: StudyFolder | None = None
        self._storage: Storage | None = None
        self._family = ""
        self._sent_family = ""  # whose predictions have been sent
        self._saved = 0  # when the state was last changed that was kept
        self._known: set[str] = set()  # cached files that others have, too
        self._logged = 0  # bytes

    def look(self) -> dict[str, Any]:
        """What the node is."""
        return NodeFacts.here(self._node).to_json()

    def begin(self, shipment: Shipment, settings: str, index: int, storage: str) -> None:
        """Lay out the study and start the worker, without keeping the driver waiting."""
        arguments = shipment, RunSettings.model_validate_json(settings, strict=True), index, storage
        threading.Thread(target=self._work, args=arguments, daemon=True).start()

    def listen(self, seconds: float) -> list[Message]:
        """What there is to tell; nothing after so many seconds, which says that the node is alive."""
        found = []
        try:
            found.append(self._out.get(timeout=seconds))
            while True:
                found.append(self._out.get_nowait())
        except queue.Empty:
            pass
        if log := self._read_log():
            found.append(Message(log=log))
        return found

    def send(self, job: str, shared: Mapping[str, ShippedFile]) -> None:
        """Give the worker a job, and first what other nodes have made for such a job."""
        assert self._worker is not None and self._files is not None
        for name, file in shared.items():
            self._fetch(self._files.cache / name, file)
        match parsed := parse_job(job):
            case TrainJob(family):
                self._go_on_from(family)
            case FitJob(family, onnx=onnx):
                self._go_on_from(family)
                if onnx and not self._writes_onnx():
                    return
                parsed = replace(parsed, out=self._files.best_model)
        self._worker.send(parsed)

    def _go_on_from(self, family: str) -> None:
        """Take the state of a family that is given to the worker, if the storage has one."""
        assert self._files is not None
        self._family, self._sent_family = family, ""
        state = self._files.state_of(family)
        if self._storage is not None and not state.exists():
            self._storage.fetch(state)
        self._saved = modified(state)

    def read_cache(self, name: str, part: int) -> Bytes:
        """A part of a file that this node has made."""
        assert self._files is not None
        return read_part(self._files.cache / name, part)

    def _writes_onnx(self) -> bool:
        """Whether the libraries for that are installed here; says so where they are not."""
        try:
            check_onnx_extra()
        except InputError as error:
            problems = (Problem(platform.node(), problem.what) for problem in error.problems)
            self._tell(Problems("cluster", tuple(problems)))
            return False
        return True

    def read_kept(self, name: str, part: int) -> Bytes:
        """A part of a file of the model that was kept here."""
        assert self._files is not None
        return read_part(self._files.best_model / name, part)

    def forget(self, family: str) -> None:
        """A family has ended, and its records are written down: its state goes."""
        assert self._files is not None
        state = self._files.state_of(family)
        state.unlink(missing_ok=True)
        if self._storage is not None:
            self._storage.remove(state.name)

    def close(self) -> None:
        """End the worker, and remove what the node was sent."""
        if self._worker is not None:
            self._worker.close()
        if self._scratch is not None:
            self._scratch.let_go()

    def _work(self, shipment: Shipment, settings: RunSettings, index: int, storage: str) -> None:
        try:
            self._start(shipment, settings, index, storage)
        except InputError as error:
            self._tell(Problems(error.source, error.problems))
            return
        except NotSentError as error:
            self._out.put(Message(ended=-signal.SIGKILL, reason=str(error)))
            return
        except Exception as error:
            if (refused := find_refusal(error)) is not None:
                self._tell(Refused.of(refused))
            else:
                self._tell(Broken(traceback.format_exc(), describe_failure(error)))
            return
        while True:
            _, event = self._events.get()
            if isinstance(event, Ended):
                self._out.put(Message(ended=event.code, reason=self._worker.reason if self._worker else ""))
                return
            self._pass_on(event)

    def _start(self, shipment: Shipment, settings: RunSettings, index: int, storage: str) -> None:
        self._scratch = Scratch.of(f"{self._session}-{self._node[:16]}")
        home = unpack(shipment, self._scratch.path, take)
        self._storage = Storage(storage) if storage else None
        study = load_study(home)
        self._files = study.files
        self._known = {path.name for path in self._list_made()}
        self._logged = size_of(study.files.log_of(index))
        self._out.put(Message(home=str(home)))
        self._worker = LocalWorker(study, settings, index, self._events, gpu=0)  # Ray has chosen it

    def _pass_on(self, event: Event) -> None:
        message = Message(event=event.to_json())  # type: ignore[union-attr]  # what workers say
        match event:
            case RecordReady(record):
                message.files = self._read_predictions(record)
            case StepDone() | EpochDone():
                self._keep_state()
            case FitDone(record) if record.done:
                assert self._files is not None
                kept = sorted(self._files.best_model.iterdir())
                message.kept = {path.name: (digest_of(path), size_of(path)) for path in kept}
            case Trained():
                message.made = self._find_made()
        self._out.put(message)

    def _tell(self, event: Sent) -> None:
        self._out.put(Message(event=event.to_json()))

    def _read_predictions(self, record: Record) -> dict[str, bytes]:
        """The file of a record's family by its name, with the first record that it belongs to."""
        assert self._files is not None
        if record.predictions is None or record.predictions == self._sent_family:
            return {}
        self._sent_family = record.predictions
        path = self._files.predictions_of_family(record.predictions)
        return {path.name: path.read_bytes()}

    def _keep_state(self) -> None:
        """Keep the state of the family at work in the storage, if it is new."""
        if self._storage is None or self._files is None:
            return
        state = self._files.state_of(self._family)
        if (saved := modified(state)) in (0, self._saved):
            return
        self._saved = saved
        try:
            self._storage.save(state)
        except Exception as error:  # each file system has errors of its own, and no run is to blame
            self._out.put(Message(unsaved=first_line(error)))

    def _list_made(self) -> Iterator[Path]:
        assert self._files is not None
        return (path for pattern in MADE_ONCE for path in sorted(self._files.cache.glob(pattern)))

    def _find_made(self) -> dict[str, tuple[str, int]]:
        """What the cache has come to hold and others may need: by name its digest and size."""
        found = {}
        for path in self._list_made():
            size = size_of(path)
            if path.name not in self._known and 0 < size <= MOST_SHARED:
                found[path.name] = digest_of(path), size
            self._known.add(path.name)
        return found

    def _fetch(self, path: Path, file: ShippedFile) -> None:
        """Take a cached file from another node; where that fails, the worker makes it itself."""
        import ray

        self._known.add(path.name)
        if not path.exists():
            try:
                receive(path, file, lambda part: ray.get(part, timeout=60))
            except Exception as error:  # that node is gone, or this disk is full, which the worker will meet
                print(f"{path.name} could not be fetched: {first_line(error)}")

    def _read_log(self) -> str:
        if self._worker is None or not self._worker.log.exists():
            return ""
        with self._worker.log.open("rb") as file:
            file.seek(self._logged)
            found = file.read(MOST_LOG)
        self._logged += len(found)
        return found.decode("utf-8", "replace")


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_part(path: Path, part: int) -> Bytes:
    """One of the parts that a file is sent in."""
    with path.open("rb") as file:
        file.seek(part * PART)
        return np.frombuffer(file.read(PART), np.uint8)


def modified(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
