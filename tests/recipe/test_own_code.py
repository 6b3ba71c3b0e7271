"""A strategy of a user's own: which files are taken, what is known of them as data, and what is refused."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from support.strategies.own import write_own

from finegrid.errors import InputError
from finegrid.recipe import own_code
from finegrid.recipe.card import HEADINGS, card_of
from finegrid.recipe.described import Description, recipe_described
from finegrid.recipe.identity import Levels
from finegrid.recipe.own_code import (
    describe_strategy,
    find_name_problem,
    import_strategy,
    read_file,
    read_installed,
)
from finegrid.recipe.recipe import BLANK, recipe_with
from finegrid.study.parsing import parse_strictly

MANY = {
    "import torch\n": "import torch\nfrom typing import Literal\n",
    "share: Annotated": "word: Literal['one', 'two'] = Field('one', description='a word')\n"
    "    count: Annotated[int, Field(gt=0, lt=9, description='a number')] = 1\n"
    "    on: Annotated[bool, Field(description='a switch')] = False\n"
    "    share: Annotated",
    "    def change": "    @property\n    def copies(self) -> int:\n"
    "        return self.count\n\n    def change",
}


def describe(path: Path, levels: list[Levels] | None = None) -> Description:
    """What a file holds, asked at some levels of its factors."""
    code = read_file(path.name, path.parent)
    blank = recipe_with(((code.name, import_strategy(code)()),))
    moved = [{f"{code.name}.{name}": level for name, level in one.items()} for one in levels or [{}]]
    settings = [getattr(blank.at(one), code.name) for one in moved]
    found = describe_strategy(code, type(settings[0]), settings)
    return parse_strictly(Description, json.dumps(found.model_dump()))


def refuse(path: Path) -> list[str]:
    """The problems of a file, as lines."""
    with pytest.raises(InputError) as refused:
        import_strategy(read_file(path.name, path.parent))
    return [f"{problem.where} {problem.what}" for problem in refused.value.problems]


def test_what_stands_for_a_strategy_takes_and_refuses_the_same_levels(tmp_path: Path) -> None:
    told = describe(path := write_own(tmp_path, changed=MANY), [{}, {"count": 3}, {"share": 1.0}])
    code = read_file(path.name, tmp_path)
    real, described = recipe_with(((code.name, import_strategy(code)()),)), recipe_described((told,))

    assert (
        real.levels()
        == described.levels()
        == {
            **BLANK.levels(),
            "centre.word": "one",
            "centre.count": 1,
            "centre.on": False,
            "centre.share": 0.0,
        }
    )
    for factor, level in [
        ("centre.word", "three"),
        ("centre.count", 9),
        ("centre.count", 1.0),
        ("centre.on", 1),
        ("centre.share", 1.1),
        ("centre.share", float("nan")),
        ("centre.shar", 0.5),
    ]:
        said = []
        for recipe in (real, described):
            with pytest.raises(InputError) as refused:
                recipe.at({factor: level})
            said.append(str(refused.value))
        assert said[0] == said[1] and factor in said[0]
    moved: Levels = {"centre.word": "two", "centre.share": 1.0, "schedule.warmup_ratio": 0.1}
    assert real.at(moved).moved() == described.at(moved).moved() == moved


def test_what_stands_for_a_strategy_says_the_same_of_itself(tmp_path: Path) -> None:
    told = describe(path := write_own(tmp_path, changed=MANY), [{}, {"count": 3}, {"share": 1.0}])
    code = read_file(path.name, tmp_path)
    real, described = recipe_with(((code.name, import_strategy(code)()),)), recipe_described((told,))

    for recipe in (real, described):
        assert recipe.at({"centre.count": 3}).copies == 3
        assert recipe.at({"centre.count": 3}).reads_table == "never"
        assert recipe.at({"centre.share": 1.0}).priced_levels() == {"centre.share": 1.0}
        strategy = recipe.strategies[-1]
        assert [strategy.overrides(seam) for seam in ("change_gradients_", "criterion")] == [True, False]
        assert type(strategy).claim("share") == {"gradients": "all"}
        assert not strategy.acts and recipe.at({"centre.share": 1.0}).acting[-1] != strategy
    with pytest.raises(InputError, match="finegrid plan"):
        _ = described.at({"centre.count": 5}).copies  # nobody has asked it


def test_a_recipe_is_the_same_for_equal_descriptions_and_knows_no_other_study_s(tmp_path: Path) -> None:
    told = describe(write_own(tmp_path))
    again = parse_strictly(Description, told.model_dump_json())

    assert recipe_described((told,)) is recipe_described((again,))
    assert recipe_described((told,)) != BLANK and recipe_described(()) is BLANK
    with pytest.raises(InputError, match="no such factor"):
        BLANK.at({"centre.share": 1.0})


def test_its_card_is_told_like_any_other(tmp_path: Path) -> None:
    part = recipe_described((describe(write_own(tmp_path)),)).strategies[-1]

    card = card_of(part, ["centre.share"])

    assert all(f"\n{word} " in card for word in HEADINGS)
    assert card.endswith(
        "centre.share    how much of the mean is taken off (number, >= 0, <= 1; default 0.0)"
    )


def test_the_code_that_runs_is_the_code_that_was_read(tmp_path: Path) -> None:
    code = read_file((path := write_own(tmp_path)).name, tmp_path)
    path.write_text("raise AssertionError('changed meanwhile')")

    assert import_strategy(code).__name__ == "Centre"
    assert not list(tmp_path.glob("**/*.pyc"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"import torch\n": "import torch, nowhere_at_all\n"}, "line 12 ModuleNotFoundError"),
        ({"share: Annotated": "share Annotated"}, "line "),
        ({"class Centre(Strategy)": "class Centre"}, "class defines no strategies"),
        (
            {"class Centre(Strategy)": "class Other(Strategy): ...\n\n\nclass Centre(Strategy)"},
            "class defines 2 strategies (Other, Centre)",
        ),
        (
            {"Paper ": "From ", "Reduces ": "Does "},
            "card no line of the module's docstring begins with Paper, Reduces",
        ),
        (
            {"frozen=True, config=STRICT": "frozen=True"},
            "Centre expected @dataclass(frozen=True, config=STRICT)",
        ),
        ({', description="how much of the mean is taken off"': ""}, "share what it is stands nowhere"),
        (
            {"share: Annotated[float": "share: Annotated[tuple[float]", "= 0.0": "= (0.0,)"},
            "share has a type that",
        ),
        (
            {"] = 0.0": "] = 0.0\n    always: ClassVar[bool] = True"},
            "always found a strategy that no run is without",
        ),
        ({'{"share": {"gradients"': '{"chare": {"gradient"'}, 'touches.chare found "gradient", expected'),
        ({'{"share": {"gradients"': '{"chare": {"gradient"'}, "touches.chare no such factor. Known: share"),
        ({"] = 0.0": "] = 0.0\n    usual: ClassVar = {'share': (0.0, 2.0)}"}, "usual.share level 2.0"),
        ({"] = 0.0": "] = 0.0\n    shifts: ClassVar[bool] = True"}, "shifts shares_prefix must be False"),
        (
            {"] = 0.0": "] = 0.0\n    prices: ClassVar = {'share': 'no'}"},
            'prices.share found "no", expected',
        ),
        ({"] = 0.0": "]"}, "Centre every factor needs a default that is allowed"),
        ({"import torch\n": "import torch\nraise SystemExit('gone')\n"}, "line 13 SystemExit: gone"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(changed: dict[str, str], said: str, tmp_path: Path) -> None:
    assert any(line.startswith(said) for line in refuse(write_own(tmp_path, changed=changed))), said


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    changed = {"Idea ": "How  ", 'gradients": ': 'loss at": ', ", description": ", title"}

    assert len(refuse(write_own(tmp_path, changed=changed))) == 3


@pytest.mark.parametrize("name", ["fgm.py", "Centre.py", "my-own.py", "2nd.py", "class.py", "centre.txt"])
def test_names_that_cannot_be_are_refused(name: str, tmp_path: Path) -> None:
    write_own(tmp_path, name)

    with pytest.raises(InputError, match=name):
        read_file(name, tmp_path)
    assert not find_name_problem("centre")


@pytest.mark.parametrize("name", ["nowhere.py", "folder.py", "a\0b.py"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()

    with pytest.raises(InputError, match="cannot be read"):
        read_file(name, tmp_path)


def test_strategies_of_installed_packages_are_named_by_their_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "somebodys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    write_own(package, "inside.py")
    monkeypatch.syspath_prepend(tmp_path)
    entries = [EntryPoint("centre", "somebodys.inside:Centre", own_code.GROUP)]
    monkeypatch.setattr(
        own_code, "find_entries", lambda name=None: [e for e in entries if name in (None, e.name)]
    )

    code = read_installed("centre")
    assert "somebodys" not in sys.modules  # to read it is not to run it
    assert import_strategy(code).__name__ == "Centre" and code.name == "centre"
    with pytest.raises(InputError, match='Did you mean "centre"'):
        read_installed("center")
    (package / "beside.py").write_text("what = 1")  # which it may import
    assert read_installed("centre").digest != code.digest
