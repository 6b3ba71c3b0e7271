"""Commands before and around training: init, plan, status, explain."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from finegrid.cli.completing import offer_presets, offer_several_strategies, offer_strategies
from finegrid.cli.options import (
    AllowCode,
    Device,
    EncodingOption,
    Folder,
    FormatOption,
    Header,
    Json,
    Language,
    Memory,
    MixNodes,
    On,
    Precision,
    QuotingOption,
    Seeds,
    SeparatorOption,
    TextColumns,
    Workers,
    gather,
    load,
    parse_separator,
)
from finegrid.cli.say import say, say_status, warn
from finegrid.encoders.size import measure_size
from finegrid.errors import input_error
from finegrid.in_chinese import translate
from finegrid.metrics import PLAIN_SCORES
from finegrid.next_words import Step, next_line
from finegrid.planning.status import StudyStatus, probed, study_status
from finegrid.planning.status_words import at_work_lines, leftover_lines, plan_lines, status_lines
from finegrid.recipe.card import card, card_lines
from finegrid.recipe.catalogue import list_json, list_lines
from finegrid.running.cluster.where import place_of
from finegrid.running.launch import audit, show_in
from finegrid.running.place import Place
from finegrid.running.progress.heartbeat import read_heartbeat
from finegrid.spelling import Lang, parse_lang
from finegrid.study import init_words
from finegrid.study.audited import fitting_audit
from finegrid.study.drafting import InitOptions
from finegrid.study.folder import StudyFolder
from finegrid.study.init import WrittenStudy, write_study
from finegrid.study.load import load_study, read_study
from finegrid.study.lock import read_holder
from finegrid.study.presets import PRESETS
from finegrid.study.scored_label import check_scored_label
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.parse import parse_budget


def init(
    train: Annotated[Path, typer.Option(help="Training texts: CSV, TSV, JSONL or Parquet.")],
    out: Annotated[Path, typer.Option(help="The study folder to make.")],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint: a folder, a hub id, or mini-zh. Default: mini-zh, for Chinese texts."),
    ] = None,
    dev: Annotated[
        Path | None, typer.Option(help="Texts that choose epochs. Default: a part of train.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Texts that measure. Default: a part of train.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"What to vary: {', '.join(PRESETS)}. Default: five usual strategies, or --factors alone.",
            autocompletion=offer_presets,
        ),
    ] = None,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published", help="thucnews64 with the THUCNews study's own values, whatever the texts."
        ),
    ] = False,
    factors: Annotated[
        str | None,
        typer.Option(
            help="Vary these at their usual levels: any names that explain knows, with commas.",
            autocompletion=offer_several_strategies,
        ),
    ] = None,
    text: TextColumns = None,
    label: Annotated[str | None, typer.Option(help="Label column, by name or number.")] = None,
    header: Header = None,
    format_: FormatOption = None,
    separator: SeparatorOption = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = "auto",
    score: Annotated[str, typer.Option(help="macro-f1, accuracy, mcc or f1:<label>.")] = "macro-f1",
    seeds: Annotated[int, typer.Option(min=1, help="Replicates of every recipe.")] = 3,
    design: Annotated[
        str | None, typer.Option(help="full, fractional, one-at-a-time or screen. Default: the preset's.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(help="Of a fraction or screen: III, IV or V. Default: IV.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="factor=level of the baseline; repeat.")
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            help="A new folder for your files without leaks, repeats and the like; the study's data."
        ),
    ] = None,
    near_twins: Annotated[
        bool, typer.Option("--near-twins", help="Look for nearly equal texts among over 200,000, too.")
    ] = False,
    lang: Language = None,
) -> None:
    """Write a commented study.toml for your files, after checking them."""
    asked = gather(
        locals(),
        leave_out=("out", "set_", "format_", "lang"),
        factors=tuple(name.strip() for name in (factors or "").split(",") if name.strip()),
        text=tuple(text or ()),
        levels=tuple(set_ or ()),
        format=format_,
        separator=parse_separator(separator),
    )
    say_written(write_study(out, InitOptions(**asked), lang=parse_lang(lang)), out, parse_lang(lang))


def say_written(written: WrittenStudy, out: Path, lang: Lang) -> None:
    """What the files were taken for, what the study costs, and what to do next."""
    say(*written.took, *price_of(written, lang))
    for warning in written.warnings:
        warn(warning, lang)
    say(init_words.say("wrote", lang, file=StudyFolder(out).settings), next_line("measure", out, lang))


def price_of(written: WrittenStudy, lang: Lang) -> list[str]:
    """What a new study costs, roughly, and what it can decide."""
    from finegrid.planning.rough import TextSizes
    from finegrid.verdict.budget.price import price_lines, price_rough

    size = measure_size(written.study.checkpoint.folder)
    sizes = TextSizes(written.sizes, written.mean_tokens)
    return price_lines(price_rough(written.study, size, sizes, written.majority), lang)


def plan(
    folder: Folder,
    probe: Annotated[
        bool, typer.Option("--probe", help="Look at the model: inert levels, time, memory.")
    ] = False,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    on: On = None,
    mix: MixNodes = False,
    seeds: Seeds = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Choose design and seeds for this time: 3h, 90m, 1h30m. Probes if need be."),
    ] = None,
    allow_code: AllowCode = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the design and seeds of --budget into study.toml.")
    ] = False,
    lang: Language = None,
    as_json: Json = False,
) -> None:
    """Say what a study will run, and what it will take."""
    seconds = None if budget is None else parse_budget(budget, seeds)
    check_apply(apply, budget)
    language = parse_lang(lang)
    given = {"device": device, "precision": precision, "memory": memory, "allow_code": allow_code}
    study, settings = load_to_plan(folder, language, not probe, seconds is not None, **given)
    looks = probe
    with place_of(on, None, mix, only_nodes=True) as place:
        if seconds is not None:
            looks = probe_designs(study, settings, language, place)
        elif probe:
            audit(study, settings, show_in(language), place=place)  # which says what it warns of
        status = study_status(study, settings, seeds, workers, place.offer(study, settings))
    if seconds is not None:
        say_budget(status, seconds, apply, as_json, language)
    else:
        say_plan(status, as_json, looks, language)


def probe_designs(study: Study, settings: RunSettings, lang: Lang, place: Place) -> bool:
    """Probe what a budget has to know of the designs that it compares; whether anything was to be probed.

    Which factors do nothing is known once the study has been probed: designs without these may have rows
    that are probed then.
    """
    from finegrid.verdict.budget.budget import list_recipes_to_probe

    looked, recipes = False, list_recipes_to_probe(study, None)
    for _ in range(2):
        known = fitting_audit(study) if probed(study, settings) else None
        missing = list_recipes_to_probe(study, known) if known is not None else recipes
        if known is not None and not missing:
            break
        others = [recipe.moved() for recipe in dict.fromkeys(recipes + missing)]
        audit(load_study(study.folder), settings, show_in(lang), others, place)  # which needs the model
        looked = True
    return looked


def say_plan(status: StudyStatus, as_json: bool, just_probed: bool, lang: Lang) -> None:
    """What a study takes. Who has just probed it has seen its warnings, and is told what it can show."""
    shows = []
    if just_probed and not as_json:
        from finegrid.verdict.budget.price import shows_lines  # brings scipy: `plan` alone answers at once

        shows = shows_lines(status, lang)
    lines = [*plan_lines(status, shows, lang), next_line(after_plan(status), status.study.folder, lang)]
    say_status(status, lines, as_json, warned=just_probed, lang=lang)


def say_budget(status: StudyStatus, seconds: float, apply: bool, as_json: bool, lang: Lang) -> None:
    """What so much time buys; with ``apply``, it becomes the study's plan."""
    from finegrid.verdict.budget.apply import apply_plan
    from finegrid.verdict.budget.budget import plan_budget
    from finegrid.verdict.budget.words import budget_json, budget_lines

    within = plan_budget(status, seconds)
    changed = apply_plan(within) if apply else []
    folder = status.study.folder
    if as_json:
        say_status(status, (), as_json, {"budget": budget_json(within)})
    else:
        then = next_line("run" if apply else "plan", folder, lang)
        told = (translate(line, lang) for line in changed)
        say(*budget_lines(within, apply, lang), *told, then)


def check_apply(apply: bool, budget: str | None) -> None:
    """Only what a budget has chosen can be written.

    Raises:
        InputError: --apply stands alone.
    """
    if apply and budget is None:
        what = "found without --budget, which says what to choose. Give both, as in --budget 3h --apply."
        raise input_error("command line", "--apply", what)


def status(folder: Folder, lang: Language = None, as_json: Json = False) -> None:
    """Say what is done, what failed, and what is left."""
    study, language = read_study(folder), parse_lang(lang)
    now, progress = study_status(study, study.head.run), read_heartbeat(folder)
    holder = read_holder(folder) if progress else None
    aside = at_work_lines(progress, language, holder) if progress else leftover_lines(now, language)
    lines = [*status_lines(now, language, at_work=progress is not None), *aside]
    lines.append(next_line("watch" if progress else after_plan(now, probe=False), folder, language))
    more = {"at_work": progress, "held_by": holder and asdict(holder)}
    say_status(now, lines, as_json, more, warned=True, lang=language)


def after_plan(status: StudyStatus, probe: bool = True) -> Step:
    """What a study needs next: a look at its model, its runs, or somebody who reads what they show.

    Args:
        status: of the study.
        probe: whether to look at the model first, where nobody has.
    """
    if status.audit is None or (probe and not status.audit.costs):
        return "probe" if probe else "run"
    states = set(status.states().values())
    if states & {"left", "failed"}:
        return "go on" if states & {"done", "diverged"} else "run"
    return "verdict"


def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            help="reinit.layers, a whole part (reinit), or a strategy (LLRD). Default: a list of all.",
            autocompletion=offer_strategies,
        ),
    ] = None,
    lang: Language = None,
    as_json: Json = False,
) -> None:
    """Print the card of a strategy: paper, idea, levels, deviations. Without a name, list all."""
    if as_json:
        print(json.dumps(list_json() if name is None else {"card": card(name)}, ensure_ascii=False, indent=1))
    elif name is None:
        say(*list_lines(parse_lang(lang)))
    else:
        print("\n".join(card_lines(name, parse_lang(lang))))


def load_to_plan(
    folder: Path, lang: Lang, only_read: bool, compares: bool, **options: Any
) -> tuple[Study, RunSettings]:
    """As `load`. Where the score is of one label, only data or an audit tell whether there are texts of it.

    Where designs are compared, the checkpoint or an audit tells which of them it can have.

    Raises:
        InputError: as `load`; or there are none in dev or test, or data that cannot be used.
    """
    study, settings = load(folder, lang, only_read=only_read, **options)
    if compares and study.known_checkpoint is None:
        study = load_study(folder)
    if study.head.score not in PLAIN_SCORES and not (only_read and fitting_audit(study)):
        for table in study.read_tables(keep_split=False):
            check_scored_label(study.head.score, table)
    return study, settings
