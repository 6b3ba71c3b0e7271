"""Bundles in study.toml: what they become, and what is wrong with them, told all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.errors import InputError
from finegrid.recipe.identity import Level
from finegrid.recipe.recipe import Recipe
from finegrid.study.aliases import find_aliases
from finegrid.study.bundles import Bundle
from finegrid.study.confounding import find_study_aliases
from finegrid.study.design import DesignKind, plan_fraction, plan_full, plan_rows, plan_screen
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.study.toml import format_toml

PLAIN: dict[str, list[Level]] = {
    "reinit.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.1],
    "training.epochs": [1, 2],
}
RECIPE = Bundle({"ours": {}, "fresh": {"optimizer.rate": 1e-3, "model.pooling": "cls"}})
NOTHING: dict[str, list[Level]] = {}
FACTORS: dict[str, list[Level]] = {"recipe": [*RECIPE.levels], **PLAIN}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


def loaded(home: Path, tables: str, factors: Mapping[str, list[Level]] = NOTHING, design: str = "") -> Study:
    folder = write_word_study(home / "study", Path("../model"), factors, design=design)
    with (folder / "study.toml").open("a", encoding="utf-8") as file:
        file.write(tables)
    return load_study(folder)


def refused(home: Path, tables: str, factors: Mapping[str, list[Level]] = NOTHING) -> str:
    with pytest.raises(InputError) as caught:
        loaded(home, tables, factors)
    return str(caught.value)


WAYS = {
    "inline": '[factors.recipe]\nours = {}\ntheirs = {"optimizer.rate" = 1e-3, "freeze.layers" = 1}',
    "dotted keys": "[factors.recipe]\nours = {}\ntheirs = {optimizer.rate = 1e-3, freeze.layers = 1}",
    "nested": "[factors.recipe.ours]\n[factors.recipe.theirs]\noptimizer = {rate = 1e-3}\n"
    "freeze = {layers = 1}",
    "tables": "[factors.recipe.ours]\n[factors.recipe.theirs.optimizer]\nrate = 1e-3\n"
    "[factors.recipe.theirs.freeze]\nlayers = 1",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_settings_is_read_alike(home: Path, way: str) -> None:
    study = loaded(home, WAYS[way])

    assert study.factors == {"recipe": ["ours", "theirs"]}
    assert study.bundles["recipe"].levels == {
        "ours": {},
        "theirs": {"optimizer.rate": 1e-3, "freeze.layers": 1},
    }
    first, second = study.rows
    assert (first.levels, first.recipe) == ({"recipe": "ours"}, study.baseline)
    assert second.levels == {"recipe": "theirs"}
    assert second.recipe == study.baseline.at({"optimizer.rate": 1e-3, "freeze.layers": 1})


def test_tables_of_lists_stay_nested_factors_beside_a_bundle(home: Path) -> None:
    tables = "[factors.reinit]\nlayers = [0, 1]\n[factors.recipe]\na = {}\nb = {optimizer.rate = 1e-3}"
    study = loaded(home, tables, {"training.epochs": [1, 2]})

    assert study.factors == {"training.epochs": [1, 2], "reinit.layers": [0, 1], "recipe": ["a", "b"]}
    assert len(study.rows) == 8


def test_the_first_level_is_the_baselines_whatever_it_sets(home: Path) -> None:
    tables = "[factors.recipe]\nslow = {optimizer.rate = 1e-4}\nours = {}"
    study = loaded(home, tables)

    assert [row.recipe.optimizer.rate for row in study.rows] == [1e-4, study.baseline.optimizer.rate]


@pytest.mark.parametrize("kind", get_args(DesignKind))
def test_rows_of_every_design_have_the_settings_of_their_level(kind: DesignKind) -> None:
    baseline = Recipe()
    rows = plan_rows(kind, 4, baseline, FACTORS, {"recipe": RECIPE})
    plain = plan_rows(kind, 4, baseline, {"optimizer.rate": [5e-5, 1e-3], **PLAIN})

    assert len(rows) == len(plain) and {row.levels["recipe"] for row in rows} == {"ours", "fresh"}
    for row in rows:
        settings = RECIPE.levels[str(row.levels["recipe"])]
        rest = {name: level for name, level in row.levels.items() if name != "recipe"}
        assert row.recipe == baseline.at({**rest, **settings})
        assert row.bundled == {"recipe": settings}


def test_phase_2_of_a_screen_has_the_settings_too() -> None:
    rows = plan_screen(Recipe(), FACTORS, 3, ["recipe", "reinit.layers"], {"recipe": RECIPE})

    assert len(rows) > len(plan_fraction(Recipe(), FACTORS, 3, {"recipe": RECIPE}))
    assert all((row.recipe.model.pooling == "cls") == (row.levels["recipe"] == "fresh") for row in rows)


def test_a_bundle_has_the_aliases_of_any_factor_of_two_levels() -> None:
    one = plan_fraction(Recipe(), FACTORS, 4, {"recipe": RECIPE})
    names = dict.fromkeys(FACTORS)
    like: dict[str, list[Level]] = {"optimizer.rate": [5e-5, 1e-3], **PLAIN}
    other = find_aliases(like, plan_fraction(Recipe(), like, 4))
    found = find_aliases(FACTORS, one)

    assert len(found) == len(other) > 0 and {name for effect in found for name in effect} == {*names}
    whole = plan_full(Recipe(), FACTORS, {"recipe": RECIPE})
    assert find_aliases(FACTORS, whole) == {}


def test_a_fraction_of_a_bundle_is_planned_from_the_file(home: Path) -> None:
    tables = "[factors.recipe]\nours = {}\nfresh = {optimizer.rate = 1e-3}"
    study = loaded(home, tables, PLAIN, 'kind = "fractional"')

    assert len(study.rows) == 8
    assert {name for effect in find_study_aliases(study) for name in effect} == {"recipe", *PLAIN}


def test_all_that_is_wrong_with_bundles_is_told_at_once(home: Path) -> None:
    told = refused(
        home,
        '[factors.recipe]\na = {optimizer.rates = 1, "reinit.layers" = -1}\n'
        'b = {freeze.layers = 9, "freeze.layers" = 1, schedule.warmup_ratio = 2}\nc = 5\n'
        '[factors."my.recipe"]\na = {}\nb = {training.epochs = 3}\n'
        "[factors.optimizer]\na = {}\nb = {training.epochs = 4}\n"
        "[factors.single]\na = {optimizer.weight_decay = 0.0}\n[factors.none]",
        {"training.epochs": [1, 2]},
    )
    for expected in (
        'factors.recipe.a.optimizer.rates              no such factor. Did you mean "optimizer.rate"?',
        "factors.recipe.a.reinit.layers                level -1: expected greater than or equal to 0.",
        "factors.recipe.b                              sets freeze.layers twice. Take one out.",
        "factors.recipe.b.schedule.warmup_ratio        level 2: ",
        "factors.recipe.c                              found 5, expected a table of settings",
        'factors."my.recipe"                           a bundle\'s name is not empty and has no dots.',
        'sets training.epochs, which factors."training.epochs" varies as well. Take one of the two out.',
        "factors.optimizer  a table of tables is a bundle, but optimizer is a part of the recipe.",
        "factors.single                                found one level (a), expected two or more",
        "factors.none                                  found no level, expected two or more",
    ):
        assert " ".join(expected.split()) in " ".join(told.split()), told


def test_a_setting_of_two_bundles_is_refused(home: Path) -> None:
    told = refused(
        home,
        "[factors.one]\na = {}\nb = {optimizer.rate = 1e-3}\n"
        "[factors.two]\na = {}\nb = {optimizer.rate = 1e-4}",
    )

    assert "factors.two" in told and "sets optimizer.rate, which factors.one varies as well" in told


@pytest.mark.parametrize(
    "levels", ["a = {}\nb = {training.epochs = 2}", "a = {reinit.layers = 1}\nb = {reinit = {layers = 1}}"]
)
def test_levels_with_equal_settings_are_refused(home: Path, levels: str) -> None:
    """Equal to the baseline's counts: the baseline has two epochs."""
    assert "the levels a and b have equal settings" in refused(home, f"[factors.recipe]\n{levels}")


def test_what_the_checkpoint_cannot_do_is_refused_in_a_bundle_too(home: Path) -> None:
    told = refused(home, "[factors.recipe]\na = {}\nb = {freeze.layers = 3}")

    assert "level 3, but the encoder has 2 layers" in told


def test_a_part_with_a_table_for_a_list_is_told_as_before(home: Path) -> None:
    told = refused(home, "[factors.reinit]\nlayers = {a = 1}\npooler = [false, true]")

    assert 'factors."reinit.layers"' in told and "expected a list of two or more levels" in told


def test_settings_are_written_as_an_inline_table() -> None:
    assert format_toml({}) == "{}"
    assert format_toml({"optimizer.rate": 1e-3, 'a"b': "c"}) == '{ "optimizer.rate" = 0.001, "a\\"b" = "c" }'
