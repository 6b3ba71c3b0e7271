"""The command line, in this process or in one of its own, and what it has left in a study's folder."""

from __future__ import annotations

import io
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jsonschema
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from finegrid.cli import app as cli
from finegrid.running import admitting, describing, place, worker
from finegrid.running.messages import Channel, Ended, Event, Job, Sent, parse_event, parse_job
from finegrid.running.process import Worker
from finegrid.study.record import record_schema
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

LINE = jsonschema.Draft202012Validator(record_schema())
FINEGRID = (sys.executable, "-m", "finegrid")
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "PYTHONUTF8": "1"}
# What may differ between two runs of one study: clocks, memory, and where it was.
CLOCKS = ("seconds", "memory", "started", "ended", "node", "processor")
EPOCH_CLOCKS = ("train_seconds", "dev_seconds")


def finegrid(
    *arguments: str | Path, cwd: Path | None = None, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own. ``settings``: of its environment, beside the usual ones."""
    return subprocess.run(
        [*FINEGRID, *map(str, arguments)],
        cwd=cwd,
        env={**ENVIRONMENT, **(settings or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


class Events(Channel):
    """The channel of a worker that is a thread."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        self._put = put

    def send(self, event: Sent) -> None:
        self._put(parse_event(json.dumps(event.to_json())))


class InlineWorker(Worker):
    """A worker as a thread of this process: the same work, without loading torch once more."""

    def __init__(
        self,
        study: Study,
        settings: RunSettings,
        index: int,
        events: queue.Queue[tuple[Worker, Event]],
    ) -> None:
        self.index, self.family = index, None
        self.sent: set[str] = set()
        self.ready, self.reason, self.gpu = False, "", ""
        self.log = study.files.log_of(index)
        self._jobs: queue.Queue[Job] = queue.Queue()

        def put(event: Event) -> None:
            events.put((self, event))

        def serve() -> None:
            worker.serve(Events(put), self._jobs, study.folder, settings, [*study.own.digests.values()])
            put(Ended(0))

        threading.Thread(target=serve, daemon=True).start()

    def send(self, job: Job) -> None:
        self._jobs.put(parse_job(json.dumps(job.to_json())))

    def hang_up(self) -> None:
        """The thread waits for jobs until the process ends."""

    def close(self) -> None:
        self.hang_up()


class Called:
    """What the command line did, called in this process."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


Call = Callable[..., Called]


@contextmanager
def torch_put_back() -> Iterator[None]:
    """Workers set torch up for their whole process, which here is that of the tests."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


class Capture(Protocol):
    """What pytest's ``capsys`` is here: gives what was written since it was last asked."""

    def readouterr(self) -> Any: ...


def inline_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers as threads of this process, which also describes strategies of a user's own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(place, "LocalWorker", InlineWorker)
    monkeypatch.setattr(admitting, "ask", describing.tell)
    # It unfreezes in the end what the whole process has frozen: see `few_objects_to_search` in conftest.py.
    monkeypatch.setattr(worker, "long_lived_left_alone", nullcontext)


def caller(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Call:
    """The command line, and its workers, in this process: quick, for what is not about processes."""
    inline_workers(monkeypatch)

    def call(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", ["finegrid", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return Called(int(str(ended.value.code or 0)), out.out, out.err)

    return call


class Written(NamedTuple):
    out: str
    err: str


class Streams:
    """Stands in for ``capsys`` where a fixture is shared by many tests, which cannot have that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._bytes: list[io.BytesIO] = []

    def readouterr(self) -> Written:
        written = [stream.getvalue().decode() for stream in self._bytes] or ["", ""]
        self._bytes = [io.BytesIO(), io.BytesIO()]
        for name, stream in zip(("stdout", "stderr"), self._bytes, strict=True):
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            self._monkeypatch.setattr(sys, name, text)
        return Written(*written)


@contextmanager
def command_line() -> Iterator[Call]:
    """The command line, and its workers, in this process, for fixtures that many tests share."""
    with pytest.MonkeyPatch.context() as monkeypatch, torch_put_back():
        yield caller(monkeypatch, Streams(monkeypatch))


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command line as a running process, in a process group of its own; killed in the end."""
    process = subprocess.Popen(
        [*FINEGRID, *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def workers_of(folder: Path) -> list[psutil.Process]:
    """Worker processes of a study that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if "finegrid.running.worker" in command and str(folder) in command:
                found.append(process)
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of a ledger that nobody writes to now, all of them as the published schema says."""
    lines = (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    content = [json.loads(line) for line in lines]
    for record in content:
        LINE.validate(record)
    return content


def finished(folder: Path) -> dict[str, Any]:
    """A study as it is compared: by run id, latest record and predictions, without clocks and memory."""
    latest = {}
    for record in readable(folder):
        plain = {key: value for key, value in record.items() if key not in CLOCKS}
        plain["epochs"] = [
            {key: value for key, value in epoch.items() if key not in EPOCH_CLOCKS}
            for epoch in record["epochs"]
        ]
        latest[record["run_id"]] = (plain, predictions(folder, record))
    return latest


def readable(folder: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a ledger that may be in the middle of a write, or was cut."""
    for line in (folder / "runs.jsonl").read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def predictions(folder: Path, record: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...], bytes]] | None:
    """Every array of a run as dtype, shape and bits, by the names of its rows."""
    path = folder / "predictions" / f"{record.get('predictions')}.npz"
    if not path.exists():
        return None
    found: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for row, arrays in rows_of(path).items():
        if row.split(" ")[0] == record["run_id"]:
            found |= {
                f"{row} {name}": (str(array.dtype), array.shape, array.tobytes())
                for name, array in arrays.items()
            }
    return found


def rows_of(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Of a family's file: by the name of a row, its arrays, and those that all rows share."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    names = [bytes(name).rstrip(b"\0").decode() for name in arrays.pop("names")]
    shared = {name for name in arrays if name.endswith(("_ids", "_gold"))}
    return {
        row: {name: array if name in shared else array[place] for name, array in arrays.items()}
        for place, row in enumerate(names)
    }
