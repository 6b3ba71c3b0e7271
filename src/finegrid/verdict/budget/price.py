"""What a study costs, what that can decide, and what a tenth of it could: before anything long begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finegrid.encoders.size import EncoderSize
from finegrid.errors import InputError
from finegrid.planning.rough import TextSizes, guess_seconds, guess_workers
from finegrid.planning.status import StudyStatus
from finegrid.planning.words import count
from finegrid.results.load import load_results
from finegrid.spelling import Lang, format_duration
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.power import POWER
from finegrid.study.audit_file import Audit
from finegrid.study.design import find_design_problems
from finegrid.study.study import Study
from finegrid.verdict.budget.budget import (
    KINDS,
    BudgetPlan,
    Candidate,
    Option,
    choose,
    in_design,
    make_candidate,
    plan_budget,
)
from finegrid.verdict.budget.noise import NoiseModel, assume_noise, estimate_noise, percent_wrong_of
from finegrid.verdict.budget.phrases import say
from finegrid.verdict.budget.words import describe_clarity, describe_without, name_design

LONG = 3600.0  # seconds, of which `finegrid run` says how to ask for less
SHARE = 0.1  # of the price that is compared
MOST_SEEDS = 12  # that a tenth is tried with


@dataclass(frozen=True)
class Price:
    """What is left of a study, before it is trained.

    Attributes:
        runs: To be trained.
        seconds: Of the clock; None where nothing tells.
        workers: Processes.
        rough: Whether nothing has been measured yet.
        option: The study's own design; what it detects counts all its seeds.
        assumed: Whether its noise is a guess.
        tenth: The best design of a tenth of the seconds; None where nothing fits.
        smallest: The design that takes least; None where none is known.
        nodes: Of a cluster that trains it, those that can hold a worker; None: this machine trains.
    """

    runs: int
    seconds: float | None
    workers: int
    rough: bool
    option: Option
    assumed: bool
    tenth: Option | None = None
    smallest: Option | None = None
    nodes: int | None = None


def price_rough(study: Study, size: EncoderSize, sizes: TextSizes, majority: float) -> Price:
    """Of a study that nobody has probed.

    Args:
        study: whose levels are all taken to do something.
        size: of its encoder.
        sizes: of its texts.
        majority: what the most frequent class scores on dev, 0 to 1.
    """
    seconds = guess_seconds(study, size, sizes)
    seeds = study.head.design.numbers
    runs, texts = len(study.rows) * len(seeds), sizes.texts["test"]
    noise = assume_noise(percent_wrong_of(majority), len(study.factors), 0, 0)
    own = make_rough_candidate(study)
    option = Option(own, seeds, runs, seconds or 0.0, own.detects(noise, len(seeds), texts))
    workers = guess_workers(study.head.run, runs)
    if seconds is None:
        return Price(runs, None, workers, True, option, True)
    tables = list(list_rough(study, noise, seconds / runs, texts))
    tenth = choose([one for table in tables for one in table], SHARE * seconds)
    smallest = min((table[0] for table in tables), key=lambda one: one.seconds, default=None)
    return Price(runs, seconds, workers, True, option, True, tenth, smallest)


def list_rough(
    study: Study, noise: NoiseModel, seconds_of_run: float, texts: int
) -> Iterator[Sequence[Option]]:
    """Every design of the study's factors with one seed, two, and so on, each run at the mean price."""
    for kind, resolution in KINDS:
        if not study.factors or find_design_problems(kind, resolution, study.factors):
            continue
        candidate = make_rough_candidate(in_design(study, kind, resolution))
        rows = len(candidate.study.rows)
        yield [
            Option(
                candidate,
                tuple(range(seeds)),
                rows * seeds,
                rows * seeds * seconds_of_run,
                candidate.detects(noise, seeds, texts),
            )
            for seeds in range(1, MOST_SEEDS + 1)
        ]


def make_rough_candidate(study: Study) -> Candidate:
    """With every row taken to be a recipe of its own."""
    recipes = [row.levels for row in study.rows]
    return Candidate(study, Contrasts(study.factors, recipes, np.ones(len(recipes), dtype=bool)), ())


def price_measured(status: StudyStatus) -> Price | None:
    """Of what is left of a study that has been probed; None where it has no audit, or nothing is left."""
    audit = status.audit
    runs = [*status.states().values()].count("left")
    if audit is None or not runs:
        return None
    seconds = status.seconds_left()
    option, assumed = find_own_option(status, audit, runs, seconds or 0.0)
    within = plan_tenth(status, seconds)
    return Price(
        runs,
        seconds,
        status.workers,
        False,
        option,
        assumed,
        within.chosen if within else None,
        within.smallest if within else None,
        status.offer.nodes,
    )


def find_own_option(status: StudyStatus, audit: Audit, runs: int, seconds: float) -> tuple[Option, bool]:
    """The study's own design with all its seeds, and whether its noise is a guess."""
    results = load_results(status.study)
    noise = estimate_noise(results, audit)
    own = make_candidate(status.study, results, list(results.factors))
    detects = own.detects(noise, len(status.seeds), audit.sizes["test"])
    return Option(own, tuple(status.seeds), runs, seconds, detects), noise.percent_wrong is not None


def shows_lines(status: StudyStatus, lang: Lang = "en") -> list[str]:
    """What a study can decide as it is planned; nothing where nobody has probed it."""
    study, audit = status.study, status.audit
    if audit is None or not study.factors or study.head.design.resample is not None:
        return []
    decided = describe_decided(*find_own_option(status, audit, 0, 0.0), lang)
    return [say("plan decides", lang, decided=decided)]


def plan_tenth(status: StudyStatus, seconds: float | None) -> BudgetPlan | None:
    """What a tenth would buy; None where designs cannot be compared."""
    if not seconds or len(status.inert_everywhere()) == len(status.study.factors):
        return None
    try:
        return plan_budget(status, SHARE * seconds)
    except InputError:
        return None  # seeds with splits of their own: what these add to the noise is not planned for


def describe_price(status: StudyStatus, lang: Lang = "en") -> list[str]:
    """What is left of a study costs, and above an hour how to ask for less; nothing where nothing is left."""
    price = price_measured(status)
    if price is None:
        return []
    return [*price_lines(price, lang), *less_lines(price, status.study.folder, lang)]


def price_lines(price: Price, lang: Lang = "en") -> list[str]:
    """Three lines: runs and minutes, what that can decide, what a tenth of it could."""
    if price.seconds is None:
        took = say("time not known", lang)
    else:
        about = "roughly" if price.rough else "predicted"
        if price.nodes is not None:
            about = "predicted there" if price.nodes else "no node"
        took = say(
            about,
            lang,
            time=format_duration(price.seconds, lang),
            workers=count(price.workers, "worker", lang),
            nodes=count(price.nodes or 0, "node", lang),
        )
    lines = [
        say("price", lang, runs=count(price.runs, "run", lang), took=took),
        say("decides", lang, decided=describe_decided(price.option, price.assumed, lang)),
    ]
    if price.seconds is not None and (tenth := describe_tenth(price, lang)):
        lines.append(say("a tenth", lang, time=format_duration(SHARE * price.seconds, lang), tenth=tenth))
    return lines


def describe_decided(option: Option, assumed: bool, lang: Lang = "en") -> str:
    """The smallest effect that a design can show, and in what share of studies.

    Args:
        option: the design, and what it detects.
        assumed: whether its noise is a guess.
        lang: en or zh.
    """
    if not option.candidate.study.factors:
        return say("free", lang)
    if not math.isfinite(option.detects):
        return say("one seed", lang)
    guess = say("guess", lang) if assumed else ""
    clarity = describe_clarity(option.candidate, lang)
    return say("decided", lang, points=option.detects, power=100 * POWER, guess=guess, clarity=clarity)


def describe_tenth(price: Price, lang: Lang = "en") -> str:
    """What the best design of a tenth of the time could show; empty where no design can be compared."""
    if price.tenth is not None:
        design = describe_design(price.tenth, lang)
        if not math.isfinite(price.tenth.detects):
            return say("tenth not promised", lang, design=design)
        return say("tenth shows", lang, design=design, points=price.tenth.detects)
    if price.smallest is not None:
        design, time = describe_design(price.smallest, lang), price.smallest.seconds
        return say("tenth too little", lang, design=design, time=format_duration(time, lang))
    return ""


def describe_design(option: Option, lang: Lang = "en") -> str:
    recipes = count(option.candidate.recipes, "recipe", lang)
    seeds = count(len(option.seeds), "seed", lang)
    told = say("design", lang, name=name_design(option.candidate, lang), recipes=recipes, seeds=seeds)
    return told + describe_without(option.candidate, lang)


def less_lines(price: Price, folder: Path, lang: Lang = "en") -> list[str]:
    """How to ask for less, where a study takes more than an hour; else nothing."""
    if price.seconds is None or price.seconds <= LONG:
        return []
    seeds = len(price.option.seeds)
    fewer = say("fewer seeds", lang, folder=folder, seeds=seeds - 1) if seeds > 2 else ""
    return [say("less", lang, folder=folder) + fewer]
