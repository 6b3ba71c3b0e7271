"""Each rule of the house can be broken: on small made-up houses it finds what is wrong, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from rooms import arrows_up, declared_order, find_circles, floors_of, import_graph, room_graph
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

TIDY = {
    "top.py": "",
    "cellar/__init__.py": '"""Below.\n\nOthers import `wine`.\n"""',
    "cellar/wine.py": "import house.top",
    "cellar/rack.py": "from house.cellar import wine",
    "attic/__init__.py": '"""Above, with ``rack`` and `no face`.\n\nOthers import nothing.\n"""',
    "attic/box.py": "from house.cellar.wine import label",
}


def build(folder: Path, **changes: str) -> Path:
    """The tidy house with files added or replaced: ``cellar__rack`` stands for ``cellar/rack.py``."""
    source = folder / "house"
    for name, text in (TIDY | {f"{n.replace('__', '/')}.py": text for n, text in changes.items()}).items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return source


def test_a_tidy_house_breaks_no_rule(tmp_path: Path) -> None:
    source = build(tmp_path)
    graph = import_graph(source, "house")
    rooms = room_graph(graph, source)

    assert rooms == {".": set(), "cellar": {"."}, "attic": {"cellar"}}
    assert floors_of(rooms) == {".": 1, "cellar": 2, "attic": 3}
    assert find_circles(graph) == find_circles(rooms) == []
    assert arrows_up(rooms, [".", "cellar", "attic"]) == []
    assert find_back_doors(graph, source) == find_blind_faces(graph, source) == []
    assert find_busy_rooms(source) == find_relative_imports(source) == []
    assert find_unsafe_code(source) == find_pickled_arrays(source) == find_model_paths(source) == []


@pytest.mark.parametrize(
    "text",
    [
        "import house.attic.box",
        "from house.attic import box",
        "def later():\n    from house.attic.box import lid",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.attic.box import Lid",
    ],
)
def test_an_import_of_a_later_room_is_found_wherever_it_stands(text: str, tmp_path: Path) -> None:
    source = build(tmp_path, top=text)
    graph = import_graph(source, "house")
    rooms = room_graph(graph, source)

    assert arrows_up(rooms, [".", "cellar", "attic"]) == [(".", "attic")]
    assert find_circles(graph) == [{"house.top", "house.attic.box", "house.cellar.wine"}]
    assert find_circles(rooms) == [{".", "attic", "cellar"}]


def test_a_room_without_a_place_in_the_order_is_found(tmp_path: Path) -> None:
    rooms = room_graph(import_graph(build(tmp_path), "house"), tmp_path / "house")

    assert arrows_up(rooms, [".", "cellar"]) == [("attic", "cellar")]
    assert arrows_up(rooms, [".", "attic"]) == [("attic", "cellar"), ("cellar", ".")]


def test_the_order_is_read_from_the_file_that_declares_it(tmp_path: Path) -> None:
    path = tmp_path / "order.py"
    path.write_text('import torch\nMORE = []\nROOMS = [".", "attic"]')
    assert declared_order(path) == [".", "attic"]
    path.write_text("")
    with pytest.raises(LookupError, match="ROOMS"):
        declared_order(path)


def test_rooms_are_entered_by_their_faces_only(tmp_path: Path) -> None:
    source = build(tmp_path, attic__box="import house.cellar.rack", attic__lamp="from house import cellar")
    graph = import_graph(source, "house")

    assert find_back_doors(graph, source) == ["house.attic.box imports cellar/rack"]
    assert find_blind_faces(graph, source) == ["cellar/wine"]


@pytest.mark.parametrize("text", ["", "import house.top", '"""A room."""\nROOM = 1'])
def test_a_room_that_imports_or_says_nothing_is_found(text: str, tmp_path: Path) -> None:
    source = build(tmp_path)
    (source / "cellar/__init__.py").write_text(text)
    assert find_busy_rooms(source) == ["cellar"]
    (source / "cellar/__init__.py").unlink()
    assert find_busy_rooms(source) == ["cellar"]


def test_relative_imports_are_found(tmp_path: Path) -> None:
    assert find_relative_imports(build(tmp_path, top="\nfrom . import cellar")) == ["top.py:2"]


def test_slow_imports_are_told_with_the_way_to_them(tmp_path: Path) -> None:
    """Those in functions, and of other packages, are none."""
    lazy = "import json\ndef later():\n    import wave"
    source = build(tmp_path, top="import wave", attic__box="import house.top", attic__lamp=lazy)
    modules = modules_of({"attic"}, source, "house")

    assert modules == ["house.attic", "house.attic.box", "house.attic.lamp"]
    assert slow_imports(modules, ["wave"], tmp_path) == ["house.attic.box > house.top > wave"]


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "from os import system",
        "np.load(path, allow_pickle = True)",
        "torch.jit.load(path, weights_only=False)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "subprocess.run(line, shell=True)",
        "eval(text)",
    ],
)
def test_code_that_could_run_what_a_file_says_is_found(line: str, tmp_path: Path) -> None:
    assert find_unsafe_code(build(tmp_path, top=f"\n{line}")) == ["top.py:2"]


def test_methods_called_eval_are_not_taken_for_it(tmp_path: Path) -> None:
    assert find_unsafe_code(build(tmp_path, top="model.eval()")) == []


def test_arrays_that_may_hold_pickles_are_found(tmp_path: Path) -> None:
    lines = "np.load(a)\nnp.load(b, allow_pickle=False)"
    assert find_pickled_arrays(build(tmp_path, top=lines)) == ["top.py:1"]


def test_checkpoints_that_may_bring_code_are_found(tmp_path: Path) -> None:
    loads = "A.from_pretrained(f)\nA.from_pretrained(f, local_files_only=True, trust_remote_code=False)"
    assert find_trusting_loads(build(tmp_path, top=loads)) == ["top.py:1"]


def test_paths_of_models_are_found(tmp_path: Path) -> None:
    assert find_model_paths(build(tmp_path, top="model.encoder.layer[0]")) == ["top.py"]


def test_a_strategy_without_a_card_is_found(tmp_path: Path) -> None:
    source = build(tmp_path, top='"""Freeze.\n\nPaper  A.\nIdea   None.\n"""')
    assert find_missing_cards([source / "top.py"]) == ["top.py: Off", "top.py: Reduces", "top.py: Evidence"]


@pytest.mark.parametrize(
    "line",
    [
        "from test_other import helper",
        "import tests.support",
        "from cli.test_run import a",
        "import conftest",
    ],
)
def test_tests_that_import_tests_are_found(line: str, tmp_path: Path) -> None:
    assert find_imported_tests(build(tmp_path, top=line)) == ["top.py:1"]


@pytest.mark.parametrize(
    "line", ["time.sleep(1)", "from time import sleep", "import time as t\nt.sleep(0.1)"]
)
def test_sleeping_tests_are_found(line: str, tmp_path: Path) -> None:
    source = build(tmp_path, top=line, attic__box="time.sleep(0.1)")
    number = len(line.splitlines())
    assert find_sleeps(source, but="attic/box.py") == [f"top.py:{number}"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("layers = run.recipe.freeze.layers", True),
        ("frozen = Recipe().freeze", True),
        ('level = levels["freeze.layers"]', True),
        ('cheap = ("freeze.",)', True),
        ("layers = run.recipe.frozen_layers", False),
        ("gc.freeze()", False),
    ],
)
def test_a_strategy_that_is_known_by_name_is_found(tmp_path: Path, text: str, named: bool) -> None:
    found = find_strategies_by_name(build(tmp_path, attic__box=text), ["freeze"])

    assert found == (["attic/box.py:1"] if named else [])
