"""`finegrid init`: a preset or factors by name, the design that suits them, and what was left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import Call, Called
from support.studies import save_word_checkpoint, write_data

from finegrid.encoders.families import inspect
from finegrid.study.load import load_study
from finegrid.study.presets import PRESETS, make_preset
from finegrid.study.study import Study


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    for family in ("bert", "distilbert"):
        save_word_checkpoint(folder / family, family)
    return folder


def asked(call: Call, home: Path, out: Path, *more: str, model: str = "bert") -> Called:
    return call("init", "--train", home / "data" / "train.tsv", "--model", home / model, "--out", out, *more)


def made(call: Call, home: Path, out: Path, *more: str, model: str = "bert") -> Study:
    done = asked(call, home, out, *more, model=model)
    assert done.returncode == 0, done.stderr
    return load_study(out)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_brings_its_factors_its_baseline_and_its_design(
    home: Path, tmp_path: Path, call: Call, name: str
) -> None:
    preset = make_preset(name, inspect(home / "bert"))
    study = made(call, home, tmp_path / "study", "--preset", name)

    assert (study.head.preset, study.head.design.kind) == (name, preset.kind)
    assert {**study.factors, **study.free_factors} == preset.factors
    assert study.bundles == preset.bundles
    levels = study.baseline.levels()
    assert preset.baseline.items() <= levels.items()


def test_what_the_model_cannot_do_stands_in_the_file_with_its_reason(
    home: Path, tmp_path: Path, call: Call
) -> None:
    made(call, home, tmp_path / "study", "--preset", "few-sample", model="distilbert")
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")

    assert "# left out: reinit.pooler at true: true, but distilbert has no pooler.\n" in text


def test_what_is_set_leads_the_levels_of_a_catalogue(home: Path, tmp_path: Path, call: Call) -> None:
    more = ("--preset", "few-sample", "--set", "training.epochs=4", "--set", "reinit.layers=1")
    study = made(call, home, tmp_path / "study", *more)

    assert study.factors["training.epochs"] == [4, 6, 12] and study.factors["reinit.layers"] == [1, 0, 2]
    assert study.rows[0].recipe == study.baseline


def test_without_a_name_it_is_the_published_grid(home: Path, tmp_path: Path, call: Call) -> None:
    study = made(call, home, tmp_path / "study")

    assert study.head.preset == "thucnews64" and study.is_published_grid


def test_factors_are_named_as_people_call_them(home: Path, tmp_path: Path, call: Call) -> None:
    study = made(
        call, home, tmp_path / "study", "--factors", "Warm-up, reinit.layers,BertAdam", "--seeds", "2"
    )

    assert study.head.preset is None and study.preset is None
    assert study.factors == {
        "schedule.warmup_ratio": [0.0, 0.1],
        "reinit.layers": [0, 1],
        "optimizer.bias_correction": [True, False],
    }
    assert (study.head.design.kind, len(study.rows)) == ("full", 8)


def test_many_factors_are_varied_one_at_a_time(home: Path, tmp_path: Path, call: Call) -> None:
    study = made(call, home, tmp_path / "study", "--factors", "optimizer,reinit,schedule,training,pooling")

    assert study.head.design.kind == "one-at-a-time"
    assert list(study.factors)[:2] == ["optimizer.rate", "optimizer.weight_decay"]
    assert (
        made(
            call, home, tmp_path / "other", "--factors", "lr,warmup", "--design", "one-at-a-time"
        ).head.design.kind
        == "one-at-a-time"
    )


def test_factors_come_beside_a_preset(home: Path, tmp_path: Path, call: Call) -> None:
    study = made(call, home, tmp_path / "study", "--preset", "few-sample", "--factors", "epochs,warmup")

    # The baseline warms up, and the preset varies epochs already.
    assert study.factors["schedule.warmup_ratio"] == [0.1, 0.0]
    assert study.factors["training.epochs"] == [3, 6, 12]


def test_levels_that_the_model_cannot_do_are_left_out_of_named_factors(
    home: Path, tmp_path: Path, call: Call
) -> None:
    study = made(call, home, tmp_path / "study", "--factors", "reinit,pooling", model="distilbert")
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")

    assert "reinit.pooler" not in study.factors and "pooler" not in study.factors["model.pooling"]
    assert "# left out: reinit.pooler at true: true, but distilbert has no pooler.\n" in text


def test_names_that_stand_for_nothing_are_told_at_once(home: Path, tmp_path: Path, call: Call) -> None:
    done = asked(call, home, tmp_path / "study", "--factors", "warmp,layers,pretrain.rate")
    told = " ".join(done.stderr.split())

    assert done.returncode == 2 and "3 problems" in told
    assert '--factors "warmp" no such strategy. Did you mean "warm-up"' in told
    assert '--factors "layers" stands for several: reinit.layers; freeze.layers. Name one.' in told
    assert '--factors "pretrain.rate" no levels of pretrain.rate are usual.' in told
    assert not (tmp_path / "study").exists()
