"""What needs no training: runs of the plan that the ledger has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from finegrid.errors import input_error
from finegrid.machine import PRECISIONS
from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.running.crew import Crew
from finegrid.running.progress.words import warning_of
from finegrid.study.audit_file import Audit
from finegrid.study.folder import LEDGER_FILE
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study


def find_finished(
    study: Study,
    settings: RunSettings,
    audit: Audit,
    runs: Sequence[PlannedRun],
    seeds: Sequence[int] | None,
    mix: bool,
    latest: Mapping[str, Record],
) -> dict[str, Record]:
    """By run id, the records of what needs no training: done or diverged, in this precision or another.

    Failed runs are tried again. What is done but lacks a level of a free factor is trained again to add it.

    Args:
        study: the study.
        settings: how it is to go on.
        audit: its audit.
        runs: those that are planned.
        seeds: that they were planned with.
        mix: whether runs that were made otherwise count, too.
        latest: the records that count, by run id.

    Raises:
        InputError: they do not, and there are some.
    """
    if not latest:
        return {}
    others = [precision for precision in PRECISIONS if precision != settings.precision]
    twins = [plan_runs(study, audit, precision, seeds) for precision in others]
    finished = {}
    for run, *same in zip(runs, *twins, strict=True):
        for twin in (run, *same):
            record = latest.get(twin.run_id)
            if record is not None and record.status != "failed" and not study.lacks_free(record):
                if not mix:
                    check_alike(study, settings, record)
                finished[run.run_id] = record
    return finished


def check_alike(study: Study, settings: RunSettings, record: Record) -> None:
    """Refuse to go on otherwise than a run of the ledger was made.

    Raises:
        InputError: on another device, with another precision, number of threads, or stack.
    """
    asked = {**settings.alike, "stack": settings.stack_size}
    made = {**{name: getattr(record, name) for name in settings.alike}, "stack": record.stack or 1}
    if made != asked:
        then, now = (", ".join(f"{k} {v}" for k, v in some.items()) for some in (made, asked))
        what = (
            f"has runs made with {then}; now asked for: {now}. Results may differ in the last digits. "
            "Run as before, or pass --mix to go on all the same."
        )
        raise input_error(str(study.folder), LEDGER_FILE, what)


def check_kinds(study: Study, made: Iterable[str], now: str) -> None:
    """Refuse to go on with devices of another kind than that of finished runs.

    Raises:
        InputError: they are.
    """
    if others := sorted({*made} - {now}):
        what = (
            f"has runs made with {others[0]}; now there is {now}. Results may differ in the last digits. "
            "Take nodes as before, or pass --mix to train whole seeds on what there is."
        )
        raise input_error(str(study.folder), LEDGER_FILE, what)


def compare_stacks(crew: Crew, families: Sequence[Family], finished: Mapping[str, Record]) -> None:
    """Say so where finished runs were stacked with others: how many there are decides on last digits."""
    planned = {run.run_id: family.family_id for family in families for run in family.runs}
    differing = [run_id for run_id, record in finished.items() if record.family != planned[run_id]]
    if differing and crew.settings.stack_size > 1:
        crew.watcher.said(warning_of("stacked otherwise", count=len(differing)))
