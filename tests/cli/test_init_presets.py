"""`finegrid init`: a preset or factors by name, the design that suits them, and what was left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import Call, Called
from support.studies import save_word_checkpoint, write_data

from finegrid.encoders.families import inspect
from finegrid.recipe.recipe import DEFAULTS
from finegrid.study.bundles import Bundles
from finegrid.study.drafting import InitOptions
from finegrid.study.init import write_study
from finegrid.study.load import load_study
from finegrid.study.presets import PRESETS, make_preset
from finegrid.study.study import Study

PUBLISHED = {
    "model.pooling": "first-last-mean",
    "model.max_length": 44,
    "optimizer.rate": 5e-5,
    "training.batch_size": 256,
    "training.epochs": 32,
}
PROPOSED = PUBLISHED.keys() - {"model.pooling"}


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
    factors = {**study.factors, **study.free_factors}
    assert factors.keys() == preset.factors.keys()
    assert list_levels(study.bundles) == list_levels(preset.bundles)
    levels = study.baseline.levels()
    proposed = PROPOSED if name == "thucnews64" else {"model.max_length"}
    proposed |= {"optimizer.rate"} if preset.has_rates else set()
    fixed = {factor: level for factor, level in preset.baseline.items() if factor not in proposed}
    assert fixed.items() <= levels.items()
    assert all(factors[name][0] == levels[name] for name in factors if name in levels)
    assert levels["model.max_length"] == 16  # no text of these has more tokens than that


def test_as_published_it_is_the_published_grid_with_its_own_values(
    home: Path, tmp_path: Path, call: Call
) -> None:
    study = made(call, home, tmp_path / "study", "--as-published")
    preset = make_preset("thucnews64", inspect(home / "bert"))

    assert study.head.preset == "thucnews64" and study.is_published_grid and len(study.rows) == 64
    assert study.factors == preset.factors
    assert study.baseline.levels() == {**DEFAULTS, **PUBLISHED}
    assert (study.head.run.precision, study.head.run.device) == ("fp32", "cpu")
    refused = asked(call, home, tmp_path / "other", "--as-published", "--preset", "cheap")
    assert refused.returncode == 2 and "only thucnews64 has such values" in refused.stderr


def test_a_preset_that_sets_a_rate_takes_the_embedded_checkpoints_own_with_it(
    home: Path, tmp_path: Path, call: Call
) -> None:
    train = home / "data" / "train.tsv"
    made = ("--preset", "few-sample", "--model", "mini-zh", "--set", "training.batch_size=8")
    done = call("init", "--train", train, "--out", tmp_path / "study", *made)
    levels = load_study(tmp_path / "study").baseline.levels()
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")

    assert done.returncode == 0
    assert (levels["optimizer.rate"], levels["training.epochs"], levels["training.batch_size"]) == (
        3e-4,
        4,
        8,
    )
    assert "rate = 0.0003   # suits mini-zh, by a trial on dev" in text
    assert "weight_decay = 0.0   # as the preset few-sample has it" in text
    assert "batch_size = 8   # as you have set it" in text


def test_numbers_of_a_preset_keep_their_ratio_to_a_proposed_baseline(
    home: Path, tmp_path: Path, call: Call
) -> None:
    study = made(call, home, tmp_path / "study", "--preset", "cheap")

    assert study.factors["model.max_length"] == [16, 8, 4]
    assert study.factors["training.batch_size"] == [16, 32]
    first, fewer = study.factors["training.epochs"]
    assert (first, fewer) == (20, 13)


@pytest.mark.parametrize(
    ("more", "rate", "lion"), [((), 3e-4, 6e-5), (("--set", "optimizer.rate=1e-4"), 1e-4, 2e-5)]
)
def test_rates_of_bundles_keep_their_ratio_to_the_baselines(
    home: Path, tmp_path: Path, call: Call, more: tuple[str, ...], rate: float, lion: float
) -> None:
    """A rate of every kind for an encoder of 768 would not move one of 16."""
    study = made(call, home, tmp_path / "study", "--preset", "optimizers", *more)
    kinds = study.bundles["optimizers"].levels
    preset = make_preset("optimizers", inspect(home / "bert"))

    assert study.baseline.levels()["optimizer.rate"] == rate
    assert kinds["lion"] == {**preset.bundles["optimizers"].levels["lion"], "optimizer.rate": lion}
    assert kinds["schedule-free"]["optimizer.rate"] == pytest.approx(3 * rate)
    assert kinds["sgd"]["optimizer.rate"] == pytest.approx(200 * rate)
    assert kinds["muon"] == {"optimizer.kind": "muon"}


def list_levels(bundles: Bundles) -> dict[str, list[str]]:
    return {name: list(bundle.levels) for name, bundle in bundles.items()}


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


def test_without_a_name_it_is_what_does_something_of_the_published_factors(
    home: Path, tmp_path: Path, call: Call
) -> None:
    study = made(call, home, tmp_path / "study")
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")
    published = make_preset("thucnews64", inspect(home / "bert")).factors

    assert study.head.preset is None and study.preset is None
    assert study.factors == {name: levels for name, levels in published.items() if name != "reinit.pooler"}
    assert (study.head.design.kind, study.head.design.resolution, len(study.rows)) == ("fractional", 5, 16)
    assert "# left out: reinit.pooler: the head does not read the pooler" in text
    read = made(call, home, tmp_path / "other", "--set", "model.pooling=pooler")
    assert "reinit.pooler" in read.factors


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


def test_levels_that_are_given_lead_the_baseline_and_a_bundle_is_written_out(
    home: Path, tmp_path: Path
) -> None:
    varied = {"optimizer.rate": [2e-5, 1e-3], "pooled": {"no": {}, "yes": {"model.pooling": "cls"}}}
    options = InitOptions(home / "data" / "train.tsv", str(home / "bert"), varied=varied)
    study = write_study(tmp_path / "study", options).study
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")

    assert study.factors == {"optimizer.rate": [2e-5, 1e-3], "pooled": ["no", "yes"]}
    assert study.baseline.optimizer.rate == 2e-5 and study.warnings == ()
    assert "rate = 2e-05   # the first of the levels that you vary" in text
    assert (study.head.design.kind, len(study.rows)) == ("full", 4)
