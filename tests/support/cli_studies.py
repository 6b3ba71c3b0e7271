"""Tiny data sets, checkpoints and studies for the tests of the command line, and ways to run it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from finegrid.cli import app as cli
from finegrid.running import runner, worker
from finegrid.running.messages import Channel, Job
from finegrid.running.process import Event, Worker
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

WORDS = ("goal", "match", "team", "coach", "stock", "bank", "price", "market", "the", "a", "new", "old")
CLASSES = {"sport": WORDS[:4], "money": WORDS[4:8]}
FINEGRID = (sys.executable, "-m", "finegrid")
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "PYTHONUTF8": "1"}
# What may differ between two runs of one study: clocks and memory.
CLOCKS = ("seconds", "memory", "started", "ended")
EPOCH_CLOCKS = ("train_seconds", "dev_seconds")


def make_checkpoint(folder: Path, family: str = "bert", seed: int = 0, **changed: int) -> Path:
    """A checkpoint of two layers, 16 wide, with a WordPiece tokeniser of a few words."""
    import torch
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import BertProcessing

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS])}
    shape = {"vocab_size": len(vocabulary), "max_position_embeddings": 32, **changed}
    if family == "distilbert":
        shape |= {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    else:
        shape = {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            **shape,
        }
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(family, **shape)
    transformers.AutoModel.from_config(config).save_pretrained(str(folder))
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))
    ).save_pretrained(str(folder))
    return folder


def texts(count: int, seed: int = 0, classes: Mapping[str, Sequence[str]] = CLASSES) -> list[tuple[str, str]]:
    """``count`` different texts that their words give away, and their labels, classes taking turns."""
    draw = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        label = list(classes)[len(found) % len(classes)]
        words = [*draw.choice(list(classes[label]), 2), *draw.choice(WORDS, int(draw.integers(1, 4)))]
        found.setdefault(" ".join(map(str, words)), label)
    return list(found.items())


def write_tsv(path: Path, rows: Sequence[tuple[str, ...]], header: str = "text\tlabel") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def write_data(folder: Path, train: int = 32) -> Path:
    rows = texts(train + 28)
    write_tsv(folder / "train.tsv", rows[:train])
    write_tsv(folder / "dev.tsv", rows[train : train + 12])
    write_tsv(folder / "test.tsv", rows[train + 12 :])
    return folder


# Three runs of two families: one full, two that share a frozen layer.
SMALL_FACTORS: dict[str, Sequence[object]] = {
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.1],
    "reinit.pooler": [False, True],
}


def write_study(
    folder: Path,
    model: Path,
    factors: Mapping[str, Sequence[object]] = SMALL_FACTORS,
    top: str = "",
    data: str = 'train = "../data/train.tsv"\ndev = "../data/dev.tsv"\ntest = "../data/test.tsv"',
    recipe: Mapping[str, object] | None = None,
    design: str = "",
    run: str = "",
) -> Path:
    """A study folder; data lies in the folder ``data`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    levels = {"optimizer.rate": 0.01, "training.epochs": 2, "training.batch_size": 16, **(recipe or {})}
    parts: dict[str, list[str]] = {"model": [f"name = {json.dumps(str(model))}", "max_length = 12"]}
    for factor, level in levels.items():
        part, field = factor.split(".")
        parts.setdefault(part, []).append(f"{field} = {json.dumps(level)}")
    tables = {
        "data": data,
        **{part: "\n".join(lines) for part, lines in parts.items()},
        "factors": "\n".join(f"{json.dumps(name)} = {json.dumps(list(v))}" for name, v in factors.items()),
        "design": design,
        "run": run,
    }
    text = "\n".join([top, *(f"[{name}]\n{content}" for name, content in tables.items())])
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


def finegrid(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [*FINEGRID, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


class Events(Channel):
    """The channel of a worker that is a thread."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        self._put = put

    def send(self, event: str, **content: Any) -> None:
        self._put(json.loads(json.dumps({"event": event, **content})))


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
        self.ready, self.reason = False, ""
        self.log = study.folder / f"worker-{index}.log"
        self._jobs: queue.Queue[Job] = queue.Queue()
        channel = Events(lambda event: events.put((self, event)))

        def serve() -> None:
            worker.serve(channel, self._jobs, study.folder, settings)
            channel.send("ended", code=0)

        threading.Thread(target=serve, daemon=True).start()

    def send(self, **job: Any) -> None:
        self._jobs.put(json.loads(json.dumps(job)))

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


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, and its workers, in this process: quick, for what is not about processes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(runner, "Worker", InlineWorker)

    def call(*arguments: str | Path) -> Called:
        monkeypatch.setattr(sys, "argv", ["finegrid", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return Called(int(str(ended.value.code or 0)), out.out, out.err)

    return call


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
    lines = (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def finished(folder: Path) -> dict[str, Any]:
    """A study as it is compared: by run id, latest record and predictions, without clocks and memory."""
    latest = {}
    for record in readable(folder):
        plain = {key: value for key, value in record.items() if key not in CLOCKS}
        plain["epochs"] = [
            {key: value for key, value in epoch.items() if key not in EPOCH_CLOCKS}
            for epoch in record["epochs"]
        ]
        latest[record["run_id"]] = (plain, predictions(folder, record["run_id"]))
    return latest


def readable(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "runs.jsonl").read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def predictions(folder: Path, run_id: str) -> dict[str, tuple[str, tuple[int, ...], bytes]] | None:
    """Every array of a run as dtype, shape and bits."""
    path = folder / "predictions" / f"{run_id}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return {name: (str(file[name].dtype), file[name].shape, file[name].tobytes()) for name in file.files}
