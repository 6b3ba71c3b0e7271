"""The run ids of a study: `recipe.identity.run_id` with what all its runs have in common."""

from __future__ import annotations

from collections.abc import Mapping

from finegrid.errors import input_error
from finegrid.machine import Precision
from finegrid.recipe.identity import Levels, run_id
from finegrid.recipe.recipe import TEACHER_FACTORS
from finegrid.study.audit_file import Audit
from finegrid.study.study import Study


def name_teacher(factor: str, level: str) -> str:
    """A teacher among the fingerprints of a study: ``distil.teacher = models/best``."""
    return f"{factor} = {level}"


def is_teacher(name: str) -> bool:
    """Whether a fingerprint is that of a teacher."""
    return name.partition(" = ")[0] in TEACHER_FACTORS


def fingerprints_of(study: Mapping[str, str], levels: Levels) -> dict[str, str]:
    """What a run's identity needs of a study's fingerprints: of teachers, those that it learns from.

    Args:
        study: fingerprints of data, tokeniser, model, and of every teacher that the study names.
        levels: of the run, moved from the defaults.

    Raises:
        InputError: a teacher that the study does not name.
    """
    own = [name_teacher(factor, str(levels[factor])) for factor in TEACHER_FACTORS if factor in levels]
    for name in own:
        if name not in study:
            what = f"{name}: no teacher of this study. Put it into study.toml, so that its content is known."
            raise input_error("recipe", "teacher", what)
    return {name: found for name, found in study.items() if name in own or not is_teacher(name)}


def identify(study: Study, audit: Audit, precision: Precision, levels: Levels, seed: int) -> str:
    fingerprints = audit.fingerprints
    if study.head.design.resample is not None:  # each seed has the texts of its split
        fingerprints = {**fingerprints, "data": audit.splits[study.head.design.split_of(seed)]}
    return run_id(
        levels,
        seed,
        fingerprints=fingerprints_of(fingerprints, levels),
        precision=precision,
        protocol=study.head.protocol,
        score=study.head.score,
    )
