"""``report.json``: everything that the report says, before it is drawn.

Nothing is on the page that is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from finegrid import __version__
from finegrid.facts.report import Caution, DesignFacts, Facts, StateFacts, WarningWords
from finegrid.metrics import TOLERANCE
from finegrid.report.facts.classes import class_facts
from finegrid.report.facts.details import details_facts
from finegrid.report.facts.origin import card_facts, commands, data_facts, protocol_facts
from finegrid.report.facts.recipes import curve_facts, recipe_facts
from finegrid.report.facts.texts import readable_table, text_facts
from finegrid.results.load import any_results
from finegrid.spelling import Lang
from finegrid.study.confounding import design_as_json
from finegrid.study.imported import load_imported
from finegrid.study.load import read_study
from finegrid.study.study import Study
from finegrid.verdict.confirm import load_confirmations
from finegrid.verdict.diagnose import Warning
from finegrid.verdict.diagnose_words import describe
from finegrid.verdict.interim import read_interim_analyses, with_interim_decisions
from finegrid.verdict.to_json import as_json, missing_json
from finegrid.verdict.verdict import Verdict


def report_facts(
    folder: Path,
    margin: float | None = None,
    tolerance: float = TOLERANCE,
    tell: Callable[[Study], None] = lambda study: None,
) -> Facts:
    """All facts of a study or an imported table.

    Args:
        folder: the study's.
        margin: points; smaller differences are none. None: as the verdict chooses it.
        tolerance: points that a recommended recipe may lose against the baseline.
        tell: is given the study before anything else of it is read than study.toml.

    Returns:
        What ``json.dumps`` takes. Points in 0 to 100, seconds per run (or epoch, see
        ``verdict.seconds_per``), bytes; None where something is not known. The user's strings are as they
        are in the user's files: whoever shows them escapes them.

    Raises:
        InputError: no study, one that has not been started, or files that cannot be read.
    """
    imported = load_imported(folder)
    study = None if imported else read_study(folder)
    if study is not None:
        tell(study)
    verdict = with_interim_decisions(any_results(folder, study), margin, tolerance)
    table, why_no_texts = readable_table(verdict.results, study)
    confirmed = load_confirmations(study, verdict.results, table) if study else []
    return {
        "schema": 1,
        "finegrid": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": folder.resolve().name,
        "kind": "imported" if imported else "study",
        "title": imported.title if imported else None,
        "note": (study.head.note.strip() or None) if study else None,
        "source": imported.source if imported else None,
        "state": state_facts(verdict, study),
        "verdict": as_json(verdict),
        "warnings": [caution_facts(warning) for warning in verdict.warnings],
        "confirmed": [confirmation.as_json() for confirmation in confirmed],
        "recipes": recipe_facts(verdict),
        "curves": curve_facts(verdict.results),
        "classes": class_facts(verdict),
        "texts": text_facts(verdict, table),
        "why_no_texts": why_no_texts,
        "details": details_facts(verdict, table),
        "data": data_facts(verdict.results, study),
        "cards": card_facts(verdict.results),
        "protocol": protocol_facts(verdict.results, study),
        "commands": commands(folder, verdict, study),
    }


def caution_facts(warning: Warning) -> Caution:
    return {"kind": warning.kind, "en": words_facts(warning, "en"), "zh": words_facts(warning, "zh")}


def words_facts(warning: Warning, lang: Lang) -> WarningWords:
    words = describe(warning, lang)
    return {"what": words.what, "advice": words.advice}


def design_facts(study: Study, inert: Collection[str]) -> DesignFacts:
    design = design_as_json(study, inert)
    return {"kind": design["kind"], "resolution": design["resolution"], "aliases": design["aliases"]}


def state_facts(verdict: Verdict, study: Study | None) -> StateFacts:
    """How much of what was planned is there."""
    results = verdict.results
    missing = missing_json(results)
    done = sum(1 for _ in results.finished())
    lost = missing["left"] + missing["diverged"] + missing["failed"]
    return {
        "runs": {"planned": done + lost, "done": done, **missing},
        "rows": sum(len(recipe.rows) for recipe in results.recipes),
        "recipes": len(results.recipes),
        "seeds": list(results.seeds),
        "repeats": results.repeats,
        "design": design_facts(study, tuple(results.inert)) if study else None,
        "factors": {name: list(levels) for name, levels in results.factors.items()},
        "undecided_screen": study.undecided if study else False,
        "looks": len(read_interim_analyses(study.folder)) if study else 0,
    }
