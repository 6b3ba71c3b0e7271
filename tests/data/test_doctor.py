"""Findings that do not stop a study: told with counts and examples, and only where there is something."""

from pathlib import Path

from support.data_samples import HEADER, load, rows, three

TRAIN = HEADER + rows("train")


def test_faultless_data_has_no_warnings(tmp_path: Path) -> None:
    assert load(tmp_path, three()).warnings == ()


def test_a_text_in_two_splits_is_told_with_both_places(tmp_path: Path) -> None:
    dev = HEADER + "train a 0\ta\ntrain a 1\ta\n" + rows("dev")

    assert load(tmp_path, three(dev=dev)).warnings == (
        "dev: 2 texts also in train, with the same label, e.g. "
        "'train a 0' (train.tsv line 2, dev.tsv line 2); 'train a 1' (train.tsv line 4, dev.tsv line 3)",
    )


def test_a_text_in_two_splits_with_another_label_is_told_separately(tmp_path: Path) -> None:
    test = HEADER + "dev a 0\tb\ntrain b 0\ta\n" + rows("test")

    assert load(tmp_path, three(test=test)).warnings == (
        "test: 1 text also in train, with another label, "
        "e.g. 'train b 0' (train.tsv line 3, test.tsv line 3)",
        "test: 1 text also in dev, with another label, e.g. 'dev a 0' (dev.tsv line 2, test.tsv line 2)",
    )


def test_repeated_rows_are_told_with_three_examples(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, three(train=TRAIN + rows("train", 2))).warnings

    assert warning.startswith(
        "train: 4 repeated rows, same text and same label, e.g. 'train a 0' (train.tsv line 26)"
    )
    assert warning.count("train.tsv") == 3


def test_conflicting_labels_are_told_with_all_their_places(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, three(train=TRAIN + "train a 0\tb\n")).warnings

    assert warning == (
        "train: 1 text with more than one label, e.g. "
        "'train a 0' ('a' in train.tsv line 2, 'b' in train.tsv line 26)"
    )


def test_replacement_characters_are_told(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, three(test=HEADER + rows("test") + "何鸿\ufffd\ta\n")).warnings

    assert (
        warning.startswith("test: 1 text with characters lost")
        and "'何鸿\ufffd' (test.tsv line 26)" in warning
    )


def test_rare_and_absent_classes_are_told(tmp_path: Path) -> None:
    train = TRAIN + rows("train", 9, ("rare",)) + rows("train", 10, ("ten",))
    dev = HEADER + rows("dev", 2, ("a", "b", "rare", "ten"))

    assert load(tmp_path, three(train=train, dev=dev)).warnings == (
        "train: 1 class with fewer than 10 texts, e.g. 'rare' (9)",
        "test: no text of 2 classes that train has, e.g. 'rare'; 'ten'",
    )


def test_examples_are_short_and_show_control_characters(tmp_path: Path) -> None:
    text = "a\u202e\x1b[31m\u2028" + "长" * 100
    (warning,) = load(tmp_path, three(train=f"{TRAIN}{text}\ta\n{text}\ta\n")).warnings

    assert "'a\\u202e\\x1b[31m\\u2028" in warning and "…" in warning and len(warning) < 200


def test_examples_of_text_pairs_show_both_texts(tmp_path: Path) -> None:
    pairs = "q\ta\tlabel\n" + "".join(f"q{i}\ta\t{i % 2}\n" for i in range(40))
    files = {
        "train.tsv": pairs + "q0\ta\t0\n",
        "dev.tsv": pairs.replace("\ta\t0", "\tb\t0").replace("\ta\t1", "\tb\t1"),
        "test.tsv": pairs.replace("\ta\t0", "\tc\t0").replace("\ta\t1", "\tc\t1"),
    }

    warnings = load(tmp_path, files, text=["q", "a"]).warnings

    assert warnings == (
        "train: 1 repeated row, same text and same label, e.g. 'q0' / 'a' (train.tsv line 42)",
    )
