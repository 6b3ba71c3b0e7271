"""From ledger and predictions to a verdict: known scores in, the words that they deserve out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call
from support.pretend import TEXTS, pretend
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.diagnose import diagnose
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge

HEAD = 'score = "accuracy"\n'
GRID = f'{HEAD}preset = "thucnews64"\n'
SEEDS = "[design]\nseeds = 4\n[factors]\n"
DISTINCT = SEEDS + "\n".join(
    f'"{name}" = {levels}'
    for name, levels in {
        "optimizer.bias_correction": "[true, false]",
        "optimizer.decay_on": '["all", "matrices"]',
        "reinit.layers": "[0, 2]",
        "freeze.layers": "[0, 2]",
        "schedule.warmup_ratio": "[0.0, 0.1]",
    }.items()
)
POINT = TEXTS // 100  # texts that are one point of accuracy
EFFECTS = {"optimizer.bias_correction": 0, "reinit.layers": -10, "freeze.layers": 4}


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Callable[[str, str], Path]:
    """Study folders with an audit, by head and settings."""
    made: dict[tuple[str, str], Path] = {}

    def of(head: str, settings: str) -> Path:
        if (head, settings) not in made:
            loaded = open_study(write_study(tmp_path_factory.mktemp("study"), bert, settings, head))
            save_audit(loaded.study.folder, make_audit(loaded))
            made[head, settings] = loaded.study.folder
        return made[head, settings]

    return of


def copied(folder: Path, to: Path) -> Study:
    shutil.copytree(folder, to)
    return load_study(to)


def fill(study: Study, hits: Callable[[PlannedRun], Any], seeds: int = 4, **changes: Any) -> None:
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, hits, range(seeds), **changes)


def known(run: PlannedRun) -> int:
    """Accuracy of 60 points, moved by `EFFECTS`, and a little by chance that all texts share."""
    moved = sum(EFFECTS.get(name, 0) for name in run.levels)
    luck = np.random.default_rng([run.seed, int(run.run_id, 16)]).integers(-1, 2)
    return int(60 * POINT + moved * POINT + luck)


def factors(verdict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["factor"]: one for one in verdict["factors"]}


def verdict_of(study: Study) -> Any:
    facts = as_json(judge(load_results(study)))
    json.dumps(facts, allow_nan=False)
    return facts


def test_known_effects_get_the_words_they_deserve(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known)
    found = factors(verdict_of(study))

    assert "reinit.pooler" not in found
    for name, points in EFFECTS.items():
        assert found[name]["effect"] == pytest.approx(points, abs=0.3)
        assert found[name]["low"] < found[name]["effect"] < found[name]["high"]
        low, high = found[name]["adjusted"]
        assert low <= found[name]["low"] and high >= found[name]["high"]
    assert found["reinit.layers"]["verdict"] == "do not use"
    assert found["freeze.layers"]["verdict"] == "use"
    assert found["freeze.layers"]["seconds"] == pytest.approx(-8)
    assert found["optimizer.bias_correction"]["verdict"] in (
        "cannot tell yet",
        "no difference beyond 0.2",
    )


@pytest.mark.slow
def test_32_distinct_rows_and_64_rows_with_their_copies_have_one_verdict(probed: Any, tmp_path: Path) -> None:
    whole = copied(probed(GRID, SEEDS), tmp_path / "whole")
    distinct = copied(probed(HEAD, DISTINCT), tmp_path / "distinct")
    for study in (whole, distinct):
        # Of levels, not of run ids: the two studies have data files of their own.
        fill(
            study,
            lambda run: 180 + 7 * len(run.levels) + 3 * (run.seed % 3) * ("freeze.layers" in run.levels),
        )
    a, b = verdict_of(whole), verdict_of(distinct)

    assert (len(whole.rows), len(distinct.rows)) == (64, 32)
    for one in (*a["factors"], *b["factors"]):
        del one["memory"]  # measured twice
    assert a["factors"] == b["factors"]
    assert a["interactions"] == b["interactions"]
    assert a["inert"].keys() == {"reinit.pooler"} and not b["inert"]


def test_the_recommended_recipe_is_the_cheapest_of_the_best(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    # Freezing costs nothing in points; reinit loses.
    fill(study, lambda run: 200 - 30 * ("reinit.layers" in run.levels) + run.seed)
    best = verdict_of(study)["best"]

    assert best["recommended"]["levels"]["freeze.layers"] == 2
    assert all(one["levels"]["reinit.layers"] == 0 for one in best["set"])
    assert len(best["set"]) == 16 and best["chosen_on"] == "dev"


def test_nothing_is_recommended_that_a_verdict_speaks_against(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")

    def noisy(run: PlannedRun) -> int:
        """Freezing loses two points in the mean, but single recipes are too noisy to be told apart."""
        luck = np.random.default_rng([run.seed, int(run.run_id, 16)]).normal(0, 2 * POINT)
        return round(60 * POINT - 3 * POINT * ("freeze.layers" in run.levels) + luck)

    fill(study, noisy)
    found = verdict_of(study)
    frozen = [one for one in found["best"]["set"] if one["levels"]["freeze.layers"]]

    assert factors(found)["freeze.layers"]["verdict"] == "do not use"
    assert frozen and found["best"]["recommended"]["levels"]["freeze.layers"] == 0


def test_the_frontier_has_no_recipe_that_another_beats(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known)
    frontier = verdict_of(study)["frontier"]

    assert len(frontier) >= 1
    for cheap, dear in pairwise(frontier):
        assert cheap["seconds"] < dear["seconds"] and cheap["test"] < dear["test"]


def test_missing_runs_are_counted_and_told(probed: Any, tmp_path: Path, call: Call) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known, seeds=2)
    fill(study, known, seeds=3, status="diverged")
    found = verdict_of(study)

    assert found["missing"] == {"left": 32, "diverged": 32, "failed": 0}
    kinds = {warning["kind"] for warning in found["warnings"]}
    assert {"unfinished", "diverged"} <= kinds
    words = call("verdict", study.folder).stdout
    assert "left out: 32 left\n" in words


def test_a_factor_under_another_is_judged_where_it_exists(probed: Any, tmp_path: Path) -> None:
    settings = SEEDS + '"freeze.layers" = [0, 2]\n"freeze.dropout" = [true, false]'
    study = copied(probed(HEAD, settings), tmp_path / "study")
    silent = {"freeze.layers": 2, "freeze.dropout": False}
    # Freezing takes 5 points; silencing dropout, where something is frozen, gives 9 back.
    scores = {0: 200, 1: 185, 2: 212}
    fill(study, lambda run: scores[len(run.levels.keys() & silent.keys())] + run.seed)
    results = load_results(study)
    found = factors(verdict_of(study))

    assert len(results.recipes) == 3
    assert found["freeze.dropout"]["effect"] == pytest.approx(9)
    assert found["freeze.layers"]["effect"] == pytest.approx(-5)


def test_more_than_two_levels_are_compared_with_the_first_each(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(HEAD, SEEDS + '"reinit.layers" = [0, 1, 2, 3]'), tmp_path / "study")
    fill(study, lambda run: 240 - 3 * int(run.levels.get("reinit.layers", 0)) + run.seed)
    found = verdict_of(study)["factors"]

    assert [one["levels"] for one in found] == [[0, 1], [0, 2], [0, 3]]
    assert [one["effect"] for one in found] == pytest.approx([-1, -2, -3])


def test_what_is_wrong_with_a_study_is_told(probed: Any, tmp_path: Path) -> None:
    study = copied(probed(GRID, SEEDS.replace("4", "1")), tmp_path / "study")
    fill(study, lambda run: 100, seeds=2)  # as always naming one of three classes
    rising = [{"epoch": e, "dev": {"accuracy": e / 10}} for e in (1, 2)]
    records = [json.loads(line) for line in (study.folder / "runs.jsonl").read_text().splitlines()]
    for record in records:
        record["epochs"], record["threads"] = rising, 1 + record["seed"]
    twins = [r for r in records if r["seed"] == 0][:2]
    folder = study.folder / "predictions"
    shutil.copy(folder / f"{twins[0]['run_id']}.npz", folder / f"{twins[1]['run_id']}.npz")
    (study.folder / "runs.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    kinds = {warning["kind"]: warning["what"] for warning in verdict_of(study)["warnings"]}

    assert kinds.keys() == {"degenerate", "still-rising", "unplanned-seeds", "mixed", "identical"}
    assert "2 of 2 seeds" in kinds["still-rising"] and "+10.00 points" in kinds["still-rising"]
    assert kinds["identical"].startswith("rows 1, 2 predict the same")


@pytest.mark.parametrize(("losses", "told"), [([0.2, 0.1], []), ([0.2, 0.2], ["identical"])])
def test_runs_that_part_after_the_epoch_that_both_keep_are_no_twins(
    probed: Any, tmp_path: Path, losses: list[float], told: list[str]
) -> None:
    """A rate that falls at the end alone changes nothing that is kept where the first epoch is the best."""
    study = copied(probed(GRID, SEEDS.replace("4", "1")), tmp_path / "study")
    fill(study, known)
    records = [json.loads(line) for line in (study.folder / "runs.jsonl").read_text().splitlines()]
    scores = records[0]["dev"]
    for record, loss in zip(records[:2], losses, strict=True):
        epochs = [{"epoch": e, "train_loss": of, "dev": scores} for e, of in ((1, 0.5), (2, loss))]
        record.update(best_epoch=1, epochs=epochs)
    (study.folder / "runs.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    folder = study.folder / "predictions"
    shutil.copy(*(folder / f"{record['run_id']}.npz" for record in records[:2]))

    found = [warning["kind"] for warning in verdict_of(study)["warnings"]]
    assert [kind for kind in found if kind == "identical"] == told
    results = load_results(study)
    asking = tuple(replace(one, run={**one.run, "pseudo.texts": "more.tsv"}) for one in results.recipes)
    kinds = [warning.kind for warning in diagnose(replace(results, recipes=asking))]
    assert "identical" not in kinds and kinds.count("no-pseudo-labels") == len(told)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_words_are_those_of_the_json(probed: Any, tmp_path: Path, call: Call, lang: str) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known)
    words, spoken = call("verdict", study.folder, "--lang", lang), call("verdict", study.folder, "--json")

    assert (words.returncode, spoken.returncode) == (0, 0)
    said = {"do not use": "不要使用", "use": "使用"} if lang == "zh" else {}
    for one in json.loads(spoken.stdout)["factors"]:
        told = words.stdout.partition(f"\n{one['factor']} = ")[2]
        line, told = told.splitlines()[0], told.partition("\n\n")[0]  # of this strategy, and what follows
        assert f"{one['effect']:+.2f}" in told
        if one["verdict"] in ("use", "do not use"):
            assert said.get(one["verdict"], one["verdict"]) in line


def test_the_margin_decides_what_is_a_difference(probed: Any, tmp_path: Path, call: Call) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known)
    wide = json.loads(call("verdict", study.folder, "--json", "--margin", "20").stdout)

    assert {one["decision"]["kind"] for one in wide["factors"]} == {"same"}
    assert factors(wide)["freeze.layers"]["decision"]["for_speed"]
    assert "no difference beyond 20, " in factors(wide)["freeze.layers"]["verdict"]


def test_wrong_input_is_told(probed: Any, tmp_path: Path, call: Call) -> None:
    study = copied(probed(GRID, SEEDS), tmp_path / "study")
    fill(study, known)
    other = call("verdict", study.folder, "--lang", "fr")
    assert other.returncode == 2 and 'found "fr", expected en or zh' in other.stderr
    lost = next((study.folder / "predictions").glob("*.npz"))
    lost.write_bytes(b"PK")
    damaged = call("verdict", study.folder)
    assert damaged.returncode == 0 and lost.stem in damaged.stdout + damaged.stderr
    (study.folder / "audit.json").unlink()
    fresh = call("verdict", study.folder)
    assert fresh.returncode == 2 and "`finegrid run` trains it" in fresh.stderr
