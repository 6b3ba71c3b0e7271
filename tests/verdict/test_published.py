"""The published table of 64 rows, judged: golden figures and words. docs/thucnews64.md tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finegrid.facts.recommendation_words import reasons
from finegrid.results.from_table import imported_results
from finegrid.study.importing.examples import load_example
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge


@pytest.fixture(scope="module")
def verdict() -> Any:
    """At a margin that decides every strategy of the table by itself."""
    return as_json(judge(imported_results(Path("published"), load_example("thucnews64-published")), 0.2))


GOLDEN = {
    "optimizer.bias_correction": (-0.10, 0.0, "no difference beyond 0.2, but measurable"),
    "optimizer.decay_on": (0.07, 0.0, "no difference beyond 0.2, but measurable"),
    "reinit.layers": (-0.51, 0.0, "do not use"),
    "freeze.layers": (-0.12, -24.0, "no difference beyond 0.2, but measurable, use for speed"),
    "schedule.warmup_ratio": (0.10, 0.0, "no difference beyond 0.2, but measurable"),
}


def test_effects_seconds_and_words_are_golden(verdict: dict[str, Any]) -> None:
    found = {
        one["factor"]: (round(one["effect"], 2), round(one["seconds"], 2), one["verdict"])
        for one in verdict["factors"]
    }
    assert found == GOLDEN


def test_the_pooler_is_inert_and_its_pairs_give_the_noise_of_a_run(verdict: dict[str, Any]) -> None:
    assert list(verdict["inert"]) == ["reinit.pooler"]
    assert verdict["noise"]["method"] == "true repeats"
    assert 0.098 <= verdict["noise"]["run_sd"] <= 0.102


def test_six_pairs_depend_on_each_other_and_warmup_on_bias_correction_most(verdict: dict[str, Any]) -> None:
    shown = [one for one in verdict["interactions"] if one["matters"]]
    assert {tuple(one["factors"]): round(one["effect"], 2) for one in shown} == {
        ("optimizer.bias_correction", "reinit.layers"): -0.17,
        ("optimizer.bias_correction", "freeze.layers"): 0.20,
        ("optimizer.bias_correction", "schedule.warmup_ratio"): 0.26,
        ("reinit.layers", "freeze.layers"): -0.18,
        ("reinit.layers", "schedule.warmup_ratio"): 0.18,
        ("freeze.layers", "schedule.warmup_ratio"): -0.22,
    }
    found = max(shown, key=lambda one: abs(one["effect"]))
    given = {(one["factor"], one["given"][1]): round(one["effect"], 2) for one in found["conditional"]}
    assert given["schedule.warmup_ratio", False] == 0.23 and given["schedule.warmup_ratio", True] == -0.03
    freezing = {tuple(one["given"]): one["effect"] for one in shown[-1]["conditional"][:2]}
    assert freezing["schedule.warmup_ratio", 0.0] == pytest.approx(-0.01, abs=0.005)
    assert freezing["schedule.warmup_ratio", 0.1] == pytest.approx(-0.235, abs=0.005)


def test_the_best_set_is_golden_by_recipe_and_by_row(verdict: dict[str, Any]) -> None:
    best = verdict["best"]
    assert len(best["set"]) == 11 and best["chosen_on"] == "test"
    assert best["rows"] == [
        1,
        2,
        9,
        10,
        17,
        18,
        19,
        20,
        25,
        26,
        27,
        28,
        34,
        35,
        36,
        42,
        43,
        44,
        50,
        51,
        58,
        59,
    ]
    assert best["recommended"]["rows"] == [50, 58]
    assert best["expected"]["gain"] == pytest.approx(0.12, abs=0.005)
    assert best["cheaper"]["recipe"]["rows"] == [51, 59]
    assert best["cheaper"]["expected"]["gain"] == pytest.approx(-0.09, abs=0.005)
    assert best["cheaper"]["recipe"]["seconds"] == pytest.approx(41.42, abs=0.01)


def test_a_tenth_of_the_baselines_error_is_too_small_to_matter_and_re_initialising_costs_more() -> None:
    verdict = as_json(judge(imported_results(Path("published"), load_example("thucnews64-published"))))

    assert verdict["margin"] == 0.5  # of an error of 6.2 points
    assert [one["factor"] for one in verdict["factors"] if one["decision"]["kind"] != "same"] == [
        "reinit.layers"
    ]
    assert verdict["best"] is not None and verdict["best"]["recommended"]["rows"] == [50, 58]


def test_seconds_per_epoch_are_those_of_the_studys_text(verdict: dict[str, Any]) -> None:
    assert verdict["seconds_per"] == "epoch"
    assert {round(one["seconds"], 2) for one in verdict["frontier"]} == {41.42, 65.43}


def test_of_too_many_recipes_the_verdict_says_what_it_did_not_look_at(verdict: Any) -> None:
    told = "interactions of three and more strategies were not looked at"
    assert told not in " ".join(reasons(verdict, "en"))
    many: Any = {**verdict, "best": {**verdict["best"], "whole": False}}

    assert told in " ".join(reasons(many, "en"))
