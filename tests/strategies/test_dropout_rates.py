"""Dropout rates: which sites they move, that levels are coupled, and that no run gets another's masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from support.stacks import batches, runs_of
from support.studies import (
    KINDS,
    LAYERS,
    any_setting,
    assert_same_run,
    classifier_of,
    open_study,
    recipe_of,
    save_checkpoint,
    train,
    write_study,
)
from torch import Tensor

from finegrid.audit.canonical import Canonicaliser
from finegrid.encoders.families import DropoutRates, inspect
from finegrid.model.dropout import LEVELS, MaskBook
from finegrid.planning.families import plan_families
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.card import card
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.dropout import DropoutSettings
from finegrid.study.audit_file import AuditedCheckpoint
from finegrid.study.schema import study_toml_schema
from finegrid.training.loaded import LoadedStudy
from finegrid.training.state import StateFile
from finegrid.training.train import gather, train_family

CPU = torch.device("cpu")
OWN = {"hidden": 0.1, "attention": 0.3, "head": 0.4}
BERT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
DISTILBERT = ("dropout", "attention_dropout", "seq_classif_dropout")


def with_own_rates(folder: Path, kind: str) -> Path:
    names = DISTILBERT if kind == "distilbert" else BERT
    rates: dict[str, Any] = dict(zip(names, OWN.values(), strict=True))
    return save_checkpoint(folder, kind, **rates)


def sites_of(kind: str, which: str) -> set[str]:
    if which == "head":
        return {"head"}
    if which == "attention":
        return {f"layer.{layer}.attention" for layer in range(LAYERS)}
    of_layers = ("output",) if kind == "distilbert" else ("hidden", "output")
    return {"embeddings", *(f"layer.{layer}.{name}" for layer in range(LAYERS) for name in of_layers)}


@pytest.mark.parametrize("which", OWN)
@pytest.mark.parametrize("kind", KINDS)
def test_each_rate_moves_its_own_sites(checkpoint_of: Callable[[str], Path], kind: str, which: str) -> None:
    model = classifier_of(checkpoint_of(kind))
    before = {name: site.dropped for name, site in model.dropouts.items()}
    DropoutSettings(**{which: 0.25}).prepare_model(model, any_setting())
    after = {name: site.dropped for name, site in model.dropouts.items()}

    moved = {name for name in after if after[name] != before[name]}
    assert moved == sites_of(kind, which) and {after[name] for name in moved} == {LEVELS // 4}


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "ernie", "distilbert"])
def test_a_checkpoints_own_rates_are_known_without_loading_it(tmp_path: Path, kind: str) -> None:
    folder = with_own_rates(tmp_path, kind)

    assert inspect(folder).dropout == DropoutRates(**OWN)
    model = classifier_of(folder)
    for which, rate in OWN.items():
        assert {model.dropouts[name].dropped for name in sites_of(kind, which)} == {round(rate * LEVELS)}


def test_what_a_config_does_not_say_is_what_transformers_takes(tmp_path: Path) -> None:
    for kind, rates in (("bert", DropoutRates(0.1, 0.1, 0.1)), ("distilbert", DropoutRates(0.1, 0.1, 0.2))):
        folder = save_checkpoint(tmp_path / kind, kind)
        config = json.loads((folder / "config.json").read_text())
        kept = {name: value for name, value in config.items() if "dropout" not in name}
        (folder / "config.json").write_text(json.dumps(kept))

        assert inspect(folder).dropout == rates


def test_the_head_of_a_config_without_its_own_rate_drops_as_layers_do(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, "bert", hidden_dropout_prob=0.3)

    assert inspect(folder).dropout == DropoutRates(0.3, 0.1, 0.3)


def test_audits_of_before_rates_were_noted_can_be_read() -> None:
    old = {"name": "a", "family": "bert", "layers": 4, "positions": 128, "has_pooler": True}

    assert AuditedCheckpoint.model_validate_json(json.dumps(old), strict=True).dropout == DropoutRates()
    new = AuditedCheckpoint.model_validate({**old, "dropout": DropoutRates(**OWN)})
    assert AuditedCheckpoint.model_validate_json(new.model_dump_json(), strict=True) == new


def test_what_a_rate_drops_a_higher_one_drops_as_well(bert: Path) -> None:
    drawn = []
    for rate in (0.1, 0.2, 0.5):
        model = classifier_of(bert)
        DropoutSettings(hidden=rate).prepare_model(model, any_setting())
        model.clock.turn_to_(3)
        dropped = model.dropouts["layer.1.output"].draw(10_000, CPU)
        assert dropped is not None and dropped.scale == pytest.approx(1 / (1 - rate), rel=1e-4)
        drawn.append(dropped.keep)

    for lower, higher in pairwise(drawn):
        assert bool((higher <= lower).all()) and not torch.equal(higher, lower)


def test_members_of_a_family_with_other_rates_get_masks_of_their_own(bert: Path) -> None:
    """They have the book in common, which knows a mask by its rate too."""
    found: dict[bool, list[Tensor]] = {False: [], True: []}
    book = MaskBook()
    for shares in (False, True):
        for rate in (0.1, 0.4):
            model = classifier_of(bert)
            DropoutSettings(head=rate).prepare_model(model, any_setting())
            model.clock.book = book if shares else None
            model.clock.turn_to_(0)
            dropped = model.dropouts["head"].draw(1000, CPU)
            assert dropped is not None
            found[shares].append(dropped.keep)

    assert all(torch.equal(one, other) for one, other in zip(*found.values(), strict=True))
    assert not torch.equal(*found[True])


def test_a_family_of_other_head_rates_trains_each_as_alone(loaded: LoadedStudy) -> None:
    recipes = [recipe_of(loaded, dropout__head=rate) for rate in (0.0, 0.1, 0.5)]
    family = gather(run for run in runs_of(loaded, recipes))
    train_family(loaded, family, StateFile(loaded.study.folder / "nowhere", 1e9))

    for run, recipe in zip(family, recipes, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])


@pytest.mark.parametrize(
    ("factor", "sizes"), [("dropout.hidden", [1, 1]), ("dropout.attention", [1, 1]), ("dropout.head", [2])]
)
def test_only_equal_rates_of_the_encoder_share_a_family(
    loaded: LoadedStudy, factor: str, sizes: list[int]
) -> None:
    recipes = [recipe_of(loaded).at({factor: rate}) for rate in (0.0, 0.2)]
    planned = [PlannedRun(str(index), recipe.moved(), 0, ()) for index, recipe in enumerate(recipes)]

    assert [len(family.runs) for family in plan_families(planned, lambda run: 8)] == sizes


@pytest.mark.parametrize("which", OWN)
def test_the_checkpoints_own_rate_is_the_same_run(tmp_path: Path, which: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", with_own_rates(tmp_path / "own", "bert")))
    canonicaliser, factor = Canonicaliser(loaded, 0), f"dropout.{which}"
    found = {rate: canonicaliser.reduce(recipe_of(loaded).at({factor: rate})) for rate in (OWN[which], 0.0)}

    assert factor in found[OWN[which]].inert and factor not in found[OWN[which]].levels
    assert factor not in found[0.0].inert and found[0.0].levels[factor] == 0.0


def test_at_rate_0_nothing_is_drawn(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    silent: dict[str, Any] = {f"dropout__{which}": 0.0 for which in OWN}
    (run,) = runs_of(loaded, [recipe_of(loaded, **silent)])
    monkeypatch.setattr("finegrid.model.dropout.Clock.keep", None)
    run.step(batches(loaded, run.recipe)[0], 0)

    assert not any(site.active for site in run.model.dropouts.values())


def test_frozen_layers_that_drop_nothing_are_looked_up(loaded: LoadedStudy) -> None:
    rates = {"dropout__hidden": 0.0, "dropout__attention": 0.0}
    (run,) = runs_of(loaded, [recipe_of(loaded, freeze__layers=2, **rates)])

    assert run.model.prefix_is_constant


@pytest.mark.parametrize(
    ("level", "expected"),
    [("own", "checkpoint"), (True, "valid number"), (-0.1, "greater than or equal to 0"), (0.95, "0.9")],
)
def test_what_is_no_rate_is_refused(level: Any, expected: str) -> None:
    from finegrid.errors import InputError

    with pytest.raises(InputError, match=expected):
        Recipe().at({"dropout.hidden": level})


def test_a_rate_and_the_checkpoints_own_are_levels_of_one_factor(tmp_path: Path, bert: Path) -> None:
    levels = '[factors]\n"dropout.hidden" = ["checkpoint", 0.0, 0.3]'
    loaded = open_study(write_study(tmp_path, bert, settings=levels))

    assert loaded.study.factors["dropout.hidden"] == ["checkpoint", 0.0, 0.3]
    assert '0.9 | "checkpoint"; default "checkpoint"' in card("dropout.hidden")
    items = study_toml_schema()["properties"]["factors"]["properties"]["dropout.hidden"]["items"]
    assert [option["type"] for option in items["anyOf"]] == ["number", "string"]
