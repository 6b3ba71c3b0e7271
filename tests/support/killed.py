"""Commands that are killed at some moment in some way, and what must hold of a folder after it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from support.attack import MARK, list_files, list_marked
from support.command_line import CLOCKS, ENVIRONMENT, EPOCH_CLOCKS, FINEGRID
from support.waiting import let_pass, wait_until

Target = Literal["parent", "worker", "group"]
# Signals with the seconds after each. A stopped process can do nothing before it is killed.
WAYS: dict[str, tuple[tuple[signal.Signals, float], ...]] = {
    "SIGKILL": ((signal.SIGKILL, 0.0),),
    "SIGTERM": ((signal.SIGTERM, 0.0),),
    "SIGINT": ((signal.SIGINT, 0.0),),
    "SIGINT twice": ((signal.SIGINT, 0.05), (signal.SIGINT, 0.0)),
    "SIGHUP": ((signal.SIGHUP, 0.0),),
    "SIGABRT": ((signal.SIGABRT, 0.0),),
    "SIGSTOP and SIGKILL": ((signal.SIGSTOP, 0.3), (signal.SIGKILL, 0.0)),
}
TARGETS: tuple[Target, ...] = ("parent", "worker", "group")
ENDS_WITHIN = 600.0  # seconds; a machine may be busy
LEFT_WITHIN = 20.0  # seconds, in which what a killed parent has started must end
SAME_BYTES = {".safetensors", ".toml", ".tsv", ".csv", ".txt"}


@dataclass(frozen=True)
class Kill:
    """One kill: when, how, and whom. ``moment`` is a share of the seconds that the whole command takes."""

    moment: float
    way: str
    target: Target

    @property
    def is_ctrl_c(self) -> bool:
        return self.way.startswith("SIGINT") and self.target != "worker"

    def __str__(self) -> str:
        return f"{self.way} to {self.target} at {self.moment:.0%}"


def draw_kills(count: int, chance: random.Random, targets: tuple[Target, ...]) -> list[Kill]:
    """Moments spread evenly over a command; ways and targets take turns. In a random order."""
    moments = [(number + chance.random()) / count for number in range(count)]
    turns = [(way, target) for way in WAYS for target in targets]
    chance.shuffle(moments)
    chance.shuffle(turns)
    return [Kill(moment, *turns[number % len(turns)]) for number, moment in enumerate(moments)]


@dataclass
class Command:
    """A command line that runs in a folder of its own, where home and temporary files lie, too."""

    arguments: tuple[str, ...]
    folder: Path

    def __post_init__(self) -> None:
        self.mark = uuid4().hex
        self.home, self.temporary = (self.folder.parent / name for name in ("home", "tmp"))
        for folder in (self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder.parent / "log"

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """The process, in a group of its own; in the end it is killed, and all that it has started."""
        own = {"HOME": str(self.home), "TMPDIR": str(self.temporary), MARK: self.mark}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*FINEGRID, *self.arguments],
                cwd=self.folder,
                env={**ENVIRONMENT, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            for pid in list_marked(self.mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code of a process that must end by itself."""
        try:
            return process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.left}\n{self.told}") from None

    @property
    def left(self) -> list[str]:
        """Command lines of what it has started and is alive."""
        return list(list_marked(self.mark).values())

    @property
    def told(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def run(self) -> int:
        """Its exit code, where nobody kills it."""
        with self.started() as process:
            return self.wait(process)

    def kill(self, kill: Kill, seconds: float) -> tuple[int, bool]:
        """The exit code, and whether the command had ended before the kill came."""
        with self.started() as process:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(seconds), True
            victim = self.find(kill.target, process.pid)
            for number, pause in WAYS[kill.way]:
                with suppress(ProcessLookupError):
                    os.kill(victim, number)
                let_pass(pause)
            code = self.wait(process)
            wait_until(lambda: not self.left, LEFT_WITHIN, "the end of what it had started")
            return code, False

    def find(self, target: Target, parent: int) -> int:
        """For `os.kill`: a group is a negative number. Where no worker is alive, the group instead."""
        if target == "parent":
            return parent
        workers = [pid for pid, line in list_marked(self.mark).items() if "finegrid.running.worker" in line]
        return workers[0] if target == "worker" and workers else -parent


def ledgers(folder: Path) -> dict[str, bytes]:
    """What the ledgers of a folder and of its confirmations hold, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("runs.jsonl"))}


def check_whole(folder: Path, before: dict[str, bytes], kills: int) -> None:
    """After a kill: every record of before is there byte by byte, and every file can be read.

    Each of ``kills`` may have cut a line.
    """
    after = ledgers(folder)
    for name, content in before.items():
        assert after[name].startswith(content), f"{name} has lost records"
    for path in list_files(folder):
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            torn = [line for line in path.read_bytes().split(b"\n") if line and not parses(line)]
            assert len(torn) <= kills, f"{path}: {torn}"
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".npz":
            arrays(path)


def parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: (str(file[name].dtype), file[name].shape, file[name].tobytes()) for name in file.files}


def finished_content(folder: Path) -> dict[str, Any]:
    """By name of every file of a folder, what two runs of one command have in common.

    Of ledgers the latest record of every run without clocks and memory, of predictions the bits, of weights
    and tables the bytes, of others that they are there. Logs say what happened, and are left out.
    """
    return {
        path.relative_to(folder).as_posix(): common_content(path)
        for path in list_files(folder)
        if path.parent.name != "logs"
    }


def common_content(path: Path) -> Any:
    if path.name == "runs.jsonl":
        lines = [json.loads(line) for line in path.read_bytes().split(b"\n") if parses(line)]
        return {record["run_id"]: without_clocks(record) for record in lines}
    if path.suffix == ".npz":
        return arrays(path)
    return path.read_bytes() if path.suffix in SAME_BYTES else None


def without_clocks(record: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in record.items() if key not in CLOCKS}
    epochs = record.get("epochs", [])
    plain["epochs"] = [{key: epoch[key] for key in epoch if key not in EPOCH_CLOCKS} for epoch in epochs]
    return plain
