"""A study of bundles, trained: every command takes a bundle for one factor without order."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.command_line import Call, command_line
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.export.content import load_content
from finegrid.report.facts.facts import report_facts
from finegrid.results.load import load_results
from finegrid.study.audit_file import load_audit
from finegrid.study.load import load_study, read_study

# "silent" moves what is never read under this pooling; "theirs" what is, and what is not.
RECIPES = """
[factors.recipe]
ours = {}
theirs = {optimizer.rate = 3e-3, schedule.warmup_ratio = 0.2, "reinit.pooler" = true}
silent = {"reinit.pooler" = true}
"""
DEAD = """
[factors.dead]
off = {}
on = {"reinit.pooler" = true}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


def written(
    home: Path, name: str, tables: str, factors: Mapping[str, list[object]], design: str = "seeds = 2"
) -> Path:
    folder = write_word_study(
        home / name, Path("../model"), factors, recipe={"model.pooling": "last-mean"}, design=design
    )
    with (folder / "study.toml").open("a", encoding="utf-8") as file:
        file.write(tables)
    return folder


@pytest.fixture(scope="module")
def study(home: Path) -> Path:
    folder = written(home, "study", RECIPES, {"reinit.layers": [0, 1]})
    with command_line() as call:
        done = call("run", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_plan_says_what_each_level_sets_and_proves_it(study: Path, call: Call) -> None:
    told = call("plan", study).stdout

    assert "  recipe: ours, theirs, silent\n    ours: the baseline\n" in told
    assert "    theirs: optimizer.rate = 0.003, schedule.warmup_ratio = 0.2, reinit.pooler = true" in told
    assert (
        'recipe = "theirs": starts 2 tensors of pooler from other values, other learning rates for ' in told
    )
    assert "beyond its own thing" not in told and "inert in every row" not in told
    assert "inert: reinit.pooler of recipe = theirs in 2 rows: " in told
    assert "inert: reinit.pooler of recipe = silent in 2 rows: " in told
    status = json.loads(call("plan", study, "--json").stdout)
    assert status["factors"]["recipe"] == ["ours", "theirs", "silent"]
    assert status["bundles"]["recipe"]["silent"] == {"reinit.pooler": True}
    silent = next(proof for proof in status["proofs"] if proof["level"] == "silent")
    assert silent["reason"] and not silent["beyond"]


def test_rows_of_two_levels_that_are_one_run_are_run_once(study: Path, call: Call) -> None:
    table = json.loads(call("table", study, "--format", "json").stdout)

    by_levels = {(row["levels"]["recipe"], row["levels"]["reinit.layers"]): row for row in table["rows"]}
    assert len(by_levels) == 6
    for layers in (0, 1):
        assert by_levels["silent", layers]["same_as"] == by_levels["ours", layers]["index"]
        assert by_levels["theirs", layers]["same_as"] == by_levels["theirs", layers]["index"]
    assert len({run["run_id"] for row in table["rows"] for run in row["runs"]}) == 4 * 2
    assert call("table", study).stdout.startswith("| index | reinit.layers | recipe |")


def test_the_verdict_compares_levels_and_says_which_are_one_run(study: Path, call: Call) -> None:
    verdict = json.loads(call("verdict", study, "--json").stdout)
    effects = {(one["factor"], one["levels"][1]): one for one in verdict["factors"]}

    assert set(effects) == {("reinit.layers", 1), ("recipe", "theirs"), ("recipe", "silent")}
    results = load_results(read_study(study))
    points = results.points("test").mean(axis=1)
    at = {
        (one.levels["recipe"], one.levels["reinit.layers"]): score
        for one, score in zip(results.recipes, points, strict=True)
    }
    expected = sum(at["theirs", layers] - at["ours", layers] for layers in (0, 1)) / 2
    assert effects["recipe", "theirs"]["effect"] == pytest.approx(expected, abs=1e-5)
    assert effects["recipe", "silent"]["effect"] is None
    (note,) = effects["recipe", "silent"]["notes"]
    assert note.startswith("not estimable: silent and ours are one run here (reinit.pooler: ")
    assert verdict["bundles"]["recipe"]["theirs"]["optimizer.rate"] == 3e-3
    assert set(verdict["inert"]) == {"reinit.pooler of recipe = theirs", "reinit.pooler of recipe = silent"}
    assert "optimizer.rate" not in verdict["holds_at"] and "model.pooling" in verdict["holds_at"]
    told = call("verdict", study).stdout
    assert "recipe = theirs sets optimizer.rate = 0.003, schedule.warmup_ratio = 0.2" in told
    assert "recipe = ours is the baseline itself" in told


@pytest.mark.slow
def test_the_report_tells_what_levels_set_and_has_the_cards_of_their_strategies(
    study: Path, call: Call, tmp_path: Path
) -> None:
    done = call("report", study, "--format", "md", "--out", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "- recipe = theirs sets optimizer.rate = 0.003" in told
    assert "recipe = silent: not estimable" in told

    facts = report_facts(study)
    cards = {card["part"]: card["factors"] for card in facts["cards"]}
    assert cards == {
        "reinit": ["reinit.layers", "reinit.pooler"],
        "optimizer": ["optimizer.rate"],
        "schedule": ["schedule.warmup_ratio"],
    }
    assert call("report", study, "--out", tmp_path / "report.html").returncode == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "recipe = theirs sets optimizer.rate = 0.003" in page


def test_the_export_has_the_level_and_all_it_sets(study: Path, call: Call, tmp_path: Path) -> None:
    assert call("export", study, "--to", "csv", "--out", tmp_path / "out").returncode == 0
    content = load_content(study)

    assert content.factors["recipe"] == ["ours", "theirs", "silent"]
    assert content.about["bundles"]["recipe"]["theirs"]["optimizer.rate"] == 3e-3
    for run in content.runs:
        theirs = run.levels["recipe"] == "theirs"
        assert run.fixed["optimizer.rate"] == (3e-3 if theirs else 0.01)
        assert "reinit.layers" not in run.fixed
    header = (tmp_path / "out" / "runs.csv").read_text(encoding="utf-8").splitlines()[0]
    assert ",reinit.layers,factor.recipe," in header  # recipe is a column of ours


def test_a_second_run_trains_nothing(study: Path, call: Call) -> None:
    before = (study / "runs.jsonl").read_bytes()

    assert call("run", study).returncode == 0
    assert (study / "runs.jsonl").read_bytes() == before


def test_settings_that_change_make_other_runs_of_their_level_alone(
    home: Path, study: Path, call: Call
) -> None:
    changed = written(home, "changed", RECIPES.replace("3e-3", "4e-3"), {"reinit.layers": [0, 1]})
    assert call("plan", changed, "--probe").returncode == 0
    (changed / "runs.jsonl").write_bytes((study / "runs.jsonl").read_bytes())
    shutil.copytree(study / "predictions", changed / "predictions")
    status = json.loads(call("status", changed, "--json").stdout)

    assert status["runs"]["done"] == 4 and status["runs"]["left"] == 4


def test_a_bundle_is_fitted_by_the_name_of_its_level(study: Path, call: Call, tmp_path: Path) -> None:
    done = call("fit", study, "--recipe", "recipe=theirs,reinit.layers=1", "--out", tmp_path / "model")
    table = json.loads(call("table", study, "--format", "json").stdout)
    row = next(row for row in table["rows"] if row["levels"] == {"reinit.layers": 1, "recipe": "theirs"})
    assert done.returncode == 0, done.stderr
    assert f"rows {row['index']}, seed 0" in done.stdout

    wrong = call("fit", study, "--recipe", "recipe=yours,reinit.layer=1", "--out", tmp_path / "other")
    assert wrong.returncode == 2
    assert 'no level "yours". Known: ours, theirs, silent.' in wrong.stderr
    assert 'Did you mean "reinit.layers"?' in wrong.stderr


def test_a_bundle_whose_levels_are_one_run_is_inert(home: Path, call: Call) -> None:
    folder = written(home, "dead", DEAD, {"reinit.layers": [0, 1]})
    assert call("run", folder).returncode == 0
    audit, loaded = load_audit(folder), load_study(folder)
    assert audit is not None
    results = load_results(loaded)

    assert audit.inert_everywhere(loaded.rows) == {"dead"}
    assert list(results.factors) == ["reinit.layers"] and len(results.recipes) == 2
    assert results.inert["dead"].startswith("all its levels are one run; reinit.pooler of dead = on: ")
    told = call("verdict", folder).stdout
    assert "dead does nothing here: all its levels are one run" in told


def test_a_bundle_exists_only_where_its_levels_differ(home: Path, call: Call) -> None:
    folder = written(home, "where", DEAD, {"model.pooling": ["last-mean", "pooler"]}, "seeds = 1")
    assert call("plan", folder, "--probe").returncode == 0
    results = load_results(load_study(folder))

    assert [recipe.levels for recipe in results.recipes] == [
        {"model.pooling": "last-mean"},
        {"model.pooling": "pooler", "dead": "off"},
        {"model.pooling": "pooler", "dead": "on"},
    ]


def test_a_factor_exists_only_at_some_levels_of_a_bundle(home: Path, call: Call) -> None:
    tables = '[factors.recipe]\nours = {}\ncls = {model.pooling = "pooler"}\n'
    folder = written(home, "child", tables, {"reinit.pooler": [False, True]}, "seeds = 1")
    assert call("plan", folder, "--probe").returncode == 0
    results = load_results(load_study(folder))

    assert [recipe.levels for recipe in results.recipes] == [
        {"recipe": "ours"},
        {"recipe": "cls", "reinit.pooler": False},
        {"recipe": "cls", "reinit.pooler": True},
    ]


@pytest.mark.slow
def test_a_screen_decides_on_a_bundle_and_knows_its_settings(home: Path, call: Call) -> None:
    tables = "[factors.recipe]\nours = {}\nslow = {optimizer.rate = 1e-5, schedule.warmup_ratio = 0.5}\n"
    plain: dict[str, list[object]] = {
        "freeze.layers": [0, 1],
        "optimizer.bias_correction": [True, False],
        "training.batch_size": [16, 8],
    }
    folder = written(home, "screen", tables, plain, 'kind = "screen"\nseeds = 1')
    done = call("run", folder)
    assert done.returncode == 0, done.stderr
    screen = json.loads((folder / "screen.json").read_text())
    assert screen["factors"]["recipe"]["level"] == "slow"
    assert screen["asked"]["bundles"]["recipe"]["slow"]["optimizer.rate"] == 1e-5
    assert call("verdict", folder).returncode == 0

    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("1e-5", "2e-5"))
    refused = call("status", folder)
    assert refused.returncode == 2 and "decided for" in refused.stderr


@pytest.mark.slow
def test_a_confirmation_compares_a_level_of_a_bundle_with_the_first(home: Path, call: Call) -> None:
    """The first level's settings are the small study's baseline, and the other's those beyond it."""
    slow, quick = (
        "{optimizer.rate = 1e-6, reinit.layers = 1}",
        "{training.epochs = 12, optimizer.rate = 5e-3}",
    )
    tables = f"[factors.recipe]\nslow = {slow}\nquick = {quick}\n"
    folder = written(home, "confirmed", tables, {}, "seeds = 4")
    assert call("run", folder).returncode == 0
    verdict = json.loads(call("verdict", folder, "--json").stdout)
    assert verdict["best"]["recommended"]["levels"] == {"recipe": "quick"}
    done = call("confirm", folder, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert "recipe = quick, against the baseline" in done.stdout
    (small,) = folder.glob("confirm-*")
    first, second = load_study(small).rows
    whole = load_study(folder)
    assert (first.recipe, second.recipe) == (whole.rows[0].recipe, whole.rows[1].recipe)
    assert report_facts(folder)["confirmed"][0]["levels"] == {"recipe": "quick"}


def test_a_budget_is_planned_for_a_bundle(study: Path, call: Call) -> None:
    told = call("plan", study, "--budget", "1h")

    assert told.returncode == 0, told.stderr
