"""NoisyTune: a little noise for every tensor of the encoder, each from a stream of its own."""

from __future__ import annotations

import pytest
import torch
from support.studies import any_setting, recipe_of
from torch import Tensor, nn

from finegrid.planning.families import plan_families
from finegrid.planning.runs import PlannedRun
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.noise import Noise
from finegrid.training.loaded import LoadedStudy


def pushed(loaded: LoadedStudy, strength: float, seed: int = 0) -> dict[str, Tensor]:
    model = loaded.classifier(Recipe(), 0)
    Noise(strength).prepare_model(model, any_setting(seed))
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_noise_is_within_half_its_strength_of_standard_deviations_and_around_zero(
    loaded: LoadedStudy, strength: float
) -> None:
    before, after = pushed(loaded, 0.0), pushed(loaded, strength)
    scaled = []
    for name, p in before.items():
        change = (after[name] - p).double()
        if name.startswith("head."):
            assert not change.any()
            continue
        bound = strength / 2 * float(p.std())
        assert 0 < float(change.abs().max()) <= bound * (1 + 1e-4), name
        scaled.append(change.flatten() / bound)
    every = torch.cat(scaled)

    assert abs(float(every.mean())) < 4 / len(every) ** 0.5
    assert float(every.std()) == pytest.approx(3**-0.5, rel=0.03)  # uniform over [-1, 1]


def test_a_tensor_of_equal_numbers_gets_none(loaded: LoadedStudy) -> None:
    model = loaded.classifier(Recipe(), 0)
    norm = next(m for m in model.encoder.modules() if isinstance(m, nn.LayerNorm))
    nn.init.ones_(norm.weight)

    Noise(0.3).prepare_model(model, any_setting())

    assert torch.equal(norm.weight, torch.ones_like(norm.weight))


def test_each_tensor_and_each_seed_has_noise_of_its_own(loaded: LoadedStudy) -> None:
    before, one, weaker = pushed(loaded, 0.0), pushed(loaded, 0.2), pushed(loaded, 0.1)
    query, key = (f"encoder.encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key"))
    units = [(one[name] - before[name]) / before[name].std() for name in (query, key)]

    assert not torch.allclose(units[0], units[1], atol=1e-3)
    assert not torch.equal(one[query], pushed(loaded, 0.2, seed=1)[query])
    # Half the strength is half the push: the draws are those of the seed, whatever the strength.
    assert torch.allclose(one[query] - before[query], 2 * (weaker[query] - before[query]), atol=1e-6)


def test_it_comes_before_layers_are_drawn_afresh(loaded: LoadedStudy) -> None:
    names = [type(strategy).__name__ for strategy in Recipe().strategies]
    assert names.index("Pretrain") < names.index("Noise") < names.index("Reinit") < names.index("Probe")


def test_runs_that_freeze_share_a_family_with_equal_noise_only(loaded: LoadedStudy) -> None:
    """The first of a family computes what frozen layers make of a batch, for all of it."""

    def sizes(frozen: int) -> list[int]:
        levels = [{}, {"noise__strength": 0.1}, {"schedule__warmup_ratio": 0.1}]
        recipes = [recipe_of(loaded, freeze__layers=frozen, **own) for own in levels]
        runs = [PlannedRun(str(i), recipe.moved(), 0, ()) for i, recipe in enumerate(recipes)]
        return sorted(len(family.runs) for family in plan_families(runs, lambda run: 8))

    assert sizes(0) == [3]
    assert sizes(2) == [1, 2]
