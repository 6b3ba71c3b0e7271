"""Presets: what they vary, what a checkpoint cannot do of them, and what docs/presets.md says of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.audits import majority_of
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.encoders.families import CheckpointInfo, inspect
from finegrid.errors import InputError
from finegrid.recipe.recipe import DEFAULTS, Recipe
from finegrid.study.audit_file import Audit, RowAudit, save_audit
from finegrid.study.chosen import choose_factors
from finegrid.study.design import find_design_problems, plan_rows
from finegrid.study.load import load_study, read_study
from finegrid.study.presets import PRESETS, Preset, lead_with, make_preset, thucnews64

BASE = CheckpointInfo(Path("base"), "bert", 12, 512, True)
BARE = CheckpointInfo(Path("bare"), "distilbert", 1, 64, False)
DOCS = Path(__file__).parents[2] / "docs" / "presets.md"
# Until all strategies of the catalogue are there, presets are told without those that are not.
WHOLE = pytest.mark.skipif("rates.layer_decay" not in DEFAULTS, reason="the catalogue is not whole yet")


def test_thousands_of_names_are_no_factors(bert: Path) -> None:
    with pytest.raises(InputError, match="found 20,000 names, expected 200 at most"):
        choose_factors(["no such name"] * 20_000, {}, inspect(bert))


def test_thucnews64_is_the_published_grid() -> None:
    preset = make_preset("thucnews64", BASE)

    assert preset == thucnews64(12, True) and preset.kind == "full" and not preset.left_out
    assert preset.factors == {
        "optimizer.bias_correction": [True, False],
        "optimizer.decay_on": ["all", "matrices"],
        "reinit.pooler": [False, True],
        "reinit.layers": [0, 6],
        "freeze.layers": [0, 6],
        "schedule.warmup_ratio": [0.0, 0.1],
    }
    assert preset.around({"optimizer.bias_correction": False}) == preset
    assert make_preset("thucnews64", BARE).left_out == ("reinit.pooler: the encoder has no pooler.",)


@WHOLE
@pytest.mark.parametrize("name", PRESETS)
def test_every_name_and_level_of_a_preset_is_known(name: str) -> None:
    preset = PRESETS[name](BASE)
    settings = [levels for bundle in preset.bundles.values() for levels in bundle.levels.values()]
    plain = [{f: level} for f in preset.factors if f not in preset.bundles for level in preset.factors[f]]

    for levels in (preset.baseline, *settings, *plain):
        Recipe().at(levels)
    assert make_preset(name, BASE).factors == preset.factors
    assert make_preset(name, BASE).left_out == ()


@pytest.mark.parametrize("checkpoint", [BASE, BARE], ids=["base", "bare"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_row_of_a_preset_can_be_trained(name: str, checkpoint: CheckpointInfo) -> None:
    preset = make_preset(name, checkpoint)
    if checkpoint.layers < preset.least_layers:
        pytest.skip("refused: see test_study_file")
    baseline = Recipe().at(preset.baseline)

    assert find_design_problems(preset.kind, 4, preset.factors) == []
    rows = plan_rows(preset.kind, 4, baseline, preset.factors, preset.bundles)
    assert [row.recipe.problems(checkpoint) for row in rows] == [[]] * len(rows)
    assert len({row.recipe for row in rows}) == len(rows)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "thucnews64"])
def test_the_first_level_of_a_catalogues_factor_is_its_baselines(name: str) -> None:
    preset = make_preset(name, BASE)
    baseline = Recipe().at(preset.baseline).levels()

    assert {f: levels[0] for f, levels in preset.factors.items() if f in baseline} == {
        f: baseline[f] for f in preset.factors if f in baseline
    }


def test_what_a_checkpoint_cannot_do_is_left_out_and_said() -> None:
    preset = make_preset("few-sample", BARE)

    assert "reinit.pooler" not in preset.factors and preset.factors["reinit.layers"] == [0, 1]
    assert preset.left_out == (
        "reinit.pooler at true: true, but distilbert has no pooler.",
        "reinit.layers at 2: level 2, but the encoder has 1 layer.",
    )
    assert "freeze.layers: the encoder has too few layers." in make_preset("cheap", BARE).left_out


def test_a_catalogue_starts_from_the_baseline_of_the_study() -> None:
    assert lead_with(3, [3, 6, 12]) == [3, 6, 12]
    assert lead_with(6, [3, 6, 12]) == [6, 3, 12]
    assert lead_with(4, [3, 6, 12]) == [4, 6, 12]
    preset = Preset({}, {"training.epochs": [3, 6]}).around({"training.epochs": 4, "optimizer.rate": 1e-5})
    assert preset.factors == {"training.epochs": [4, 6]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


@pytest.mark.parametrize("name", [n for n in PRESETS if make_preset(n, BASE).factors])
def test_a_study_of_a_preset_is_read_where_its_model_is_gone(home: Path, name: str) -> None:
    folder = write_word_study(
        home / name, Path("../model"), {}, f'preset = "{name}"', design='kind = "one-at-a-time"'
    )
    study = load_study(folder)
    save_audit(folder, audit_of([row.recipe for row in study.rows], checkpoint=True))
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("../model", "../gone"))

    read = read_study(folder)
    assert (read.factors, read.bundles, read.rows) == (study.factors, study.bundles, study.rows)


def audit_of(recipes: list[Recipe], checkpoint: bool) -> Audit:
    about = {"name": "model", "family": "bert", "layers": 2, "positions": 128, "has_pooler": True}
    return Audit.model_validate(
        {
            "engine": 3,
            "fingerprints": {},
            "labels": ["a", "b"],
            "sizes": {"train": 9, "dev": 9, "test": 9},
            "tokens": {"mean": 5.0},
            "majority": majority_of(["a", "b"]),
            "warnings": [],
            "costs": [],
            "versions": {},
            "checkpoint": about if checkpoint else None,
            "rows": [RowAudit(moved=r.moved(), run=r.moved(), inert={}) for r in recipes],
        }
    )


def test_the_docs_have_a_section_of_every_preset_with_its_rows() -> None:
    text = DOCS.read_text(encoding="utf-8")

    assert re.findall(r"^## `(.*)`", text, re.MULTILINE) == [*PRESETS]
