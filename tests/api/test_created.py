"""`Study.create` is `finegrid init`, with frames for files and arguments for options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from support.command_line import Call
from support.studies import draw_texts, save_word_checkpoint, write_tsv

import finegrid as fg
from finegrid.study.load import load_study

ROWS = draw_texts(60)
FRAME = pd.DataFrame(ROWS, columns=["question", "topic"])
FACTORS: dict[str, Any] = {"optimizer.rate": [2e-3, np.float64(1e-3)], "reinit.layers": [0, np.int64(1)]}
SETTINGS: dict[str, Any] = {"training.epochs": 1, "model.max_length": 16, "model.pooling": "cls"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_checkpoint(tmp_path_factory.mktemp("model"))


def test_a_frame_gives_the_study_that_its_file_gives(model: Path, tmp_path: Path, call: Call) -> None:
    made = fg.Study.create(
        tmp_path / "a" / "frames",
        train=FRAME[:40],
        test=pl.DataFrame(FRAME[40:]),
        model=model,
        factors=FACTORS,
        settings=SETTINGS,
        seeds=2,
        score="accuracy",
    )
    data = tmp_path / "a" / "frames" / "data"
    options = [f"{name}={level}" for name, level in SETTINGS.items()]
    done = call(
        *("init", "--train", data / "train.parquet", "--test", data / "test.parquet", "--model", model),
        *(
            "--out",
            tmp_path / "a" / "files",
            "--seeds",
            "2",
            "--score",
            "accuracy",
            "--factors",
            "reinit.layers",
        ),
        *(word for option in options for word in ("--set", option)),
    )

    assert done.returncode == 0, done.stderr
    by_python, by_init = load_study(made.folder), load_study(tmp_path / "a" / "files")
    assert by_python.factors == {"optimizer.rate": [2e-3, 1e-3], "reinit.layers": [0, 1]}
    assert (
        by_python.read_table(keep_split=False).train.texts == by_init.read_table(keep_split=False).train.texts
    )
    assert by_python.head.design == by_init.head.design and by_python.head.score == "accuracy"
    told = by_python.baseline.levels(), by_init.baseline.levels()
    assert {**told[0], "optimizer.rate": 0} == {**told[1], "optimizer.rate": 0}
    assert len(made.took) >= 5 and made.took[:5] == tuple(done.stdout.splitlines()[:5])
    assert not (tmp_path / "a" / ".frames.draft").exists()


def test_the_command_line_goes_on_with_it_wherever_it_is_moved(
    model: Path, tmp_path: Path, call: Call
) -> None:
    made = fg.Study.create(tmp_path / "here", train=FRAME, model=model, factors=["warmup"], settings=SETTINGS)
    moved = made.folder.rename(tmp_path / "there")

    assert fg.Study.load(moved).plan().factors == {"schedule.warmup_ratio": [0.0, 0.1]}
    assert call("plan", moved).returncode == 0


def test_files_and_frames_go_together(model: Path, tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ROWS[:40], "question\ttopic")
    table = [{"question": text, "topic": label} for text, label in ROWS[40:]]
    made = fg.Study.create(
        tmp_path / "study", train=str(path), test=table, model=str(model), factors="warmup"
    )

    read = load_study(made.folder).read_table(keep_split=False)
    assert read.test.texts == [(text,) for text, _ in ROWS[40:]]
    assert len(read.train) + len(read.dev) == 40


def test_whole_recipes_are_levels_too(model: Path, tmp_path: Path) -> None:
    bundle = {"recipe": {"old": {}, "new": {"optimizer.rate": 1e-4, "schedule.warmup_ratio": 0.1}}}
    made = fg.Study.create(tmp_path / "study", train=FRAME, model=model, factors=bundle)

    study = load_study(made.folder)
    assert study.factors == {"recipe": ["old", "new"]}
    assert study.bundles["recipe"].levels["new"] == {"optimizer.rate": 1e-4, "schedule.warmup_ratio": 0.1}


@pytest.mark.parametrize(
    ("asked", "where", "what"),
    [
        ({"text": "questoin"}, "the train frame", "no column 'questoin'. Did you mean 'question'?"),
        ({"train": FRAME.assign(question=["a", None] * 30)}, "the train frame row 2", "the text is missing"),
        ({"train": FRAME.assign(question=["a\0", "b"] * 30)}, "the train frame row 1", "no character of"),
        ({"train": {"question": ["a"], "topic": [1, 2]}}, "train", "'topic' has 2 values"),
        ({"factors": {"reinit.layer": [0, 1]}}, 'factors."reinit.layer"', 'Did you mean "reinit.layers"?'),
        ({"factors": {"reinit.layers": 3}}, "factors['reinit.layers']", "found 3, expected a list of levels"),
        ({"factors": {"reinit.layers": [0, None]}}, "factors['reinit.layers']", "found None, expected true"),
        ({"settings": {"optimizer.rate": np.array([1, 2])}}, "settings['optimizer.rate']", "expected true"),
        ({"settings": {"optimizer.rate": float("nan")}}, "settings['optimizer.rate']", "found nan, expected"),
        ({"factors": ["wormup"]}, 'factors "wormup"', 'Did you mean "warm-up"'),
        ({"settings": {"optimizer.lr": 1}}, 'settings "optimizer.lr"', "optimizer.rate"),
        ({"settings": {"optimizer.rate": [1]}}, "settings['optimizer.rate']", "found [1], expected"),
        ({"preset": "fewsample"}, "preset", '"fewsample" is not a preset'),
    ],
)  # fmt: skip
def test_problems_name_what_was_given_and_nothing_is_written(
    asked: dict[str, Any], where: str, what: str, model: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"train": FRAME, "model": model, "factors": FACTORS, **asked}
    with pytest.raises(fg.InputError) as caught:
        fg.Study.create(tmp_path / "study", **given)

    told = str(caught.value)
    assert where in told and what in told
    assert "--" not in told and "parquet" not in told and "draft" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(fg.InputError, match="Choose another out"):
        fg.Study.create(tmp_path, train=FRAME, model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
