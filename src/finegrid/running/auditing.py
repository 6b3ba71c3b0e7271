"""The audit before anything is trained: the one that is there if it still fits, else a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finegrid.errors import input_error
from finegrid.metrics import check_score
from finegrid.planning.status_words import inert_line
from finegrid.recipe.identity import Levels
from finegrid.running.crew import Crew
from finegrid.running.messages import AuditDone, AuditJob, Ready
from finegrid.running.process import Worker
from finegrid.running.progress.words import name_changed, say, telling, warning
from finegrid.spelling import Telling
from finegrid.study.audit_file import Audit, describe_unfit_audit, load_audit, save_audit
from finegrid.study.audited import knows_texts
from finegrid.study.folder import SCREEN_FILE
from finegrid.study.lock import check_there
from finegrid.study.study import Study
from finegrid.user_cache import OFF, VARIABLE


def audit_study(
    crew: Crew, alike: dict[str, str | int] | None = None, others: Sequence[Levels] = ()
) -> Audit:
    """Start the first worker, and have it audit the study where no audit fits data, model and rows.

    Args:
        crew: without a worker yet.
        alike: device, precision and threads that the costs must be of; None: costs are not asked for.
        others: further recipes that it must know, each as the levels that it moves from the defaults.

    Raises:
        InputError: bad data or model, or a score or a screen that does not fit them.
    """
    crew.watcher.said(telling("reading"))
    return crew.insist(lambda: audit_with_one(crew, alike, others))


def audit_with_one(crew: Crew, alike: dict[str, str | int] | None, others: Sequence[Levels]) -> Audit:
    """`audit_study`, with a worker that may be lost.

    Raises:
        WorkerLostError: so it is.
    """
    study, said = crew.study, crew.watcher.said
    worker, ready = crew.start_first()
    fingerprints, audit = ready.fingerprints, load_audit(study.folder)
    fits = audit is not None and audit.fingerprints == fingerprints
    if audit is None and (unfit := describe_unfit_audit(study.folder)):
        said(warning(unfit))
    known = audit is not None and knows_texts(audit, study) and audit.contents == ready.contents
    if audit is not None and fits and (files := changed_contents(audit.contents, ready.contents)):
        said(tell_changed("files changed", files))
    serves = audit is not None and audit.serves(study.rows, alike)
    if audit is None or not fits or not known or not serves or not audit.knows(map(study.blank.at, others)):
        # More splits of a pool rename nothing: runs of those that were there are found again.
        renamed = audit is not None and len(audit.splits) == (study.head.design.resample or 0)
        if audit is not None and not fits and renamed and any(True for _ in study.ledger):
            said(tell_changed("study changed", changed_names(audit.fingerprints, fingerprints)))
        audit = audit_anew(crew, worker, others)
    check_score(study.head.score, audit.labels)
    check_screen(study, audit)
    return audit


def audit_anew(crew: Crew, worker: Worker, others: Sequence[Levels] = ()) -> Audit:
    """Probe the model and the data, write ``audit.json``, and say what it warns of.

    Args:
        crew: whose study it is.
        worker: that is ready.
        others: further recipes to probe, each as the levels that it moves from the defaults.
    """
    study, said = crew.study, crew.watcher.said
    said(telling("auditing"))
    worker.send(AuditJob(tuple(others)))
    audit = crew.wait_for(worker, AuditDone).audit
    check_there(study.files)
    save_audit(study.folder, audit)
    if any(cost.kept for cost in audit.costs) or any(proof.kept for proof in audit.proofs):
        said(tell_kept(audit))
    for text in audit.warnings:
        said(warning(text))
    for factor, inert in audit.inert(study.rows).items():
        said(tell_inert(factor, inert))
    return audit


def tell_kept(audit: Audit) -> Telling:
    """What of an audit other studies have found out before."""
    return telling(
        "kept",
        costs=sum(bool(cost.kept) for cost in audit.costs),
        all_costs=len(audit.costs),
        proofs=sum(bool(proof.kept) for proof in audit.proofs),
        all_proofs=len(audit.proofs),
        variable=VARIABLE,
        off=OFF,
    )


def tell_changed(key: str, names: list[str]) -> Telling:
    return lambda lang: [say(key, lang, names=name_changed(names, lang))]


def tell_inert(factor: str, inert: Mapping[str, Any]) -> Telling:
    return lambda lang: [inert_line(factor, inert, lang)]


def check_screen(study: Study, audit: Audit) -> None:
    """What was decided on other data or another model decides nothing here.

    Raises:
        InputError: so it was.
    """
    if study.screen is None or study.screen.fingerprints == audit.fingerprints:
        return
    changed = ", ".join(changed_names(study.screen.fingerprints, audit.fingerprints))
    what = f"decided before these changed: {changed}. Put them back, or remove the file to screen anew."
    raise input_error(str(study.folder), SCREEN_FILE, what)


def check_unchanged(study: Study, audit: Audit, ready: Ready) -> None:
    """A worker that starts later reads the files anew; its runs are recorded as those of the audit.

    Raises:
        InputError: they have changed meanwhile.
    """
    audited, read = ({**of.fingerprints, **of.contents} for of in (audit, ready))
    if changed := changed_names(audited, read):
        what = f"changed while the study ran: {', '.join(changed)}. Run again with what is new."
        raise input_error(str(study.folder), "data and model", what)


def changed_contents(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files of levels that hold something else now."""
    return [name for name in changed_names(before, now) if name in now]


def changed_names(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has another fingerprint now: data, tokenizer, model."""
    return [name for name, fingerprint in before.items() if now.get(name) != fingerprint]
