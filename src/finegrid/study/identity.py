"""The run ids of a study: `recipe.identity.run_id` with what all its runs have in common."""

from __future__ import annotations

from finegrid.machine import Precision
from finegrid.recipe.identity import Levels, run_id
from finegrid.study.audit_file import Audit
from finegrid.study.study import Study


def identify(study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int) -> str:
    fingerprints = audit.fingerprints
    if study.head.design.resample is not None:  # each seed has the texts of its split
        fingerprints = {**fingerprints, "data": audit.splits[study.head.design.split_of(seed)]}
    return run_id(
        levels,
        seed,
        fingerprints=fingerprints,
        precision=precision,
        protocol=study.head.protocol,
        score=study.head.score,
    )
