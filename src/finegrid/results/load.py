"""The results of a study: its design, audit and ledger joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finegrid.errors import input_error
from finegrid.machine import PRECISIONS
from finegrid.metrics import range_of
from finegrid.recipe.identity import Level, Levels, key_of
from finegrid.results.conditional import where_factor_exists
from finegrid.results.from_table import imported_results
from finegrid.results.results import Distinct, MergedLevel, Results
from finegrid.results.score_scale import ScoreScale
from finegrid.study.audit_file import Audit, describe_unfit_audit, varied_settings
from finegrid.study.audited import fitting_audit
from finegrid.study.bundles import settings_of
from finegrid.study.folder import AUDIT_FILE
from finegrid.study.free import list_free_levels
from finegrid.study.identity import identify
from finegrid.study.imported import load_imported
from finegrid.study.load import read_study
from finegrid.study.record import Record
from finegrid.study.runs_on_file import read_runs
from finegrid.study.study import Study

HOLDS_AT = ("optimizer.rate", "training.epochs", "training.batch_size", "model.pooling")


def any_results(folder: Path, known: Study | None = None) -> Results:
    """Of a study, or of an imported table.

    Args:
        folder: of either.
        known: the study, if somebody has read it.

    Raises:
        InputError: neither, or a study that has not been started.
    """
    if known is not None:
        return load_results(known)
    imported = load_imported(folder)
    return imported_results(folder, imported) if imported else load_results(read_study(folder))


def load_results(study: Study) -> Results:
    """Join design, audit and ledger.

    Raises:
        InputError: the study has not been started, or has changed since it was audited.
    """
    audit = fitting_audit(study)
    if audit is None:
        what = "this study has not been started, or its factors have changed. `finegrid run` trains it"
        what = f"{describe_unfit_audit(study.folder) or what}."
        raise input_error(str(study.folder), AUDIT_FILE, what)
    on_file = read_runs(study, audit, "answers")
    latest = on_file.latest
    exists = where_factor_exists(study, audit)
    groups: dict[str, list[int]] = {}
    for position, row in enumerate(study.rows):
        audited = audit.row(row)
        assert audited is not None  # a fitting audit covers all rows
        groups.setdefault(key_of(audited.run), []).append(position)
    seeds = sorted({*study.head.design.numbers, *(record.seed for record in latest.values())})
    recipes = []
    for positions in groups.values():
        row = study.rows[positions[0]]
        audited = audit.row(row)
        assert audited is not None
        records = records_by_seed(study, audit, audited.run, seeds, latest)
        levels = {name: level for name, level in row.levels.items() if exists[name][positions[0]]}
        rows = tuple(study.rows[position].index for position in positions)
        recipes.append(Distinct(rows, levels, audited.run, records))
    shown = [
        seed for seed in seeds if seed in study.head.design.numbers or any(seed in r.records for r in recipes)
    ]
    factors = {name: levels for name, levels in study.factors.items() if any(exists[name])}
    whole = audit.inert(study.rows)
    inert = {
        name: describe_bundle(name, whole) if name in study.bundles else whole[name]["reason"]
        for name in study.factors
        if not any(exists[name])
    }
    inert |= find_inert_settings(study, factors, whole)
    common = {name: level for name, level in study.baseline.levels().items() if name in HOLDS_AT}
    varied = {setting for name in study.factors for setting in settings_of(name, study.bundles)}
    holds_at = {name: level for name, level in common.items() if name not in varied}
    return Results(
        folder=study.folder,
        score=study.head.score,
        protocol=study.head.protocol,
        audit=audit,
        factors=factors,
        inert=inert,
        recipes=tuple(recipes),
        seeds=tuple(shown),
        scale=ScoreScale(1.0, False, *range_of(study.head.score)),
        planned_seeds=study.head.design.planned,
        holds_at=holds_at,
        notes=(*audit.warnings, *on_file.notes),
        unfit=on_file.notes,
        resampling=(resampling := study.head.design.resampling),
        test_given=resampling is not None and not resampling.pools_test(study.head.data),
        screen=study.screen,
        bundles=study.bundles,
        merged=tuple(find_merged_levels(study, audit, factors, recipes)),
        free_factors=study.free_factors,
        blank=study.blank,
        contradicting=find_contradicting(study, recipes),
    )


def describe_bundle(name: str, inert: Mapping[str, Mapping[str, Any]]) -> str:
    """Why no level of a bundle does anything: what is inert in each."""
    reasons = [f"{told}: {known['reason']}" for told, known in inert.items() if f" of {name} = " in told]
    return "; ".join(["all its levels are one run", *reasons])


def find_inert_settings(
    study: Study, factors: Mapping[str, Sequence[Level]], inert: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What a level of a bundle sets to no effect in any of its rows, and why."""
    found = {}
    for name in (name for name in factors if name in study.bundles):
        for level in factors[name]:
            rows = [row for row in study.rows if row.levels[name] == level]
            for told in dict.fromkeys(told for row in rows for told in varied_settings(row) if told in inert):
                if told.endswith(f" of {name} = {level}") and len(inert[told]["rows"]) == len(rows):
                    found[told] = inert[told]["reason"]
    return found


def find_merged_levels(
    study: Study, audit: Audit, factors: Mapping[str, Sequence[Level]], recipes: Sequence[Distinct]
) -> Iterator[MergedLevel]:
    """Levels that no distinct recipe has, since all their rows are the runs of another level."""
    rows = {row.index: row for row in study.rows}
    for name, levels in factors.items():
        seen = {recipe.levels.get(name) for recipe in recipes}
        for level in levels:
            recipe = next((r for r in recipes if any(rows[i].levels[name] == level for i in r.rows)), None)
            if level in seen or recipe is None or (other := rows[recipe.rows[0]].levels[name]) == level:
                continue
            row = next(rows[i] for i in recipe.rows if rows[i].levels[name] == level)
            audited = audit.row(row)
            inert = audited.inert if audited else {}
            told = [f"{s}: {inert[s]}" for s in settings_of(name, study.bundles) if s in inert]
            yield MergedLevel(name, level, other, "; ".join(told))


def find_contradicting(study: Study, recipes: Sequence[Distinct]) -> frozenset[int]:
    """The recipes that contradict a level of a free factor, such as two corrections for one thing."""
    if study.known_checkpoint is None:
        return frozenset()
    free = list_free_levels(study.free_factors).values()
    return frozenset(
        number
        for number, recipe in enumerate(recipes)
        if any(study.blank.at({**recipe.run, **levels}).problems(study.known_checkpoint) for levels in free)
    )


def records_by_seed(
    study: Study, audit: Audit, run: Levels, seeds: Sequence[int], latest: Mapping[str, Record]
) -> dict[int, Record]:
    """The latest record of a recipe with every seed that has one.

    Args:
        study: the study.
        audit: its audit.
        run: the recipe's levels, inert ones left out.
        seeds: those asked for.
        latest: the ledger, by run id.
    """
    found = {}
    for seed in seeds:
        ids = [identify(study, audit, precision, run, seed) for precision in PRECISIONS]
        # A mixed study may have either; where it has both, the reference precision speaks.
        if (first := next((run_id for run_id in ids if run_id in latest), None)) is not None:
            found[seed] = latest[first]
    return found
