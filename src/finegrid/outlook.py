"""What `plan` and `status` tell: the design, what is inert, what is done, and what the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finegrid import metrics
from finegrid.audit import Audit, Proof, load_audit
from finegrid.capacity import capacity
from finegrid.confounding import design_json, design_lines
from finegrid.duration import duration
from finegrid.ledger import Record
from finegrid.phases import phases_json, phases_lines, screen_lines
from finegrid.plan import (
    Family,
    PlannedRun,
    family_memory,
    family_seconds,
    makespan,
    plan_families,
    plan_runs,
)
from finegrid.precision import PRECISIONS
from finegrid.study import BEST_TEST, RunSettings, Study

STATES = ("done", "diverged", "failed", "left")


def fitting_audit(study: Study) -> Audit | None:
    """The study's audit, if it was made of its rows and knows its score."""
    audit = load_audit(study.folder)
    if audit is None or not audit.covers(study.rows):
        return None
    kind, _, label = study.head.score.partition(":")
    return audit if kind != "f1" or label in audit.labels else None


def probed(study: Study, settings: RunSettings) -> bool:
    """Whether an audit tells what the study's rows cost, run so."""
    audit = fitting_audit(study)
    return audit is not None and bool(audit.costs) and audit.measured == settings.alike


def seeds_seen(study: Study) -> tuple[int, ...]:
    """The seeds of study.toml, and those that ``run --seeds`` has added, in whichever precision."""
    audit, latest = fitting_audit(study), study.ledger.latest()
    numbers = study.head.design.numbers
    others = sorted({record["seed"] for record in latest.values()} - set(numbers))
    twins = [plan_runs(study, audit, precision, others) for precision in PRECISIONS] if audit else []
    return (*numbers, *sorted({run.seed for runs in twins for run in runs if run.run_id in latest}))


@dataclass(frozen=True)
class Outlook:
    """A study as it stands. Without an audit, nothing that only the model can tell."""

    study: Study
    settings: RunSettings
    audit: Audit | None
    seeds: Sequence[int]
    asked_workers: int | None = None

    @property
    def workers(self) -> int:
        assert self.audit is not None
        return self.asked_workers or capacity(self.settings, self.audit).workers

    @property
    def runs(self) -> list[PlannedRun]:
        if self.audit is None:
            return []
        return plan_runs(self.study, self.audit, self.settings.precision, self.seeds)

    @property
    def families(self) -> list[Family]:
        if self.audit is None:
            return []
        return plan_families(self.runs, capacity(self.settings, self.audit).size_of)

    def records(self) -> dict[str, Record | None]:
        """Planned run id -> its latest record, of this precision or (in a mixed study) of another."""
        if self.audit is None:
            return {}
        latest = self.study.ledger.latest()
        precisions = sorted(PRECISIONS, key=lambda precision: precision != self.settings.precision)
        twins = [plan_runs(self.study, self.audit, precision, self.seeds) for precision in precisions]
        return {
            same[0].run_id: next((latest[run.run_id] for run in same if run.run_id in latest), None)
            for same in zip(*twins, strict=True)
        }

    def states(self) -> dict[str, str]:
        """Run id -> done | diverged | failed | left."""
        return {run_id: record["status"] if record else "left" for run_id, record in self.records().items()}

    def degenerate(self) -> list[str]:
        """Finished runs that are no better on dev than always naming the majority class."""
        if self.audit is None:
            return []
        score = self.study.head.score
        floor = metrics.score_of(self.audit.majority["dev"], score)
        done = [record for record in self.records().values() if record and record["status"] == "done"]
        return [record["run_id"] for record in done if metrics.score_of(record["dev"], score) <= floor]

    def seconds_left(self) -> float | None:
        if self.audit is None or not self.audit.costs:
            return None
        settled = [run_id for run_id, state in self.states().items() if state in ("done", "diverged")]
        return makespan([family.without(settled) for family in self.families], self.audit, self.workers)

    def inert(self) -> dict[str, dict[str, Any]]:
        """Varied factor -> reason, and the rows in which it does nothing."""
        return self.audit.inert(self.study.rows) if self.audit else {}

    def proofs(self) -> list[Proof]:
        """What the audit showed of the levels that are varied now."""
        factors = self.study.factors
        proofs = self.audit.proofs if self.audit else []
        return [proof for proof in proofs if proof.level in list(factors.get(proof.factor, []))[1:]]

    def inert_everywhere(self) -> set[str]:
        """Varied factors that do nothing in any row."""
        return self.audit.inert_everywhere(self.study.rows) if self.audit else set()

    def as_json(self) -> dict[str, Any]:
        states = list(self.states().values())
        return {
            "schema": 1,
            "folder": str(self.study.folder),
            "score": self.study.head.score,
            "protocol": self.study.head.protocol,
            "factors": dict(self.study.factors),
            "design": design_json(self.study, self.inert_everywhere()),
            "screen": phases_json(self.study, load_audit(self.study.folder), self.seeds),
            "recipes": len(self.study.rows),
            "seeds": list(self.seeds),
            "probed": self.audit is not None,
            "runs": {"distinct": len(states), **{s: states.count(s) for s in STATES}} if self.audit else None,
            "degenerate": self.degenerate(),
            "inert": self.inert(),
            "proofs": [proof.model_dump() for proof in self.proofs()],
            "seconds_left": self.seconds_left(),
            "data": self.audit.sizes if self.audit else None,
            "tokens": self.audit.tokens if self.audit else None,
            "costs": [cost.model_dump() for cost in self.audit.costs] if self.audit else None,
            "warnings": self.audit.warnings if self.audit else [],
        }


def plan_lines(outlook: Outlook) -> list[str]:
    """`finegrid plan` in words."""
    study, audit = outlook.study, outlook.audit
    recipes, seeds = len(study.rows), len(outlook.seeds)
    lines = [
        f"{study.folder}: {recipes} recipes x {seeds} seed{'s' * (seeds != 1)}, score {study.head.score}"
    ]
    lines += [f"  {name}: {', '.join(map(str, levels))}" for name, levels in study.factors.items()]
    lines += design_lines(study, outlook.inert_everywhere())
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
            f"predicted: {duration(seconds)} of work, {duration(left)} left with {workers} worker"
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


def status_lines(outlook: Outlook) -> list[str]:
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
        lines.append(f"about {duration(left)} left")
    return lines
