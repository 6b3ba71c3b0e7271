"""One level other than the default for every factor, and recipes that have it."""

from __future__ import annotations

from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy

# One level other than the default for every factor. test_every_factor_is_listed fails until a new one is.
# Free factors move no run: tests/training/test_free.py has theirs.
ON: Levels = {
    "model.pooling": "cls",
    "model.max_length": 5,
    "model.keep": "tail",
    "texts.share": 0.5,
    "texts.extra": "extra.tsv",
    "pseudo.texts": "unlabelled.tsv",
    "pseudo.threshold": 0.2,
    "pseudo.weight": 0.5,
    "augment.kind": "delete",
    "augment.rate": 0.3,
    "head.kind": "huggingface",
    "head.hidden": 8,
    "head.samples": 3,
    "dropout.hidden": 0.3,
    "dropout.attention": 0.3,
    "dropout.head": 0.3,
    "pretrain.tokens": 1500,
    "pretrain.rate": 1e-2,
    "pretrain.shared": True,
    "noise.strength": 0.3,
    "reinit.pooler": True,
    "reinit.layers": 2,
    "probe.epochs": 2,
    "probe.rate": 1e-2,
    "layerdrop.p": 0.5,
    "freeze.layers": 2,
    "freeze.dropout": False,
    "loss.weights": "balanced",
    "loss.prior_tau": 1.0,
    "loss.smoothing": 0.1,
    "loss.focal_gamma": 2.0,
    "distil.weight": 0.5,
    "distil.temperature": 4.0,
    "distil.teacher": "columns",
    "contrast.weight": 0.5,
    "contrast.tau": 0.1,
    "mixup.alpha": 0.4,
    "rdrop.alpha": 1.0,
    "smart.weight": 1.0,
    "smart.epsilon": 0.1,
    "smart.noise": 0.1,
    "fgm.epsilon": 0.5,
    "pgd.steps": 2,
    "pgd.step_size": 0.3,
    "pgd.epsilon": 0.5,
    "freelb.steps": 2,
    "freelb.step_size": 0.3,
    "freelb.epsilon": 1.0,
    "sam.rho": 0.1,
    "train.only": "biases",
    "train.rate": 1e-2,
    "mixout.p": 0.5,
    "lora.rank": 2,
    "lora.targets": "all-linear",
    "lora.scale": 4.0,
    "lora.rate": 1e-2,
    "optimizer.rate": 1e-3,
    "optimizer.weight_decay": 0.5,
    "optimizer.decay_on": "matrices",
    "optimizer.bias_correction": False,
    "optimizer.beta1": 0.5,
    "optimizer.beta2": 0.9,
    "optimizer.eps": 1e-3,
    "optimizer.kind": "muon",
    "rates.layer_decay": 0.5,
    "rates.head": 10.0,
    "unfreeze.every": 0.1,
    "child.share": 0.5,
    "child.kind": "task",
    "prior.decay": 1.0,
    "clip.norm": 0.1,
    "schedule.warmup_ratio": 0.3,
    "schedule.shape": "wsd",
    "schedule.decay_share": 0.5,
    "schedule.floor": 0.1,
    "training.epochs": 1,
    "training.batch_size": 12,
    "training.micro_batch": 3,
    "training.patience": 1,
}


# What a factor needs in order to do something.
GIVEN: dict[str, Levels] = {
    "model.keep": {"model.max_length": 5},
    "pseudo.texts": {"pseudo.threshold": 0.2},
    "pseudo.threshold": {"pseudo.texts": "unlabelled.tsv"},
    "pseudo.weight": {"pseudo.texts": "unlabelled.tsv", "pseudo.threshold": 0.2},
    "augment.kind": {"augment.rate": 0.3},
    "probe.rate": {"probe.epochs": 2},
    "train.rate": {"train.only": "biases"},
    "lora.targets": {"lora.rank": 2},
    "lora.scale": {"lora.rank": 2},
    "lora.rate": {"lora.rank": 2},
    "pretrain.rate": {"pretrain.tokens": 1500},
    "pretrain.shared": {"pretrain.tokens": 1500},
    "reinit.pooler": {"model.pooling": "pooler"},
    "freeze.dropout": {"freeze.layers": 2},
    "distil.weight": {"distil.teacher": "columns"},
    "distil.temperature": {"distil.weight": 0.5, "distil.teacher": "columns"},
    "distil.teacher": {"distil.weight": 0.5},
    "contrast.tau": {"contrast.weight": 0.5},
    "smart.epsilon": {"smart.weight": 1.0},
    "smart.noise": {"smart.weight": 1.0},
    "pgd.step_size": {"pgd.steps": 2},
    "pgd.epsilon": {"pgd.steps": 2},
    "freelb.step_size": {"freelb.steps": 2},
    "freelb.epsilon": {"freelb.steps": 2},
    "optimizer.decay_on": {"optimizer.weight_decay": 0.5},
    "child.kind": {"child.share": 0.5},
    "schedule.decay_share": {"schedule.shape": "wsd"},
    "training.patience": {"training.epochs": 8, "optimizer.rate": 0.02},
}


def base(loaded: LoadedStudy, factor: str = "") -> Recipe:
    return loaded.study.baseline.at(GIVEN.get(factor, {}))


def on(loaded: LoadedStudy, *factors: str) -> Recipe:
    recipe = loaded.study.baseline
    for factor in factors:
        recipe = recipe.at(GIVEN.get(factor, {}))
    return recipe.at({factor: ON[factor] for factor in factors})
