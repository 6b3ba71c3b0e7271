"""Predictions of a run: what follows from logits is kept beside them, and read without them."""

from __future__ import annotations

import hashlib
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finegrid.data.tokens import save_arrays_
from finegrid.errors import InputError
from finegrid.losses import losses_of_texts
from finegrid.study.folder import StudyFolder
from finegrid.study.predictions import (
    Depth,
    RunPredictions,
    find_damage,
    read_answers,
    read_logits,
    read_losses,
    read_run,
    save_run,
)

RUN, TEXTS = "1f3a", 40
DERIVED = ("dev_predicted", "test_predicted", "test_log_loss", "test_brier", "digest")


def drawn(seed: int, classes: int = 5) -> RunPredictions:
    random = np.random.default_rng(seed)
    logits = random.standard_normal((TEXTS, classes)).astype(np.float32)
    return RunPredictions(random.integers(0, classes, TEXTS), logits, np.arange(1, TEXTS + 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = StudyFolder(tmp_path).predictions_of(RUN)
    save_run(found, drawn(0), drawn(1))
    return found


def arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def as_before(path: Path) -> None:
    """The file as finegrid wrote it before it kept what follows from logits."""
    save_arrays_(path, {name: one for name, one in arrays_of(path).items() if name not in DERIVED})


def damage(path: Path, member: str) -> None:
    """Turn a byte in the middle of one array, and leave the file's directory as it is."""
    with zipfile.ZipFile(path) as file:
        info = file.getinfo(f"{member}.npy")
    content = bytearray(path.read_bytes())
    name = len(info.filename) + 30  # of a member's own header, in bytes
    content[info.header_offset + name + info.compress_size - 8] ^= 1
    path.write_bytes(content)


def test_what_is_kept_is_what_the_logits_say(path: Path, tmp_path: Path) -> None:
    found, losses = read_answers(tmp_path, RUN), read_losses(tmp_path, RUN)

    for split, said in (("dev", drawn(0)), ("test", drawn(1))):
        answers = found.splits[split]
        assert answers.predicted.tolist() == said.logits.argmax(axis=1).tolist()
        assert (answers.gold.tolist(), answers.ids.tolist()) == (said.gold.tolist(), said.ids.tolist())
    logits = drawn(0).logits.tobytes() + drawn(1).logits.tobytes()
    assert found.digest == hashlib.sha256(logits).hexdigest()
    for name, values in losses_of_texts(drawn(1).gold, drawn(1).logits).items():
        np.testing.assert_array_equal(losses[name], values.astype(np.float32))


def test_a_file_without_what_follows_from_logits_reads_as_one_with_it(path: Path, tmp_path: Path) -> None:
    kept, losses = read_answers(tmp_path, RUN), read_losses(tmp_path, RUN)
    as_before(path)
    again, computed = read_answers(tmp_path, RUN), read_losses(tmp_path, RUN)

    assert again.digest == kept.digest
    for split in ("dev", "test"):
        for name in ("gold", "predicted", "ids"):
            one, other = (getattr(found.splits[split], name) for found in (kept, again))
            assert one.dtype == other.dtype and one.tolist() == other.tolist()
    assert all(np.array_equal(losses[name], computed[name]) for name in losses)


@pytest.mark.parametrize(
    ("classes", "kind"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65_537, np.uint32)]
)
def test_labels_take_as_few_bytes_as_the_classes_need(tmp_path: Path, classes: int, kind: type) -> None:
    logits = np.zeros((2, classes), dtype=np.float32)
    logits[1, -1] = 1.0
    said = RunPredictions(np.array([0, classes - 1]), logits, np.array([1, 2]))
    save_run(StudyFolder(tmp_path).predictions_of(RUN), said, said)

    assert arrays_of(StudyFolder(tmp_path).predictions_of(RUN))["test_predicted"].dtype == kind
    assert read_answers(tmp_path, RUN).splits["test"].predicted.tolist() == [0, classes - 1]


def test_answers_and_losses_are_read_where_logits_cannot_be(path: Path, tmp_path: Path) -> None:
    damage(path, "dev_logits")
    damage(path, "test_logits")

    assert read_answers(tmp_path, RUN).splits.keys() == {"dev", "test"}
    assert read_losses(tmp_path, RUN).keys() == {"log_loss", "brier"}
    for read in (lambda: read_run(tmp_path, RUN), lambda: read_logits(tmp_path, RUN, "test")):
        with pytest.raises(InputError, match="cannot be read"):
            read()


@pytest.mark.parametrize("member", ["dev_predicted", "test_gold", "digest"])
def test_a_damaged_answer_is_told(path: Path, tmp_path: Path, member: str) -> None:
    damage(path, member)

    with pytest.raises(InputError, match=r"predictions/1f3a\.npz") as refused:
        read_answers(tmp_path, RUN)
    assert "`finegrid run` trains its run again" in str(refused.value)


def test_labels_of_other_texts_than_the_gold_ones_are_damage(path: Path, tmp_path: Path) -> None:
    arrays = arrays_of(path)
    save_arrays_(path, {**arrays, "test_predicted": arrays["test_predicted"][:-1]})

    with pytest.raises(InputError, match="cannot be read"):
        read_answers(tmp_path, RUN)


def test_losses_of_many_texts_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    said = drawn(2)
    whole = losses_of_texts(said.gold, said.logits)
    monkeypatch.setattr("finegrid.losses.CHUNK", 12)  # two texts at a time
    parts = losses_of_texts(said.gold, said.logits)

    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


DEPTHS: tuple[Depth, ...] = ("headers", "answers", "whole")


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_finegrid_writes_is_no_damage_and_nor_is_an_older_file(path: Path, depth: Depth) -> None:
    assert find_damage(path, 5, {"dev": TEXTS}, depth)[0] == ""
    as_before(path)
    assert find_damage(path, 5, {"dev": TEXTS}, depth)[0] == ""


@pytest.mark.parametrize(
    ("member", "depth"), [("test_gold", "answers"), ("test_brier", "answers"), ("dev_logits", "whole")]
)
def test_a_turned_byte_is_found_by_who_reads_it(path: Path, member: str, depth: Depth) -> None:
    damage(path, member)

    assert find_damage(path, 5, {}, "headers")[0] == ""
    assert "CRC" in find_damage(path, 5, {}, depth)[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dev_logits": np.zeros((TEXTS, 5), dtype=object)}, "is an array of object"),
        ({"dev_logits": np.zeros((TEXTS, 5))}, "is an array of float64"),
        ({"dev_logits": np.zeros((TEXTS, 4), dtype=np.float32)}, "4 classes, expected 5"),
        ({"dev_gold": np.zeros(TEXTS - 1, dtype=np.int64)}, "of 40 texts"),
        ({"test_ids": np.zeros((TEXTS, 1), dtype=np.int64)}, "of shape (40, 1)"),
        ({"digest": np.zeros(3, dtype=np.uint8)}, "digest"),
    ],
)
def test_arrays_that_are_none_of_a_run_are_damage_by_their_headers(
    path: Path, change: dict[str, Any], why: str
) -> None:
    np.savez(path, allow_pickle=True, **{**arrays_of(path), **change})

    assert why in find_damage(path, 5, {}, "headers")[0]
    if why != "4 classes, expected 5":  # which who reads a single run cannot know
        with pytest.raises(InputError, match="cannot be read"):
            read_run(path.parent.parent, RUN)


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    arrays = arrays_of(path)
    np.savez_compressed(path, **{**arrays, "dev_logits": np.zeros((2**20, 5), dtype=np.float32)})
    tracemalloc.start()
    with pytest.raises(InputError, match="cannot be read"):
        read_run(path.parent.parent, RUN)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "is packed" in find_damage(path, 5, {}, "headers")[0] and peak < 5_000_000
