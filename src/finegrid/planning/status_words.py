"""`finegrid plan` and `finegrid status` in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from finegrid.planning.forecast import family_memory, family_seconds, steps_of
from finegrid.planning.phases import phases_lines, screen_lines
from finegrid.planning.status import STATES, StudyStatus
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import count_noun, format_duration, format_level
from finegrid.study.audit_file import Audit, load_audit
from finegrid.study.confounding import describe_design
from finegrid.study.settings import BEST_TEST
from finegrid.study.study import Study

NOMINAL_STEPS = 1000  # of a run, as long as nobody has counted its texts


def plan_lines(status: StudyStatus, shows: Sequence[str] = ()) -> list[str]:
    """`finegrid plan` in words: first what it takes and can show, then what that rests on.

    Args:
        status: of the study.
        shows: the smallest effect that it can show.
    """
    study = status.study
    recipes, seeds = count_noun(len(study.rows), "recipe"), count_noun(len(status.seeds), "seed")
    lines = [f"{study.folder}: {recipes} x {seeds}, score {study.head.score}"]
    if status.audit is None:
        lines.append("not yet probed: inert levels, time and memory are not known. Try plan --probe.")
        return [*lines, "", *design_of_study_lines(status)]
    lines += [*runs_lines(status), *forecast_lines(status, status.audit), *lacking_lines(status), *shows]
    return [*lines, "", *design_of_study_lines(status), *audit_lines(status, status.audit)]


def runs_lines(status: StudyStatus) -> Iterator[str]:
    """How many runs there are, and how many of them are left."""
    rows = count_noun(len(status.study.rows) * len(status.seeds), "row")
    runs = sum(len(family.runs) for family in status.families)
    left = [*status.states().values()].count("left")
    to_train = "all of them to train" if left == runs else f"{left:,} of them to train"
    yield f"{rows} are {count_noun(runs, 'distinct run')}, {to_train if left else 'none of them to train'}"


def design_of_study_lines(status: StudyStatus) -> Iterator[str]:
    """What is varied and in which rows: known without a look at the model."""
    study = status.study
    first = {name: levels[0] for name, levels in {**study.factors, **study.free_factors}.items()}
    yield f"baseline: {', '.join(f'{name} = {format_level(level)}' for name, level in first.items())}"
    for name, levels in study.factors.items():
        yield f"  {name}: {', '.join(map(format_level, levels))}"
        yield from bundle_lines(study, name)
    for name, levels in study.free_factors.items():
        told = ", ".join(map(format_level, levels))
        yield f"  {name}: {told} (free: all levels are scored in the same runs)"
    yield from level_lines(status)
    yield from describe_design(study, status.inert_everywhere())
    yield from phases_lines(study, load_audit(study.folder), status.seeds)
    if study.screen is not None:
        yield from screen_lines(study.screen)
    if study.head.protocol == "best-test":
        yield BEST_TEST


def level_lines(status: StudyStatus) -> Iterator[str]:
    """What levels amount to, of those factors that a row moves from their default."""
    study = status.study
    recipes = [row.recipe for row in study.rows]
    levels_of = [recipe.levels() for recipe in recipes]
    moved = {factor for recipe in recipes for factor in recipe.moved()}
    for factor in filter(moved.__contains__, levels_of[0]):
        part, _, name = factor.partition(".")
        first: dict[Level, Recipe] = {}  # that has the level; rows near the baseline come first
        for recipe, levels in zip(recipes, levels_of, strict=True):
            first.setdefault(levels[factor], recipe)
        for level, recipe in first.items():
            steps = steps_of(recipe, status.audit) if status.audit else NOMINAL_STEPS
            told = getattr(recipe, part).explain_level(name, study.checkpoint, steps)
            if told:
                yield f"  {factor} = {format_level(level)}: {told}"


def bundle_lines(study: Study, name: str) -> Iterator[str]:
    """What each level of a bundle sets; nothing for other factors."""
    bundle = study.bundles.get(name)
    for level, settings in ({} if bundle is None else bundle.levels).items():
        told = ", ".join(f"{setting} = {format_level(value)}" for setting, value in settings.items())
        yield f"    {level}: {told or 'the baseline'}"


def left_lines(status: StudyStatus, rows: Collection[int] | None = None) -> list[str]:
    """What is left of a study, and how to go on with it; nothing where all runs have ended.

    Args:
        status: of the study.
        rows: those that were asked for; None: all.
    """
    states = status.states()
    asked = [run for run in status.runs if rows is None or set(rows) & set(run.stands_for)]
    left = sum(states[run.run_id] == "left" for run in asked)
    if not left:
        return []
    seconds = status.seconds_left() if rows is None else None
    about = f", about {format_duration(seconds)}" if seconds else ""
    these = f" --rows {','.join(map(str, sorted(rows)))}" if rows is not None else ""
    return [
        f"the time is over: {left} of {count_noun(len(asked), 'run')} left{about}",
        f"next: finegrid run {status.study.folder}{these}",
    ]


def audit_lines(status: StudyStatus, audit: Audit) -> Iterator[str]:
    """What the audit has found: sizes, distinct runs, inert levels, and what each level changes."""
    sizes = ", ".join(f"{name} {size}" for name, size in audit.sizes.items())
    yield f"data: {sizes} texts, {audit.tokens['mean']:.1f} tokens on average"
    for factor, inert in status.inert().items():
        yield f"inert: {factor} in {count_noun(len(inert['rows']), 'row')}: {inert['reason']}"
    yield from (proof.line for proof in status.proofs() if not proof.reason)


def forecast_lines(status: StudyStatus, audit: Audit) -> Iterator[str]:
    """Time and memory; nothing where costs were not measured."""
    left = status.seconds_left()
    if left is None:
        return
    families, workers, threads = status.families, status.workers, status.settings.threads
    seconds = sum(family_seconds(family, audit) for family in families)
    yield (
        f"predicted: {format_duration(seconds)} of work, {format_duration(left)} left with "
        f"{count_noun(workers, 'worker')} of {count_noun(threads, 'thread')}"
    )
    most = max(family_memory(family, audit, status.settings.stack_size > 1) for family in families)
    yield f"memory: up to {most / 2**30:.1f} GiB per worker"
    if audit.measured and audit.measured != status.settings.alike:
        yield f"both measured with {format_settings(audit.measured)}; plan --probe measures what is asked for"


def format_settings(settings: Mapping[str, str | int]) -> str:
    """``device cpu, precision fp32, threads 1``."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def status_lines(status: StudyStatus) -> list[str]:
    """`finegrid status` in words."""
    phases = phases_lines(status.study, load_audit(status.study.folder), status.seeds)
    if status.audit is None and status.study.screen is not None:
        return [*phases, "phase 2 is not started: `finegrid run` goes on with it."]
    if status.audit is None:
        return ["not started: `finegrid run` audits the study and trains it."]
    states = list(status.states().values())
    counts = [f"{states.count(state)} {state}" for state in STATES]
    lines = [f"{len(states)} distinct runs: {', '.join(counts)}", *phases]
    lines += lacking_lines(status)
    lines += [BEST_TEST] * (status.study.head.protocol == "best-test")
    lines += bad_run_lines(status)
    if status.study.files.logs.is_dir():
        lines.append(f"logs of the workers, a line an epoch: {status.study.files.logs}")
    if degenerate := status.degenerate():
        lines.append(f"degenerate, no better than the majority class: {', '.join(degenerate)}")
    if left := status.seconds_left():
        lines.append(f"about {format_duration(left)} left")
    return lines


def at_work_lines(progress: Mapping[str, Any] | None) -> list[str]:
    """That a study is being trained, and how far that is; nothing where it is not.

    Args:
        progress: of progress.json.
    """
    if progress is None:
        return []
    if progress.get("doing") != "training":
        return ["at work now: getting ready"]
    left, ended, of = progress["seconds_left"], progress["runs"]["ended"], progress["runs"]["to_train"]
    time = "" if left is None else f", about {format_duration(left)} left"
    return [f"at work now: {ended} of {count_noun(of, 'run')} since this start{time}"]


def lacking_lines(status: StudyStatus) -> list[str]:
    """Why runs are left that have finished once; nothing where none is."""
    lacking = status.lacking()
    if not lacking:
        return []
    keys = ", ".join(dict.fromkeys(key for keys in lacking.values() for key in keys))
    return [
        f"{len(lacking)} of those left have finished, but were not scored at {keys}: they are trained again "
        "to add it. Until then verdicts on other factors use their records."
    ]


def bad_run_lines(status: StudyStatus) -> Iterator[str]:
    """Every run that diverged or failed, and why."""
    rows_of = {run.run_id: run.stands_for for run in status.runs}  # the ledger's may be of earlier factors
    for run_id, record in status.records().items():
        if record and not record.done:
            rows = ", ".join(map(str, rows_of[run_id]))
            yield f"{record.status}: rows {rows}, seed {record.seed}: {record.reason}"


def failure_lines(status: StudyStatus) -> list[str]:
    """How many runs diverged or failed; nothing where none did."""
    states = list(status.states().values())
    bad = sum(state in ("failed", "diverged") for state in states)
    if not bad:
        return []
    return [f"{bad} of {len(states)} runs failed or diverged; finegrid status {status.study.folder}"]
