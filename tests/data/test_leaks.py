"""What two splits share, though not to the letter: case, blanks, unseen characters, nearly equal texts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data_samples import HEADER, load, rows, three

from finegrid.data import leaks
from finegrid.data.alike import fold_text
from finegrid.data.resample import Resampling
from finegrid.data.settings import DataSettings
from finegrid.data.split import find_units
from finegrid.data.table import load_splits

BASE = "watering the lawn and raking the blossom of the hedge"
TWINS = [str.upper, lambda text: text.replace(" ", "  "), lambda text: f"\u200b{text}\u00a0", str.title]
# Each text twice, the second time in other case and blanks.
DOUBLE = HEADER + "".join(
    f"Text {label} {i}\t{label}\ntext {label}  {i}\t{label}\n" for i in range(20) for label in "ab"
)


def test_texts_that_are_equal_but_for_case_and_blanks_are_told(tmp_path: Path) -> None:
    test = HEADER + "TRAIN A 0\ta\ntrain  a 1\tb\ntrain\u200b a 2\u00a0\ta\n" + rows("test")

    assert load(tmp_path, three(test=test)).warnings == (
        "test: 2 texts also in train, but for case and blanks, with the same label, e.g. "
        "'TRAIN A 0' (test.tsv line 2) is 'train a 0' (train.tsv line 2); "
        "'train\\u200b a 2\\xa0' (test.tsv line 4) is 'train a 2' (train.tsv line 6)",
        "test: 1 text also in train, but for case and blanks, with another label, e.g. "
        "'train  a 1' (test.tsv line 3) is 'train a 1' (train.tsv line 4)",
    )


def test_an_equal_text_is_not_told_again_as_a_twin_or_near(tmp_path: Path) -> None:
    train = HEADER + f"{BASE}\ta\n{BASE.upper()}\ta\n{BASE}s\ta\n" + rows("train")
    (warning,) = load(tmp_path, three(train=train, dev=HEADER + f"{BASE}\ta\n" + rows("dev"))).warnings

    assert warning.startswith("dev: 1 text also in train, with the same label, e.g. 'watering")


def test_near_twins_are_told_with_counts_and_places(tmp_path: Path) -> None:
    train = HEADER + f"{BASE}\ta\n关于二〇一九年高考录取结果查询系统开通的通知\tb\n" + rows("train")
    dev = HEADER + f"{BASE}s\ta\n关于二〇二九年高考录取结果查询系统开通的通知\tb\n" + rows("dev")

    assert load(tmp_path, three(train=train, dev=dev)).warnings == (
        "dev: 2 texts nearly like one of train (similarity from 0.8), e.g. "
        "'watering the lawn and raking the blosso…' (dev.tsv line 2) is like "
        "'watering the lawn and raking the blosso…' (train.tsv line 2); "
        "'关于二〇二九年高考录取结果查询系统开通的通知' (dev.tsv line 3) is like "
        "'关于二〇一九年高考录取结果查询系统开通的通知' (train.tsv line 3)",
    )


def test_among_very_many_texts_near_twins_are_looked_for_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "MOST_TEXTS", 50)
    near = three(train=HEADER + f"{BASE}\ta\n" + rows("train"), dev=HEADER + f"{BASE}s\ta\n" + rows("dev"))
    table = load(tmp_path, near)
    (skipped,), (found,) = table.warnings, table.look(True)

    assert skipped.startswith("near-twins were not looked for, since there are 74 texts, more than 50. ")
    assert "finegrid init --near-twins" in skipped and skipped.endswith(" s here")
    assert found.startswith("dev: 1 text nearly like one of train")


def test_conflicts_in_other_case_are_told(tmp_path: Path) -> None:
    train = HEADER + "Storm tonight\ta\nstorm  tonight\tb\nsnow\ta\nsnow\tb\nSNOW\ta\n" + rows("train")

    assert load(tmp_path, three(train=train)).warnings == (
        "train: 1 text with more than one label, e.g. "
        "'snow' ('a' in train.tsv line 4, 'b' in train.tsv line 5)",
        "train: 1 text with more than one label in rows that are equal but for case and blanks, e.g. "
        "'Storm tonight' ('a' in train.tsv line 2, 'b' in train.tsv line 3)",
    )


def test_a_drawn_split_keeps_twins_together(tmp_path: Path) -> None:
    table = load(tmp_path, {"train.tsv": DOUBLE})

    assert (len(table.train), len(table.dev), len(table.test)) == (56, 8, 16)
    folded = [{fold_text(text) for (text,) in split.texts} for split in (table.train, table.dev, table.test)]
    assert sum(map(len, folded)) == len(set.union(*folded)) == 40


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=1, max_size=40))
def test_twins_are_one_unit_and_all_others_are_what_they_were(drawn: list[tuple[str, int]]) -> None:
    texts = [(TWINS[twin](f"{word} some words"),) for word, twin in drawn]
    labels = np.zeros(len(texts), dtype=np.int64)
    units, older = find_units(texts, labels, None), find_units(texts, labels, None, fold=False)
    words = [word for word, _ in drawn]

    assert units.first.tolist() == sorted({words.index(word) for word in words})
    assert units.of_row.tolist() == [words.index(word) for word in words]
    if len({*texts}) == len({*words}):
        assert units.first.tolist() == older.first.tolist()


def test_a_split_that_was_written_is_followed_though_it_parts_twins(tmp_path: Path) -> None:
    """The file is one that a version wrote which told twins apart."""
    dev = {2, 5, 11, 14, 32, 39, 42, 63}
    test = {9, 12, 16, 30, 35, 37, 41, 54, 55, 56, 57, 64, 66, 68, 70, 75}
    lines = ["# finegrid split seed=0 dev_share=0.1 test_share=0.2 content=7945b34656277965", "split\trow"]
    parts = {row: "dev" if row in dev else "test" if row in test else "train" for row in range(1, 81)}
    file = tmp_path / "split.tsv"
    file.write_text("\n".join([*lines, *(f"{part}\t{row}" for row, part in parts.items())]) + "\n")
    table = load(tmp_path, {"train.tsv": DOUBLE}, file)

    assert ({*table.dev.ids.tolist()}, {*table.test.ids.tolist()}) == (dev, test)
    assert table.fingerprint() == "8b3f54772be82708"
    assert table.warnings[1].startswith("test: 11 texts also in train, but for case and blanks, ")


def test_resampled_splits_that_have_begun_stay_and_new_ones_keep_twins_together(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(DOUBLE)
    begun = ["3a17de07a0449893", "c8f046aedb931433"]  # of a version that told twins apart
    settings, two = DataSettings(train=Path("train.tsv")), Resampling(2, False)
    new, old = load_splits(settings, tmp_path, two), load_splits(settings, tmp_path, two, begun)

    assert [table.fingerprint() for table in old] == begun
    assert not {table.fingerprint() for table in new} & {*begun}
    again = load_splits(settings, tmp_path, two, [table.fingerprint() for table in new])
    assert [table.fingerprint() for table in again] == [table.fingerprint() for table in new]
    for table in new:
        assert not {*map(fold_text, sum(table.dev.texts, ()))} & {*map(fold_text, sum(table.test.texts, ()))}
