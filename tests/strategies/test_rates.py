"""Rates of layers and head, and the shapes of the schedule: by their formulas, and by others' code."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.studies import any_setting, classifier_of, open_study, recipe_of, write_study

from finegrid.audit.canonical import Canonicaliser
from finegrid.encoders.families import inspect
from finegrid.model.packing.batches import Batch
from finegrid.planning.status import StudyStatus
from finegrid.planning.status_words import plan_lines
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.rates import Rates
from finegrid.strategies.reinit import Reinit
from finegrid.strategies.schedule import Schedule, Shape
from finegrid.study.load import load_study
from finegrid.training.build import build_groups
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

LAYERS = 4


def rates_of(run: Run) -> dict[str, float]:
    """By tensor, as multiples of the rate; every tensor that trains is in one group."""
    names = {p: name for name, p in run.model.named_parameters()}
    grouped = [(names[p], group["lr"]) for group in run.optimizer.groups for p in group["params"]]
    assert sorted(name for name, _ in grouped) == sorted(run.trained())
    return {name: rate / run.recipe.optimizer.rate for name, rate in grouped}


def decays_of(run: Run) -> dict[str, float]:
    names = {p: name for name, p in run.model.named_parameters()}
    return {names[p]: group["weight_decay"] for group in run.optimizer.groups for p in group["params"]}


def expected(name: str, decay: float, head: float, pooler: float = 1.0) -> float:
    if name.startswith("head."):
        return head
    if "pooler" in name:
        return pooler
    depth = int(name.split(".layer.")[1].split(".")[0]) + 1 if ".layer." in name else 0
    return decay ** (LAYERS + 1 - depth)


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("decay_on", ["all", "matrices"])
def test_rates_fall_by_the_formula_and_every_tensor_is_in_one_group(
    loaded: LoadedStudy, decay_on: str, frozen: int
) -> None:
    levels = {"optimizer__decay_on": decay_on, "freeze__layers": frozen}
    run = Run(loaded, "run", recipe_of(loaded, rates__layer_decay=0.8, rates__head=3.0, **levels), 0)
    found = rates_of(run)

    assert found == pytest.approx({name: expected(name, 0.8, 3.0) for name in found})
    plain = Run(loaded, "run", recipe_of(loaded, **levels), 0)
    assert decays_of(run) == decays_of(plain)


def test_groups_that_are_updated_alike_are_one(loaded: LoadedStudy) -> None:
    def groups(**levels: object) -> int:
        return len(build_groups(recipe_of(loaded, **levels), loaded.classifier(Recipe(), 0)))

    assert groups(rates__layer_decay=0.9) == LAYERS + 2  # the pooler is the checkpoint's, and with the head
    assert groups(rates__layer_decay=0.9, rates__head=3.0) == LAYERS + 3
    assert groups(rates__head=3.0) == 2
    assert groups(rates__head=3.0, optimizer__decay_on="matrices") == 4
    assert groups(rates__head=3.0, optimizer__decay_on="matrices", optimizer__weight_decay=0.0) == 2


def test_a_pooler_has_the_heads_rate_only_where_it_was_drawn(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "encoder.pooler.dense.weight"
    levels = {"rates__head": 10.0, "model__pooling": "pooler"}

    assert rates_of(Run(loaded, "run", recipe_of(loaded, **levels), 0))[name] == 1
    drawn = Run(loaded, "run", recipe_of(loaded, **levels, reinit__pooler=True), 0)
    assert rates_of(drawn)[name] == pytest.approx(10)
    monkeypatch.setattr(loaded.checkpoint, "missing", ["pooler"])
    assert rates_of(Run(loaded, "run", recipe_of(loaded, **levels), 0))[name] == pytest.approx(10)


def test_a_model_knows_what_of_it_was_drawn(loaded: LoadedStudy) -> None:
    model = loaded.classifier(Recipe(), 0)
    assert model.fresh == {model.head}
    Reinit(pooler=True, layers=2).prepare_model(model, any_setting())

    assert model.fresh == {model.head, model.parts.pooler, *(la.module for la in model.parts.layers[2:])}
    model.load_encoder_(dict(loaded.checkpoint.encoder.named_parameters()))
    assert model.fresh == {model.head}


@pytest.mark.parametrize("kind", ["electra-narrow", "distilbert", "roberta"])
def test_every_family_has_the_rates_of_the_formula(checkpoint_of: object, kind: str) -> None:
    model = classifier_of(checkpoint_of(kind))  # type: ignore[operator]
    groups = build_groups(Recipe().at({"rates.layer_decay": 0.5, "optimizer.rate": 1.0}), model)
    rates = {p: group["lr"] for group in groups for p in group["params"]}

    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    bottom = {rates[p] for module in model.parts.embeddings for p in module.parameters()}
    layers = [{rates[p] for p in layer.module.parameters()} for layer in model.parts.layers]
    assert bottom == {0.5**5} and layers == [{0.5**4}, {0.5**3}, {0.5**2}, {0.5}]
    assert {rates[p] for p in model.head.parameters()} == {1.0}


def first_batch(loaded: LoadedStudy) -> Batch:
    return next(loaded.training_batches(recipe_of(loaded), 0, 0))


def test_first_steps_of_layers_have_the_ratio_of_their_rates(loaded: LoadedStudy) -> None:
    """Adam's first step is the rate itself, whatever the gradient, as long as that is far above eps."""
    recipe = recipe_of(loaded, rates__layer_decay=0.7, rates__head=3.0, optimizer__weight_decay=0.0)
    run = Run(loaded, "run", recipe.at({"optimizer.eps": 1e-30}), 0)
    run.model.double()  # float32 would round what is added to a weight
    before = {name: p.detach().clone() for name, p in run.trained().items()}
    run.backward(first_batch(loaded), 0)
    large = {name: p.grad.abs() > 1e-6 for name, p in run.trained().items() if p.grad is not None}
    run.update(0)

    steps = {
        name: (p.detach() - before[name]).abs()[large[name]] / recipe.optimizer.rate
        for name, p in run.trained().items()
        if name in large and large[name].any()
    }
    assert len(steps) > 50
    for name, moved in steps.items():
        assert torch.allclose(moved, torch.full_like(moved, expected(name, 0.7, 3.0)), rtol=1e-6), name


def test_plan_prints_the_multiples_and_mean_factors(tmp_path: Path, bert: Path) -> None:
    settings = '[factors]\n"rates.layer_decay" = [1.0, 0.5]\n"schedule.shape" = ["linear", "constant", "wsd"]'
    study = load_study(write_study(tmp_path, bert, settings=settings))
    lines = plan_lines(StudyStatus(study, study.head.run, None, (0,)))

    assert (
        "  rates.layer_decay = 0.5: multiples of the rate: embeddings 0.0312, layers 1 to 4: "
        "0.0625 0.125 0.25 0.5 (mean 0.23), head 1"
    ) in lines
    told = [line for line in lines if line.startswith("  schedule.shape = ")]
    assert [line.partition(" = ")[2] for line in told] == [
        "linear: mean factor 0.50 in 1,000 steps",
        "constant: mean factor 1.00 in 1,000 steps",
        "wsd: mean factor 0.90 in 1,000 steps",
    ]


def test_plan_prints_the_multiples_of_a_decay_that_is_set_and_nothing_where_all_is_off(
    tmp_path: Path, bert: Path
) -> None:
    def told(settings: str) -> str:
        study = load_study(write_study(tmp_path, bert, settings=settings))
        return "\n".join(plan_lines(StudyStatus(study, study.head.run, None, (0,))))

    factors = '\n[factors]\n"optimizer.bias_correction" = [true, false]'
    assert "layers 1 to 4: 0.656 0.729 0.81 0.9 (mean 0.77)" in told(f"[rates]\nlayer_decay = 0.9{factors}")
    assert "multiples of" not in told(factors) and "mean factor" not in told(factors)


def test_the_mean_multiple_of_twelve_layers_is_what_the_card_says(bert: Path) -> None:
    told = Rates(layer_decay=0.9).explain_level("layer_decay", replace(inspect(bert), layers=12), 1)

    assert "mean 0.54" in told


# Schedule


def closed_form(shape: Shape, step: int, total: int, warmup: int) -> float:
    """Of the specification, without a floor."""
    if step < warmup:
        return step / warmup
    u = (step - warmup) / (total - warmup)
    scale = max(warmup, 1)
    return {
        "linear": 1 - u,
        "constant": 1.0,
        "cosine": (1 + math.cos(math.pi * u)) / 2,
        "inverse-sqrt": math.sqrt(scale / (step + scale - warmup)),
        "wsd": 1.0 if u <= 0.8 else 1 - (u - 1 + 0.2) / 0.2,
    }[shape]


def lambda_rates(factors: list[float]) -> list[float]:
    """What torch's scheduler makes of factors, step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: [*factors, 0.0][step])
    return read(optimizer, scheduler, len(factors))


def read(
    optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler, total: int
) -> list[float]:
    rates = []
    for step in range(total):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if step < total - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize("total", [1, 2, 7, 30, 100])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("shape", ["linear", "constant", "cosine", "inverse-sqrt", "wsd"])
def test_shapes_are_torchs_lambda_of_the_closed_form(shape: Shape, ratio: float, total: int) -> None:
    warmup = math.ceil(round(ratio * total, 9))
    factors = [closed_form(shape, step, total, warmup) for step in range(total)]
    ours = [0.5 * Schedule(ratio, shape).rate_factor(step, total) for step in range(total)]

    assert ours == pytest.approx(lambda_rates(factors), abs=1e-12)


@pytest.mark.parametrize("ratio", [0.0, 0.1])
def test_cosine_and_inverse_square_root_are_those_of_transformers(ratio: float) -> None:
    from transformers import optimization as theirs

    total, warmup = 50, round(50 * ratio)
    cosine = [
        theirs._get_cosine_schedule_with_warmup_lr_lambda(
            t, num_warmup_steps=warmup, num_training_steps=total, num_cycles=0.5
        )
        for t in range(total)
    ]
    root = [
        theirs._get_inverse_sqrt_schedule_lr_lambda(t, num_warmup_steps=warmup, timescale=max(warmup, 1))
        for t in range(total)
    ]

    assert [Schedule(ratio, "cosine").rate_factor(t, total) for t in range(total)] == pytest.approx(cosine)
    assert [Schedule(ratio, "inverse-sqrt").rate_factor(t, total) for t in range(total)] == pytest.approx(
        root
    )


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 10, 33, 300])
def test_one_cycle_is_torchs(total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.5, total_steps=total, cycle_momentum=False
        )
    ours = [0.5 * Schedule(shape="one-cycle").rate_factor(step, total) for step in range(total)]

    assert ours == pytest.approx(read(optimizer, scheduler, total), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", ["linear", "constant", "cosine", "inverse-sqrt", "wsd", "one-cycle"])
def test_a_floor_lifts_what_follows_the_warmup(shape: Shape) -> None:
    ratio = 0.0 if shape == "one-cycle" else 0.2
    plain, lifted = Schedule(ratio, shape), Schedule(ratio, shape, floor=0.1)
    for step in range(50):
        factor = plain.rate_factor(step, 50)
        rises = step < (10 if ratio else 0.3 * 50 - 1)
        assert lifted.rate_factor(step, 50) == pytest.approx(factor if rises else 0.1 + 0.9 * factor)


@pytest.mark.parametrize(
    ("schedule", "mean"),
    [
        (Schedule(), 0.5),
        (Schedule(0.1), 0.5),
        (Schedule(shape="constant"), 1.0),
        (Schedule(0.2, "constant"), 0.9),
        (Schedule(shape="cosine"), 0.5),
        (Schedule(shape="wsd"), 0.9),
        (Schedule(shape="wsd", decay_share=0.5), 0.75),
        (Schedule(0.25, "inverse-sqrt"), 0.125 + 0.25 * 2 * (math.sqrt(4) - 1)),
        (Schedule(shape="one-cycle"), (0.3 * (1 + 1 / 25) + 0.7 * (1 + 4e-6)) / 2),
        (Schedule(floor=0.2), 0.6),
    ],
)
def test_the_mean_factor_is_the_integral(schedule: Schedule, mean: float) -> None:
    assert schedule.mean_factor(20_000) == pytest.approx(mean, abs=1e-4)


def test_one_cycle_with_a_warmup_is_refused(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded, schedule__shape="one-cycle")
    (problem,) = recipe.at({"schedule.warmup_ratio": 0.1}).problems(loaded.study.checkpoint)

    assert problem.where == '"schedule.shape" + "schedule.warmup_ratio"' and "Leave" in problem.what
    assert recipe.problems(loaded.study.checkpoint) == []


def test_the_share_of_decay_is_inert_but_for_wsd(tmp_path: Path, bert: Path) -> None:
    loaded = open_study(write_study(tmp_path, bert))
    canonicaliser = Canonicaliser(loaded, 0)

    def is_inert(**levels: object) -> bool:
        recipe = recipe_of(loaded, schedule__decay_share=0.5, **levels)
        return "schedule.decay_share" in canonicaliser.reduce(recipe).inert

    assert is_inert() and not is_inert(schedule__shape="wsd")
