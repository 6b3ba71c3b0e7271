"""``report.json``: everything that the report says, before it is drawn.

Nothing is on the page that is not here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finegrid import __version__
from finegrid.metrics import MARGIN
from finegrid.report.facts.origin import card_facts, commands, data_facts, protocol_facts
from finegrid.report.facts.recipes import curve_facts, recipe_facts
from finegrid.report.facts.texts import class_facts, readable_table, text_facts
from finegrid.results.load import any_results
from finegrid.spelling import LANGS
from finegrid.study.confounding import design_as_json
from finegrid.study.imported import load_imported
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.confirm import confirmations
from finegrid.verdict.diagnose_words import told
from finegrid.verdict.interim import settled
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict

SCHEMA = 1
Facts = dict[str, Any]


def report_facts(folder: Path, margin: float = MARGIN) -> Facts:
    """All facts of a study or an imported table.

    Args:
        folder: the study's.
        margin: points; smaller differences are none.

    Returns:
        What ``json.dumps`` takes. Points in 0 to 100, seconds per run (or epoch, see
        ``verdict.seconds_per``), bytes; None where something is not known. The user's strings are as they
        are in the user's files: whoever shows them escapes them.

    Raises:
        InputError: no study, one that has not been started, or files that cannot be read.
    """
    imported = load_imported(folder)
    study = None if imported else load_study(folder)
    verdict = settled(any_results(folder), margin)
    table, why_no_texts = readable_table(verdict.results, study)
    confirmed = confirmations(study, verdict.results, table) if study and table else []
    return {
        "schema": SCHEMA,
        "finegrid": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": folder.resolve().name,
        "kind": "imported" if imported else "study",
        "title": imported.title if imported else None,
        "source": imported.source if imported else None,
        "state": state_facts(verdict, study),
        "verdict": as_json(verdict),
        "warnings": [
            {"kind": warning.kind, **{lang: vars(told(warning, lang)) for lang in LANGS}}
            for warning in verdict.warnings
        ],
        "confirmed": [one.as_json() for one in confirmed],
        "recipes": recipe_facts(verdict),
        "curves": curve_facts(verdict.results),
        "classes": class_facts(verdict),
        "texts": text_facts(verdict, table),
        "why_no_texts": why_no_texts,
        "data": data_facts(verdict.results, study),
        "cards": card_facts(verdict.results) if study else [],
        "protocol": protocol_facts(verdict.results, study),
        "commands": commands(folder, verdict, study),
    }


def state_facts(verdict: Verdict, study: Study | None) -> Facts:
    """How much of what was planned is there."""
    results = verdict.results
    missing = {status: len(runs) for status, runs in results.missing().items()}
    planned = len(results.recipes) * len(results.seeds)
    return {
        "runs": {"planned": planned, "done": planned - sum(missing.values()), **missing},
        "rows": sum(len(recipe.rows) for recipe in results.recipes),
        "recipes": len(results.recipes),
        "seeds": list(results.seeds),
        "repeats": results.repeats,
        "design": design_as_json(study, tuple(results.inert)) if study else None,
        "factors": {name: list(levels) for name, levels in results.factors.items()},
        "undecided_screen": study.undecided if study else False,
    }
