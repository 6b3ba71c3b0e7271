"""The run ids of a study: `recipe.identity.run_id` with what all its runs have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finegrid.machine import Precision
from finegrid.recipe.identity import Levels, namer_of
from finegrid.study.audit_file import Audit
from finegrid.study.contents import fingerprint_contents, name_files
from finegrid.study.study import Study


def identify_all(
    study: Study, audit: Audit, precision: Precision, levels: Levels, seeds: Sequence[int]
) -> list[str]:
    """The ids of the runs of a recipe, in the order of their seeds.

    Raises:
        InputError: as `identify`.
    """
    namers = {}
    design, found = study.head.design, []
    for seed in seeds:
        part = None if design.resample is None else design.split_of(seed)
        if part not in namers:
            namers[part] = _namer_of(study, audit, precision, levels, seed)
        found.append(namers[part](seed))
    return found


def identify(study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int) -> str:
    """The id of one run.

    Raises:
        InputError: it reads a file that is neither audited nor here.
    """
    return _namer_of(study, audit, precision, levels, seed)(seed)


def _namer_of(
    study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int
) -> Callable[[int], str]:
    """What names the runs of a recipe, of all seeds that have this one's texts."""
    fingerprints = audit.fingerprints
    if study.head.design.resample is not None:  # each seed has the texts of its split
        fingerprints = {**fingerprints, "data": audit.splits[study.head.design.split_of(seed)]}
    if named := name_files(levels):  # the ids of runs that read none are those of a study without
        known = audit.contents if named.keys() <= audit.contents.keys() else None
        contents = fingerprint_contents(study, [levels]) if known is None else known
        fingerprints = {**fingerprints, **{name: contents[name] for name in named}}
    fingerprints = {**fingerprints, **study.own.fingerprint(levels)}
    return namer_of(
        levels,
        fingerprints=fingerprints,
        precision=precision,
        protocol=study.head.protocol,
        score=study.head.score,
        engine=audit.engine,
    )
