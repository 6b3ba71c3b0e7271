"""How many families a second `finegrid run` takes through, and how much memory, where training costs nothing.

    python benchmarks/driver.py OUT                              # 20,480 families of 8 runs, two workers
    python benchmarks/driver.py OUT --factors 8 --seeds 8        # 256 of them

The driver is the real one: plan, workers, messages, ledger, predictions, progress, as in `finegrid run`.
Its workers are processes that load neither data nor model: they draw the predictions of a family, write its
file, and send its records. What the driver says goes to OUT/said.txt. The disk's own syncs are of as many
bytes as the records of a family take, one after the other, before and after the study.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

from many_runs import EPOCHS, FACTORS, Texts, draw_run, make_up_record, write_study

from finegrid import metrics
from finegrid.machine import processor
from finegrid.running import process
from finegrid.running.launch import show_on_terminal, train
from finegrid.running.messages import Channel, EpochDone, Ready, RecordReady, StepDone, Trained, parse_job
from finegrid.running.progress.watcher import Watcher
from finegrid.study.audit_file import load_audit
from finegrid.study.load import load_study
from finegrid.study.prediction_file import save_family

FAMILY_BYTES = 16_000  # of the records of eight runs
SYNC_SECONDS = 3.0


def work(folder: Path, count: int) -> None:
    """A worker that does nothing: every run of it says the same of ``count`` texts."""
    channel, study = Channel(), load_study(folder)
    audit = load_audit(folder)
    assert audit is not None
    texts = Texts.of(study).first(count)
    found = draw_run(texts, {}, 0)
    scores = {split: metrics.summary(said.gold, said.logits, texts.labels) for split, said in found.items()}
    record = make_up_record("0" * 12, {}, 0, "0" * 12, scores, (0.0, 0.0))
    channel.send(Ready(audit.fingerprints))
    for line in sys.stdin:
        job: Any = parse_job(line)
        started = time.time()
        channel.send(StepDone(1))
        for run in job.runs:
            channel.send(EpochDone(run.run_id, EPOCHS, 0.5, scores["dev"][study.head.score]))
        path = study.files.predictions_of_family(job.family)
        save_family(path, {run.run_id: found for run in job.runs})
        for run in job.runs:
            about: dict[str, Any] = {"run_id": run.run_id, "recipe": run.levels, "seed": run.seed}
            about |= {"family": job.family, "predictions": job.family}
            about |= {"started": started, "ended": time.time()}
            channel.send(RecordReady(replace(record, **about)))
        channel.send(Trained(job.family))


def count_syncs(folder: Path) -> float:
    """How often a second this disk takes down the records of a family."""
    path, content, count = folder / "syncs", os.urandom(FAMILY_BYTES), 0
    begun = time.perf_counter()
    with path.open("ab") as file:
        while time.perf_counter() - begun < SYNC_SECONDS:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            count += 1
    seconds = time.perf_counter() - begun
    path.unlink()
    return count / seconds


def measure_peak() -> float:
    """GiB that this process has had at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="a folder; the study in it is made anew")
    parser.add_argument("--factors", type=int, default=len(FACTORS), help="of two levels each, in full")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--texts", type=int, default=64, help="that predictions are made up of, dev and test")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    study = write_study(options.out / "study", options.seeds, options.factors)
    process.WORKER = (sys.executable, str(Path(__file__).resolve()), "--work", str(options.texts))
    syncs = [count_syncs(options.out)]
    planned: list[tuple[float, int]] = []

    @contextmanager
    def show(score: str, folder: Path) -> Iterator[Watcher]:
        with show_on_terminal(score, folder) as watcher:

            def note(every: Any, left: Any, audit: Any) -> None:
                watcher.planned(every, left, audit)
                planned.append((time.perf_counter(), len(left)))

            yield replace(watcher, planned=note)

    begun, before = time.perf_counter(), time.process_time()
    with (options.out / "said.txt").open("w", encoding="utf-8") as said, redirect_stderr(said):
        train(study, study.head.run, options.workers, show=show)
    ended, busy = time.perf_counter(), time.process_time() - before
    ((first, families),) = planned
    peak = measure_peak()
    with (options.out / "said-again.txt").open("w", encoding="utf-8") as said, redirect_stderr(said):
        train(study, study.head.run, options.workers, show=show)
    again = time.perf_counter() - ended
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    syncs.append(count_syncs(options.out))
    told = {
        "processor": processor(),
        "families": families,
        "runs": sum(1 for _ in study.files.ledger.open("rb")),
        "workers": options.workers,
        "syncs_per_second": [round(one) for one in syncs],
        "planning_seconds": round(first - begun, 1),
        "training_seconds": round(ended - first, 1),
        "families_per_second": round(families / (ended - first), 1),
        "families_per_second_with_planning": round(families / (ended - begun), 1),
        "driver_seconds_of_processor": round(busy, 1),
        "peak_gib": round(peak, 2),
        "peak_gib_of_a_worker": round(worker, 2),
        "seconds_of_a_run_that_finds_all_done": round(again, 1),
        "peak_gib_of_a_run_that_finds_all_done": round(measure_peak(), 2),
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work(Path(sys.argv[3]), int(sys.argv[2]))
    else:
        main()
