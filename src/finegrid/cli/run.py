"""Commands that train a study: run, confirm, demo."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finegrid.cli.options import (
    AllowCode,
    Device,
    Folder,
    Json,
    Language,
    Margin,
    Memory,
    Mix,
    On,
    Precision,
    Seeds,
    States,
    Tolerance,
    Workers,
    load,
)
from finegrid.cli.say import TIME_OVER, exit_by, say, say_json, sayer, tell
from finegrid.errors import input_error
from finegrid.metrics import TOLERANCE
from finegrid.next_words import next_line
from finegrid.planning.status import StudyStatus, study_status
from finegrid.planning.status_words import left_lines
from finegrid.results.table import make_table, render_results, seconds_lines, summary_lines
from finegrid.running import launch
from finegrid.running.cluster.where import place_of
from finegrid.running.launch import show_in
from finegrid.spelling import Lang, parse_lang
from finegrid.study.audit_file import load_audit
from finegrid.study.demo import prepare_demo
from finegrid.study.edit import keep_asked_seeds
from finegrid.study.load import load_study, override
from finegrid.study.settings import MOST_SEEDS, RunSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.parse import parse_budget, parse_duration

if TYPE_CHECKING:
    from finegrid.running.place import Place
    from finegrid.verdict.confirm import Confirmation


def run(
    folder: Folder,
    seeds: Seeds = None,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    on: On = None,
    storage: States = None,
    mix: Mix = False,
    rows: Annotated[str | None, typer.Option(help="Only these rows of the table, e.g. 1,35,50.")] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="Add seeds, at planned looks, until every verdict is in.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="With --until-decided: stop before this time is over, e.g. 3h, 90m.")
    ] = None,
    margin: Margin = None,
    for_: Annotated[
        str | None,
        typer.Option("--for", help="Stop before this time is over, e.g. 2h, 30m. Begins no run too long."),
    ] = None,
    allow_code: AllowCode = False,
    lang: Language = None,
) -> None:
    """Train what is still missing. Running again resumes."""
    ends, language = find_end(for_), parse_lang(lang)
    study, settings = load(folder, language, allow_code, device=device, precision=precision, memory=memory)
    check_together(until_decided, rows, seeds, for_, budget)
    chosen = parse_rows(rows, len(study.rows))
    with place_of(on, storage, mix) as place:
        if until_decided:
            run_until_decided(study, settings, workers, mix, budget, margin, language, place)
            return
        train = partial(train_priced, settings=settings, workers=workers, seeds=seeds, rows=chosen)
        train = partial(train, lang=language, mix=mix, ends=ends, place=place)
        study = train_as_designed(plan_seeds(study, seeds), train, margin, language, chosen)
        status = study_status(study, settings, seeds, workers, place.offer(study, settings))
    exit_when_over(status, chosen, ends, language)
    say_end(study, margin, status, language)


def train_as_designed(
    study: Study,
    train: Callable[[Study], None],
    margin: float | None,
    lang: Lang,
    rows: set[int] | None,
) -> Study:
    """Train a study; of a screen both phases. What decides between them is imported for a screen alone."""
    if study.head.design.kind != "screen":
        train(study)
        return study
    from finegrid.verdict.screening import train_phases

    return train_phases(study, train, margin, sayer(lang), rows)


def plan_seeds(study: Study, seeds: int | None) -> Study:
    """Make the seeds that are asked for those of the study, while nothing could have been decided."""

    def decides_nothing() -> bool:
        from finegrid.verdict.brief import tells_nothing

        return tells_nothing(study.folder)

    return keep_asked_seeds(study, seeds, decides_nothing)


def say_end(study: Study, margin: float | None, status: StudyStatus, lang: Lang) -> None:
    """What an epoch took, and the verdict in three lines; exit code 1 where runs failed."""
    from finegrid.verdict.brief import tell_briefly

    took = seconds_lines(make_table(study, load_audit(study.folder)), lang)
    say(*took, *tell_briefly(study.folder, margin, lang))
    exit_by(status, lang)


def train_priced(
    study: Study,
    settings: RunSettings,
    workers: int | None,
    seeds: int | None,
    rows: set[int] | None,
    lang: Lang,
    mix: bool,
    ends: float,
    place: Place,
) -> None:
    """Train what is missing. First say what that costs and can decide, unless single rows are asked for."""

    def tell_price(study: Study) -> list[str]:
        from finegrid.verdict.budget.price import describe_price

        status = study_status(study, settings, seeds, workers, place.offer(study, settings))
        return describe_price(status, lang) if rows is None else []

    meanwhile = partial(import_module, "finegrid.verdict.budget.price")  # with all of statistics
    launch.train(
        study, settings, workers, seeds, rows, mix, tell_price, ends, show_in(lang), place, meanwhile
    )


def find_end(text: str | None) -> float:
    """When to stop, by `time.monotonic`; inf without ``--for``.

    Raises:
        InputError: no time.
    """
    return math.inf if text is None else time.monotonic() + parse_duration(text, "--for")


def exit_when_over(status: StudyStatus, rows: set[int] | None, ends: float, lang: Lang) -> None:
    """End with exit code 3 where ``--for`` has left runs, and say how to go on."""
    if ends == math.inf or not (lines := left_lines(status, rows, lang)):
        return
    for line in lines:
        tell(line)
    raise typer.Exit(TIME_OVER)


def run_until_decided(
    study: Study,
    settings: RunSettings,
    workers: int | None,
    mix: bool,
    budget: str | None,
    margin: float | None,
    lang: Lang,
    place: Place,
) -> None:
    """`finegrid run --until-decided`."""
    from finegrid.verdict.interim import add_seeds

    show = show_in(lang)
    reason = add_seeds(
        study,
        train=lambda study, seeds: launch.train(
            study, settings, workers, seeds, mix=mix, show=show, place=place
        ),
        measure=partial(launch.measure_costs, settings=settings, show=show, place=place),
        predict_seconds=partial(launch.predict_seconds, settings=settings, workers=workers, place=place),
        budget=None if budget is None else parse_budget(budget),
        margin=margin,
        say=sayer(lang),
    )
    say(*reason(lang), next_line("verdict", study.folder, lang))
    exit_by(study_status(load_study(study.folder), settings), lang)


def confirm(
    folder: Folder,
    test: Annotated[
        Path | None, typer.Option(help="Fresh labelled texts. Default: the study's own test texts.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=MOST_SEEDS, help="How many, not used before.")] = 5,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    memory: Memory = None,
    on: On = None,
    storage: States = None,
    mix: Mix = False,
    margin: Margin = None,
    tolerance: Tolerance = TOLERANCE,
    allow_code: AllowCode = False,
    lang: Language = None,
    as_json: Json = False,
) -> None:
    """Train the recommended recipe and the baseline on fresh seeds, and compare them. Resumes."""
    from finegrid.verdict.confirm import confirm_recommended

    def settings_of(study: Study) -> RunSettings:
        return override(study.head.run, device=device, precision=precision, memory=memory)

    def train(small: Study, rows: set[int]) -> None:
        show = show_in(parse_lang(lang))
        launch.train(small, settings_of(small), workers, rows=rows, mix=mix, show=show, place=place)

    study, _ = load(folder, parse_lang(lang), allow_code)
    with place_of(on, storage, mix) as place:
        small, found = confirm_recommended(study, seeds, test, margin, train, tolerance)
    say_confirmed(found, folder, seeds, tolerance, as_json, parse_lang(lang))
    exit_by(study_status(small, settings_of(small)), parse_lang(lang))


def say_confirmed(
    found: Confirmation, folder: Path, seeds: int, tolerance: float, as_json: bool, lang: Lang
) -> None:
    """What fresh seeds have shown, and what to do with it; or as JSON."""
    if as_json:
        say_json(found.as_json())
        return
    say(*found.lines(lang), after_confirmation(found, folder, seeds, tolerance, lang))


def after_confirmation(
    confirmation: Confirmation, folder: Path, seeds: int, tolerance: float, lang: Lang
) -> str:
    """Keep the recipe that was confirmed; the baseline where it is shown to be better; else ask for more."""
    fresh = confirmation.fresh.interval
    if fresh.low > -tolerance:
        return next_line("fit", folder, lang)
    if fresh.high < 0:
        return next_line("fit baseline", folder, lang)
    return next_line("confirm more", folder, lang, seeds=min(2 * seeds, MOST_SEEDS))


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to.")] = Path("finegrid-demo"),
    seeds: Annotated[int, typer.Option(min=1, max=MOST_SEEDS, help="Replicates of every recipe.")] = 1,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    on: On = None,
    storage: States = None,
    mix: Mix = False,
    lang: Language = None,
) -> None:
    """Run the 64 recipes on the embedded data set and checkpoint. Resumes an unfinished demo."""
    from finegrid.verdict.brief import tell_briefly

    language = parse_lang(lang)
    prepare_demo(folder, seeds, language)
    study, settings = load(folder, language, device=device, precision=precision)
    with place_of(on, storage, mix) as place:
        launch.train(study, settings, workers, mix=mix, show=show_in(language), place=place)
    table = make_table(study, load_audit(folder))
    print(render_results(table, "markdown", language))
    say(*summary_lines(table, language), "", *tell_briefly(folder, lang=language))
    exit_by(study_status(study, settings), language)


def check_together(
    until_decided: bool, rows: str | None, seeds: int | None, for_: str | None, budget: str | None
) -> None:
    """Refuse options that do not go together.

    Raises:
        InputError: so they are.
    """
    if until_decided:
        check_alone(rows, seeds, for_)
    else:
        check_no_budget(budget)


def check_alone(rows: str | None, seeds: int | None, for_: str | None) -> None:
    """Interim analyses decide on whole seeds of all rows.

    Raises:
        InputError: an option that chooses rows, seeds or a time stands beside --until-decided.
    """
    if for_ is not None:
        what = f'found "{for_}" together with --until-decided, which takes --budget {for_}: it adds whole '
        raise input_error("command line", "--for", f"{what}seeds only.")
    for option, value in (("--rows", rows), ("--seeds", seeds)):
        if value is not None:
            what = f"found {value} together with --until-decided, which chooses itself. Leave one out."
            raise input_error("command line", option, what)


def check_no_budget(budget: str | None) -> None:
    """Only adding seeds can stop in time: a study that is half trained has no verdict.

    Raises:
        InputError: a budget was given.
    """
    if budget is not None:
        what = f'found "{budget}" without --until-decided. `finegrid plan --budget` says what fits into it.'
        raise input_error("command line", "--budget", what)


def parse_rows(text: str | None, count: int) -> set[int] | None:
    """``1,35,50`` as numbers of rows; None where none were given.

    Raises:
        InputError: anything else, or rows that the table does not have.
    """
    if text is None:
        return None
    numbers = text.replace(" ", "").split(",")
    if not all(number.isdecimal() and 1 <= int(number) <= count for number in numbers):
        raise input_error("command line", "--rows", f'found "{text}", expected numbers from 1 to {count}.')
    return {int(number) for number in numbers}
