"""The audit of a study, where it still fits."""

from __future__ import annotations

from finegrid.study.audit_file import Audit, load_audit
from finegrid.study.study import Study


def fitting_audit(study: Study) -> Audit | None:
    """The study's audit, if it was made of its rows, knows its score, and the groups of its texts."""
    audit = load_audit(study.folder)
    if audit is None or not audit.covers(study.rows) or not knows_texts(audit, study):
        return None
    kind, _, label = study.head.score.partition(":")
    return audit if kind != "f1" or label in audit.labels else None


def knows_texts(audit: Audit, study: Study) -> bool:
    """Whether it was made with the study's groups, its number of splits, and the code that it names."""
    own, known = study.own, audit.contents.items()
    if own.digests and any(not own.fingerprint(row.recipe.moved()).items() <= known for row in study.rows):
        return False
    return audit.group == study.head.data.group and len(audit.splits) == (study.head.design.resample or 0)
