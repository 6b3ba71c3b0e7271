"""A kept model from Python says what `finegrid predict` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.command_line import Call, command_line
from support.studies import SYLLABLES, write_study

import finegrid as fg

TEXTS = [" ".join(SYLLABLES[start : start + 1 + start % 7]) for start in range(0, 36, 3)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    folder = write_study(tmp_path_factory.mktemp("kept") / "study", bert)
    with command_line() as call:
        assert call("fit", folder, "--recipe", "baseline").returncode == 0
    return folder / "models" / "best"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    folder = write_study(tmp_path_factory.mktemp("pairs") / "study", bert, pairs=True)
    with command_line() as call:
        assert call("fit", folder, "--recipe", "baseline").returncode == 0
    return folder / "models" / "best"


def test_it_says_what_the_command_line_says(kept: Path, tmp_path: Path, call: Call) -> None:
    pd.DataFrame({"text": TEXTS}).to_csv(tmp_path / "texts.csv", index=False)
    done = call("predict", kept, tmp_path / "texts.csv", "--out", tmp_path / "said.parquet")
    said = pd.read_parquet(tmp_path / "said.parquet")
    model = fg.Classifier.load(kept)

    assert done.returncode == 0, done.stderr
    assert model.labels == ("x", "y", "z")
    assert model.predict(TEXTS) == said["predicted"].tolist()
    columns = said[[f"probability:{label}" for label in model.labels]].to_numpy()
    np.testing.assert_array_equal(model.predict_proba(pd.Series(TEXTS)), columns)
    assert model.predict(np.array(TEXTS[:2])) == said["predicted"].tolist()[:2]


def test_the_users_torch_stays_as_it_was(kept: Path) -> None:
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("high")
    threads = torch.get_num_threads()
    try:
        fg.Classifier.load(kept).predict(TEXTS)

        assert torch.get_float32_matmul_precision() == "high" and torch.get_num_threads() == threads
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(True)


def test_no_texts_are_no_labels(kept: Path) -> None:
    model = fg.Classifier.load(kept)

    assert model.predict([]) == [] and model.predict_proba([]).shape == (0, 3)


def test_pairs_are_labelled_as_pairs(pairs: Path) -> None:
    model = fg.Classifier.load(pairs)

    assert model.predict_proba([("bagu", "dado"), ("dado", "bagu")]).shape == (2, 3)
    with pytest.raises(fg.InputError, match="found 1 texts, expected pairs of strings"):
        model.predict(["bagu"])


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("bagu", "texts    found a str, expected a list of strings"),
        (7, "texts    found a int, expected a list of strings"),
        (["bagu", None], r"texts\[1\]    the text is missing"),
        (["  "], r"texts\[0\]    the text is empty"),
        ([("a", "b")], r"texts\[0\]    found 2 texts, expected strings"),
        ([3.0] * 9, r"texts\[4\] .*\n +and 4 more"),
    ],
)
def test_what_is_no_text_is_told_by_its_number(texts: Any, said: str, kept: Path) -> None:
    with pytest.raises(fg.InputError, match=said):
        fg.Classifier.load(kept).predict(texts)


def test_a_folder_without_a_model_is_refused(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(fg.InputError, match=r"no finegrid\.json in it"):
        fg.Classifier.load(tmp_path)
    with pytest.raises(fg.InputError, match="device    found 'gpu', expected cpu or cuda"):
        fg.Classifier.load(kept, device="gpu")
