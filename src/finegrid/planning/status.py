"""How a study stands: its design, what is inert, what is done, and what the rest will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from finegrid import metrics
from finegrid.machine import PRECISIONS
from finegrid.planning.capacity import HERE, Offer, capacity, count_workers
from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import makespan
from finegrid.planning.free import with_free
from finegrid.planning.phases import phases_json
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.recipe.recipe import find_unfair
from finegrid.study.audit_file import Audit, Proof, load_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.bundles import bundles_json
from finegrid.study.confounding import design_as_json
from finegrid.study.leftovers import Leftovers, find_leftovers
from finegrid.study.record import Record
from finegrid.study.runs_on_file import RunsOnFile, read_runs
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

AT_ONE_RATE = (
    "at the rate of another optimizer: each needs one of its own. Give every kind its rate in a bundle, as "
    'the preset "optimizers" does.'
)
STATES = ("done", "diverged", "failed", "left")


def probed(study: Study, settings: RunSettings) -> bool:
    """Whether an audit tells what the study's rows cost, run so."""
    audit = fitting_audit(study)
    return audit is not None and bool(audit.costs) and audit.measured == settings.priced_by


def seeds_seen(study: Study, audit: Audit | None, on_file: RunsOnFile) -> tuple[int, ...]:
    """The seeds of study.toml, and those that ``run --seeds`` has added, in whichever precision."""
    numbers, latest = study.head.design.numbers, on_file.latest
    others = sorted({record.seed for record in latest.values()} - set(numbers))
    twins = [plan_runs(study, audit, precision, others) for precision in PRECISIONS] if audit else []
    seen = {run.seed for runs in twins for run in runs if run.run_id in latest}
    return (*numbers, *sorted({*seen, *on_file.lost.values()} - set(numbers)))


def study_status(
    study: Study,
    settings: RunSettings,
    seeds: int | None = None,
    workers: int | None = None,
    offer: Offer = HERE,
) -> StudyStatus:
    """How a study stands now, with the audit that fits it.

    Args:
        study: the study.
        settings: how it is executed.
        seeds: the first so many; None: those of study.toml, and those that were added.
        workers: how many processes train; None: as many as cores and memory carry.
        offer: what there is to train it.
    """
    audit = fitting_audit(study)
    on_file = read_runs(study, audit)
    numbers = tuple(range(seeds)) if seeds else seeds_seen(study, audit, on_file)
    return StudyStatus(study, settings, audit and with_free(audit, study), numbers, workers, on_file, offer)


@dataclass(frozen=True)
class StudyStatus:
    """A study as it stands. Without an audit, nothing that only the model can tell.

    What has run is read once, when it is first asked for: make a new one to see more.
    """

    study: Study
    settings: RunSettings
    audit: Audit | None
    seeds: Sequence[int]
    asked_workers: int | None = None
    known: RunsOnFile | None = None  # what is on file, where that has been read already
    offer: Offer = HERE  # what there is to train it

    @property
    def workers(self) -> int:
        assert self.audit is not None
        return count_workers(self.settings, self.audit, self.offer, self.asked_workers)

    @cached_property
    def runs(self) -> list[PlannedRun]:
        if self.audit is None:
            return []
        return plan_runs(self.study, self.audit, self.settings.precision, self.seeds)

    @cached_property
    def families(self) -> list[Family]:
        if self.audit is None:
            return []
        return plan_families(self.runs, capacity(self.settings, self.audit, self.offer.hardware).size_of)

    @cached_property
    def on_file(self) -> RunsOnFile:
        """What the study's files tell of its runs."""
        return self.known or read_runs(self.study, self.audit)

    @property
    def warnings(self) -> list[str]:
        """What the audit warns of, what is compared unfairly, and what of the study's files does not fit."""
        unfair = find_unfair(row.recipe for row in self.study.rows)
        kinds = ", ".join(f'"{kind}"' for kind in unfair)
        told = [f"{kinds} {AT_ONE_RATE}"] if unfair else []
        return [*(self.audit.warnings if self.audit else ()), *told, *self.on_file.notes]

    def records(self) -> Mapping[str, Record | None]:
        """Planned run id -> its latest record, of this precision or (in a mixed study) of another."""
        return self._records

    @cached_property
    def _records(self) -> dict[str, Record | None]:
        if self.audit is None:
            return {}
        latest = self.on_file.latest
        precisions = sorted(PRECISIONS, key=lambda precision: precision != self.settings.precision)
        others = [plan_runs(self.study, self.audit, other, self.seeds) for other in precisions[1:]]
        twins = [self.runs, *others]
        return {
            same[0].run_id: next((latest[run.run_id] for run in same if run.run_id in latest), None)
            for same in zip(*twins, strict=True)
        }

    def states(self) -> dict[str, str]:
        """Run id -> done | diverged | failed | left; what is done but lacks a free level is left."""
        return self._states

    @cached_property
    def _states(self) -> dict[str, str]:
        lacking = self.lacking()
        return {
            run_id: record.status if record and run_id not in lacking else "left"
            for run_id, record in self.records().items()
        }

    def lacking(self) -> dict[str, list[str]]:
        """Run id -> levels of free factors that a finished run was not scored at."""
        records = ((run_id, record) for run_id, record in self.records().items() if record)
        return {run_id: keys for run_id, record in records if (keys := self.study.lacks_free(record))}

    def degenerate(self) -> list[str]:
        """Finished runs that are no better on dev than always naming the majority class."""
        if self.audit is None:
            return []
        score = self.study.head.score
        floor = metrics.score_of(self.audit.majority["dev"], score)
        done = [record for record in self.records().values() if record and record.done]
        return [record.run_id for record in done if record.score("dev", score) <= floor]

    def seconds_left(self) -> float | None:
        if self.audit is None or not self.audit.costs:
            return None
        ended = {run_id for run_id, state in self.states().items() if state in ("done", "diverged")}
        return makespan([family.without(ended) for family in self.families], self.audit, self.workers)

    @cached_property
    def leftovers(self) -> Leftovers:
        """What lies in the folder that no finished run needs."""
        return find_leftovers(self.study.files)

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
            "bundles": bundles_json(self.study.bundles),
            "free_factors": dict(self.study.free_factors),
            "lacking": sorted({key for keys in self.lacking().values() for key in keys}),
            "design": design_as_json(self.study, self.inert_everywhere()),
            "screen": phases_json(self.study, load_audit(self.study.folder), self.seeds),
            "recipes": len(self.study.rows),
            "seeds": list(self.seeds),
            "probed": self.audit is not None,
            "runs": {"distinct": len(states), **{s: states.count(s) for s in STATES}} if self.audit else None,
            "degenerate": self.degenerate(),
            "leftovers": self.leftovers.as_json(),
            "inert": self.inert(),
            "proofs": [proof.model_dump() for proof in self.proofs()],
            "seconds_left": self.seconds_left(),
            "data": self.audit.sizes if self.audit else None,
            "tokens": self.audit.tokens if self.audit else None,
            "costs": [cost.model_dump() for cost in self.audit.costs] if self.audit else None,
            "warnings": self.warnings,
        }
