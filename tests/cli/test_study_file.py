"""study.toml: everything wrong with it is told at once, before anything is trained."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.studies import save_word_checkpoint, write_data

from finegrid.errors import InputError
from finegrid.study.load import load_study
from finegrid.study.study import Study


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    for family in ("bert", "distilbert", "electra"):
        save_word_checkpoint(folder / family, family)
    return folder


def loaded(home: Path, factors: str, rest: str = "", model: str = "bert", top: str = "") -> Study:
    folder = home / "study"
    folder.mkdir(exist_ok=True)
    data = '[data]\ntrain = "../data/train.tsv"\n'
    head = f'{top}\n{data}[model]\nname = "../{model}"\nmax_length = 12\n'
    (folder / "study.toml").write_text(f"{head}{rest}\n[factors]\n{factors}", encoding="utf-8")
    return load_study(folder)


def refused(home: Path, factors: str, rest: str = "", model: str = "bert", top: str = "") -> str:
    with pytest.raises(InputError) as caught:
        loaded(home, factors, rest, model, top)
    return str(caught.value)


def test_everything_wrong_with_a_file_is_told_at_once(home: Path) -> None:
    told = refused(
        home,
        '"reinit.layer" = [0, 1]\n"training.epochs" = [1]\n"optimizer.rate" = [1, 1.0]\n'
        '"model.pooling" = ["cls", "maximum"]\n"freeze.layers" = 3',
        "[reinit]\nlayers = true\n[optimizer]\nrate = nan\n[run]\nthreads = 0\nthread = 2\n"
        'device = "tpu"\nsave_after_seconds = inf\n[design]\nseeds = "many"\n[dataa]\n[factor]',
        top='finegrid = "1"\nscore = "f2"\nprotocol = "best"\npresett = "thucnews64"\npreset = "thucnews"',
    )
    for expected in (
        "19 problems",
        "finegrid ",
        '"f2" is not a score',
        "expected 'best-dev' or 'best-test'",
        'presett                      no such setting. Did you mean "preset"?',
        '"thucnews" is not a preset. Known: thucnews64, few-sample',
        'run.thread                   no such setting. Did you mean "threads"?',
        "run.threads",
        "found 'tpu': expected 'cpu' or 'cuda'",
        "found inf: expected a finite number",
        "design.seeds",
        'dataa                        no such setting. Did you mean "data"?',
        'factor                       no such setting. Did you mean "factors"?',
        "level nan",
        "level True: expected a valid integer",
        'factors."reinit.layer"       no such factor. Did you mean "reinit.layers"?',
        "found [1], expected a list of two or more levels",
        "found [1, 1.0]: a level stands there twice",
        "level 'maximum': expected 'cls', 'pooler', 'last-mean', 'first-last-mean',",
        "found 3, expected a list of two or more levels",
    ):
        assert expected in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = [1,\nb", "line 2"),
        ('\n\nx = "open\n', "line 3"),
        ("factors = 3\nmodel = 4\ndata = 5\nrun = 6\n", "found 5, expected a table: [data]"),
    ],
)
def test_what_is_no_toml_or_no_table_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(InputError, match="problem") as caught:
        load_study(tmp_path)

    assert expected in str(caught.value)


def test_a_folder_without_study_and_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finegrid init"):
        load_study(tmp_path)
    (tmp_path / "study.toml").write_bytes(b"score = '\xff'")
    with pytest.raises(InputError, match="not UTF-8"):
        load_study(tmp_path)
    for text in ("a = " + "[" * 3000, "a = " + "9" * 6000):
        (tmp_path / "study.toml").write_text(text)
        with pytest.raises(InputError, match=r"too deep, or a number too long|expected|Invalid"):
            load_study(tmp_path)


@pytest.mark.parametrize(
    ("factors", "model", "expected"),
    [
        ('"reinit.layers" = [0, 2]\n"freeze.layers" = [0, 1]', "bert", "2 + 1 layers, but the encoder has 2"),
        ('"freeze.layers" = [0, 3]', "bert", "level 3, but the encoder has 2 layers"),
        ('"model.max_length" = [12, 129]', "bert", "level 129, but the encoder has 128 positions"),
        ('"model.pooling" = ["cls", "pooler"]', "distilbert", '"pooler", but distilbert has no pooler'),
        ('"reinit.pooler" = [false, true]', "electra", "true, but electra has no pooler"),
    ],
)
def test_combinations_that_cannot_be_are_refused(home: Path, factors: str, model: str, expected: str) -> None:
    assert expected in refused(home, factors, model=model)


@pytest.mark.parametrize("family", ["distilbert", "electra"])
def test_the_grid_of_an_encoder_without_pooler_leaves_the_pooler_out(home: Path, family: str) -> None:
    study = loaded(home, "", model=family, top='preset = "thucnews64"')

    assert len(study.rows) == 32
    assert study.is_published_grid


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "albert"}, "the file looks incomplete"),
        ({"model_type": "neobert"}, 'model_type "neobert" is not among those that transformers computes'),
        ({"model_type": "bert", "is_decoder": True}, "this is a decoder"),
        ({"model_type": "bert"}, "the file looks incomplete"),
        (None, "no such folder"),
    ],
)
def test_models_that_do_not_work_are_refused_by_name(
    tmp_path: Path, config: dict[str, object] | None, expected: str
) -> None:
    write_data(tmp_path / "data")
    if config is not None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text(json.dumps(config))

    assert expected in refused(tmp_path, '"reinit.layers" = [0, 1]', model="model")


def test_a_design_of_a_million_rows_is_refused_and_does_not_hang(home: Path) -> None:
    hundred = list(range(1, 101))
    rates = [rate / 100 for rate in hundred]
    factors = f'"optimizer.rate" = {rates}\n"training.epochs" = {hundred}\n"training.batch_size" = {hundred}'
    started = time.monotonic()
    told = refused(home, factors)

    assert "1,000,000 combinations of levels, but a study has 4,096 at most" in told
    assert time.monotonic() - started < 5


def test_factors_may_be_written_as_tables(home: Path) -> None:
    plain = loaded(home, '"reinit.layers" = [0, 1]\n"freeze.layers" = [0, 1]')
    tables = loaded(home, "[factors.reinit]\nlayers = [0, 1]\n[factors.freeze]\nlayers = [0, 1]")

    assert plain.rows == tables.rows


def test_a_factor_over_the_preset_replaces_its_levels(home: Path) -> None:
    study = loaded(home, '"schedule.warmup_ratio" = [0.0, 0.2]', top='preset = "thucnews64"')

    assert len(study.rows) == 64
    assert study.rows[1].levels["schedule.warmup_ratio"] == 0.2
    assert not study.is_published_grid
