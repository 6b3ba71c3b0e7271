"""Ready-made studies, each with a baseline, factors and a kind of design; docs/presets.md tells of each.

``thucnews64`` is the grid of the public THUCNews study, in the order of its table. The others are catalogues,
made to be measured one at a time. What a checkpoint cannot do is left out of them, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finegrid.encoders.families import CheckpointInfo
from finegrid.errors import InputError
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.spelling import format_level
from finegrid.study.bundles import Bundle, Bundles
from finegrid.study.design import DesignKind

RATE = "optimizer.rate"
USUAL_LENGTH = 128  # tokens, where the checkpoint has as many positions


@dataclass(frozen=True)
class PresetColumn:
    """A column of the published table, and how it writes the two levels of a factor."""

    name: str
    factor: str
    off: str
    on: str


@dataclass(frozen=True)
class Preset:
    baseline: Levels  # what its source trained with, where a study.toml does not say otherwise
    factors: dict[str, list[Level]]  # the levels of a bundle are their names
    columns: tuple[PresetColumn, ...] = ()  # of a published table
    bundles: Bundles = field(default_factory=dict)
    kind: DesignKind = "one-at-a-time"  # that `finegrid init` writes
    least_layers: int = 1
    left_out: tuple[str, ...] = ()  # what this checkpoint cannot do, and why

    @property
    def table(self) -> dict[str, Any]:
        """The factors as ``[factors]`` of a study.toml has them."""
        return {
            name: dict(self.bundles[name].levels) if name in self.bundles else levels
            for name, levels in self.factors.items()
        }

    def matches(self, factors: Mapping[str, Sequence[Level]]) -> bool:
        """Whether a study varies just these factors, in this order, at these levels."""
        return [(name, list(levels)) for name, levels in factors.items()] == list(self.factors.items())

    def around(self, baseline: Mapping[str, Any]) -> Preset:
        """With the baseline's level in the place of each factor's first; a published grid stays as it is.

        Args:
            baseline: as a study has it, by dotted names.
        """
        if self.columns:
            return self
        return replace(
            self,
            factors={
                name: lead_with(baseline[name], levels) if name in baseline else levels
                for name, levels in self.factors.items()
            },
        )

    @property
    def has_rates(self) -> bool:
        """Whether levels of its bundles have rates of their own."""
        return any(RATE in levels for bundle in self.bundles.values() for levels in bundle.levels.values())


def lead_with(first: Level, levels: Sequence[Level]) -> list[Level]:
    """Levels with another one first: in the place of the first, or moved up where it is among the others."""
    others = levels[1:] if first not in levels else levels
    return [first, *(level for level in others if level != first)]


def make_preset(name: str, checkpoint: CheckpointInfo) -> Preset:
    """The preset of that name, one of `PRESETS`, as far as an encoder can do it."""
    preset = PRESETS[name](checkpoint)
    return preset if preset.columns else fit_to(preset, checkpoint)


def recall(layers: int, has_pooler: bool) -> CheckpointInfo:
    """A checkpoint of which nothing else is known any more."""
    return CheckpointInfo(Path(), "bert", layers, USUAL_LENGTH, has_pooler)


def fit_to(preset: Preset, checkpoint: CheckpointInfo) -> Preset:
    """A catalogue without the levels that the checkpoint cannot do beside the baseline."""
    base = Recipe().at(preset.baseline)
    factors: dict[str, list[Level]] = {}
    bundles: dict[str, Bundle] = {}
    left_out: list[str] = []
    for name, levels in preset.factors.items():
        settings = bundle_levels(preset, name)
        kept: list[Level] = []
        for level in dict.fromkeys(levels):
            why = find_obstacle(base, settings[str(level)] if settings else {name: level}, checkpoint)
            if why:
                left_out.append(f"{name} at {format_level(level)}: {why}")
            else:
                kept.append(level)
        if len(kept) < 2:
            left_out += [] if len(set(levels)) > 1 else [f"{name}: the encoder has too few layers."]
            continue
        factors[name] = kept
        if settings:
            bundles[name] = Bundle({str(level): settings[str(level)] for level in kept})
    return replace(preset, factors=factors, bundles=bundles, left_out=(*preset.left_out, *left_out))


def bundle_levels(preset: Preset, name: str) -> Mapping[str, Levels]:
    """The settings of every level of a bundle; nothing of another factor."""
    return preset.bundles[name].levels if name in preset.bundles else {}


def find_obstacle(base: Recipe, moved: Levels, checkpoint: CheckpointInfo) -> str:
    """Why a recipe cannot be moved so with this checkpoint; empty where it can."""
    known = set(base.problems(checkpoint))  # of the baseline itself: they are told of the study
    try:
        problems = base.at(moved).problems(checkpoint)
    except InputError as error:
        problems = list(error.problems)
    return next((problem.what for problem in problems if problem not in known), "")


def thucnews64(layers: int, has_pooler: bool = True) -> Preset:
    """The 64 combinations, for an encoder with this many layers; half of them are frozen or drawn afresh.

    Of an encoder without a pooler (ELECTRA, DistilBERT) the 32 that do not touch it.
    """
    half = layers // 2
    factors: dict[str, list[Level]] = {
        "optimizer.bias_correction": [True, False],
        "optimizer.decay_on": ["all", "matrices"],
        "reinit.pooler": [False, True],
        "reinit.layers": [0, half],
        "freeze.layers": [0, half],
        "schedule.warmup_ratio": [0.0, 0.1],
    }
    baseline: Levels = {
        "model.pooling": "first-last-mean",
        "model.max_length": 44,
        "optimizer.rate": 5e-5,
        "training.batch_size": 256,
        "training.epochs": 32,
    }
    names = [
        "bertadam",
        "weight_decay",
        "reinit_pooler",
        "reinit_layers",
        "frozen_layers",
        "warmup_proportion",
    ]
    spellings = [("0", "1")] * 3 + [("0", str(half))] * 2 + [("0.0", "0.1")]
    columns = tuple(
        PresetColumn(name, factor, *levels)
        for name, factor, levels in zip(names, factors, spellings, strict=True)
    )
    left_out: tuple[str, ...] = ()
    if not has_pooler:
        del factors["reinit.pooler"]
        columns = tuple(column for column in columns if column.factor in factors)
        left_out = ("reinit.pooler: the encoder has no pooler.",)
    return Preset(baseline, factors, columns, kind="full", least_layers=2, left_out=left_out)


def thucnews64_of(checkpoint: CheckpointInfo) -> Preset:
    """As far as an encoder can do it."""
    preset = thucnews64(checkpoint.layers, checkpoint.has_pooler)
    pooling = first_choice(checkpoint, str(preset.baseline["model.pooling"]))
    preset = replace(preset, baseline={**preset.baseline, "model.pooling": pooling})
    if not checkpoint.shares_layers:
        return preset
    by_layer = ("reinit.layers", "freeze.layers")
    told = [f"{name}: the layers of {checkpoint.family} share one set of weights." for name in by_layer]
    return replace(
        preset,
        factors={name: levels for name, levels in preset.factors.items() if name not in by_layer},
        columns=tuple(column for column in preset.columns if column.factor not in by_layer),
        left_out=(*preset.left_out, *told),
    )


def first_choice(checkpoint: CheckpointInfo, pooling: str) -> str:
    """A preset's pooling; of a decoder, whose last token alone has seen the whole text, that token."""
    return "last-token" if checkpoint.is_decoder else pooling


def usual(checkpoint: CheckpointInfo, reads_pooler: bool = False) -> Preset:
    """What is varied where nobody names anything: the factors of thucnews64 that do something, as a fraction.

    A half of all rows shows every effect, and every interaction of two, clear of each other. It has no name
    in study.toml: its factors are written out.

    Args:
        checkpoint: what is known of it.
        reads_pooler: whether the head reads the pooler: else a fresh one changes nothing.
    """
    published = thucnews64_of(checkpoint)
    factors, left_out = dict(published.factors), published.left_out
    if not reads_pooler and factors.pop("reinit.pooler", []):
        left_out = ("reinit.pooler: the head does not read the pooler, so this would do nothing.",)
    baseline: Levels = {"model.pooling": published.baseline["model.pooling"]}
    return fit_to(Preset(baseline, factors, kind="fractional", left_out=left_out), checkpoint)


def few_sample(checkpoint: CheckpointInfo) -> Preset:
    """Fine-tuning on few texts: bias correction, fresh top layers, longer training, rates by layer.

    Zhang et al., Revisiting Few-sample BERT Fine-tuning, ICLR 2021 (2006.05987). The baseline is that of the
    commands in its repository; they draw 5 of 24 layers afresh, which is a fifth.
    """
    layers = checkpoint.layers
    return Preset(
        baseline={
            "model.pooling": "pooler" if checkpoint.has_pooler else first_choice(checkpoint, "cls"),
            "model.max_length": min(USUAL_LENGTH, checkpoint.positions),
            "optimizer.rate": 2e-5,
            "optimizer.weight_decay": 0.0,
            "schedule.warmup_ratio": 0.1,
            "clip.norm": 1.0,
            "training.epochs": 3,
            "training.batch_size": 32,
        },
        factors={
            "optimizer.bias_correction": [True, False],
            "reinit.pooler": [False, True],
            "reinit.layers": [0, 1, max(2, round(layers * 5 / 24))],
            "training.epochs": [3, 6, 12],
            "rates.layer_decay": [1.0, 0.95],
            "prior.decay": [0.0, 0.01],
        },
    )


def imbalance(checkpoint: CheckpointInfo) -> Preset:
    """Classes of unlike sizes: weights, logit adjustment in training and after it, focal loss."""
    return Preset(
        baseline={"model.max_length": min(USUAL_LENGTH, checkpoint.positions)},
        factors={
            "loss.weights": ["none", "sqrt", "balanced", "effective-0.999"],
            "loss.prior_tau": [0.0, 0.5, 1.0],
            "loss.focal_gamma": [0.0, 1.0, 2.0],
            "posthoc.tau": [0.0, 0.5, 1.0],
        },
    )


def free(checkpoint: CheckpointInfo) -> Preset:
    """Everything whose step costs no more, a level or two of each."""
    return Preset(
        baseline={"model.max_length": min(USUAL_LENGTH, checkpoint.positions)},
        factors={
            "optimizer.rate": [5e-5, 1e-4],
            "optimizer.weight_decay": [0.01, 0.0],
            "optimizer.decay_on": ["all", "matrices"],
            "optimizer.bias_correction": [True, False],
            "optimizer.beta2": [0.999, 0.98],
            "optimizer.eps": [1e-8, 1e-6],
            "rates.layer_decay": [1.0, 0.9],
            "rates.head": [1.0, 10.0],
            "prior.decay": [0.0, 0.01],
            "clip.norm": [0.0, 1.0],
            "schedule.warmup_ratio": [0.0, 0.1],
            "schedule.shape": ["linear", "constant", "cosine", "wsd"],
            "schedule.floor": [0.0, 0.1],
            "loss.weights": ["none", "balanced"],
            "loss.prior_tau": [0.0, 1.0],
            "loss.smoothing": [0.0, 0.1],
            "loss.focal_gamma": [0.0, 2.0],
            "contrast.weight": [0.0, 0.1],
            "reinit.layers": [0, 1],
            "noise.strength": [0.0, 0.15],
            "probe.epochs": [0, 5],
            "dropout.hidden": ["checkpoint", 0.0],
            "dropout.attention": ["checkpoint", 0.0],
            "dropout.head": ["checkpoint", 0.0],
            "model.pooling": ["first-last-mean", "cls", "last-mean", "max", "weighted", "attention"],
            "model.keep": ["head", "head+tail"],
            "head.kind": ["finegrid", "huggingface"],
            "head.hidden": [0, 256],
            "head.samples": [1, 5],
            "posthoc.epoch": ["best", "last"],
            "posthoc.tau": [0.0, 1.0],
            "posthoc.temperature": ["none", "dev"],
            "average.ema": [0.0, 0.05],
            "average.last": [1, 3],
            "average.lawa": [0.0, 0.2],
            "average.soup": [0, 3],
        },
    )


def cheap(checkpoint: CheckpointInfo) -> Preset:
    """What saves seconds or memory: less that trains, shorter or fewer texts, fewer and larger batches.

    Layers that `freeze.layers` freezes are silent, so that they are computed once for all epochs; what
    `train.only` leaves alone keeps its dropout. What trains little comes with the rate that its papers give
    it, as one level.
    """
    half = checkpoint.layers // 2
    length = min(USUAL_LENGTH, checkpoint.positions)
    trains: dict[str, Levels] = {
        "all": {},
        "biases": {"train.only": "biases", "train.rate": 1e-3},
        "biases+norms": {"train.only": "biases+norms", "train.rate": 1e-3},
        "head": {"train.only": "head", "train.rate": 1e-3},
    }
    return Preset(
        baseline={"model.max_length": length, "freeze.dropout": False},
        factors={
            "freeze.layers": [0, half, checkpoint.layers * 3 // 4],
            "trains": [*trains],
            "model.max_length": [length, length // 2, length // 4],
            "texts.share": [1.0, 0.5],
            "training.batch_size": [32, 64],
            "training.epochs": [3, 2],
            "dropout.hidden": ["checkpoint", 0.0],
            "dropout.attention": ["checkpoint", 0.0],
        },
        bundles={"trains": Bundle(trains)},
    )


def defaults(checkpoint: CheckpointInfo) -> Preset:
    """Whole recipes against each other: Hugging Face's Trainer, AutoGluon, and the THUCNews study."""
    trainer: Levels = {
        "optimizer.rate": 5e-5,
        "optimizer.weight_decay": 0.0,
        "schedule.shape": "linear",
        "schedule.warmup_ratio": 0.0,
        "rates.layer_decay": 1.0,
        "clip.norm": 1.0,
        "training.epochs": 3,
        "training.batch_size": 8,
    }
    autogluon: Levels = {
        "optimizer.rate": 1e-4,
        "optimizer.weight_decay": 0.001,
        "schedule.shape": "cosine",
        "schedule.warmup_ratio": 0.1,
        "rates.layer_decay": 0.9,
        "clip.norm": 1.0,
        "training.epochs": 20,
        "training.batch_size": 128,
    }
    published = thucnews64_of(checkpoint).baseline
    thucnews: Levels = {
        **{name: level for name, level in published.items() if name in trainer},
        "optimizer.weight_decay": 0.01,
        "schedule.shape": "linear",
        "schedule.warmup_ratio": 0.0,
        "rates.layer_decay": 1.0,
        "clip.norm": 0.0,
    }
    recipes = {"trainer": trainer, "autogluon": autogluon, "thucnews": thucnews}
    return Preset(
        baseline={"model.max_length": min(USUAL_LENGTH, checkpoint.positions), **trainer},
        factors={"recipe": [*recipes]},
        bundles={"recipe": Bundle(recipes)},
    )


def optimizers(checkpoint: CheckpointInfo) -> Preset:
    """AdamW and what is said to be better or cheaper, each with a rate of its own."""
    own: dict[str, Levels] = {
        "adamw": {},
        # A fifth of the rate and five times the decay: 2302.06675 has a third to a tenth, and the inverse.
        "lion": {"optimizer.rate": 1e-5, "optimizer.weight_decay": 0.05, "optimizer.beta2": 0.99},
        "muon": {},  # scaled to AdamW's steps
        "adafactor": {},
        "schedule-free": {
            "optimizer.rate": 1.5e-4,
            "schedule.shape": "constant",
        },  # 2405.15682: 1 to 10 times
        "sgd": {"optimizer.rate": 1e-2},
    }
    kinds: dict[str, Levels] = {
        kind: {"optimizer.kind": kind, **levels} if kind != "adamw" else levels
        for kind, levels in own.items()
    }
    return Preset(
        baseline={
            "model.max_length": min(USUAL_LENGTH, checkpoint.positions),
            "optimizer.rate": 5e-5,
            "optimizer.weight_decay": 0.01,
            "schedule.warmup_ratio": 0.1,
        },
        factors={"optimizers": [*kinds]},
        bundles={"optimizers": Bundle(kinds)},
    )


def contest(checkpoint: CheckpointInfo) -> Preset:
    """What code of Chinese text contests bundles, each alone and all together; averages cost no run."""
    baseline: Levels = {
        "model.max_length": min(USUAL_LENGTH, checkpoint.positions),
        "schedule.warmup_ratio": 0.1,
    }
    alone: dict[str, Levels] = {
        "fgm": {"fgm.epsilon": 0.2},  # of a text; contest code has 1.0 for a batch of 32, see the card
        "rdrop": {"rdrop.alpha": 4.0},
        "layer-decay": {"rates.layer_decay": 0.95},
        "multi-sample": {"head.samples": 5},
    }
    base = Recipe().at(baseline)
    able = [levels for levels in alone.values() if not find_obstacle(base, levels, checkpoint)]
    together = {name: level for levels in able for name, level in levels.items()}
    recipes: dict[str, Levels] = {"plain": {}, **alone}
    if len(able) > 1:
        recipes["all"] = together
    return Preset(
        baseline=baseline,
        factors={"contest": [*recipes], "average.ema": [0.0, 0.05]},
        bundles={"contest": Bundle(recipes)},
    )


PRESETS: Mapping[str, Callable[[CheckpointInfo], Preset]] = {
    "thucnews64": thucnews64_of,
    "few-sample": few_sample,
    "imbalance": imbalance,
    "free": free,
    "cheap": cheap,
    "defaults": defaults,
    "optimizers": optimizers,
    "contest": contest,
}
