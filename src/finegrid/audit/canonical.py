"""Canonical form: a recipe reduced to what can reach the loss. Recipes with equal forms are one run.

Found from the model itself, not from a list: a fresh model is prepared as the recipe says, one backward
pass with everything trainable tells which tensors reach the loss, and the form holds the initial values of
those, which of them train, their rates and decays, the schedule, the active dropout sites, and the order
and portions of the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from torch.nn import functional as F

from finegrid.audit.hashes import LOADED, hash_initial
from finegrid.audit.kept import KeptAudits, PreparedFacts
from finegrid.errors import InputError
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import pack
from finegrid.optim.updater import ParamGroup
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import IN_STEPS, Strategy
from finegrid.training.build import build_groups, build_model, build_rule, rate_factor
from finegrid.training.loaded import LoadedStudy


@dataclass(frozen=True)
class Reduction:
    """A recipe without the levels that do nothing in it."""

    levels: Levels  # moved from the defaults, and not inert
    inert: dict[str, str]  # factor -> why its level does nothing here


@dataclass(frozen=True)
class Prepared:
    """What a recipe makes of the model before training, and what is known of that."""

    model: Classifier
    facts: PreparedFacts


class Canonicaliser:
    """Reduces recipes of one study. Preparations are remembered: 64 recipes need eight models."""

    def __init__(self, loaded: LoadedStudy, seed: int, kept: KeptAudits | None = None) -> None:
        """``kept``: what is known of other studies; None: all is looked at anew, and nothing is kept."""
        self.loaded = loaded
        self.seed = seed
        self.kept = kept
        self._prepared: dict[Any, Prepared] = {}
        self._forms: dict[Recipe, str] = {}
        self._runs: dict[str, Levels] = {}  # by form: equal forms are one run, also where none is a default

    def reduce(self, recipe: Recipe) -> Reduction:
        """Drop, one by one, the moved levels that change nothing."""
        inert = {}
        for factor in recipe.moved():
            try:
                without = recipe.at({factor: recipe.defaults[factor]})
            except InputError:
                continue
            if without.problems(self.loaded.study.checkpoint):
                continue
            strategies = zip(recipe.strategies, without.strategies, strict=True)
            if any(strategy.surely_differs(other) for strategy, other in strategies):
                continue
            if self.form(without) == self.form(recipe):
                inert[factor] = self.reason(recipe, without)
                recipe = without
        return Reduction(self._runs.setdefault(self.form(recipe), recipe.moved()), inert)

    def form(self, recipe: Recipe) -> str:
        """A hash of all that can reach the loss."""
        if recipe not in self._forms:
            digest = hashlib.sha256(repr(self._parts(recipe)).encode())
            self._forms[recipe] = digest.hexdigest()
        return self._forms[recipe]

    def _parts(self, recipe: Recipe) -> list[object]:
        steps = self._steps(recipe)
        return [
            self._hash_model(recipe),
            *self.reading(recipe),
            recipe.training.form,
            hash_rates(tuple(s for s in recipe.acting if s.overrides("rate_factor")), steps),
            [
                form
                for strategy in recipe.acting
                if (form := self._form_in_steps(strategy, recipe)) is not None
            ],
        ]

    def _steps(self, recipe: Recipe) -> int:
        return self.loaded.steps_per_epoch(recipe) * recipe.training.epochs

    def _hash_model(self, recipe: Recipe) -> str:
        """Of what the recipe makes of the model: as it is kept, else from the model itself."""
        if self.kept is None:
            return self._hash_prepared(recipe)[0]
        keys = [["model", *key] for key in self.kept.keys_of_model(recipe)]
        for key in keys:
            if (digest := self.kept.find_words(key)) is not None:
                return digest
        digest, of_texts = self._hash_prepared(recipe)
        if keys:
            self.kept.keep_words(keys[-1] if of_texts else keys[0], digest)
        return digest

    def _hash_prepared(self, recipe: Recipe) -> tuple[str, bool]:
        """The same from the model itself, and whether the texts have a say in it."""
        prepared, steps = self.prepare(recipe), self._steps(recipe)
        model, facts = prepared.model, prepared.facts
        every = build_groups(recipe, model)
        reaching = {*facts.reaching}
        groups = [(group, hypers_of(group, steps)) for group in every]
        hypers = {p: those for group, those in groups for p in group["params"]}
        tensors = [
            (name, facts.initial[name], hypers.get(p) if p.requires_grad else None)
            for name, p in model.named_parameters()
            if name in reaching
        ]
        read = [model.pooling, tensors, facts.sites, self.rule(recipe)]
        digest = hashlib.sha256(repr(read).encode()).hexdigest()
        return digest, has_own_words(prepared) or any("factor" in group for group in every)

    def _form_in_steps(self, strategy: Strategy, recipe: Recipe) -> Hashable:
        """What a strategy comes to in the steps of the study's runs, over all splits; None: nothing."""
        if not any(map(strategy.overrides, (*IN_STEPS, "form"))):
            return None
        forms = [strategy.form(setting) for setting in self.loaded.settings_of_splits(self.seed, recipe)]
        return None if all(form is None for form in forms) else tuple(forms)

    def reading(self, recipe: Recipe) -> tuple[object, ...]:
        """Which training texts a recipe reads, and how much of them, its dev and its test texts."""
        longest = self.loaded.longest_of(recipe)
        cut = recipe.model.max_length < longest
        keep = recipe.model.keep if cut else None
        return self.loaded.texts.key(recipe), min(recipe.model.max_length, longest), keep

    def prepare(self, recipe: Recipe) -> Prepared:
        preparing = [strategy for strategy in recipe.acting if strategy.overrides("prepare_model")]
        reading = self.reading(recipe) if any(strategy.reads_texts for strategy in preparing) else ()
        key = (recipe.model.pooling, *preparing, *reading)
        if key not in self._prepared:
            model = build_model(self.loaded, recipe, self.seed)
            facts = self.kept.find_prepared(recipe) if self.kept else None
            self._prepared[key] = Prepared(model, facts or self._find_facts(model, recipe))
            if self.kept and not facts and not has_own_words(self._prepared[key]):
                self.kept.keep_prepared(recipe, self._prepared[key].facts)
        return self._prepared[key]

    def _find_facts(self, model: Classifier, recipe: Recipe) -> PreparedFacts:
        initial = hash_initial(model, self.loaded.checkpoint, self.loaded.rows(recipe))
        sites = tuple(f"{name} {site.dropped}" for name, site in model.dropouts.items() if site.active)
        return PreparedFacts(initial=initial, reaching=self._reaching(model, recipe), sites=sites)

    def _reaching(self, model: Classifier, recipe: Recipe) -> tuple[str, ...]:
        """One backward pass with everything trainable, and nothing dropped: no layer as a whole, either. What
        the recipe froze is frozen again afterwards.
        """
        frozen = [p for p in model.parameters() if not p.requires_grad]
        frozen_layers, model.frozen_layers = model.frozen_layers, 0
        model.requires_grad_(True)
        rows = np.arange(min(2, len(self.loaded.tokens.train)))
        batch = pack(self.loaded.tokens.train, rows, recipe.model.max_length, self.loaded.device)
        with model.evaluating():
            F.cross_entropy(model(batch), batch.labels).backward()
        reaching = tuple(name for name, p in model.named_parameters() if p.grad is not None)
        model.zero_grad(set_to_none=True)
        model.frozen_layers = frozen_layers
        for p in frozen:
            p.requires_grad_(False)
        return reaching

    def rule(self, recipe: Recipe) -> str:
        """What turns gradients into new values; equal keys update alike."""
        setting = self.loaded.setting(self.seed, recipe)
        return build_rule(recipe, self.prepare(recipe).model, setting).key

    def scales(self, recipe: Recipe) -> bool:
        """Whether all rates of a recipe are multiples of its own."""
        model = self.prepare(recipe).model
        groups, unit = (build_groups(one, model) for one in (recipe, recipe.at_unit_rate))
        pairs = zip(groups, unit, strict=False)
        return len(groups) == len(unit) and all(a["lr"] == recipe.rate * b["lr"] for a, b in pairs)

    def reason(self, recipe: Recipe, without: Recipe) -> str:
        """Why two recipes are one."""
        both = (recipe, without)
        if self.kept is None or not (keys := [self.kept.keys_of_model(one)[:1] for one in both])[0]:
            return self.find_reason(recipe, without)
        key = ["reason", keys, [self._hash_model(one) for one in both], [repr(one.training) for one in both]]
        if (reason := self.kept.find_words(key)) is None:
            self.kept.keep_words(key, reason := self.find_reason(recipe, without))
        return reason

    def find_reason(self, recipe: Recipe, without: Recipe) -> str:
        a, b = self.prepare(recipe), self.prepare(without)
        changed = [name for name, found in a.facts.initial.items() if found != b.facts.initial.get(name)]
        if changed:
            tensors = ", ".join(name.removeprefix("encoder.") for name in changed[:2])
            never = "never reaches" if len(changed[:2]) == 1 else "never reach"
            return f'{tensors} {never} the loss under model.pooling = "{a.model.pooling}"'
        if recipe.model.pooling != without.model.pooling:
            return f'the head pools by "{a.model.pooling}", whatever model.pooling says'
        if recipe.training.patience != without.training.patience:
            return f"{recipe.training.epochs} epochs are over before it could end a run"
        if recipe.training.micro_batch != without.training.micro_batch:
            return "no batch has more texts"
        return "it changes no tensor, rate, decay or dropout site that reaches the loss"


def has_own_words(prepared: Prepared) -> bool:
    """Whether words start from other values than the checkpoint's. The texts decide which words there are."""
    words = prepared.model.parts.embedding_table.weight
    named = prepared.model.named_parameters()
    return any(prepared.facts.initial[name] != LOADED for name, p in named if p is words)


def hypers_of(group: ParamGroup, steps: int) -> tuple[object, ...]:
    """Rate and decay of a group, and every value of the schedule of its own."""
    return group["lr"], group["weight_decay"], own_schedule(group, steps)


def own_schedule(group: ParamGroup, steps: int) -> tuple[float, ...]:
    """What a group's rates are multiplied by, step by step; empty where it has no schedule of its own."""
    return tuple(group["factor"](step, steps) for step in range(steps)) if "factor" in group else ()


@lru_cache(maxsize=1024)
def hash_rates(strategies: tuple[Strategy, ...], steps: int) -> str:
    """Of all the factors that a run's rates are multiplied by.

    Args:
        strategies: those that have a say in it.
        steps: of the run.
    """
    each = (rate_factor(strategies, step, steps) for step in range(steps))
    return hashlib.sha256(np.fromiter(each, dtype=float, count=steps).tobytes()).hexdigest()
