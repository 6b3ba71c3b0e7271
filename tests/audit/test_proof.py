"""Before a study every level proves that it does its own thing, and a strategy that does more is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.english import english_words
from support.levels import ON, base, on
from support.rarity import rare
from support.studies import open_study, write_study

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import make_audit
from finegrid.audit.proof import LESS, MORE, WORDS, Pair, Prover
from finegrid.audit.snapshot import whereabouts
from finegrid.in_chinese import translate
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Packed
from finegrid.optim.updater import ParamGroup
from finegrid.recipe.recipe import FREE, Recipe
from finegrid.strategies.criterion import Criterion
from finegrid.strategies.freeze import Freeze
from finegrid.strategies.optimizer import Optimizer
from finegrid.strategies.reinit import Reinit
from finegrid.strategies.seams import Setting, Strategy
from finegrid.study.audit_file import Change, Proof
from finegrid.training.loaded import LoadedStudy
from finegrid.training.stack import hand_layers

FACTORS = """[factors]
"freeze.dropout" = [true, false]
"freeze.layers" = [0, 2]
"reinit.layers" = [0, 2]
"reinit.pooler" = [false, true]
"optimizer.decay_on" = ["all", "matrices"]
"""


@pytest.fixture(scope="module")
def loaded(taught: LoadedStudy) -> LoadedStudy:
    """Every factor does something in it."""
    return taught


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    return open_study(write_study(tmp_path_factory.mktemp("proved"), bert, settings=FACTORS))


@pytest.fixture(scope="module")
def prover(loaded: LoadedStudy) -> Prover:
    return Prover(loaded, Canonicaliser(loaded, seed=0))


@pytest.fixture(scope="module")
def found(grid: LoadedStudy) -> dict[str, Proof]:
    return proofs_of(grid)


def proofs_of(loaded: LoadedStudy) -> dict[str, Proof]:
    return {proof.factor: proof for proof in Prover(loaded, Canonicaliser(loaded, seed=0)).proofs()}


@pytest.mark.parametrize("factor", ON)
def test_every_factor_proves_its_own_thing_and_nothing_else(
    factor: str, loaded: LoadedStudy, prover: Prover
) -> None:
    pair = Pair(base(loaded, factor), on(loaded, factor), {})
    proof = prover.prove_pair(factor, ON[factor], pair, "")

    assert proof.changes and not proof.beyond and not proof.warning
    assert proof.describe().endswith("; nothing else")


# The first factor of every part of a recipe.
OFTEN = {factor.partition(".")[0]: factor for factor in reversed(ON)}.values()


@pytest.mark.parametrize("factor", rare(ON, OFTEN))
def test_a_level_against_itself_shows_nothing(factor: str, loaded: LoadedStudy, prover: Prover) -> None:
    pair = Pair(on(loaded, factor), on(loaded, factor), {})
    proof = prover.prove_pair(factor, ON[factor], pair, "")

    assert (proof.changes, proof.beyond, proof.gradients, proof.updated) == ([], [], 0, 0)
    assert proof.loss is not None and proof.loss[0] == proof.loss[1]


def test_proofs_tell_which_tensors_change(found: dict[str, Proof]) -> None:
    """A tiny BERT has four layers of 16 tensors, eight of them vectors or LayerNorms."""
    assert found["reinit.layers"].describe() == (
        "reinit.layers = 2: starts 32 tensors of layers 3-4 from other values; nothing else"
    )
    assert found["freeze.layers"].describe() == (
        "freeze.layers = 2: freezes 37 tensors of embeddings, layers 1-2; nothing else"
    )
    assert found["optimizer.decay_on"].describe() == (
        'optimizer.decay_on = "matrices": other weight decay for 46 tensors of embeddings, layers 1-4, '
        "pooler, head; nothing else"
    )
    assert found["freeze.layers"].gradients == 37 and found["freeze.layers"].updated == 37
    loss = found["freeze.layers"].loss
    assert loss is not None and loss[0] == loss[1]
    assert found["optimizer.decay_on"].gradients == 0


def test_what_the_optimizer_does_shows_under_warmup_whose_first_rate_is_0(
    loaded: LoadedStudy, prover: Prover
) -> None:
    first = loaded.study.baseline.at({"schedule.warmup_ratio": 0.3})
    pair = Pair(first, first.at({"optimizer.bias_correction": False}), {})
    (change,) = prover.prove_pair("optimizer.bias_correction", False, pair, "").changes

    assert change.aspect == "update" and change.count > 60


def test_a_level_that_does_nothing_at_the_baseline_is_proved_where_it_does(found: dict[str, Proof]) -> None:
    proof = found["freeze.dropout"]

    assert proof.given == {"freeze.layers": 2}
    assert proof.describe() == (
        "freeze.dropout = false (with freeze.layers = 2): switches off 7 dropout sites of embeddings, layers "
        "1-2; nothing else"
    )


def test_a_level_that_does_nothing_anywhere_is_named_with_its_reason(found: dict[str, Proof]) -> None:
    proof = found["reinit.pooler"]

    assert "never reach the loss" in proof.reason and proof.describe().startswith(
        "reinit.pooler = true: nothing; "
    )
    assert not proof.warning and not proof.changes and not proof.beyond


def test_a_level_that_the_checkpoint_cannot_have_is_proved_nowhere(tmp_path: Path, bert: Path) -> None:
    """Three frozen layers clash with the two of four that the first level draws afresh."""
    settings = '[factors]\n"reinit.layers" = [2, 0]\n"freeze.layers" = [0, 2]'
    loaded = open_study(write_study(tmp_path / "study", bert, settings=settings))
    prover = Prover(loaded, Canonicaliser(loaded, seed=0))

    assert next(prover.pairs("freeze.layers", 2)).given == {}
    assert list(prover.pairs("freeze.layers", 3)) == []
    assert prover.prove("freeze.layers", 3).describe() == "freeze.layers = 3: nothing; no row can have it"


def caught(loaded: LoadedStudy, factor: str) -> str:
    prover = Prover(loaded, Canonicaliser(loaded, seed=0))
    proof = prover.prove(factor, loaded.study.factors[factor][1])
    assert proof.warning and "nothing else" not in proof.describe()
    return proof.warning


def test_a_strategy_that_changes_its_neighbours_tensor_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Reinit.prepare_model

    def also_the_neighbour(self: Reinit, model: Classifier, setting: Setting) -> None:
        draw(self, model, setting)
        if self.layers:
            with torch.no_grad():
                hand_layers(model)[1].up.bias.add_(1.0)

    monkeypatch.setattr(Reinit, "prepare_model", also_the_neighbour)

    assert "starts 1 tensor of layer 2 from other values" in caught(grid, "reinit.layers")


def test_a_strategy_that_changes_another_aspect_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze = Freeze.prepare_model

    def also_silent(self: Freeze, model: Classifier, setting: Setting) -> None:
        freeze(self, model, setting)
        if self.layers:
            hand_layers(model)[3].attention_dropout.silenced = True

    monkeypatch.setattr(Freeze, "prepare_model", also_silent)

    assert "switches off 1 dropout site of layer 4" in caught(grid, "freeze.layers")


def test_a_strategy_that_also_moves_rates_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(self: Freeze, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        return [group | {"lr": group["lr"] / 2} for group in groups] if self.layers else groups

    monkeypatch.setattr(Freeze, "param_groups", slower)

    assert "other learning rates for " in caught(grid, "freeze.layers")


def test_decay_groups_that_leave_out_a_matrix_are_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Optimizer.param_groups

    def without_head(self: Optimizer, all_: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        made = groups(self, all_, model)
        if self.decay_on == "matrices":
            stray = model.get_parameter("head.linear.weight")
            made[0]["params"] = [p for p in made[0]["params"] if p is not stray]
            made[1]["params"].append(stray)
        return made

    monkeypatch.setattr(Optimizer, "param_groups", without_head)

    assert "other weight decay for 1 tensor of head" in caught(grid, "optimizer.decay_on")


@pytest.mark.parametrize(
    ("scale", "told"), [(1.0, "shows no change"), (1.5, "another loss from the same model and texts")]
)
def test_a_loss_that_is_wrapped_for_nothing_or_without_saying_so_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch, scale: float, told: str
) -> None:
    """The canonical form takes whatever wraps the loss for a change; the step shows whether it is one."""

    def scaled(self: Reinit, criterion: Criterion, setting: Setting) -> Criterion:
        return replace(criterion, modulate=(lambda losses, p: losses * scale,)) if self.layers else criterion

    monkeypatch.setattr(Reinit, "prepare_model", Strategy.prepare_model)
    monkeypatch.setattr(Reinit, "criterion", scaled)

    assert told in (warning := caught(grid, "reinit.layers"))
    assert "gradients" not in warning  # another loss explains them


def test_a_strategy_that_moves_gradients_in_secret_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shrink(self: Freeze, model: Classifier, batch: Packed, backward: Callable[[], None]) -> None:
        if self.layers:
            grad = model.get_parameter("head.linear.bias").grad
            assert grad is not None
            grad.mul_(0.5)

    monkeypatch.setattr(Freeze, "more_gradients", shrink)

    assert "other gradients in 1 tensor of head from the same loss" in caught(grid, "freeze.layers")


def test_what_the_canonical_form_overlooks_is_caught(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipes that are taken for one run must make the same step."""
    grids = Canonicaliser(grid, seed=0)
    monkeypatch.setattr(grids, "form", lambda recipe: "the same")
    prover = Prover(grid, grids)

    assert "another loss" in prover.prove("reinit.layers", 2).warning
    assert not prover.prove("reinit.pooler", True).warning


def test_a_strategy_that_says_nothing_may_do_what_its_seams_reach() -> None:
    class Quiet(Strategy):
        def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
            return criterion

    assert Quiet.claim("factor") == {"loss": "all", "gradients": "all"}
    assert Strategy.claim("factor") == {}
    assert Reinit.claim("layers") == {"initial": "top layers"}


def test_every_factor_says_what_it_touches() -> None:
    recipe = Recipe()
    for factor in recipe.levels().keys() - FREE:
        part, name = factor.split(".")
        assert type(getattr(recipe, part)).claim(name), factor


def test_the_audit_carries_proofs_and_their_warnings(
    grid: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = make_audit(grid)
    assert [proof.factor for proof in audit.proofs] == list(grid.study.factors)
    assert not any("own thing" in warning for warning in audit.warnings)
    assert type(audit).model_validate_json(audit.model_dump_json(), strict=True) == audit

    freeze = Freeze.prepare_model

    def also_the_head(self: Freeze, model: Classifier, setting: Setting) -> None:
        freeze(self, model, setting)
        model.head.requires_grad_(self.layers == 0)

    monkeypatch.setattr(Freeze, "prepare_model", also_the_head)
    assert (
        "freeze.layers = 2 changes more than its own thing: freezes 4 tensors of head. Its effect cannot be "
        "told apart."
    ) in make_audit(grid).warnings


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (["layer 7", "layer 8", "layer 9"], "layers 7-9"),
        (["head", "layer 2", "embeddings", "layer 10", "layer 1"], "embeddings, layers 1-2, 10, head"),
        (["layer 3", "layer 3"], "layer 3"),
    ],
)
def test_places_are_told_from_bottom_to_top(places: list[str], words: str) -> None:
    assert whereabouts(places) == words


@pytest.mark.parametrize("template", [*WORDS.values(), *LESS.values(), *MORE.values()])
def test_what_a_level_changes_has_chinese(template: str) -> None:
    """Of every kind: the audit has it in English."""
    for things in ("1 tensor of head", "53 tensors of embeddings, layers 1-3, 5, pooler, head, elsewhere"):
        said = translate(template.format(things=things), "zh")
        assert english_words(said) == [] and ("1-3、5 层" in said) == (
            "things" in template and "53" in things
        )


def test_a_proof_is_told_in_chinese() -> None:
    changes = [describe_words("freezes 3 tensors of layer 1"), describe_words("another pooling")]
    proof = Proof(factor="a.b", level=3, given={"c.d": 1}, changes=changes[:1], beyond=changes[1:])

    assert proof.describe("zh") == (
        "a.b = 3（同时 c.d = 1）：冻结第 1 层的 3 个张量；而且超出了自己那一项：池化方式不同"
    )
    assert translate(proof.warning, "zh") == (
        "a.b = 3（同时 c.d = 1）改变的不只是它自己那一项：池化方式不同。它的效应无法单独分辨。"
    )
    assert Proof(factor="a.b", level=3, reason="no row can have it").describe("zh") == (
        "a.b = 3：不起作用；没有任何一行可以取这个水平"
    )
    assert Proof(factor="a.b", level=3).describe("zh") == "a.b = 3：走一步看不出任何变化"


def describe_words(words: str) -> Change:
    return Change(aspect="trained", count=1, where="", words=words)
