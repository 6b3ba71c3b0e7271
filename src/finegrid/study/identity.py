"""The run ids of a study: `recipe.identity.run_id` with what all its runs have in common."""

from __future__ import annotations

from finegrid.machine import Precision
from finegrid.recipe.identity import Levels, run_id
from finegrid.study.audit_file import Audit
from finegrid.study.contents import fingerprint_contents, name_files
from finegrid.study.study import Study


def identify(study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int) -> str:
    """The id of one run.

    Raises:
        InputError: it reads a file that is neither audited nor here.
    """
    fingerprints = audit.fingerprints
    if study.head.design.resample is not None:  # each seed has the texts of its split
        fingerprints = {**fingerprints, "data": audit.splits[study.head.design.split_of(seed)]}
    if named := name_files(levels):  # the ids of runs that read none are those of a study without
        known = audit.contents if named.keys() <= audit.contents.keys() else None
        contents = fingerprint_contents(study, [levels]) if known is None else known
        fingerprints = {**fingerprints, **{name: contents[name] for name in named}}
    return run_id(
        levels,
        seed,
        fingerprints=fingerprints,
        precision=precision,
        protocol=study.head.protocol,
        score=study.head.score,
    )
