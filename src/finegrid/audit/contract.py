"""What every strategy promises, finegrid's own and a user's: each promise is checked on small runs.

Our tests check these of all strategies; `finegrid check-strategy` checks them of a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.contract_words import fill
from finegrid.audit.proof import Prover
from finegrid.errors import InputError
from finegrid.model.classifier import Classifier
from finegrid.model.rows import held_rows, take_rows
from finegrid.recipe.catalogue import fields_of, parts
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import Lang, format_level
from finegrid.strategies.criterion import CROSS_ENTROPY, Outputs
from finegrid.strategies.seams import Strategy
from finegrid.training.build import build_groups, build_rule
from finegrid.training.captured import CapturedSteps, can_capture
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack, can_stack
from finegrid.training.state import StateFile
from finegrid.training.train import gather, train_family

Tensors = dict[str, Tensor]
SEED = 3
ROUNDING = 1e-9  # of float64, in gradients of a stack
NEVER = 1e9  # seconds
ATEN = torch.ops.aten
# What asks a GPU for a number, or for how many there are.
READ_BACK = (ATEN._local_scalar_dense.default, ATEN.nonzero.default, ATEN.masked_select.default)


class BrokenPromiseError(Exception):
    """A strategy does not do what it promises; ``key`` is of the words that say so."""

    def __init__(self, key: str, **told: object) -> None:
        super().__init__(fill(key, "en", **told))
        self.key, self.told = key, told

    def describe(self, lang: Lang) -> str:
        return fill(self.key, lang, **self.told)


@dataclass(frozen=True)
class Kept:
    """A promise, and whether it was kept."""

    promise: str  # key of the words that say it
    broken: BrokenPromiseError | None = None

    def line(self, lang: Lang = "en") -> str:
        """``pass  switched off, it is not there``, or what is wrong."""
        said = fill(self.promise, lang)
        if self.broken is None:
            return f"{fill('pass', lang)}  {said}"
        return f"{fill('FAIL', lang)}  {said}{fill('colon', lang)}{self.broken.describe(lang)}"

    def as_json(self) -> dict[str, Any]:
        return {"promise": self.promise, "kept": self.broken is None, "why": str(self.broken or "")}


class Contract:
    """A strategy, on a small study in which its factors are the only ones that are varied."""

    def __init__(self, loaded: LoadedStudy, name: str, levels: Levels) -> None:
        """``levels``: one for each factor that switches it on, by the factor's name without the part's."""
        self.loaded, self.name = loaded, name
        self.base = loaded.study.baseline
        self.strategy: Strategy = getattr(self.base.blank, name)
        self.levels = {f"{name}.{factor}": level for factor, level in levels.items()}
        self._finals: dict[Recipe, Tensors] = {}

    def check(self) -> Iterator[Kept]:
        """Every promise in turn; one that cannot be checked since the strategy fails is broken."""
        for promise, check in PROMISES.items():
            try:
                check(self)
                yield Kept(promise)
            except BrokenPromiseError as broken:
                yield Kept(promise, broken)
            except Exception as error:  # whatever its author has written
                yield Kept(promise, BrokenPromiseError("raises", error=describe_error(error)))

    # Runs

    @property
    def on(self) -> Recipe:
        """With all its factors switched on."""
        return self.base.at(self.levels)

    def train(self, *recipes: Recipe) -> list[Run]:
        """Train recipes as one family."""
        runs = [Run(self.loaded, f"run-{place}", recipe, SEED) for place, recipe in enumerate(recipes)]
        train_family(self.loaded, runs, StateFile(self.loaded.study.folder / "never", NEVER))
        for run in runs:
            if run.progress.status != "done":
                fail("not done", status=run.progress.status, reason=run.progress.reason)
        return runs

    def final(self, recipe: Recipe) -> Tensors:
        """What a recipe's run ends with, trained when it is first asked for."""
        if recipe not in self._finals:
            set_generators(SEED)
            (run,) = self.train(recipe)
            self._finals[recipe] = outcome(run)
        return self._finals[recipe]

    @cached_property
    def every_row(self) -> LoadedStudy:
        """The study, whose runs hold all words, whether texts have them or not."""
        every = copy(self.loaded)
        every.every_row = True
        return every

    # Promises

    def check_off(self) -> None:
        if seams := find_off_problems(self.strategy, self.loaded):
            fail("acts off", seams=", ".join(seams))
        plain = Recipe().at(self.base.moved())  # a recipe that does not know the strategy
        if not same(self.final(plain), self.final(self.base)):
            fail("other bits")

    def check_on(self) -> None:
        for factor, level in self.levels.items():
            others = {name: other for name, other in self.levels.items() if name != factor}
            if not any(self._changes(factor, self.base.at(given)) for given in ({}, others)):
                fail("nothing", factor=factor, level=format_level(level))

    def _changes(self, factor: str, first: Recipe) -> bool:
        return not same(self.final(first), self.final(first.at({factor: self.levels[factor]})))

    def check_seed(self) -> None:
        first = self.final(self.on)
        set_generators(12345)
        if not same(first, outcome(self.train(self.on)[0])):
            fail("unlike itself")

    def check_chance(self) -> None:
        claims = [type(self.strategy).claim(factor.partition(".")[2]) for factor in self.levels]
        allowed = {aspect for claim in claims for aspect in claim}
        moved = find_moved_chance(self.loaded, self.base, self.on)
        unsaid = [what for what, aspect in CHANCE.items() if what in moved and aspect not in allowed]
        if unsaid:
            fail("moves chance", what=unsaid)

    def check_claims(self) -> None:
        prover = Prover(self.loaded, Canonicaliser(self.loaded, SEED))
        for factor, level in self.levels.items():
            proof = prover.prove(factor, level)
            if proof.beyond:
                fail("beyond", factor=factor, more=", ".join(change.words for change in proof.beyond))
            if proof.reason:
                fail("inert", factor=factor, reason=proof.reason)
            if not proof.changes:
                fail("no change", factor=factor)

    def check_resume(self) -> None:
        path = self.loaded.study.files.state_of("killed")
        path.parent.mkdir(exist_ok=True)
        steps = self.loaded.steps_per_epoch(self.on)

        def kill(done: int) -> None:
            if done == steps + 1:
                raise KilledError

        with suppress(KilledError):
            train_family(self.loaded, [Run(self.loaded, "run", self.on, SEED)], StateFile(path, 0.0), kill)
        again, state = Run(self.loaded, "run", self.on, SEED), StateFile(path, 0.0)
        train_family(self.loaded, [again], state)
        path.unlink()
        if not state.taken or not same(self.final(self.on), outcome(again)):
            fail("forgets")

    def check_stack(self) -> None:
        recipes = [self.on, self.base]
        stacked, alone = (self._in_float64(recipes) for _ in range(2))
        if not all(map(can_stack, stacked)):
            return  # it steps by itself, as its seam has it
        batch = next(self.loaded.training_batches(self.base, SEED, 0))
        Stack(stacked).backward(stacked[0].model.shared(batch, 0), 0)
        for one, other in zip(stacked, alone, strict=True):
            other.backward(other.model.shared(batch, 0), 0)
            for run in (one, other):
                run.change_gradients_()
            if not alike(gradients(one), gradients(other)):
                fail("unlike in stacks")

    def _in_float64(self, recipes: Sequence[Recipe]) -> list[Run]:
        runs = [Run(self.loaded, f"run-{place}", recipe, SEED) for place, recipe in enumerate(recipes)]
        for run in runs:
            run.model.to(torch.float64)
        return gather(runs)

    def check_capture(self) -> None:
        counts = [self._count_readings(recipe) for recipe in (self.base, self.on)]
        if counts[1] > counts[0]:
            fail("reads back", count=counts[1] - counts[0])

    def _count_readings(self, recipe: Recipe) -> int:
        """How often a step that a graph would capture reads a number, or a shape, off what it computes."""
        run = Run(self.loaded, "run", recipe, SEED)
        if not can_capture([run], 1):
            return 0
        steps = CapturedSteps(self.loaded, [run])
        batch = next(steps.batches(0))
        steps.step_of(batch).fill_(batch, 0)
        with Readings() as readings:  # type: ignore[no-untyped-call]  # torch says nothing
            steps.step_of(batch).compute()
        return int(readings.count)

    def check_bounds(self) -> None:
        for factor, level in self.levels.items():
            wrong: list[object] = ["nowhere", [level], None]
            wrong += [math.nan, math.inf, -math.inf] if isinstance(level, float) else []
            taken = [repr(one) for one in wrong if not self._refuses(factor, one)]
            if taken:
                fail("takes", factor=factor, levels=", ".join(taken))

    def _refuses(self, factor: str, level: Any) -> bool:
        if isinstance(level, str) and isinstance(self.levels[factor], str):
            return True  # free words
        try:
            self.base.at({factor: level})
        except InputError:
            return True
        return False

    def check_tensors(self) -> None:
        runs = [Run(self.every_row, "run", recipe, SEED) for recipe in (self.base, self.on)]
        before, now = ({name: p.shape for name, p in run.model.named_parameters()} for run in runs)
        if others := [name for name in before | now if before.get(name) != now.get(name)]:
            fail("other tensors", names=", ".join(others[:3]))

    def check_rows(self) -> None:
        if self.on.reads_table == "in steps":
            return
        run = Run(self.every_row, "run", self.on, SEED)
        train_family(self.every_row, [run], StateFile(self.loaded.study.folder / "never", NEVER))
        if not same(self.final(self.on), outcome(run, self.loaded)):
            fail("reads rows")

    def check_pairs(self) -> None:
        own = Recipe().strategies
        for part, other in parts().items():
            if other not in own or (moved := usual_of(part, other)) is None:
                continue
            recipe = self.on.at({**moved, "training.epochs": 1})
            problems = recipe.problems(self.loaded.study.checkpoint)
            if problems:
                continue  # refused, with a reason
            try:
                (run,) = self.train(recipe)
            except Exception as error:  # as of `check`
                fail("not with", other=part, why=describe_error(error))
            if not all(torch.isfinite(t).all() for t in outcome(run).values()):
                fail("not finite", other=part)


PROMISES: dict[str, Callable[[Contract], None]] = {
    "off": Contract.check_off,
    "on": Contract.check_on,
    "claims": Contract.check_claims,
    "seed": Contract.check_seed,
    "chance": Contract.check_chance,
    "resume": Contract.check_resume,
    "stack": Contract.check_stack,
    "capture": Contract.check_capture,
    "bounds": Contract.check_bounds,
    "tensors": Contract.check_tensors,
    "rows": Contract.check_rows,
    "pairs": Contract.check_pairs,
}
# What a seed decides, and the claim that allows a factor to change it.
CHANCE = {"head": "initial", "order": "data", "masks": "sites"}


class Readings(TorchDispatchMode):
    """Counts what a captured step cannot do: who reads a number off a GPU waits for it, once and for all."""

    count: int = 0

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += call in READ_BACK
        return call(*args, **(kwargs or {}))


class KilledError(Exception):
    """Stands for a crash."""


def fail(key: str, **told: object) -> NoReturn:
    """Say that a promise is broken.

    Raises:
        BrokenPromiseError: always.
    """
    raise BrokenPromiseError(key, **told)


def set_generators(seed: int) -> None:
    """Set the generators that a process has: a run draws from none of them."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def describe_error(error: Exception) -> str:
    if isinstance(error, BrokenPromiseError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip().rstrip(".")


def outcome(run: Run, loaded: LoadedStudy | None = None) -> Tensors:
    """What a run has come to: weights, of words those of its texts, predictions, and scores on the way."""
    rows = (loaded or run.loaded).rows(run.recipe) if held_rows(run.table) is None else None
    weights = {
        name: take_rows(p.detach(), rows if p is run.table.weight else None)
        for name, p in run.model.named_parameters()
    }
    logits = {f"logits/{split}": torch.from_numpy(found) for split, found in run.logits.items()}
    return (
        weights | logits | averaged(run) | {"epochs": torch.tensor([*score_epochs(run)], dtype=torch.float64)}
    )


def averaged(run: Run) -> Tensors:
    """Weights as averages have them in the end: the best epoch, which the rest is of, may know none yet."""
    found: Tensors = {}
    for number, averager in enumerate(run.averagers):
        with averager.applied():
            found |= {f"averaged/{number}/{name}": p.detach().clone() for name, p in run.trained().items()}
    return found


def score_epochs(run: Run) -> Iterator[float]:
    """The loss of every epoch, and all scores on dev after it."""
    for entry in run.progress.epochs:
        yield entry["train_loss"]
        yield from (score for score in entry["dev"].values() if isinstance(score, float))


def same(a: Tensors, b: Tensors) -> bool:
    """Whether all are equal, bit by bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def gradients(run: Run) -> Tensors:
    return {name: p.grad for name, p in run.model.named_parameters() if p.grad is not None}


def alike(a: Tensors, b: Tensors) -> bool:
    """Whether all are equal but for the rounding of float64."""
    return a.keys() == b.keys() and all(
        torch.allclose(a[name], b[name], rtol=ROUNDING, atol=ROUNDING) for name in a
    )


def find_off_problems(strategy: Strategy, loaded: LoadedStudy) -> list[str]:
    """The seams at which a strategy does something, or draws a random number, though it is switched off."""
    model, setting = loaded.classifier(Recipe(), seed=0), loaded.setting(0)
    before = state_of(model)
    groups = build_groups(Recipe(), model)
    rule = build_rule(Recipe(), model, setting)
    random = torch.get_rng_state()
    asked: list[str] = []
    huge = [torch.full((2,), 1e9)]

    def ask_again() -> None:
        asked.append("more_gradients")

    strategy.prepare_model(model, setting)
    batch = next(loaded.training_batches(Recipe(), 0, 0))
    strategy.move_words(model, batch, 0)
    features = (model.features(batch, 0),)
    outputs = Outputs((model.head(features[0]),), features, batch.labels)
    more = strategy.more_losses(model, batch, outputs, lambda: outputs.logits[0], 0)
    strategy.more_gradients(model, batch, ask_again)
    nothing = strategy.change_gradients_(huge) is None and huge[0].tolist() == [1e9, 1e9]
    found = {
        "acts": not strategy.acts,
        "prepare_model": state_of(model) == before,
        "rewrite": strategy.rewrite(setting.texts, 0, setting.streams) is setting.texts,
        "param_groups": strategy.param_groups(groups, model) is groups,
        "update_rule": strategy.update_rule(rule, model, setting) is rule,
        "criterion": strategy.criterion(CROSS_ENTROPY, setting) is CROSS_ENTROPY,
        "averager": strategy.averager(model) is None,
        "rate_factor": {strategy.rate_factor(step, 10) for step in range(10)} == {1.0},
        "more_losses": more is None,
        "more_gradients": not asked,
        "change_gradients_": nothing,
        "random numbers": torch.equal(torch.get_rng_state(), random),
    }
    return [seam for seam, identity in found.items() if not identity]


def state_of(model: Classifier) -> dict[str, object]:
    """All of a model that a strategy may prepare: values, what trains, and where dropout acts."""
    values: dict[str, object] = {
        name: (p.detach().numpy(force=True).tobytes(), p.requires_grad)
        for name, p in model.named_parameters()
    }
    sites = {f"site {name}": (site.active, site.dropped) for name, site in model.dropouts.items()}
    return values | sites | {"frozen layers": model.frozen_layers}


def find_moved_chance(loaded: LoadedStudy, base: Recipe, moved: Recipe) -> list[str]:
    """What of a seed's chance another recipe has moved: the head's first values, texts' order, masks."""
    ours, plain = (Run(loaded, "run", recipe, SEED) for recipe in (moved, base))
    found = []
    if head_values(ours) != head_values(plain):
        found.append("head")
    if text_order(ours) != text_order(plain):
        found.append("order")
    silenced = {name for name, site in ours.model.dropouts.items() if site.silenced}
    mine, theirs = masks(ours.model), masks(plain.model)
    if {name for name in theirs if mine.get(name) != theirs[name]} != silenced:
        found.append("masks")
    return found


def head_values(run: Run) -> list[bytes]:
    return [p.detach().numpy(force=True).tobytes() for p in run.model.head.parameters()]


def text_order(run: Run) -> list[list[int]]:
    """Of an epoch, the texts of every batch; within one they lie by their lengths, which may change."""
    return [sorted(batch.rows.tolist()) for batch in run.loaded.training_batches(run.recipe, run.seed, 1)]


def masks(model: Classifier) -> dict[str, bytes]:
    """What every site multiplies by at step 7."""
    model.clock.turn_to_(7)
    return {name: site(torch.ones(100)).numpy().tobytes() for name, site in model.dropouts.items()}


def usual_of(part: str, strategy: Any) -> Levels | None:
    """What switches one of finegrid's strategies on, at a level that is usual; None where none is told."""
    for name in fields_of(strategy):
        default = getattr(strategy, name)
        others = [level for level in strategy.usual_levels(name, 2) if level != default]
        if others and type(strategy).price(name) != "start":  # which takes minutes
            return {f"{part}.{name}": others[0]}
    return None
