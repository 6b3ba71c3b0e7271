"""Facts of where results come from: data and what was checked in them, protocol, machine, commands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from finegrid.facts.report import CardFacts, CheckpointFacts, CommandFacts, DataFacts, ProtocolFacts
from finegrid.recipe.card import card_of
from finegrid.recipe.catalogue import fields_of
from finegrid.results.results import Results
from finegrid.study.bundles import settings_of
from finegrid.study.record import Record
from finegrid.study.study import Study
from finegrid.verdict.verdict import Verdict

# What is looked for in data, in tokens (`data/token_facts.py`) and by the audit, found or not.
CHECKS = (
    "unreadable",
    "unknown-labels",
    "shared-texts",
    "repeated-rows",
    "conflicting-labels",
    "lost-characters",
    "class-sizes",
    "cut-texts",
    "unknown-tokens",
    "levels-that-do-more",
)


def data_facts(results: Results, study: Study | None) -> DataFacts | None:
    """The data: sizes, lengths, the majority class, what was checked and found. None for a table."""
    audit = results.audit
    if audit is None or study is None:
        return None
    return {
        "files": {part: str(path) for part, path in study.head.data.files.items()},
        "sizes": audit.sizes,
        "labels": audit.labels,
        "tokens": audit.tokens,
        "majority": {split: 100 * scores["accuracy"] for split, scores in audit.majority.items()},
        "checks": list(CHECKS),
        "findings": list(results.notes),
    }


def card_facts(results: Results) -> list[CardFacts]:
    """A card per part of the recipe that is varied, inert factors too."""
    varied = dict.fromkeys([*results.factors, *results.inert])
    names = [s for name in varied for s in settings_of(name, results.bundles) if s in results.blank.defaults]
    parts = dict.fromkeys(name.partition(".")[0] for name in names)
    return [
        {
            "part": part,
            "factors": [name for name in names if name.startswith(f"{part}.")],
            "text": card_of(
                blank := getattr(results.blank, part), [f"{part}.{name}" for name in fields_of(blank)]
            ),
        }
        for part in parts
    ]


def protocol_facts(results: Results, study: Study | None) -> ProtocolFacts:
    """How it was done: protocol, fingerprints, versions, machine, and the study's file itself."""
    records = [record for _, record in results.finished()]
    bare: ProtocolFacts = {
        "protocol": results.protocol if study else None,
        "score": results.score,
        "study_toml": None,
        "checkpoint": None,
        "machine": {},
        "fingerprints": {},
        "engine": None,
        "versions": [],
        "device": values(records, "device"),
        "processor": values(records, "processor"),
        "precision": values(records, "precision"),
        "threads": values(records, "threads"),
        "stack": values(records, "stack"),
    }
    if study is None or results.audit is None:
        return bare
    versions = {tuple(sorted(record.versions.items())) for record in records if record.versions}
    return {
        **bare,
        "study_toml": study.files.settings.read_text(encoding="utf-8-sig"),
        "checkpoint": checkpoint_facts(study),
        "machine": results.audit.machine,
        "fingerprints": results.audit.fingerprints,
        "engine": results.audit.engine,
        "versions": [dict(each) for each in sorted(versions)],
    }


def checkpoint_facts(study: Study) -> CheckpointFacts | None:
    """None where the model is not here, and the study was audited before audits kept what it is like."""
    known = study.known_checkpoint
    return (
        None if known is None else {"name": known.folder.name, "family": known.family, "layers": known.layers}
    )


def values(records: list[Record], name: str) -> list[Any]:
    """The distinct values that runs have, in order."""
    return sorted({value for record in records if (value := getattr(record, name)) is not None})


def commands(folder: Path, verdict: Verdict, study: Study | None) -> CommandFacts:
    """Commands for a shell: what trains the recommended recipe, and what repeats the study."""
    place = shlex.quote(str(folder))
    found: CommandFacts = {"report": f"finegrid report {place}", "verdict": f"finegrid verdict {place}"}
    if study is None:
        return found
    if verdict.recommended is not None:
        row = verdict.results.recipes[verdict.recommended].rows[0]
        found["fit"] = f"finegrid fit {place} --recipe {row}"
        found["confirm"] = f"finegrid confirm {place}"
    seeds = max(verdict.results.seeds, default=0) + 1
    more = f" --seeds {seeds}" if seeds > len(study.head.design.numbers) else ""
    return {**found, "run": f"finegrid run {place}{more}"}
