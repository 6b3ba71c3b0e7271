"""The audit before anything is trained: the one that is there if it still fits, else a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finegrid.errors import input_error
from finegrid.metrics import check_score
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.running.crew import Crew
from finegrid.running.messages import AuditDone, AuditJob, Ready
from finegrid.running.process import Worker
from finegrid.study.audit_file import Audit, load_audit, save_audit
from finegrid.study.audited import knows_texts
from finegrid.study.folder import SCREEN_FILE
from finegrid.study.study import Study


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
    study, say = crew.study, crew.watcher.said
    say("reading data and checkpoint")
    worker = crew.start()
    ready = crew.wait_for(worker, Ready)
    fingerprints, audit = ready.fingerprints, load_audit(study.folder)
    fits = audit is not None and audit.fingerprints == fingerprints
    known = audit is not None and knows_texts(audit, study) and audit.contents == ready.contents
    if audit is not None and fits and (files := changed_contents(audit.contents, ready.contents)):
        say(f"changed since the last audit: {', '.join(files)}. Runs that read it are run anew.")
    serves = audit is not None and audit.serves(study.rows, alike)
    if audit is None or not fits or not known or not serves or not audit.knows(map(Recipe().at, others)):
        # More splits of a pool rename nothing: runs of those that were there are found again.
        renamed = audit is not None and len(audit.splits) == (study.head.design.resample or 0)
        if audit is not None and not fits and renamed and any(True for _ in study.ledger):
            changed = ", ".join(changed_names(audit.fingerprints, fingerprints))
            say(
                f"changed since the last run: {changed}. Finished runs stay in runs.jsonl, "
                "but belong to the old study; everything is run anew."
            )
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
    study, say = crew.study, crew.watcher.said
    say("auditing: which levels do something, and what a step costs")
    worker.send(AuditJob(tuple(others)))
    audit = crew.wait_for(worker, AuditDone).audit
    save_audit(study.folder, audit)
    for warning in audit.warnings:
        say(f"warning: {warning}")
    for factor, inert in audit.inert(study.rows).items():
        say(f"inert: {factor} in {len(inert['rows'])} rows: {inert['reason']}")
    return audit


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


def changed_contents(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files of levels that hold something else now."""
    return [name for name in changed_names(before, now) if name in now]


def changed_names(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has another fingerprint now: data, tokenizer, model."""
    return [name for name, fingerprint in before.items() if now.get(name) != fingerprint]
