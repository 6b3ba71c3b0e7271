"""Which design and how many seeds a budget of time buys, and how small an effect they can show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, islice
from typing import Any

import numpy as np

from finegrid.errors import input_error
from finegrid.machine import PRECISIONS
from finegrid.planning.capacity import capacity
from finegrid.planning.families import Family, plan_families
from finegrid.planning.forecast import family_seconds, share_out
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.planning.status import StudyStatus
from finegrid.recipe.identity import key_of
from finegrid.recipe.recipe import Recipe
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.statistics.comparisons import Contrast
from finegrid.statistics.contrasts import Contrasts
from finegrid.statistics.decide import MOST_SEEDS
from finegrid.statistics.power import detectable
from finegrid.statistics.variance import LEAST_LENTH, LEAST_RESIDUAL, LUCK_RATIO, Components
from finegrid.study.audit_file import Audit
from finegrid.study.confounding import make_bits
from finegrid.study.design import DesignKind, Resolution, find_design_problems
from finegrid.study.fraction import ROMAN, find_resolution
from finegrid.study.identity import identify
from finegrid.study.record import Record
from finegrid.study.settings import DesignSettings
from finegrid.study.study import Study
from finegrid.verdict.budget.noise import NoiseModel, estimate_noise, sum_squares

# Variances are not known to a tenth, so what is a tenth smaller is no reason for fewer seeds than three, or
# for effects that are measured together.
ALIKE = 1.1
ENOUGH_SEEDS = 3
MOST_PROBED = 128  # rows of a design that are looked at to compare it
KINDS: tuple[tuple[DesignKind, Resolution], ...] = (
    ("full", 4),
    ("fractional", 5),
    ("fractional", 4),
    ("fractional", 3),
    ("one-at-a-time", 4),
)


@dataclass(frozen=True)
class Candidate:
    """A design of the study's factors, and what it shows once all its runs have finished.

    Attributes:
        study: The same study, in this design.
        contrasts: Of its distinct recipes.
        unseen: Factors that do something in other designs, but nothing in this one.
        without: Factors of the study that it does not vary, since they do nothing in any design.
    """

    study: Study
    contrasts: Contrasts
    unseen: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def kind(self) -> DesignKind:
        return self.study.head.design.kind

    @cached_property
    def reached(self) -> int | None:
        """Resolution of a fraction; None of other designs."""
        return find_resolution(make_bits(self.study)) if self.kind == "fractional" else None

    @property
    def recipes(self) -> int:
        """Distinct ones."""
        return len(self.contrasts.recipes)

    @property
    def comparisons(self) -> int:
        """Main effects: every level but the first."""
        return len(self.contrasts.mains)

    @cached_property
    def interactions(self) -> list[Contrast]:
        """Of two factors, those that are measured."""
        contrasts = [interaction.contrast for interaction in self.contrasts.interactions]
        return [contrast for contrast in contrasts if contrast.weights is not None]

    @cached_property
    def aliased(self) -> tuple[int, int]:
        """Main effects, and interactions of two, that are measured together with others."""
        mains = sum(bool(contrast.aliases) for contrast in self.contrasts.mains)
        return mains, sum(bool(contrast.aliases) for contrast in self.interactions)

    @cached_property
    def size(self) -> float:
        """Of the largest contrast of a main effect; inf where one is not measured."""
        sizes = (sum_squares(contrast.weights) for contrast in self.contrasts.mains)
        return max(sizes, default=math.inf)

    @cached_property
    def leftover(self) -> float:
        """Degrees of freedom of one seed's noise, as `variance.find_stand_in` has them; 0: none."""
        leftover = self.contrasts.residual_basis.shape[1]
        if leftover >= LEAST_RESIDUAL:
            return float(leftover)
        contrasts = self.comparisons + len(self.interactions)
        return contrasts / 3 if contrasts >= LEAST_LENTH else 0.0

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

    def detects(self, noise: NoiseModel, seeds: int, texts: int) -> float:
        """Points; the smallest main effect found with 80 % power. inf where noise cannot be measured."""
        if not np.isfinite(self.size) or self.unseen:
            return np.inf
        components = noise.predict(self.size)
        df_seed = None
        if seeds == 1:
            df_seed = self.leftover
            components = replace(components, seed=LUCK_RATIO * components.seed)  # as a verdict counts it
        return detectable(components, seeds, texts, self.comparisons, df_seed=df_seed)

    def floor(self, noise: NoiseModel, texts: int) -> float:
        """What `detects` comes to with any number of seeds."""
        if not np.isfinite(self.size) or self.unseen:
            return np.inf
        rest = Components(np.array(0.0), noise.predict(self.size).text, np.array(0.0))
        return detectable(rest, 2, texts, self.comparisons)


@dataclass(frozen=True)
class Option:
    """A design with a number of seeds.

    Attributes:
        candidate: The design.
        seeds: Their numbers.
        left: Runs that are not in the ledger.
        seconds: That those take.
        detects: Points; `Candidate.detects` with so many seeds.
    """

    candidate: Candidate
    seeds: tuple[int, ...]
    left: int
    seconds: float
    detects: float

    @property
    def order(self) -> tuple[bool, int, float, float, int]:
        """Among options that detect about the same; the first is the best."""
        few = len(self.seeds) < ENOUGH_SEEDS
        return few, -self.candidate.clear, round(self.detects, 2), self.seconds, len(self.seeds)


@dataclass(frozen=True)
class BudgetPlan:
    """What a budget buys.

    Attributes:
        status: Of the study that the budget is for.
        seconds: Of the budget.
        noise: That the effects are expected to have.
        texts: Of the test split.
        chosen: None if nothing fits.
        instead: The best of every other design that fits.
        smallest: The design that takes least, with one seed.
        two_seeds: Seconds of the chosen design with two seeds, where one was chosen.
        not_compared: Designs that have rows which nobody has probed.
    """

    status: StudyStatus
    seconds: float
    noise: NoiseModel
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
        InputError: predictions of finished runs that cannot be read, seeds with splits of their own, or no
            design all of whose rows have been probed.
    """
    study, audit = status.study, status.audit
    assert audit is not None  # the caller has probed
    if study.head.design.resample is not None:
        what = "found with design.resample: what splits add to the noise is not planned for. Take one out."
        raise input_error("command line", "--budget", what)
    noise, texts = estimate_noise(load_results(study), audit), audit.sizes["test"]
    candidates, missing = find_candidates(study, audit)
    if not candidates:  # of a screen one of whose factors does nothing, only the first phase may be probed
        raise input_error("command line", "--budget", f"rows are not probed yet: {', '.join(missing)}.")
    latest = status.on_file.latest
    tables = [list(list_options(status, candidate, noise, seconds, latest)) for candidate in candidates]
    chosen = choose([option for table in tables for option in table], seconds)
    others = [
        choose(table, seconds) for table in tables if not chosen or table[0].candidate is not chosen.candidate
    ]
    instead = sorted((option for option in others if option), key=lambda option: option.detects)
    two_seeds = None
    if chosen is not None and len(chosen.seeds) == 1:
        table = next(table for table in tables if table[0].candidate is chosen.candidate)
        two_seeds = table[1].seconds
    return BudgetPlan(
        status=status,
        seconds=seconds,
        noise=noise,
        texts=texts,
        chosen=chosen,
        instead=tuple(instead),
        smallest=min((table[0] for table in tables), key=lambda option: option.seconds),
        two_seeds=two_seeds,
        not_compared=missing,
    )


def choose(table: Sequence[Option], seconds: float) -> Option | None:
    """Of what fits and detects nearly the smallest main effect: three seeds, clear effects, little time."""
    fitting = [option for option in table if option.seconds <= seconds]
    smallest = min((option.detects for option in fitting), default=math.inf)
    near = [option for option in fitting if option.detects <= smallest * ALIKE]
    return min(near, key=lambda option: option.order, default=None)


def list_options(
    status: StudyStatus,
    candidate: Candidate,
    noise: NoiseModel,
    budget: float,
    latest: Mapping[str, Record],
) -> Iterator[Option]:
    """One seed, two, ... up to the first number that takes longer than the budget."""
    audit, settings = status.audit, status.settings
    assert audit is not None
    study = candidate.study
    first = plan_runs(study, audit, settings.precision, [0])
    families = plan_families(
        first, capacity(settings, audit, status.offer.hardware).size_of
    )  # alike for every seed
    of_new_seed = [family_seconds(family, audit) for family in families]
    ran = {record.seed for record in latest.values()}
    took: list[float] = []
    left, numbers = 0, take_seeds(status.study, MOST_SEEDS + 1)
    rests = [
        [leave_out_ended(study, audit, family, seed, latest) for family in families if seed in ran]
        for seed in numbers
    ]
    for seeds, rest in enumerate(rests[:-1], start=1):
        took += [family_seconds(family, audit) for family in rest] if rest else of_new_seed
        left += sum(len(family.left) for family in rest or families)
        if rests[seeds] and not any(family.left for family in rests[seeds]):
            continue  # the next seed is there already, and a verdict will count it
        seconds = share_out(took, status.workers)
        detects = candidate.detects(noise, seeds, audit.sizes["test"])
        yield Option(candidate, take_seeds(status.study, seeds), left, seconds, detects)
        if seconds > budget:
            return


def leave_out_ended(
    study: Study, audit: Audit, family: Family, seed: int, latest: Mapping[str, Record]
) -> Family:
    """The family in another seed, less the runs that the runner would leave: done or diverged."""

    def has_ended(run: PlannedRun) -> bool:
        twins = (identify(study, audit, precision, run.levels, seed) for precision in PRECISIONS)
        found = [latest[twin] for twin in twins if twin in latest]
        return any(record.status != "failed" and not study.lacks_free(record) for record in found)

    return family.without([run.run_id for run in family.left if has_ended(run)])


def list_seeds(study: Study) -> Iterator[int]:
    """Those of study.toml, then 0, 1, ... as far as they are free."""
    listed = study.head.design.numbers
    yield from listed
    yield from (number for number in count() if number not in listed)


def take_seeds(study: Study, seeds: int) -> tuple[int, ...]:
    return tuple(islice(list_seeds(study), seeds))


def find_candidates(study: Study, audit: Audit) -> tuple[list[Candidate], tuple[str, ...]]:
    """Every different design of these factors, and the names of those that have rows without an audit.

    Where factors do nothing, fractions are of the others. Of all factors there is then but the study's own
    fraction, of which runs may have finished.
    """
    designs = list_designs(study)
    if without := find_idle(study, designs, audit):
        own = study.head.design.kind, study.head.design.resolution
        designs = [
            d for d in designs if not is_fraction(d) or own == ("fractional", d.head.design.resolution)
        ]
        designs += list_smaller(study, without)
    covered = [design for design in designs if audit.covers(design.rows)]
    found: dict[frozenset[str], tuple[Study, Results]] = {}  # by distinct recipes: the first that has them
    for design in covered:
        results = load_results(design)
        found.setdefault(frozenset(key_of(recipe.run) for recipe in results.recipes), (design, results))
    live = dict.fromkeys(factor for _, results in found.values() for factor in results.factors)
    candidates = [
        make_candidate(design, results, live, [name for name in without if name not in design.factors])
        for design, results in found.values()
    ]
    missing = {str([row.levels for row in d.rows]): name_kind(d) for d in designs if d not in covered}
    return candidates, tuple(missing.values())


def list_recipes_to_probe(study: Study, audit: Audit | None) -> list[Recipe]:
    """What must be looked at before the designs of a study can be compared, and is not in the audit.

    Designs of very many rows are left out: they are compared where their rows have been probed otherwise.

    Args:
        study: the study.
        audit: that fits it; None: there is none yet.
    """
    designs = list_designs(study)
    if audit is not None:
        designs += list_smaller(study, find_idle(study, designs, audit))
    recipes = (row.recipe for design in designs if len(design.rows) <= MOST_PROBED for row in design.rows)
    return [recipe for recipe in dict.fromkeys(recipes) if audit is None or not audit.knows([recipe])]


def list_designs(study: Study) -> list[Study]:
    """The study in every design that its factors and its checkpoint can have."""
    kinds = (kind for kind in KINDS if not find_design_problems(*kind, study.factors))
    designs = [in_design(study, kind, resolution) for kind, resolution in kinds]
    checkpoint = study.checkpoint
    return [design for design in designs if not any(row.recipe.problems(checkpoint) for row in design.rows)]


def list_smaller(study: Study, without: Collection[str]) -> list[Study]:
    """Fractions of the factors that do something. Other designs have the same recipes with the others."""
    if not without or len(without) == len(study.factors):
        return []
    smaller = leave_out(study, without)
    return [design for design in list_designs(smaller) if is_fraction(design)]


def is_fraction(study: Study) -> bool:
    return study.head.design.kind == "fractional"


def find_idle(study: Study, designs: Sequence[Study], audit: Audit) -> tuple[str, ...]:
    """Varied factors that do nothing in any row of designs that combine levels, where these are audited.

    One at a time, a factor may do nothing that does something beside others.
    """
    combined = [design.rows for design in designs if design.head.design.kind != "one-at-a-time"]
    idle = [audit.inert_everywhere(rows) for rows in combined if audit.covers(rows)]
    return tuple(name for name in study.factors if idle and all(name in names for names in idle))


def leave_out(study: Study, names: Collection[str]) -> Study:
    """The same study with some factors at their first level, and not varied."""
    first = {name: study.factors[name][0] for name in names}
    return replace(
        study,
        baseline=study.recipe_at(first),
        factors={name: levels for name, levels in study.factors.items() if name not in names},
        bundles={name: bundle for name, bundle in study.bundles.items() if name not in names},
    )


def in_design(study: Study, kind: DesignKind, resolution: Resolution) -> Study:
    """The same study with other rows."""
    given: dict[str, Any] = {"resolution": resolution} if kind == "fractional" else {}
    design = DesignSettings(kind=kind, seeds=study.head.design.seeds, **given)
    return replace(study, head=study.head.model_copy(update={"design": design}), screen=None)


def make_candidate(
    study: Study, results: Results, live: Collection[str], without: Sequence[str] = ()
) -> Candidate:
    """``live``: factors that do something somewhere."""
    recipes = [recipe.levels for recipe in results.recipes]
    ran = np.ones(len(recipes), dtype=bool)
    unseen = tuple(factor for factor in live if factor not in results.factors)
    return Candidate(study, Contrasts(results.factors, recipes, ran), unseen, tuple(without))


def name_kind(study: Study) -> str:
    """Of a design that is not compared."""
    design = study.head.design
    return (
        design.kind if design.kind != "fractional" else f"a fraction of resolution {ROMAN[design.resolution]}"
    )
