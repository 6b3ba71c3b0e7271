"""Before a study, every level of every factor proves on the real model that it does its own thing only.

A level is compared with the first level of its factor: two runs of one seed are built, and make one step on
the same texts. What differs is compared with what the strategy says it touches (``Part.touches``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finegrid.audit.canonical import Canonicaliser, hash_rates
from finegrid.audit.kept import seen_before
from finegrid.audit.snapshot import Snapshot, take, whereabouts
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import json_number
from finegrid.strategies.part import Aspect, Claim
from finegrid.strategies.seams import Strategy
from finegrid.study.audit_file import Change, Proof
from finegrid.study.bundles import settings_of
from finegrid.training.build import rate_factor
from finegrid.training.loaded import LoadedStudy

Differences = dict[Aspect, list[str]]  # names of tensors or sites; the aspect itself where it has no parts


@dataclass(frozen=True)
class Pair:
    """A recipe with a factor's first level, and the same with another level."""

    first: Recipe
    moved: Recipe
    given: Levels


class Prover:
    """Proves the levels of one study. Snapshots are remembered: the baseline serves most of them."""

    def __init__(self, loaded: LoadedStudy, canonicaliser: Canonicaliser) -> None:
        self.loaded = loaded
        self.canonicaliser = canonicaliser
        self.kept = canonicaliser.kept
        self.seed = canonicaliser.seed
        self._taken: dict[tuple[Recipe, int, int], Snapshot] = {}

    def proofs(self) -> list[Proof]:
        """One for every level but the first of every varied factor."""
        return [
            self.prove(factor, level)
            for factor, levels in self.loaded.study.factors.items()
            for level in levels[1:]
        ]

    def prove(self, factor: str, level: Level) -> Proof:
        pairs = list(self.pairs(factor, level))
        pair = next((pair for pair in pairs if self.differ(pair)), None)
        if pair is None:  # inert in every row: a step at the baseline says whether that is true
            pair = pairs[0] if pairs else None
            reason = self.canonicaliser.reason(pair.moved, pair.first) if pair else "no row can have it"
            return self.prove_pair(factor, level, pair, reason)
        return self.prove_pair(factor, level, pair, "")

    def pairs(self, factor: str, level: Level) -> Iterator[Pair]:
        """Where to look, nearest to the baseline first; what the checkpoint cannot do is passed over."""
        study = self.loaded.study
        base = study.rows[0].levels
        rows = [row.levels for row in study.rows if row.levels[factor] == level]
        for levels in [base, *sorted(rows, key=lambda levels: len(given_by(levels, base, factor)))]:
            given = given_by(levels, base, factor)
            first = study.recipe_at({**base, **given})
            moved = study.recipe_at({**base, **given, factor: level})
            if not first.problems(study.checkpoint) and not moved.problems(study.checkpoint):
                yield Pair(first, moved, given)

    def differ(self, pair: Pair) -> bool:
        return self.canonicaliser.form(pair.first) != self.canonicaliser.form(pair.moved)

    def prove_pair(self, factor: str, level: Level, pair: Pair | None, reason: str) -> Proof:
        if pair is None:
            return Proof(factor=factor, level=level, reason=reason)
        moved, base = pair.moved.levels(), pair.first.levels()
        every = settings_of(factor, self.loaded.study.bundles)
        settings = [name for name in every if moved[name] != base[name]]
        about = [factor, level, sorted(pair.given.items()), reason, settings]
        if self.kept is None or not all(map(self.kept.keys_of_model, (pair.first, pair.moved))):
            return self.prove_by_steps(factor, level, pair, reason, settings)
        both = (pair.first, pair.moved)
        exact = [*about, self.seed, *map(self.kept.texts_key, both)]
        free = [[*about, *key] for key in self.free_keys(pair, settings)]
        if (proof := self.kept.find_proof(exact, *free)) is None:
            proof = self.prove_by_steps(factor, level, pair, reason, settings)
            if not seen_before(proof) or len({*map(self.canonicaliser.rule, both)}) > 1:
                free = []  # nor what another rule makes of a step: it may be lost in rounding, here and now
            elif not all(map(self.canonicaliser.scales, both)):
                free = free[:1]
            self.kept.keep_proof(proof, exact, *free)
        return proof

    def free_keys(self, pair: Pair, settings: Sequence[str]) -> list[list[Any]]:
        """What a proof depends on beside the level and the encoder: with these rates, and with any
        rate of a recipe that all are multiples of. Empty where the texts have a say in it.
        """
        key, both = self.free_key(pair, settings), (pair.first, pair.moved)
        if key is None or self.kept is None:
            return []
        rates = [recipe.rate for recipe in both]
        found = [*map(self.kept.free_key, both)]
        units = [self.kept.free_key(recipe.at_unit_rate) for recipe in both]
        return [[*found, *key], [*units, rates[0] == rates[1], *key]]

    def free_key(self, pair: Pair, settings: Sequence[str]) -> list[Any] | None:
        """What a proof depends on beside the two recipes; None where the texts have a say in it.

        They decide how many steps there are, and with these what the rates of a step are: whether they are 0,
        and whether two schedules are one.
        """
        both = (pair.first, pair.moved)
        reading = [self.canonicaliser.reading(recipe) for recipe in both]
        if self.kept is None or not all(map(self.kept.is_plain, both)) or reading[0] != reading[1]:
            return None
        step, steps = self.step(pair, settings)
        totals = [self.total(recipe) for recipe in both]
        schedules = [
            hash_rates(tuple(s for s in recipe.acting if s.overrides("rate_factor")), total)
            for recipe, total in zip(both, totals, strict=True)
        ]
        moves = [
            [rate_factor(recipe.acting, at, total) != 0 for at in range(step, step + steps)]
            for recipe, total in zip(both, totals, strict=True)
        ]
        ends = pair.first.training.earliest_end == pair.moved.training.earliest_end
        portions = [[r.training.batch_size, r.training.portion] for r in both]
        same = [schedules[0] == schedules[1], totals[0] == totals[1], ends]
        return [portions, same, moves]

    def prove_by_steps(
        self, factor: str, level: Level, pair: Pair, reason: str, settings: Sequence[str]
    ) -> Proof:
        step, steps = self.step(pair, settings)
        a, b = (self.snapshot(recipe, step, steps) for recipe in (pair.first, pair.moved))
        found = consequences(a, b) if reason else differences(a, b)
        own, beyond = split(found, a, [claim_of(pair, name) for name in settings])
        return Proof(
            factor=factor,
            level=level,
            given=pair.given,
            reason=reason,
            changes=[] if reason else described(own, a, b),
            beyond=described(found if reason else beyond, a, b),
            loss=(json_number(a.loss, None), json_number(b.loss, None)),
            gradients=len(unlike(a.gradients, b.gradients)),
            updated=len(unlike(a.updated, b.updated)),
        )

    def step(self, pair: Pair, settings: Sequence[str]) -> tuple[int, int]:
        """Of the shorter of the two, the step at which all that is moved shows, and how many it takes.

        By default the middle of the run, where no rate is 0, and one.
        """
        total = min(map(self.total, (pair.first, pair.moved)))
        acting: list[Strategy] = []
        for part in dict.fromkeys(name.split(".")[0] for name in settings):
            both = (getattr(recipe, part) for recipe in (pair.moved, pair.first))
            acting += [one for one in both if isinstance(one, Strategy) and one.acts][:1]
        if not acting:
            return total // 2, 1
        return max(one.acts_at(total) for one in acting), max(one.shows_after for one in acting)

    def total(self, recipe: Recipe) -> int:
        """The steps of a run."""
        return self.loaded.steps_per_epoch(recipe) * recipe.training.epochs

    def snapshot(self, recipe: Recipe, step: int, steps: int) -> Snapshot:
        if (recipe, step, steps) not in self._taken:
            self._taken[recipe, step, steps] = take(self.loaded, recipe, self.seed, step, steps)
        return self._taken[recipe, step, steps]


def given_by(levels: Mapping[str, Level], base: Mapping[str, Level], factor: str) -> Levels:
    """The other factors that are not at their first level."""
    return {name: level for name, level in levels.items() if name != factor and level != base[name]}


def unlike(a: Mapping[str, object], b: Mapping[str, object]) -> list[str]:
    """The names whose values differ, or that only one of the two has."""
    return [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]


def differences(a: Snapshot, b: Snapshot) -> Differences:
    """What differs; loss, gradients and updates only where nothing else explains them."""
    both = a.trained & b.trained
    rates = a.rates.keys() | b.rates.keys() if a.factors != b.factors else unlike(a.rates, b.rates)
    found: Differences = {
        "initial": unlike(a.initial, b.initial),
        "trained": sorted(a.trained ^ b.trained),
        "rates": [name for name in rates if name in both],  # a frozen tensor has none
        "decays": [name for name in unlike(a.decays, b.decays) if name in both],
        "sites": unlike(a.sites, b.sites),
        "data": ["data"] * (a.data != b.data),
        "pooling": ["pooling"] * (a.pooling != b.pooling),
        "end": ["end"] * (a.end != b.end and a.factors == b.factors),
        "averages": ["averages"] * (a.averages.keys() != b.averages.keys()),
    }
    results = consequences(a, b)
    if any(found[aspect] for aspect in ("initial", "sites", "data", "pooling")):
        del results["loss"], results["gradients"]  # another forward pass explains them
    elif results["loss"]:
        del results["gradients"]
    others = {*found["initial"], *found["rates"], *found["decays"], *unlike(a.gradients, b.gradients)}
    results["update"] = [name for name in results["update"] if name not in others]
    if not any((found | results).values()):
        results["averages"] = unlike(a.averages, b.averages)
    return {aspect: names for aspect, names in (found | results).items() if names}


def consequences(a: Snapshot, b: Snapshot) -> Differences:
    """What came out otherwise, whatever the cause: all of it empty for two recipes that are one run."""
    graded = a.gradients.keys() & b.gradients.keys()
    return {
        "loss": ["loss"] * (repr(a.loss) != repr(b.loss)),  # nan is like nan
        "gradients": [name for name in unlike(a.gradients, b.gradients) if name in graded],
        "update": [name for name in unlike(a.updated, b.updated) if name in graded],
    }


@dataclass(frozen=True)
class Claimed:
    """What one setting may change, and how deep: a bundle's level may change all that its settings may."""

    claim: Claim
    depth: Mapping[str, int]


def claim_of(pair: Pair, factor: str) -> Claimed:
    part, name = factor.split(".")
    return Claimed(getattr(pair.moved, part).claim(name), depths(pair, factor))


def depths(pair: Pair, factor: str) -> dict[str, int]:
    """Of every factor of the same part that counts something: the larger of its two levels."""
    part = factor.split(".")[0]
    counts: dict[str, int] = {}
    for recipe in (pair.first, pair.moved):
        for name, level in recipe.levels().items():
            if name.startswith(f"{part}.") and isinstance(level, int):
                field = name.split(".")[1]
                counts[field] = max(counts.get(field, 0), level)
    return counts


def split(
    found: Differences, snapshot: Snapshot, claims: Sequence[Claimed]
) -> tuple[Differences, Differences]:
    """What was claimed, and what lies beyond the claims."""
    own: Differences = {}
    beyond: Differences = {}
    for aspect, names in found.items():
        for name in names:
            inside = any(
                aspect in one.claim and within(name, one.claim[aspect], snapshot, one.depth) for one in claims
            )
            (own if inside else beyond).setdefault(aspect, []).append(name)
    return own, beyond


def within(name: str, where: str, snapshot: Snapshot, depth: Mapping[str, int]) -> bool:
    """Whether a tensor or a site lies where a claim says."""
    place = snapshot.place(name)
    if where == "vectors":
        return name in snapshot.vectors
    if where == "encoder":
        return place not in ("head", "elsewhere")
    end, _, factor = where.partition(" ")
    if end not in ("top", "bottom"):
        return where == "all" or place in where.split(", ")
    number = int(place.removeprefix("layer ")) if place.startswith("layer ") else None
    if end == "top":
        return number is not None and number > snapshot.layers - depth[factor]
    return place == "embeddings" or (number is not None and number <= depth[factor])


def described(found: Differences, a: Snapshot, b: Snapshot) -> list[Change]:
    return [describe(aspect, names, a, b) for aspect, names in found.items() if names]


def describe(aspect: Aspect, names: list[str], a: Snapshot, b: Snapshot) -> Change:
    # Of a tensor that only one of the two has, that one knows where it lies.
    places = {**b.places, **a.places}
    where = "" if names == [aspect] else whereabouts(places.get(name, a.place(name)) for name in names)
    kind = "dropout site" if aspect == "sites" else "tensor"
    things = f"{len(names)} {kind}{'s' * (len(names) != 1)} of {where}"
    template = WORDS[aspect]
    before, after = (a.trained, b.trained) if aspect == "trained" else (a.sites.keys(), b.sites.keys())
    if aspect in LESS and before.isdisjoint(names):
        template = MORE[aspect]
    elif aspect in LESS and after.isdisjoint(names):
        template = LESS[aspect]
    return Change(aspect=aspect, count=len(names), where=where, words=template.format(things=things))


WORDS: dict[Aspect, str] = {
    "initial": "starts {things} from other values",
    "trained": "trains others of {things}",
    "rates": "other learning rates for {things}",
    "decays": "other weight decay for {things}",
    "sites": "other dropout rates at {things}",
    "data": "other tokens or batches",
    "pooling": "another pooling",
    "averages": "other weights to evaluate with",
    "loss": "another loss from the same model and texts",
    "gradients": "other gradients in {things} from the same loss",
    "update": "other updates of {things} from the same gradients",
    "end": "may end before the last epoch",
}
LESS: dict[Aspect, str] = {"trained": "freezes {things}", "sites": "switches off {things}"}
MORE: dict[Aspect, str] = {"trained": "trains {things}", "sites": "switches on {things}"}
