"""500 runs in one process tree: memory, open files and temporary files do not grow."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from support.attack import Held, held_by, list_files, list_marked, share_of
from support.killed import Command
from support.studies import save_word_checkpoint, write_data, write_word_study
from support.waiting import let_pass

RUNS = share_of(500)
SETTLED = RUNS // 10  # runs, after which nothing may grow
MEMORY_A_RUN = 0.01  # MiB, 5 in 500 runs: the parent keeps the record of every run, some KiB each
FILES = 2  # open files more than after the first runs; a ledger that is being written to is one
EVERY = 0.2  # seconds


@pytest.mark.slow
def test_neither_memory_nor_files_grow_over_500_runs(tmp_path: Path) -> None:
    write_data(tmp_path / "work" / "data")
    save_word_checkpoint(tmp_path / "work" / "model")
    study = write_word_study(
        tmp_path / "work" / "study",
        Path("../model"),
        {"schedule.warmup_ratio": [0.0, 0.1]},
        recipe={"training.epochs": 1, "training.batch_size": 16},
        design=f"seeds = {-(-RUNS // 2)}",
        run="threads = 1\nfamily_size = 2",
    )
    command = Command(("run", "study", "--workers", "1"), study.parent)
    start = time.monotonic()
    found, temporary = watch(command, study / "runs.jsonl")

    runs = count_lines(study / "runs.jsonl")
    print(f"{runs} runs in {time.monotonic() - start:.0f} s, temporary files at most {max(temporary)}")
    assert runs >= RUNS
    assert found.keys() == {"parent", "worker"}
    for who, samples in found.items():
        later = [(ended, held) for ended, held in samples if SETTLED <= ended < runs]
        slope = np.polyfit([ended for ended, _ in later], [held.memory for _, held in later], 1)[0]
        files = [held.files for _, held in later]
        print(
            f"{who}: {later[0][1].memory:.1f} MiB after {SETTLED} runs, {later[-1][1].memory:.1f} after all, "
            f"{1024 * slope:.1f} KiB a run; {files[0]} files, at most {max(files)}"
        )
        assert slope < MEMORY_A_RUN, who
        assert max(files) <= files[0] + FILES, who
    assert max(temporary) <= 1 and not [*list_files(command.temporary)]
    assert not [*(study / "state").glob("*")]


def watch(command: Command, ledger: Path) -> tuple[dict[str, list[tuple[int, Held]]], list[int]]:
    """What parent and worker hold, each time with the number of runs that have ended; temporary files."""
    found: dict[str, list[tuple[int, Held]]] = defaultdict(list)
    temporary = []
    with command.started() as process:
        while process.poll() is None:
            ended = count_lines(ledger)
            for pid, line in list_marked(command.mark).items():
                who = "parent" if pid == process.pid else "worker"
                if who == "parent" or "finegrid.running.worker" in line:
                    with suppress(OSError):  # it has just ended
                        found[who].append((ended, held_by(pid)))
            temporary.append(len(list(list_files(command.temporary))))
            let_pass(EVERY)
    assert process.returncode == 0, command.told
    return found, temporary


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
