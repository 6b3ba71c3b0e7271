"""Predictions: a file a family; what follows from logits is kept beside them, and read without them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.older_predictions import save_run

from finegrid.data.tokens import save_arrays_
from finegrid.errors import InputError
from finegrid.losses import losses_of_texts
from finegrid.study.folder import StudyFolder
from finegrid.study.prediction_file import (
    DERIVED,
    BySplit,
    RunPredictions,
    name_row,
    open_arrays,
    save_family,
)
from finegrid.study.predictions import (
    Depth,
    look_into,
    read_answers,
    read_each,
    read_logits,
    read_losses,
    read_run,
    take_answers,
)
from finegrid.study.record import Record, parse_record

ID, FAMILY, FREE, TEXTS = "1f3a", "0123456789ab", "average.ema=0.05", 40
OLD = Record(run_id=ID, seed=0, status="done")
RUN = replace(OLD, predictions=FAMILY)
OTHER = replace(RUN, run_id="2b")


def drawn(seed: int, classes: int = 5) -> RunPredictions:
    random = np.random.default_rng(seed)
    logits = random.standard_normal((TEXTS, classes)).astype(np.float32)
    return RunPredictions(random.integers(0, classes, TEXTS), logits, np.arange(1, TEXTS + 1))


def drawn_run(seed: int) -> BySplit:
    """On the same texts, whatever the seed."""
    return {
        split: RunPredictions(drawn(place).gold, drawn(10 * seed + place).logits, drawn(place).ids)
        for place, split in enumerate(("dev", "test"))
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a run, as older versions wrote it."""
    found = StudyFolder(tmp_path).predictions_of(ID)
    save_run(found, drawn(0), drawn(1))
    return found


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """That of two runs, one of them scored at a free level, too."""
    found = StudyFolder(tmp_path).predictions_of_family(FAMILY)
    rows = {
        name_row(OTHER.run_id): drawn_run(1),
        name_row(ID): drawn_run(0),
        name_row(ID, FREE): drawn_run(2),
    }
    save_family(found, rows)
    return found


def look(path: Path, depth: Depth, classes: int = 5) -> str:
    return look_into(path, classes, {"dev": TEXTS}, depth).why


def arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def arrays_of_bytes(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def as_before(path: Path) -> None:
    """The file as finegrid wrote it before it kept what follows from logits."""
    save_arrays_(path, {name: one for name, one in arrays_of(path).items() if name not in DERIVED})


def damage(path: Path, member: str) -> None:
    """Turn a byte near the end of one array, and leave the file's directory as it is."""
    with zipfile.ZipFile(path) as file:
        info = file.getinfo(f"{member}.npy")
    content = bytearray(path.read_bytes())
    named, extra = struct.unpack("<HH", content[info.header_offset + 26 : info.header_offset + 30])
    content[info.header_offset + 30 + named + extra + info.compress_size - 8] ^= 1
    path.write_bytes(content)


def test_what_is_kept_is_what_the_logits_say(path: Path, tmp_path: Path) -> None:
    found, losses = read_answers(tmp_path, OLD), read_losses(tmp_path, OLD)

    for split, said in (("dev", drawn(0)), ("test", drawn(1))):
        answers = found.splits[split]
        assert answers.predicted.tolist() == said.logits.argmax(axis=1).tolist()
        assert (answers.gold.tolist(), answers.ids.tolist()) == (said.gold.tolist(), said.ids.tolist())
    logits = drawn(0).logits.tobytes() + drawn(1).logits.tobytes()
    assert found.digest == hashlib.sha256(logits).hexdigest()
    for name, values in losses_of_texts(drawn(1).gold, drawn(1).logits).items():
        np.testing.assert_array_equal(losses[name], values.astype(np.float32))


def test_a_file_without_what_follows_from_logits_reads_as_one_with_it(path: Path, tmp_path: Path) -> None:
    kept, losses = read_answers(tmp_path, OLD), read_losses(tmp_path, OLD)
    as_before(path)
    again, computed = read_answers(tmp_path, OLD), read_losses(tmp_path, OLD)

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
    save_run(StudyFolder(tmp_path).predictions_of(ID), said, said)

    assert arrays_of(StudyFolder(tmp_path).predictions_of(ID))["test_predicted"].dtype == kind
    assert read_answers(tmp_path, OLD).splits["test"].predicted.tolist() == [0, classes - 1]


def test_answers_and_losses_are_read_where_logits_cannot_be(path: Path, tmp_path: Path) -> None:
    damage(path, "dev_logits")
    damage(path, "test_logits")

    assert read_answers(tmp_path, OLD).splits.keys() == {"dev", "test"}
    assert read_losses(tmp_path, OLD).keys() == {"log_loss", "brier"}
    for read in (lambda: read_run(tmp_path, OLD), lambda: read_logits(tmp_path, OLD, "test")):
        with pytest.raises(InputError, match="cannot be read"):
            read()


@pytest.mark.parametrize("member", ["dev_predicted", "test_gold", "digest"])
def test_a_damaged_answer_is_told(path: Path, tmp_path: Path, member: str) -> None:
    damage(path, member)

    with pytest.raises(InputError, match=r"predictions/1f3a\.npz") as refused:
        read_answers(tmp_path, OLD)
    assert "`finegrid run` trains its runs again" in str(refused.value)


def test_labels_of_other_texts_than_the_gold_ones_are_damage(path: Path, tmp_path: Path) -> None:
    arrays = arrays_of(path)
    save_arrays_(path, {**arrays, "test_predicted": arrays["test_predicted"][:-1]})

    with pytest.raises(InputError, match="cannot be read"):
        read_answers(tmp_path, OLD)


def test_losses_of_many_texts_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    said = drawn(2)
    whole = losses_of_texts(said.gold, said.logits)
    monkeypatch.setattr("finegrid.losses.CHUNK", 12)  # two texts at a time
    parts = losses_of_texts(said.gold, said.logits)

    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


DEPTHS: tuple[Depth, ...] = ("headers", "answers", "whole")


@pytest.mark.parametrize("depth", DEPTHS)
def test_what_finegrid_writes_is_no_damage_and_nor_is_an_older_file(path: Path, depth: Depth) -> None:
    assert look(path, depth) == ""
    as_before(path)
    assert look(path, depth) == ""


@pytest.mark.parametrize(
    ("member", "depth"), [("test_gold", "answers"), ("test_brier", "answers"), ("dev_logits", "whole")]
)
def test_a_turned_byte_is_found_by_who_reads_it(path: Path, member: str, depth: Depth) -> None:
    damage(path, member)

    assert look(path, "headers") == ""
    assert "CRC" in look(path, depth)


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

    assert why in look(path, "headers")
    if why != "4 classes, expected 5":  # which who reads a single run cannot know
        with pytest.raises(InputError, match="cannot be read"):
            read_run(path.parent.parent, OLD)


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    arrays = arrays_of(path)
    np.savez_compressed(path, **{**arrays, "dev_logits": np.zeros((2**20, 5), dtype=np.float32)})
    tracemalloc.start()
    with pytest.raises(InputError, match="cannot be read"):
        read_run(path.parent.parent, OLD)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "is packed" in look(path, "headers") and peak < 5_000_000


def test_runs_of_a_family_read_as_if_each_had_a_file(family: Path, tmp_path: Path) -> None:
    for record, free, seed in ((RUN, "", 0), (OTHER, "", 1), (RUN, FREE, 2)):
        alone = StudyFolder(tmp_path / "old").predictions_of(record.run_id, free)
        save_run(alone, *drawn_run(seed).values())
        old = replace(record, predictions=None)
        mine, theirs = read_answers(tmp_path, record, free), read_answers(tmp_path / "old", old, free)
        assert mine.digest == theirs.digest
        for read in (read_run, read_losses):
            found, expected = (
                read(at, one, free) for at, one in ((tmp_path, record), (tmp_path / "old", old))
            )
            assert repr(found) == repr(expected)
        for split in ("dev", "test"):
            assert repr(mine.splits[split]) == repr(theirs.splits[split])
    assert np.array_equal(read_logits(tmp_path, OTHER, "test").logits, drawn_run(1)["test"].logits)


def test_a_file_is_opened_once_for_all_its_runs(
    family: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def note(at: Path, take: Any) -> Any:
        opened.append(at)
        return open_arrays(at, take)

    monkeypatch.setattr("finegrid.study.predictions.open_arrays", note)
    found = [record for record, _ in read_each(tmp_path, [RUN, OLD, OTHER], take_answers)]

    assert found == [RUN, OTHER, OLD] and opened == [family, path]


def test_runs_that_are_trained_later_join_their_family_to_the_same_bytes(
    family: Path, tmp_path: Path
) -> None:
    """As after a ledger was cut, or a run had failed."""
    whole = family.read_bytes()
    family.unlink()
    save_family(family, {name_row(ID, FREE): drawn_run(9)})
    save_family(family, {name_row(OTHER.run_id): drawn_run(1)})
    save_family(family, {name_row(ID): drawn_run(0), name_row(ID, FREE): drawn_run(2)})  # anew

    assert family.read_bytes() == whole


def test_what_is_left_of_a_damaged_file_joins_no_family(family: Path) -> None:
    damage(family, "names")
    save_family(family, {name_row(ID): drawn_run(0)})

    assert open_arrays(family, lambda file: file.names) == (ID,)


def test_runs_of_other_texts_join_no_family(family: Path) -> None:
    with pytest.raises(ValueError, match="different texts"):
        save_family(
            family.with_name("other.npz"), {"1": drawn_run(0), "2": {**drawn_run(0), "dev": drawn(7)}}
        )
    save_family(family, {"3": {**drawn_run(0), "dev": drawn(7)}})

    assert open_arrays(family, lambda file: file.names) == ("3",)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_family_is_whole_and_says_whom_it_has(family: Path, depth: Depth, tmp_path: Path) -> None:
    found = look_into(family, 5, {"dev": TEXTS}, depth)

    assert (found.why, found.names) == ("", frozenset({ID, f"{ID} {FREE}", OTHER.run_id}))
    with pytest.raises(InputError, match=f"{FAMILY}.npz"):
        read_answers(tmp_path, replace(RUN, run_id="3c"))


@pytest.mark.parametrize(
    ("member", "depth"),
    [("names", "headers"), ("test_predicted", "answers"), ("dev_crc", "whole"), ("test_logits", "whole")],
)
def test_a_turned_byte_of_a_family_is_found_by_who_reads_it(family: Path, member: str, depth: Depth) -> None:
    assert look(family, depth) == ""
    damage(family, member)

    assert "CRC" in look(family, depth)
    assert depth != "whole" or look(family, "answers") == ""


@pytest.mark.parametrize("member", ["dev_logits", "test_logits"])
def test_damaged_logits_of_one_run_are_told_to_who_reads_them_alone(
    family: Path, tmp_path: Path, member: str
) -> None:
    damage(family, member)  # in the middle of the last row

    assert {*read_run(tmp_path, RUN)} == {"dev", "test"}
    with pytest.raises(InputError, match="BadZipFile"):
        read_run(tmp_path, OTHER)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"names": None}, "of shape (3, 40)"),
        ({"names": np.zeros((3, 4), dtype=np.uint8)}, "no names"),
        ({"names": np.full((3, 2), 255, dtype=np.uint8)}, "utf-8"),
        ({"names": np.zeros((2, 4), dtype=np.uint8)}, "3 rows of 2 runs"),
        ({"names": np.zeros((0, 4), dtype=np.uint8)}, "rows of 0 runs"),
        ({"dev_crc": None}, "it has no dev_crc"),
        ({"digest": None}, "it has no digest"),
        ({"dev_logits": np.zeros((3, TEXTS, 5), dtype=object)}, "is an array of object"),
        ({"test_brier": np.zeros((3, TEXTS - 1), dtype=np.float32)}, "of 40 texts"),
        ({"test_brier": np.zeros((2, TEXTS), dtype=np.float32)}, "2 rows of 3 runs"),
        ({"dev_gold": np.zeros((3, TEXTS), dtype=np.int64)}, "of shape (3, 40)"),
    ],
)
def test_arrays_that_are_none_of_a_family_are_damage_by_their_headers(
    family: Path, change: dict[str, Any], why: str
) -> None:
    arrays = {**arrays_of(family), **change}
    np.savez(family, allow_pickle=True, **{name: one for name, one in arrays.items() if one is not None})

    assert why in look(family, "headers")


def test_a_family_that_claims_more_than_it_has_costs_no_memory(family: Path) -> None:
    content = family.read_bytes()
    claimed = content.replace(b"(3, 40, 5), }", b"(2**30, 5), }")
    family.write_bytes(claimed)
    assert "no array of numbers" in look(family, "headers")
    arrays = arrays_of_bytes(content)
    np.savez_compressed(family, **{**arrays, "dev_logits": np.zeros((3, 2**18, 5), dtype=np.float32)})
    tracemalloc.start()
    assert "is packed" in look(family, "whole")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000


def test_a_record_names_a_file_of_its_folder_and_nothing_else() -> None:
    line = json.dumps(RUN.to_json())

    assert parse_record(line) == RUN
    for name in ("../../secret", "/etc/x", "0123", f"{FAMILY}/x", f"{FAMILY}\n", ""):
        with pytest.raises(ValueError, match="predictions: found"):
            parse_record(line.replace(FAMILY, json.dumps(name)[1:-1]))
