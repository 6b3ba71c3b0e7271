"""`finegrid explain`: every strategy on a line, and a name in whichever way people write it."""

from __future__ import annotations

import json

import pytest
from support.command_line import Call

from finegrid.errors import InputError
from finegrid.recipe.card import card
from finegrid.recipe.catalogue import entries, find, list_lines, usual_levels
from finegrid.recipe.recipe import DEFAULTS, Recipe
from finegrid.spelling import find_near


def test_a_search_for_the_right_name_has_bounds() -> None:
    assert find_near("warmpu", (f"{number}" for number in range(10**9))) == []  # would take hours
    assert find_near("a" * 10**6, ["a" * 10**6]) == [] == find_near("aaaa", ["a" * 10**6])
    assert find_near("warmpu", ["x", "warmup"]) == ["warmup"]


def test_every_factor_is_in_one_line_under_its_kind_with_its_evidence(call: Call) -> None:
    done = call("explain")
    lines = done.stdout.splitlines()

    assert done.returncode == 0 and lines[: len([*list_lines()])] == [*list_lines()]
    for entry in entries():
        (line,) = [at for at in lines if at.startswith(f"  {entry.listing.name}  ")]
        assert f"  {entry.listing.evidence} " in line and line.endswith(f"({entry.listing.step})")
        above = [at for at in lines[: lines.index(line)] if at and not at.startswith(" ")]
        assert above[-1] == entry.listing.kind
    listed = [factor for entry in entries() for factor in entry.factors]
    assert sorted(listed) == sorted(DEFAULTS)
    assert "finegrid explain NAME" in lines[-1]


def test_the_list_is_there_for_programs(call: Call) -> None:
    content = json.loads(call("explain", "--json").stdout)

    assert {factor for one in content["strategies"] for factor in one["factors"]} == {*DEFAULTS}
    (warmup,) = [one for one in content["strategies"] if one["name"] == "warmup"]
    assert (warmup["part"], warmup["kind"], warmup["evidence"]) == ("schedule", "schedules", "A")
    assert "warm-up" in warmup["synonyms"]


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("reinit.layers", ("reinit.layers",)),
        ("Reinit.Layers", ("reinit.layers",)),
        ("reinit", ("reinit.pooler", "reinit.layers")),
        ("re-init", ("reinit.pooler", "reinit.layers")),
        ("warmup", ("schedule.warmup_ratio",)),
        ("Warm Up", ("schedule.warmup_ratio",)),
        ("weight decay", ("optimizer.weight_decay", "optimizer.decay_on")),
        ("bertadam", ("optimizer.bias_correction",)),
        ("TAPT", ("pretrain.tokens", "pretrain.rate", "pretrain.shared")),
        ("warmup_ratio", ("schedule.warmup_ratio",)),
    ],
)
def test_a_strategy_is_found_by_any_of_its_names(name: str, factors: tuple[str, ...]) -> None:
    assert find(name).factors == factors
    told = card(name)
    assert [line for line in told.splitlines() if "    " in line and line.split(" ")[0] in DEFAULTS] and all(
        f"\n{factor}    " in told for factor in factors
    )


def test_a_name_of_several_is_told_with_all_of_them(call: Call) -> None:
    done = call("explain", "layers")

    assert done.returncode == 2
    assert '"layers"    stands for several: reinit.layers; freeze.layers. Name one.' in done.stderr


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("reinit.layer", 'Did you mean "reinit.layers"?'),
        ("warmp", '"warm-up"'),
        ("frezing", '"freezing"'),
        ("weigt decay", '"weight decay"'),
        ("qqqqqqqq", "`finegrid explain` lists all."),
        ("", "`finegrid explain` lists all."),
    ],
)
def test_an_unknown_name_is_told_with_what_comes_near(name: str, close: str) -> None:
    with pytest.raises(InputError) as caught:
        find(name)
    assert close in str(caught.value)


@pytest.mark.parametrize("factor", DEFAULTS)
@pytest.mark.parametrize("layers", [1, 12])
def test_usual_levels_start_at_the_default_and_are_levels(factor: str, layers: int) -> None:
    levels = usual_levels(factor, layers)

    assert not levels or levels[0] == DEFAULTS[factor]
    assert len(set(levels)) == len(levels)
    for level in levels:
        assert Recipe().at({factor: level}).levels()[factor] == level


def test_usual_levels_count_layers_as_shares_and_words_as_all() -> None:
    assert usual_levels("reinit.layers", 12) == [0, 1, 6]
    assert usual_levels("freeze.layers", 24) == [0, 12, 18]
    assert usual_levels("optimizer.bias_correction", 12) == [True, False]
    assert set(usual_levels("model.pooling", 12)) >= {"cls", "pooler", "last-mean", "first-last-mean"}
