"""Checkpoints and texts that do not go together: what `init`, `plan --probe`, `run` and `verdict` say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.checkpoints import POINTER, WEIGHTS, change_weights, set_config
from support.command_line import Call
from support.studies import WORDS, draw_texts, save_checkpoint, write_data, write_tsv, write_word_study

UNKNOWN = "are unknown to this checkpoint's vocabulary, e.g. 'цена'"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("whole") / "model", "bert", words=WORDS)


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def spoil(model: Path, how: str) -> str:
    """Break a checkpoint. Returns what is to be said of it."""
    if how == "not finite":
        change_weights(model, lambda tensors: tensors["pooler.dense.weight"][0].fill_(float("nan")))
        return "pooler.dense.weight is not finite"
    if how == "layers":
        set_config(model, num_hidden_layers=2)
        return "weights of encoder.layer.2 to encoder.layer.3 are not used"
    if how == "pointer":
        (model / WEIGHTS).write_text(POINTER)
        return "is a Git LFS pointer"
    (model / "tokenizer.json").unlink()
    return "gives no token for any text"


@pytest.mark.parametrize("how", ["not finite", "layers", "pointer", "tokenizer"])
def test_a_broken_checkpoint_is_refused_alike_by_all_and_init_leaves_nothing(
    tmp_path: Path, call: Call, model: Path, how: str
) -> None:
    write_data(tmp_path / "data")
    study = write_word_study(tmp_path / "study", model, {"schedule.warmup_ratio": [0.0, 0.1]})
    expected = spoil(model, how)

    made = call(
        "init", "--train", tmp_path / "data" / "train.tsv", "--model", model, "--out", tmp_path / "new"
    )
    told = [made, call("plan", study, "--probe"), call("run", study)]

    for done in told:
        problem = [line for line in done.stderr.splitlines() if expected in line]
        assert (done.returncode, len(problem)) == (2, 1), done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_is_named_as_the_user_can_find_it(tmp_path: Path, call: Call, model: Path) -> None:
    write_data(tmp_path / "data")
    spoil(model, "layers")

    done = call(
        "init", "--train", tmp_path / "data" / "train.tsv", "--model", model, "--out", tmp_path / "new"
    )

    assert done.stderr.splitlines()[0] == f"{model}: 1 problem"


def test_unknown_tokens_are_told_by_init_by_the_probe_and_by_the_verdict(
    tmp_path: Path, call: Call, model: Path
) -> None:
    rows = [(f"{text} цена", label) for text, label in draw_texts(60)]
    for part, some in {"train": rows[:32], "dev": rows[32:44], "test": rows[44:]}.items():
        write_tsv(tmp_path / "data" / f"{part}.tsv", some)
    study = write_word_study(tmp_path / "study", model, {"schedule.warmup_ratio": [0.0, 0.1]})

    made = call(
        "init", "--train", tmp_path / "data" / "train.tsv", "--model", model, "--out", tmp_path / "new"
    )
    probed = call("plan", study, "--probe")
    ran = call("run", study)
    judged = call("verdict", study)
    audit = json.loads((study / "audit.json").read_text())

    assert (made.returncode, probed.returncode, ran.returncode, judged.returncode) == (0, 0, 0, 0)
    assert made.stderr.startswith("warning: 19 % of the tokens of train, ") and UNKNOWN in made.stderr
    assert UNKNOWN in probed.stderr
    assert UNKNOWN in " ".join(judged.stdout.split())  # whose lines are folded
    assert 0.15 < audit["tokens"]["share_of_tokens_unknown"] < 0.35


def test_texts_that_the_checkpoint_cannot_read_are_refused(tmp_path: Path, call: Call, model: Path) -> None:
    rows = [(f"цена {'цена ' * index}", label) for index, (_, label) in enumerate(draw_texts(60))]
    train = write_tsv(tmp_path / "train.tsv", rows)

    done = call("init", "--train", train, "--model", model, "--out", tmp_path / "new")

    assert done.returncode == 2 and "100 % of the tokens of train" in done.stderr
    assert not (tmp_path / "new").exists()
