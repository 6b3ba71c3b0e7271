"""Who may import whom, and who may know what. Each rule lists the places that break it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from rooms import SOURCE, arrows_up, find_circles, floors_of, import_graph, room_graph
from support.rules import (
    find_back_doors,
    find_blind_faces,
    find_busy_rooms,
    find_imported_tests,
    find_missing_cards,
    find_model_paths,
    find_pickled_arrays,
    find_relative_imports,
    find_sleeps,
    find_strategies_by_name,
    find_trusting_loads,
    find_unsafe_code,
    modules_of,
    slow_imports,
)

from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import Strategy

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"

# A room imports only rooms before it; imports for types alone count. "." are the modules at the top.
ROOMS = [
    ".",
    "model/kernels",
    "optim",
    "data",
    "encoders",
    "model/packing",
    "model",
    "strategies",
    "recipe",
    "statistics",
    "facts",
    "study",
    "study/importing",
    "results",
    "planning",
    "report/chart",
    "report/page",
    "verdict",
    "verdict/budget",
    "export",
    "report/facts",
    "report",
    "comparing",
    "running/progress",
    "watch",
    "pretraining",
    "training",
    "audit",
    "inference",
    "running",
    "running/cluster",
    "api",
    "cli",
]
MOST_ROOMS, MOST_FLOORS = 33, 13

# Rooms that import torch. All others leave it alone as long as nothing trains, and so do the modules of
# these rooms that the command line imports before it knows whether anything will.
TORCH = {
    "audit",
    "inference",
    "model",
    "model/kernels",
    "model/packing",
    "optim",
    "pretraining",
    "training",
}
WITHOUT_TORCH = {
    "finegrid.inference.fit",
    "finegrid.inference.fitted",
    "finegrid.inference.predict",
    "finegrid.pretraining.card",
    "finegrid.pretraining.corpus",
    "finegrid.pretraining.schedule",
    "finegrid.pretraining.settings",
}
SLOW = ("torch", "transformers", "pyarrow", "tokenizers", "sklearn", "triton", "ray")
ON_DEMAND = {"finegrid.data.parquet"}  # imported once there is a Parquet file to read


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph()


@pytest.fixture(scope="module")
def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    return room_graph(graph)


def test_a_room_imports_only_rooms_before_it(rooms: dict[str, set[str]]) -> None:
    assert arrows_up(rooms, ROOMS) == []
    assert sorted(ROOMS) == sorted(rooms)


def test_neither_modules_nor_rooms_have_a_circle(
    graph: dict[str, set[str]], rooms: dict[str, set[str]]
) -> None:
    assert find_circles(graph) == []
    assert find_circles(rooms) == []


def test_the_house_stays_small(rooms: dict[str, set[str]]) -> None:
    assert len(rooms) <= MOST_ROOMS
    assert max(floors_of(rooms).values()) <= MOST_FLOORS


def test_rooms_are_entered_by_what_they_name(graph: dict[str, set[str]]) -> None:
    """``recipe/recipe.py`` alone names the strategies: a new one is a file and a line there."""
    doors = find_back_doors(graph, SOURCE)

    assert [door for door in doors if "finegrid.recipe.recipe imports strategies/" not in door] == []


def test_what_a_room_names_is_there_and_somebody_imports_it(graph: dict[str, set[str]]) -> None:
    assert find_blind_faces(graph, SOURCE) == []


def test_a_room_itself_holds_a_docstring_and_imports_nothing() -> None:
    assert find_busy_rooms(SOURCE) == []


def test_imports_name_the_whole_module() -> None:
    """Relative ones would be missing in the import graph."""
    assert find_relative_imports(SOURCE) == []


def test_rooms_before_and_after_training_do_not_import_torch(graph: dict[str, set[str]]) -> None:
    light = {*modules_of({*ROOMS} - TORCH, SOURCE, "finegrid")} | WITHOUT_TORCH

    assert slow_imports(sorted(light - ON_DEMAND), SLOW, SOURCE.parent) == []
    assert {*ROOMS} > TORCH and light <= graph.keys()


def test_the_command_line_and_a_worker_answer_at_once() -> None:
    modules = [*modules_of({"cli"}, SOURCE, "finegrid"), "finegrid.running.worker"]

    assert slow_imports(modules, (*SLOW, "scipy", "altair"), SOURCE.parent) == []


def test_nothing_unpickles_or_executes() -> None:
    assert find_unsafe_code(SOURCE) == []


def test_arrays_are_read_without_pickle() -> None:
    assert find_pickled_arrays(SOURCE) == []


def test_no_checkpoint_brings_code_or_asks_the_network() -> None:
    assert find_trusting_loads(SOURCE) == []


def test_only_anatomy_spells_attribute_paths_of_models() -> None:
    """And the layout, how the same tensors are called in files; and who makes a model with these paths."""
    assert find_model_paths(SOURCE) == ["encoders/layout.py", "model/anatomy.py", "model/bare.py"]


def strategy_files() -> list[Path]:
    shared = ("part.py", "seams.py", "criterion.py", "scoring.py", "__init__.py")
    return [path for path in sorted((SOURCE / "strategies").glob("*.py")) if path.name not in shared]


def test_every_strategy_has_a_card() -> None:
    """But for the model's and the training's settings: no run is without them, and none is off."""
    cards = [path for path in strategy_files() if path.name not in ("model.py", "training.py")]

    assert len(cards) >= 5
    assert find_missing_cards(cards) == []


# Who plans, trains, audits, records and warns knows strategies by what they say of themselves.
KNOW_NO_STRATEGY = ("audit", "planning", "training", "running", "optim", "model")


def test_no_strategy_is_known_by_name_outside_its_file() -> None:
    strategies = [
        field.name for field in fields(Recipe) if isinstance(getattr(Recipe(), field.name), Strategy)
    ]
    offenders = [
        f"{room}/{place}"
        for room in KNOW_NO_STRATEGY
        for place in find_strategies_by_name(SOURCE / room, strategies)
    ]
    offenders += [
        place
        for room, file in (("results", "table.py"), ("verdict", "diagnose.py"), ("study", "audit_file.py"))
        for place in find_strategies_by_name(SOURCE / room, strategies)
        if place.startswith(file)
    ]

    assert {"freeze", "optimizer", "pretrain", "reinit", "schedule"} <= {*strategies}
    assert offenders == []


def test_benchmarks_have_no_circle() -> None:
    assert find_circles(import_graph(BENCHMARKS, "")) == []


def test_no_test_imports_a_test() -> None:
    assert find_imported_tests(HERE) == []


def test_no_test_sleeps() -> None:
    """What a test waits for it asks for, again and again, and gives up at a deadline."""
    assert find_sleeps(HERE, but="support/waiting.py") == []
