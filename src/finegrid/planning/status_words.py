"""`finegrid plan` and `finegrid status` in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from finegrid.in_chinese import name_state, translate
from finegrid.planning.capacity import GIB, capacity, needs_of, recomputes
from finegrid.planning.forecast import family_memory, family_seconds, steps_of
from finegrid.planning.phases import phases_lines, screen_lines
from finegrid.planning.status import STATES, StudyStatus
from finegrid.planning.words import count, name_rows, say
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import format_mib
from finegrid.spelling import Lang, format_duration, format_level, write_level
from finegrid.study.audit_file import Audit, load_audit
from finegrid.study.confounding import describe_design
from finegrid.study.leftovers import size_of
from finegrid.study.lock import Holder
from finegrid.study.settings import BEST_TEST
from finegrid.study.study import Study
from finegrid.words import SHARED

NOMINAL_STEPS = 1000  # of a run, as long as nobody has counted its texts


def plan_lines(status: StudyStatus, shows: Sequence[str] = (), lang: Lang = "en") -> list[str]:
    """`finegrid plan` in words: first what it takes and can show, then what that rests on.

    Args:
        status: of the study.
        shows: the smallest effect that it can show.
        lang: en or zh.
    """
    study = status.study
    counted = {
        "recipes": count(len(study.rows), "recipe", lang),
        "seeds": count(len(status.seeds), "seed", lang),
    }
    lines = [say("study", lang, folder=study.folder, score=study.head.score, **counted)]
    if status.audit is None:
        known = study.known_checkpoint
        padded = [] if known is None or known.tier != "padded" else [known.family]
        told = [say("may be padded", lang, family=family) for family in padded]
        return [*lines, say("not probed", lang), *told, "", *design_of_study_lines(status, lang)]
    lines += [*runs_lines(status, lang), *forecast_lines(status, status.audit, lang)]
    lines += [*lacking_lines(status, lang), *shows]
    return [*lines, "", *design_of_study_lines(status, lang), *audit_lines(status, status.audit, lang)]


def runs_lines(status: StudyStatus, lang: Lang) -> Iterator[str]:
    """How many runs there are, and how many of them are left."""
    rows, seeds = count(len(status.study.rows), "row", lang), ""
    if len(status.seeds) > 1:
        seeds = say("of seeds", lang, seeds=count(len(status.seeds), "seed", lang))
    runs = sum(len(family.runs) for family in status.families)
    left = [*status.states().values()].count("left")
    some = say("some" if 0 < left < runs else "all" if left else "none", lang, left=left)
    yield say("runs", lang, rows=rows, seeds=seeds, runs=count(runs, "distinct run", lang), left=some)


def design_of_study_lines(status: StudyStatus, lang: Lang) -> Iterator[str]:
    """What is varied and in which rows: known without a look at the model."""
    study = status.study
    first = {name: levels[0] for name, levels in {**study.factors, **study.free_factors}.items()}
    told = [f"{name} = {write_level(level)}" for name, level in first.items()]
    yield say("baseline", lang, levels=SHARED[lang]["list comma"].join(told))
    for name, levels in study.factors.items():
        yield f"  {name}: {', '.join(map(write_level, levels))}"
        yield from bundle_lines(study, name, lang)
    for name, levels in study.free_factors.items():
        yield f"  {name}: {', '.join(map(write_level, levels))} {say('free', lang)}"
    yield from level_lines(status, lang)
    yield from describe_design(study, status.inert_everywhere(), lang)
    yield from phases_lines(study, load_audit(study.folder), status.seeds, lang)
    if study.screen is not None:
        yield from screen_lines(study.screen, lang)
    if study.head.protocol == "best-test":
        yield translate(BEST_TEST, lang)


def level_lines(status: StudyStatus, lang: Lang) -> Iterator[str]:
    """What levels amount to, of those factors that a row moves from their default."""
    study, colon = status.study, SHARED[lang]["colon"]
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
            told = getattr(recipe, part).explain_level(name, study.known_checkpoint, steps, lang)
            if told:
                yield f"  {factor} = {format_level(level)}{colon}{told}"
    if moved and study.known_checkpoint is None:
        yield f"  {say('layers unknown', lang)}"


def bundle_lines(study: Study, name: str, lang: Lang) -> Iterator[str]:
    """What each level of a bundle sets; nothing for other factors."""
    bundle = study.bundles.get(name)
    for level, settings in ({} if bundle is None else bundle.levels).items():
        told = ", ".join(f"{setting} = {format_level(value)}" for setting, value in settings.items())
        yield f"    {level}: {told or say('the baseline', lang)}"


def left_lines(status: StudyStatus, rows: Collection[int] | None, lang: Lang) -> list[str]:
    """What is left of a study when its time is over, and how to go on; nothing where all runs have ended.

    Args:
        status: of the study.
        rows: those that were asked for; None: all.
        lang: en or zh.
    """
    states = status.states()
    asked = [run for run in status.runs if rows is None or set(rows) & set(run.stands_for)]
    left = sum(states[run.run_id] == "left" for run in asked)
    if not left:
        return []
    seconds = status.seconds_left() if rows is None else None
    about = say("about", lang, time=format_duration(seconds, lang)) if seconds else ""
    these = f" --rows {','.join(map(str, sorted(rows)))}" if rows is not None else ""
    return [
        say("time over", lang, left=f"{left:,}", runs=count(len(asked), "run", lang), about=about),
        say("go on", lang, folder=status.study.folder, rows=these),
    ]


def tier_lines(audit: Audit, lang: Lang) -> Iterator[str]:
    """How the encoder is run, where finegrid does not compute it itself."""
    if audit.tier is None or audit.checkpoint is None or audit.tier.tier == "hand":
        return
    family, share = audit.checkpoint.family, audit.tier.padded_share
    yield say(audit.tier.tier, lang, family=family, share=share)


def audit_lines(status: StudyStatus, audit: Audit, lang: Lang) -> Iterator[str]:
    """What the audit has found: sizes, inert levels, and what each level changes."""
    sizes = SHARED[lang]["list comma"].join(
        f"{SHARED[lang][part]} {size}" for part, size in audit.sizes.items()
    )
    yield say("data", lang, sizes=sizes, tokens=audit.tokens["mean"])
    yield from tier_lines(audit, lang)
    for factor, inert in status.inert().items():
        yield inert_line(factor, inert, lang)
    yield from (proof.describe(lang) for proof in status.proofs() if not proof.reason)


def inert_line(factor: str, inert: Mapping[str, Any], lang: Lang) -> str:
    """That a factor does nothing in some rows, and why."""
    rows, reason = count(len(inert["rows"]), "row", lang), translate(inert["reason"], lang)
    return say("inert", lang, factor=translate(factor, lang), rows=rows, reason=reason)


def forecast_lines(status: StudyStatus, audit: Audit, lang: Lang) -> Iterator[str]:
    """Time and memory; nothing where costs were not measured."""
    left = status.seconds_left()
    if left is None:
        return
    families = status.families
    seconds = sum(family_seconds(family, audit) for family in families)
    nodes = status.offer.nodes
    yield say(
        "predicted" if nodes is None else "predicted there" if nodes else "no node",
        lang,
        work=format_duration(seconds, lang),
        left=format_duration(left, lang),
        workers=count(status.workers, "worker", lang),
        threads=count(status.settings.threads, "thread", lang),
        nodes=count(nodes or 0, "node", lang),
    )
    yield from memory_lines(status, audit, lang)
    if audit.measured and audit.measured != status.settings.priced_by:
        yield say("measured", lang, settings=format_settings(audit.measured))


def memory_lines(status: StudyStatus, audit: Audit, lang: Lang) -> Iterator[str]:
    """What the largest family takes, and what helps where that is more than there is."""
    settings, runs = status.settings, status.runs
    stacked = settings.stack_size > 1
    memory, largest = max(
        ((family_memory(family, audit, stacked), family) for family in status.families),
        key=lambda pair: pair[0],
    )
    yield say("memory", lang, gib=memory / GIB)
    room, recipe = capacity(settings, audit).worker_bytes, largest.runs[0].recipe
    if memory > room > 0:
        less = translate(needs_of(recipe, settings, audit).less(), lang)
        yield say("too large", lang, gib=room / GIB, less=less)
    if settings.recompute == "auto" and (
        some := sum(recomputes(settings, audit, run.recipe) for run in runs)
    ):
        yield say("recomputed", lang, some=some, runs=count(len(runs), "run", lang))


def format_settings(settings: Mapping[str, str | int]) -> str:
    """``device cpu, precision fp32, threads 1``."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def status_lines(status: StudyStatus, lang: Lang = "en", at_work: bool = False) -> list[str]:
    """`finegrid status` in words.

    Args:
        status: of the study.
        lang: en or zh.
        at_work: whether somebody trains it, who knows better what time is left, perhaps on a cluster.
    """
    phases = phases_lines(status.study, load_audit(status.study.folder), status.seeds, lang)
    if status.audit is None and status.study.screen is not None:
        return [*phases, say("phase 2", lang)]
    if status.audit is None:
        return [say("not started", lang)]
    states = list(status.states().values())
    counts = (say("of state", lang, count=states.count(one), state=name_state(one, lang)) for one in STATES)
    runs = count(len(states), "distinct run", lang)
    lines = [say("states", lang, runs=runs, counts=SHARED[lang]["list comma"].join(counts)), *phases]
    lines += lacking_lines(status, lang)
    lines += [translate(BEST_TEST, lang)] * (status.study.head.protocol == "best-test")
    lines += bad_run_lines(status, lang)
    if status.study.files.logs.is_dir():
        lines.append(say("logs", lang, folder=status.study.files.logs))
    if degenerate := status.degenerate():
        lines.append(say("degenerate", lang, runs=", ".join(degenerate)))
    if not at_work and (left := status.seconds_left()):
        lines.append(say("left", lang, time=format_duration(left, lang)))
    return lines


def leftover_lines(status: StudyStatus, lang: Lang = "en") -> Iterator[str]:
    """Saved states that go on, and files that are of no use; nothing where there are none."""
    found = status.leftovers
    if found.states:
        states, runs = count(len(found.states), "saved state", lang), count(len(found.runs), "run", lang)
        yield say("saved", lang, states=states, runs=runs, size=format_mib(found.state_bytes))
    if found.drafts:
        size = format_mib(sum(map(size_of, found.drafts)))
        yield say("drafts", lang, files=count(len(found.drafts), "half written file", lang), size=size)
    if found.unfit:
        names = ", ".join(map(status.study.files.relative, found.unfit))
        yield say("unfit", lang, files=names, size=format_mib(sum(map(size_of, found.unfit))))


def at_work_lines(
    progress: Mapping[str, Any] | None, lang: Lang = "en", holder: Holder | None = None
) -> list[str]:
    """That a study is being trained, by whom, and how far that is; nothing where it is not.

    Args:
        progress: of progress.json.
        lang: en or zh.
        holder: of the study's lock.
    """
    if progress is None:
        return []
    by = "" if holder is None else say("by", lang, process=holder.process, host=holder.host)
    if progress.get("doing") != "training":
        return [say("getting ready", lang) + by]
    left, runs = progress["seconds_left"], progress["runs"]
    told = say("at work", lang, ended=runs["ended"], runs=count(runs["to_train"], "run", lang))
    time = "" if left is None else say("left", lang, time=format_duration(left, lang))
    return [SHARED[lang]["comma"].join(filter(None, [told, time])) + by]


def lacking_lines(status: StudyStatus, lang: Lang) -> list[str]:
    """Why runs are left that have finished once; nothing where none is."""
    lacking = status.lacking()
    if not lacking:
        return []
    keys = ", ".join(dict.fromkeys(key for keys in lacking.values() for key in keys))
    return [say("lacking", lang, count=len(lacking), keys=keys)]


def bad_run_lines(status: StudyStatus, lang: Lang) -> Iterator[str]:
    """Every run that diverged or failed, and why."""
    rows_of = {run.run_id: run.stands_for for run in status.runs}  # the ledger's may be of earlier factors
    for run_id, record in status.records().items():
        if record and not record.done:
            told = {"status": name_state(record.status, lang), "rows": name_rows(rows_of[run_id], lang)}
            reason = translate(str(record.reason), lang)
            yield say("bad run", lang, seed=record.seed, reason=reason, **told)


def failure_lines(status: StudyStatus, lang: Lang = "en") -> list[str]:
    """How many runs diverged or failed; nothing where none did."""
    states = list(status.states().values())
    bad = sum(state in ("failed", "diverged") for state in states)
    if not bad:
        return []
    return [say("failures", lang, bad=bad, runs=len(states), folder=status.study.folder)]
