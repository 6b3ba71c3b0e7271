"""The schema of study.toml takes what finegrid writes, and marks what it would refuse."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.studies import write_data

from finegrid.encoders.families import embedded_checkpoint, inspect
from finegrid.errors import InputError
from finegrid.recipe.recipe import DEFAULTS
from finegrid.study.demo import prepare_demo
from finegrid.study.drafting import InitOptions
from finegrid.study.init import write_study
from finegrid.study.load import load_study
from finegrid.study.presets import PRESETS, make_preset
from finegrid.study.schema import study_toml_schema

SCHEMA = study_toml_schema()
DESIGNS: dict[str, dict[str, Any]] = {
    "full": {"seeds": 3},
    "fractional": {"resolution": "IV"},
    "one-at-a-time": {"precision": "bf16"},
    "screen": {"resolution": "3", "precision": "auto"},
}


def written_presets() -> list[str]:
    """Those of which there is something to vary."""
    checkpoint = inspect(embedded_checkpoint())
    return [name for name in PRESETS if make_preset(name, checkpoint).factors]


def validate(text: str) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(tomllib.loads(text))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("preset", "design"),
    [*(("thucnews64", design) for design in DESIGNS), *((preset, None) for preset in written_presets())],
)
def test_every_study_that_init_writes_is_valid(
    data: Path, tmp_path: Path, preset: str, design: str | None
) -> None:
    asked = InitOptions(
        data / "train.tsv",
        "mini-zh",
        preset=preset,
        design=design,
        text=("text",),
        **DESIGNS.get(design or "", {}),
    )
    write_study(tmp_path / "study", asked)
    text = (tmp_path / "study" / "study.toml").read_text(encoding="utf-8")

    assert design in (None, load_study(tmp_path / "study").head.design.kind)
    validate(text)
    # What init writes as a comment is valid, too.
    validate("\n".join(line.removeprefix("# ") if " = " in line[:30] else line for line in text.splitlines()))


def test_the_demo_is_valid(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo", 2)

    validate((tmp_path / "demo" / "study.toml").read_text(encoding="utf-8"))


WHOLE = """
preset = "thucnews64"
score = "f1:体育\\n足球"
[data]
train = "train.tsv"
text = ["a", 2]
label = 3
[model]
name = "mini-zh"
pooling = "cls"
[factors]
"optimizer.rate" = [1, 2e-5]
[factors.reinit]
layers = [0, 2]
[factors.recipe]
ours = {}
theirs = { "training.epochs" = 2, optimizer = { weight_decay = 0.2 } }
[design]
kind = "fractional"
resolution = "IV"
seeds = [3, 5]
looks = [3, 5]
[run]
precision = "auto"
memory = 2
"""


def test_all_ways_to_write_a_setting_are_valid(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(WHOLE, encoding="utf-8")

    assert load_study(tmp_path).head.design.resolution == 4
    validate(WHOLE)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("preset =", "presets ="),
        ('"thucnews64"', '"thucnews65"'),
        ('"f1:', '"f2:'),
        ("label = 3", "label = 0"),
        ('["a", 2]', '["a", 2, 3]'),
        ('train = "train.tsv"', ""),
        ('name = "mini-zh"', ""),
        ('pooling = "cls"', 'pooling = "maximum"'),
        ('"optimizer.rate"', '"optimizer.rates"'),
        ("[1, 2e-5]", "[1]"),
        ("[1, 2e-5]", "[2e-5, 2e-5]"),
        ("[1, 2e-5]", "[2, 3]"),
        ("layers = [0, 2]", "layers = [false, true]"),
        ("ours = {}", ""),
        ("ours = {}", "ours = 1"),
        ('"training.epochs" = 2', '"training.epoch" = 2'),
        ('"training.epochs" = 2', '"training.epochs" = true'),
        ("weight_decay = 0.2", "weight_decay = 2.0"),
        ("[factors.recipe]", "[factors.recipe.tables]"),
        ('"IV"', '"VI"'),
        ("looks = [3, 5]", "looks = []"),
        ('precision = "auto"', 'precision = "fp16"'),
        ("memory = 2", "memory = 0"),
    ],
)
def test_what_the_study_would_refuse_is_marked(tmp_path: Path, good: str, bad: str) -> None:
    assert good in WHOLE
    text = WHOLE.replace(good, bad)
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")

    with pytest.raises(InputError):
        load_study(tmp_path)
    with pytest.raises(jsonschema.ValidationError):
        validate(text)


def test_every_factor_has_its_default_its_description_and_its_list_of_levels() -> None:
    for name, default in DEFAULTS.items():
        part, field = name.split(".")
        setting = SCHEMA["properties"][part]["properties"][field]
        levels = SCHEMA["properties"]["factors"]["properties"][name]

        assert setting["default"] == default and setting["description"] == levels["description"]
        assert levels["items"].items() <= setting.items()


def test_an_editor_finds_no_null_no_reference_and_a_description_everywhere() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)

    assert "null" not in text and "$ref" not in text and "$defs" not in text
    for name, setting in SCHEMA["properties"].items():
        fields = setting.get("properties", {}) if name != "factors" else {}
        assert all("description" in each for each in (setting, *fields.values())), name
