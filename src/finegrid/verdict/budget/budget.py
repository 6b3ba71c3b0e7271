"""Which design and how many seeds a budget of time buys, and how small an effect they can show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np

from finegrid.machine import PRECISIONS
from finegrid.planning.capacity import capacity
from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import family_seconds, share_out
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.planning.status import StudyStatus
from finegrid.recipe.identity import key_of
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.statistics.comparisons import InteractionContrast
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.decide import MOST_SEEDS
from finegrid.statistics.power import detectable
from finegrid.statistics.variance import LEAST_LENTH, LEAST_RESIDUAL, Components
from finegrid.study.audit_file import Audit
from finegrid.study.confounding import make_bits
from finegrid.study.design import DesignKind, Resolution, find_design_problems
from finegrid.study.fraction import ROMAN, find_resolution
from finegrid.study.identity import identify
from finegrid.study.record import Record
from finegrid.study.settings import DesignSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.noise import Spread, size_of, spread_of

# Variances are not known to a tenth, so what is a tenth smaller is no reason for fewer seeds than three, or
# for effects that are measured together.
ALIKE = 1.1
ENOUGH_SEEDS = 3
KINDS: tuple[tuple[DesignKind, Resolution], ...] = (
    ("full", 4),
    ("fractional", 5),
    ("fractional", 4),
    ("fractional", 3),
    ("one-at-a-time", 4),
)


@dataclass(frozen=True)
class Sight:
    """What a design of the study's factors shows, whatever the seeds.

    Attributes:
        study: the same study, in this design.
        reached: resolution of a fraction; None where no effects are measured together at all.
        recipes: distinct ones.
        comparisons: main effects, every level but the first.
        size: of the largest contrast of a main effect; inf where one is not measured.
        leftover: degrees of freedom of the noise when there is one seed only.
        aliased: main effects, and interactions of two, that are measured together with others.
        interactions: of two factors that are measured.
        unseen: factors that do something in other designs, but nothing in this one.
    """

    study: Study
    reached: int | None
    recipes: int
    comparisons: int
    size: float
    leftover: float
    aliased: tuple[int, int]
    interactions: int
    unseen: tuple[str, ...]

    @property
    def kind(self) -> DesignKind:
        return self.study.head.design.kind

    @property
    def clear(self) -> int:
        """How much of it can be told apart, for comparing designs: the higher, the more."""
        if self.kind == "one-at-a-time":
            return 0
        if self.aliased[0]:
            return 1
        if self.aliased[1]:
            return 2
        return 4 if self.kind == "full" else 3

    def detects(self, spread: Spread, seeds: int, texts: int) -> float:
        """Points; the smallest main effect found with 80 % power. inf where noise cannot be measured."""
        if not np.isfinite(self.size) or self.unseen:
            return np.inf
        one = spread.of(self.size)
        return detectable(one, seeds, texts, self.comparisons, df_seed=self.leftover if seeds == 1 else None)

    def floor(self, spread: Spread, texts: int) -> float:
        """What `detects` comes to with any number of seeds."""
        if not np.isfinite(self.size) or self.unseen:
            return np.inf
        rest = Components(np.array(0.0), spread.of(self.size).text, np.array(0.0))
        return detectable(rest, 2, texts, self.comparisons)


@dataclass(frozen=True)
class Option:
    """A design with a number of seeds."""

    sight: Sight
    seeds: tuple[int, ...]
    left: int  # runs that are not in the ledger
    seconds: float  # that those take
    detects: float  # points

    @property
    def order(self) -> tuple[bool, int, float, float, int]:
        """Among options that detect about the same; the first is the best."""
        few = len(self.seeds) < ENOUGH_SEEDS
        return few, -self.sight.clear, round(self.detects, 2), self.seconds, len(self.seeds)


@dataclass(frozen=True)
class BudgetPlan:
    """What a budget buys.

    Attributes:
        chosen: None if nothing fits.
        instead: the best of every other design that fits.
        smallest: the design that takes least, with one seed.
        two_seeds: Seconds of the chosen design with two seeds, where one was chosen.
        not_compared: designs whose rows have not been audited.
    """

    status: StudyStatus
    seconds: float
    spread: Spread
    texts: int
    chosen: Option | None
    instead: tuple[Option, ...]
    smallest: Option
    two_seeds: float | None
    not_compared: tuple[str, ...]


def plan_budget(status: StudyStatus, seconds: float) -> BudgetPlan:
    """Choose a design and seeds for a study that has been audited.

    Args:
        status: of the study; its seeds do not matter.
        seconds: of wall-clock time, for what is not done yet.

    Raises:
        InputError: predictions of finished runs that cannot be read.
    """
    study, audit = status.study, status.audit
    assert audit is not None  # the caller has probed
    spread, texts = spread_of(load_results(study), audit), audit.sizes["test"]
    sights, missing = all_sights(study, audit)
    latest = study.ledger.latest()
    tables = [list(options(status, sight, spread, seconds, latest)) for sight in sights]
    chosen = choose([option for table in tables for option in table], seconds)
    others = [choose(table, seconds) for table in tables if not chosen or table[0].sight is not chosen.sight]
    instead = sorted((option for option in others if option), key=lambda option: option.detects)
    two = None
    if chosen is not None and len(chosen.seeds) == 1:
        second = next(table for table in tables if table[0].sight is chosen.sight)[1]
        two = second.seconds
    return BudgetPlan(
        status=status,
        seconds=seconds,
        spread=spread,
        texts=texts,
        chosen=chosen,
        instead=tuple(instead),
        smallest=min((table[0] for table in tables), key=lambda option: option.seconds),
        two_seeds=two,
        not_compared=missing,
    )


def choose(table: Sequence[Option], seconds: float) -> Option | None:
    """Of what fits and detects nearly the smallest main effect: three seeds, clear effects, little time."""
    fitting = [option for option in table if option.seconds <= seconds]
    smallest = min((option.detects for option in fitting), default=math.inf)
    near = [option for option in fitting if option.detects <= smallest * ALIKE]
    return min(near, key=lambda option: option.order, default=None)


def options(
    status: StudyStatus, sight: Sight, spread: Spread, budget: float, latest: dict[str, Record]
) -> Iterator[Option]:
    """One seed, two, ... up to the first number that takes longer than the budget."""
    audit, settings = status.audit, status.settings
    assert audit is not None
    study = sight.study
    first = plan_runs(study, audit, settings.precision, [0])
    families = plan_families(first, capacity(settings, audit).size_of)  # alike for every seed
    whole = [family_seconds(family, audit) for family in families]
    ran = {record.seed for record in latest.values()}
    took: list[float] = []
    left, numbers = 0, first_seeds(status.study, MOST_SEEDS + 1)
    rests = [
        [without_settled(study, audit, family, seed, latest) for family in families if seed in ran]
        for seed in numbers
    ]
    for seeds, rest in enumerate(rests[:-1], start=1):
        took += [family_seconds(family, audit) for family in rest] if rest else whole
        left += sum(len(family.left) for family in rest or families)
        if rests[seeds] and not any(family.left for family in rests[seeds]):
            continue  # the next seed is there already, and a verdict will count it
        seconds = share_out(took, status.workers)
        detects = sight.detects(spread, seeds, audit.sizes["test"])
        yield Option(sight, first_seeds(status.study, seeds), left, seconds, detects)
        if seconds > budget:
            return


def without_settled(
    study: Study, audit: Audit, family: Family, seed: int, latest: dict[str, Record]
) -> Family:
    """The family in another seed, less the runs that the runner would leave: done or diverged."""

    def settled(run: PlannedRun) -> bool:
        twins = (identify(study, audit, precision, run.levels, seed) for precision in PRECISIONS)
        return any(twin in latest and latest[twin].status != "failed" for twin in twins)

    return family.without([run.run_id for run in family.left if settled(run)])


def seed_numbers(study: Study) -> Iterator[int]:
    """Those of study.toml, then 0, 1, ... as far as they are free."""
    own = study.head.design.numbers
    yield from own
    yield from (number for number in count() if number not in own)


def first_seeds(study: Study, seeds: int) -> tuple[int, ...]:
    return tuple(islice(seed_numbers(study), seeds))


def all_sights(study: Study, audit: Audit) -> tuple[list[Sight], tuple[str, ...]]:
    """Every different design of these factors, and the names of those that have rows without an audit."""
    found: list[tuple[Study, Results]] = []
    tables: list[set[str]] = []  # what is compared already, by distinct recipes
    missing: dict[str, str] = {}  # rows -> name of the design
    for kind, resolution in KINDS:
        if find_design_problems(kind, resolution, study.factors):
            continue
        other = in_design(study, kind, resolution)
        if not audit.covers(other.rows):
            name = kind if kind != "fractional" else f"a fraction of resolution {ROMAN[resolution]}"
            missing.setdefault(str([row.levels for row in other.rows]), name)
            continue
        results = load_results(other)
        table = {key_of(recipe.run) for recipe in results.recipes}
        if table not in tables:
            tables.append(table)
            found.append((other, results))
    live = dict.fromkeys(factor for _, results in found for factor in results.factors)
    return [sight_of(other, results, live) for other, results in found], tuple(missing.values())


def in_design(study: Study, kind: DesignKind, resolution: Resolution) -> Study:
    """The same study with other rows."""
    given: dict[str, Any] = {"resolution": resolution} if kind == "fractional" else {}
    design = DesignSettings(kind=kind, seeds=study.head.design.seeds, **given)
    return replace(study, head=study.head.model_copy(update={"design": design}), screen=None)


def sight_of(study: Study, results: Results, live: Collection[str]) -> Sight:
    """What a design shows once all its runs have finished. ``live``: factors that do something somewhere."""
    recipes = [recipe.levels for recipe in results.recipes]
    contrasts = Contrasts(results.factors, recipes, np.ones(len(recipes), dtype=bool))
    mains = contrasts.mains
    crossed = [one for one in contrasts.interactions if one.contrast.weights is not None]
    fractional = study.head.design.kind == "fractional"
    return Sight(
        study=study,
        reached=find_resolution(make_bits(study)) if fractional else None,
        recipes=len(recipes),
        comparisons=len(mains),
        size=max((size_of(one.weights) for one in mains), default=math.inf),
        leftover=leftover_df(contrasts.residual_basis.shape[1], len(mains), crossed),
        aliased=(
            sum(bool(one.aliases) for one in mains),
            sum(bool(one.contrast.aliases) for one in crossed),
        ),
        interactions=len(crossed),
        unseen=tuple(factor for factor in live if factor not in results.factors),
    )


def leftover_df(leftover: int, mains: int, crossed: Sequence[InteractionContrast]) -> float:
    """Of one seed, as `variance.one_seed` takes them; 0 where it can say nothing."""
    if leftover >= LEAST_RESIDUAL:
        return float(leftover)
    contrasts = mains + len(crossed)
    return contrasts / 3 if contrasts >= LEAST_LENTH else 0.0
