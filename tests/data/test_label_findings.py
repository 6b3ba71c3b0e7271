"""Labels that look alike, several in one cell, and numbers that are no classes: told with counts."""

from pathlib import Path

import pytest
from support.data_samples import HEADER, refused, rows, three

from finegrid.data.label_findings import describe_quantity, find_label_warnings


def warn(*labels: tuple[str, int]) -> list[str]:
    return list(find_label_warnings([[label] * count for label, count in labels]))


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("garden\u200b", "'garden\\u200b' (29)"),
        ("Garden", "'Garden' (29)"),
        ("ｇａｒｄｅｎ", "'ｇａｒｄｅｎ' (29)"),
        ("gar\u00adden", "'gar\\xadden' (29)"),
    ],
)
def test_labels_that_look_alike_are_told_with_counts(odd: str, told: str) -> None:
    (warning,) = warn(("garden", 91), (odd, 29), ("kitchen", 60))

    assert warning.startswith(f"labels that look alike: 'garden' (91) and {told}. ")
    assert "--clean" in warning


def test_accents_of_two_characters_are_spelled_out() -> None:
    (warning,) = warn(("négatif", 87), ("ne\u0301gatif", 33), ("positif", 120))

    assert "'négatif' (87) and 'ne\\u0301gatif' (33)" in warning


def test_numbers_are_alike_by_value_and_all_spellings_stand_together() -> None:
    (warning,) = warn(("1.0", 80), ("1", 40), ("01", 3), ("0", 40), ("２", 5), ("2", 6))

    assert "'1.0' (80) and '1' (40) and '01' (3); '2' (6) and '２' (5). " in warning


def test_very_many_look_alikes_are_counted() -> None:
    (warning,) = warn(*((f"{case}{number}", 5) for number in range(14) for case in "xX"))

    assert warning.count(" and 'x") == 10 and "; and 4 more. " in warning


@pytest.mark.parametrize("separator", ["|", ";", ",", "/", "、", "，"])
def test_several_labels_in_a_cell_are_told_with_the_task(separator: str) -> None:
    both = f"garden{separator}harbour"
    (warning,) = warn(
        ("garden", 30), ("harbour", 30), ("kitchen", 5), (both, 76), (f"kitchen{separator} garden", 1)
    )

    assert warning.startswith(f"labels of 3 classes joined by '{separator}' ('{both}'): a text has one label")
    assert "77 rows name several" in warning and "multi-label" in warning


def test_labels_in_lists_are_told() -> None:
    json_like = [('["garden"]', 9), ('["garden", "harbour"]', 5), ('["harbour", "kitchen"]', 5)]
    (warning,) = warn(*json_like)
    (python,) = warn(("garden", 9), ("['garden', 'harbour']", 5), ("['harbour']", 5))

    assert "labels of 2 classes joined in a list" in warning and "5 rows name several" in warning
    assert "labels of 2 classes joined in a list" in python


@pytest.mark.parametrize(
    "labels",
    [
        [("rock/pop", 40), ("jazz", 40)],
        [("rock/pop", 40), ("rock", 40)],
        [("a, b and c", 40), ("a", 4), ("d", 4)],
        [("n/a", 4), ("yes", 40)],
        [("a|a", 4), ("a", 40)],
        [("[a]", 4), ("a", 40)],
    ],
)
def test_a_separator_in_one_label_is_no_alarm(labels: list[tuple[str, int]]) -> None:
    assert not any("joined" in warning for warning in warn(*labels))


def test_many_different_numbers_look_like_regression() -> None:
    fractions = {f"{number / 7:.3f}": 3 for number in range(40)}
    prices = {str(number * number): 2 for number in range(80)}

    assert describe_quantity(fractions).startswith(
        "the labels are 40 different numbers from 0.000 to 5.571: "
    )
    assert "regression" in describe_quantity(prices)
    assert "regression" in warn(*fractions.items())[0]


@pytest.mark.parametrize(
    "counts",
    [
        {str(number): 4 for number in range(150)},  # classes that were numbered
        {str(number * 3): 40 for number in range(80)},  # many rows each
        {str(number * 3): 4 for number in range(20)},
        {f"{number / 2}": 4 for number in range(11)},  # stars
        {**{f"{number / 7:.3f}": 3 for number in range(40)}, "unknown": 1},
    ],
)
def test_classes_that_are_numbers_are_no_alarm(counts: dict[str, int]) -> None:
    assert describe_quantity(counts) == ""


def test_a_label_unknown_only_by_its_spelling_is_suggested(tmp_path: Path) -> None:
    told = refused(tmp_path, three(dev=HEADER + rows("dev") + "one more\tA\nand one\tc\n"))

    assert "labels that no training row has: 'A', 'c'. Did you mean 'a'? Correct them" in told


def test_regression_is_said_before_the_classes_that_are_too_small(tmp_path: Path) -> None:
    numbers = "".join(f"text number {number}\t{number / 7:.3f}\n" for number in range(60))
    told = refused(tmp_path, {"train.tsv": HEADER + numbers}).splitlines()

    assert "regression" in told[1]
    assert sum("different text" in line for line in told) == 10 and "50 more classes" in told[-1]
