"""data.group: drawn splits keep a group on one side, and without it nothing changes."""

from pathlib import Path

import numpy as np
import pytest
from support.data_samples import Files, load, refused

from finegrid.data.settings import DataSettings
from finegrid.data.table import DataTable
from finegrid.study.load import check_head


def grouped(groups: list[str], labels: str = "ab") -> str:
    lines = [f"text {i}\t{labels[i % len(labels)]}\t{group}" for i, group in enumerate(groups)]
    return "\n".join(["text\tlabel\tauthor", *lines]) + "\n"


def by_part(table: DataTable) -> list[set[int]]:
    splits = (table.train, table.dev, table.test)
    return [{*split.groups.tolist()} for split in splits if split.groups is not None]


UNEQUAL = [f"author {n}" for n in range(60) for _ in range(1 + n % 7)]


def test_drawn_splits_keep_a_group_on_one_side_in_parts_of_the_asked_size(tmp_path: Path) -> None:
    for seed in range(5):
        table = load(tmp_path, {"train.tsv": grouped(UNEQUAL)}, group="author", split_seed=seed)

        train, dev, test = by_part(table)
        assert not train & dev and not train & test and not dev & test
        assert len(train | dev | test) == 60
        assert abs(len(table.test) - 0.2 * len(UNEQUAL)) <= 7
        assert abs(len(table.dev) - 0.1 * len(UNEQUAL)) <= 7


def test_equal_texts_tie_their_groups_together(tmp_path: Path) -> None:
    # Every author shares a text with the next one of ten: six knots of ten authors.
    lines = [f"text {n} {i}\t{'ab'[i % 2]}\tauthor {n}" for n in range(60) for i in range(4)]
    lines += [f"shared {n}\ta\tauthor {m}" for n in range(60) if n % 10 != 9 for m in (n, n + 1)]
    table = load(tmp_path, {"train.tsv": "\n".join(["text\tlabel\tauthor", *lines]) + "\n"}, group="author")

    # Numbers follow the order of names: those of a knot are told by name.
    knots = {name: n // 10 for n, name in enumerate(f"author {n}" for n in range(60))}
    names = sorted(knots)
    train, dev, test = ({knots[names[number]] for number in part} for part in by_part(table))
    assert not train & dev and not train & test and not dev & test


def test_groups_of_one_text_each_are_split_as_texts_are(tmp_path: Path) -> None:
    own = [f"author {n}" for n in range(200)]
    plain = load(tmp_path, {"train.tsv": grouped(own)})
    table = load(tmp_path, {"train.tsv": grouped(own)}, group="author")

    assert [split.ids.tolist() for split in (table.train, table.dev, table.test)] == [
        split.ids.tolist() for split in (plain.train, plain.dev, plain.test)
    ]
    assert plain.fingerprint() == table.fingerprint()  # a group is no part of what a run sees
    assert any("no two rows share a group" in warning for warning in table.warnings)


def test_a_row_without_a_group_is_one_of_its_own_and_told(tmp_path: Path) -> None:
    table = load(tmp_path, {"train.tsv": grouped(["", "", *UNEQUAL, ""])}, group="author")

    assert len(set.union(*by_part(table))) == 63
    assert any("3 rows without a group" in warning for warning in table.warnings)


def test_a_group_in_two_files_is_told(tmp_path: Path) -> None:
    files: Files = {
        "train.tsv": grouped(["p", "p", "q", "q"]),
        "dev.tsv": grouped(["r"] * 4).replace("text ", "dev "),
        "test.tsv": grouped(["s", "q", "s", "q"]).replace("text ", "test "),
    }
    table = load(tmp_path, files, group="author")

    assert table.test.groups is not None and len(np.unique(table.test.groups)) == 2
    assert "test: 2 texts of 1 group also in train, e.g. 'q'" in table.warnings


def test_the_split_file_belongs_to_the_groups(tmp_path: Path) -> None:
    split = tmp_path / "split.tsv"
    first = load(tmp_path, {"train.tsv": grouped(UNEQUAL)}, split, group="author")
    again = load(tmp_path, {"train.tsv": grouped(UNEQUAL)}, split, group="author")

    assert first.fingerprint() == again.fingerprint()
    assert "drawn for other data" in refused(tmp_path, {"train.tsv": grouped(UNEQUAL)}, split)
    moved = grouped([*UNEQUAL[1:], "author 0"])
    assert "drawn for other data" in refused(tmp_path, {"train.tsv": moved}, split, group="author")


def test_a_class_in_too_few_groups_is_refused_by_name(tmp_path: Path) -> None:
    lines = grouped(UNEQUAL) + "".join(f"rare {i}\tc\tauthor 3\n" for i in range(9))

    told = refused(tmp_path, {"train.tsv": lines}, group="author")
    assert "class 'c' has texts in 1 group" in told and "split_seed" in told


@pytest.mark.parametrize(("ending", "header"), [("tsv", True), ("jsonl", True), ("csv", False)])
def test_groups_are_read_from_every_format(ending: str, header: bool, tmp_path: Path) -> None:
    rows = [(f"text {i}", "ab"[i % 2], f"g{i // 4}") for i in range(160)]
    if ending == "jsonl":
        text = "".join(f'{{"text": "{t}", "label": "{n}", "g": "{g}"}}\n' for t, n, g in rows)
    else:
        separator = {"tsv": "\t", "csv": ","}[ending]
        lines = [("text", "label", "g"), *rows] if header else rows
        text = "".join(separator.join(line) + "\n" for line in lines)
    files: Files = {f"train.{ending}": text}
    if header:
        table = load(tmp_path, files, group="g")
    else:
        table = load(tmp_path, files, group=3, text=1, label=2, header=False)

    assert len(set.union(*by_part(table))) == 40


def test_a_missing_group_column_is_told_with_what_was_found(tmp_path: Path) -> None:
    assert "no column 'autor'. Did you mean 'author'?" in refused(
        tmp_path, {"train.tsv": grouped(UNEQUAL)}, group="autor"
    )


def test_a_group_column_is_none_of_the_columns_of_texts_and_labels() -> None:
    settings = DataSettings.model_validate({"train": "a.tsv", "group": "author"})

    assert settings.columns == ("text", "label") and settings.read_columns == ("text", "label", "author")
    assert check_head({"data": {"train": "a.tsv", "group": "author"}})[1] == []
