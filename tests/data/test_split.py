"""Drawn splits: stratified, nested, the same everywhere, written down, and honoured when edited."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data_samples import HEADER, Files, load, refused, rows, three

from finegrid.data.split import apportion
from finegrid.data.table import Split

ONE: Files = {"train.tsv": HEADER + rows("x", 100, ("a", "b", "c")) + rows("y", 50, ("d",))}


def sizes(split: Split) -> list[int]:
    return [int(size) for size in np.bincount(split.labels)]


def test_a_drawn_split_is_stratified_exactly(tmp_path: Path) -> None:
    table = load(tmp_path, ONE)

    assert sizes(table.test) == [20, 20, 20, 10]
    assert sizes(table.dev) == [10, 10, 10, 5]
    assert sizes(table.train) == [70, 70, 70, 35]
    every = np.concatenate([table.train.ids, table.dev.ids, table.test.ids])
    assert sorted(every.tolist()) == list(range(1, 351))


@pytest.mark.parametrize(("given_part", "drawn"), [("dev", "test"), ("test", "dev")])
def test_only_what_has_no_file_is_drawn(given_part: str, drawn: str, tmp_path: Path) -> None:
    table = load(tmp_path, ONE | {f"{given_part}.tsv": HEADER + rows("other")}, dev_share=0.2)

    assert len(getattr(table, given_part)) == 24
    assert len(getattr(table, drawn)) == 70 and len(table.train) == 280


def test_the_split_of_seed_0_is_what_it_always_was(tmp_path: Path) -> None:
    # Frozen from the first version: a change means that every study on one file would be split anew.
    table = load(tmp_path, {"train.tsv": HEADER + rows("x", 10)})

    assert (table.dev.ids.tolist(), table.test.ids.tolist()) == ([5, 14], [2, 9, 11, 12])


def test_the_seed_moves_the_split_and_nothing_else_does(tmp_path: Path) -> None:
    first, again, other = (load(tmp_path, ONE, split_seed=seed) for seed in (0, 0, 1))

    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert sizes(first.dev) == sizes(other.dev)


def test_rows_of_one_text_stay_together(tmp_path: Path) -> None:
    repeated = HEADER + rows("x", 60) + rows("x", 60) + rows("x", 20).replace("\ta\n", "\tb\n")
    table = load(tmp_path, {"train.tsv": repeated})

    assert len({*table.train.texts} | {*table.dev.texts} | {*table.test.texts}) == 120
    assert not {*table.train.texts} & {*table.dev.texts} and not {*table.train.texts} & {*table.test.texts}
    assert not {*table.dev.texts} & {*table.test.texts}
    assert not any("also in" in warning for warning in table.warnings)


@pytest.mark.parametrize("whole", [three(train=str(ONE["train.tsv"])), ONE])
def test_smaller_draws_are_part_of_larger_ones(whole: Files, tmp_path: Path) -> None:
    drawn = [load(tmp_path, whole, train_size=size) for size in range(4, 246, 7)]

    for smaller, larger in pairwise(drawn):
        assert {*smaller.train.ids.tolist()} < {*larger.train.ids.tolist()}
        assert smaller.test.ids.tolist() == larger.test.ids.tolist()
    for table in drawn:
        assert min(sizes(table.train)) >= 1


@given(
    classes=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    share=st.floats(0, 1),
)
def test_apportioned_counts_are_exact_and_never_shrink_as_the_total_grows(
    classes: list[int], share: float
) -> None:
    every = np.array(classes)
    total = max(len(classes), round(share * int(every.sum())))
    counts = apportion(every, total)

    assert counts.sum() == total and (counts >= 1).all() and (counts <= every).all()
    if total < every.sum():
        assert (apportion(every, total + 1) >= counts).all()


def test_equal_classes_get_equal_counts() -> None:
    assert apportion(np.array([300] * 10), 1000).tolist() == [100] * 10
    assert apportion(np.array([300] * 3 + [1]), 4).tolist() == [1, 1, 1, 1]


def test_a_class_too_small_for_every_part_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, {"train.tsv": HEADER + rows("x") + rows("y", 2, ("two",)) + "z\tone\n"})

    assert "class 'two' has 2 different texts" in message and "class 'one' has 1 different text of" in message
    assert "'a'" not in message


def test_impossible_training_sizes_are_refused(tmp_path: Path) -> None:
    assert "there are 24 training texts" in refused(tmp_path, three(), train_size=25)
    assert "there are 245 training texts" in refused(tmp_path, ONE, train_size=246)
    assert "there are 4 classes" in refused(tmp_path, ONE, train_size=3)


def test_the_split_is_written_once_and_read_again(tmp_path: Path) -> None:
    split_file = tmp_path / "study" / "split.tsv"
    drawn = load(tmp_path, ONE, split_file, train_size=100)
    lines = split_file.read_text().splitlines()
    before = split_file.stat().st_mtime_ns

    again = load(tmp_path, ONE, split_file, train_size=100)

    assert lines[0].startswith("# finegrid split seed=0 dev_share=0.1 test_share=0.2 train_size=100 content=")
    assert lines[1] == "split\trow"
    assert Counter(line.split("\t")[0] for line in lines[2:]) == {"train": 100, "dev": 35, "test": 70}
    assert again.fingerprint() == drawn.fingerprint() == load(tmp_path, ONE, train_size=100).fingerprint()
    assert split_file.stat().st_mtime_ns == before
    assert [path.name for path in split_file.parent.iterdir()] == ["split.tsv"]


def test_a_split_edited_by_hand_is_honoured(tmp_path: Path) -> None:
    split_file = tmp_path / "split.tsv"
    load(tmp_path, ONE, split_file)
    kept = [line for line in split_file.read_text().splitlines() if not line.endswith("\t7")]
    split_file.write_text("\r\n".join([*kept, "dev\t7", ""]), newline="")

    assert 7 in load(tmp_path, ONE, split_file).dev.ids


@pytest.mark.parametrize(
    "changed", [{"split_seed": 1}, {"dev_share": 0.2}, {"train_size": 50}, {"data": "new text\ta\n"}]
)
def test_a_split_of_other_settings_or_data_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    split_file = tmp_path / "split.tsv"
    load(tmp_path, ONE, split_file)
    before = split_file.read_bytes()
    files: Files = {"train.tsv": str(ONE["train.tsv"]) + str(changed.pop("data", ""))}

    message = refused(tmp_path, files, split_file, **changed)

    assert "split.tsv line 1" in message and "Delete" in message
    assert split_file.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dev\t351", "expected a number from 1 to 350"),
        ("dev\t0", "expected a number from 1 to 350"),
        ("dev\tx", "row 'x'"),
        ("dev", "row ''"),
        ("dve\t1", "split 'dve', expected one of train, dev, test"),
        ("dev\t1\ndev\t1", "stands here again"),
    ],
)
def test_a_bad_line_of_a_split_file_is_named(line: str, expected: str, tmp_path: Path) -> None:
    split_file = tmp_path / "split.tsv"
    load(tmp_path, ONE, split_file)
    with split_file.open("a") as file:
        file.write(line + "\n")

    assert expected in refused(tmp_path, ONE, split_file)


def test_a_split_file_without_a_part_or_class_is_refused(tmp_path: Path) -> None:
    split_file = tmp_path / "split.tsv"
    load(tmp_path, ONE, split_file)
    lines = split_file.read_text().splitlines()
    split_file.write_text("\n".join(line for line in lines if not line.startswith("dev")))
    assert "no row of dev" in refused(tmp_path, ONE, split_file)

    split_file.write_text("\n".join([*lines[:2], "train\t1", "dev\t2", "test\t3"]))
    assert "no training row of 'b', 'c', 'd'" in refused(tmp_path, ONE, split_file)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"split\trow\n"])
def test_a_file_that_is_no_split_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    split_file = tmp_path / "split.tsv"
    split_file.write_bytes(content)

    assert "elete" in refused(tmp_path, ONE, split_file)
    assert split_file.read_bytes() == content


def test_nothing_is_written_when_nothing_is_drawn(tmp_path: Path) -> None:
    load(tmp_path, three(), tmp_path / "split.tsv")

    assert not (tmp_path / "split.tsv").exists()


def test_nothing_is_written_on_error(tmp_path: Path) -> None:
    files = {"train.tsv": ONE["train.tsv"], "dev.tsv": HEADER + "\ta\n"}

    refused(tmp_path, files, tmp_path / "study" / "split.tsv")

    assert not (tmp_path / "study").exists()


def test_a_place_where_no_split_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file")

    assert "cannot be written" in refused(tmp_path, ONE, tmp_path / "study" / "split.tsv")
