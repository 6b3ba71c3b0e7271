"""`finegrid plan` and `finegrid status` in words."""

from __future__ import annotations

from finegrid.planning.forecast import family_memory, family_seconds
from finegrid.planning.phases import phases_lines, screen_lines
from finegrid.planning.status import STATES, StudyStatus
from finegrid.spelling import format_duration
from finegrid.study.audit_file import load_audit
from finegrid.study.confounding import describe_design
from finegrid.study.settings import BEST_TEST


def plan_lines(outlook: StudyStatus) -> list[str]:
    """`finegrid plan` in words."""
    study, audit = outlook.study, outlook.audit
    recipes, seeds = len(study.rows), len(outlook.seeds)
    lines = [
        f"{study.folder}: {recipes} recipes x {seeds} seed{'s' * (seeds != 1)}, score {study.head.score}"
    ]
    lines += [f"  {name}: {', '.join(map(str, levels))}" for name, levels in study.factors.items()]
    lines += describe_design(study, outlook.inert_everywhere())
    lines += phases_lines(study, load_audit(study.folder), outlook.seeds)
    lines += screen_lines(study.screen) if study.screen is not None else []
    lines += [BEST_TEST] * (study.head.protocol == "best-test")
    if audit is None:
        return [*lines, "not yet probed: inert levels, time and memory are not known. Try plan --probe."]
    families = outlook.families
    sizes = ", ".join(f"{name} {size}" for name, size in audit.sizes.items())
    lines.append(f"data: {sizes} texts, {audit.tokens['mean']:.1f} tokens on average")
    lines.append(f"{recipes * seeds} rows are {sum(len(f.runs) for f in families)} distinct runs")
    for factor, found in outlook.inert().items():
        lines.append(f"inert: {factor} in {len(found['rows'])} rows: {found['reason']}")
    lines += [proof.line for proof in outlook.proofs() if not proof.reason]
    left = outlook.seconds_left()
    if left is not None:
        workers, threads = outlook.workers, outlook.settings.threads
        seconds = sum(family_seconds(family, audit) for family in families)
        lines.append(
            f"predicted: {format_duration(seconds)} of work, {format_duration(left)} left with {workers} worker"
            f"{'s' * (workers != 1)} of {threads} thread{'s' * (threads != 1)}"
        )
        most = max(family_memory(family, audit, outlook.settings.stack_size > 1) for family in families)
        lines.append(f"memory: up to {most / 2**30:.1f} GiB per worker")
        if audit.measured and audit.measured != outlook.settings.alike:
            lines.append(
                f"both measured with {spelled(audit.measured)}; plan --probe measures what is asked for"
            )
    return lines


def spelled(alike: dict[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in alike.items())


def status_lines(outlook: StudyStatus) -> list[str]:
    """`finegrid status` in words."""
    phases = phases_lines(outlook.study, load_audit(outlook.study.folder), outlook.seeds)
    if outlook.audit is None and outlook.study.screen is not None:
        return [*phases, "phase 2 is not started: `finegrid run` goes on with it."]
    if outlook.audit is None:
        return ["not started: `finegrid run` audits the study and trains it."]
    states = outlook.states()
    counts = [f"{list(states.values()).count(state)} {state}" for state in STATES]
    lines = [f"{len(states)} distinct runs: {', '.join(counts)}", *phases]
    lines += [BEST_TEST] * (outlook.study.head.protocol == "best-test")
    rows_of = {run.run_id: run.stands_for for run in outlook.runs}  # the ledger's may be of earlier factors
    for run_id, record in outlook.records().items():
        if record and record["status"] in ("diverged", "failed"):
            rows = ", ".join(map(str, rows_of[run_id]))
            lines.append(f"{record['status']}: rows {rows}, seed {record['seed']}: {record['reason']}")
    if degenerate := outlook.degenerate():
        lines.append(f"degenerate, no better than the majority class: {', '.join(degenerate)}")
    left = outlook.seconds_left()
    if left:
        lines.append(f"about {format_duration(left)} left")
    return lines
