"""``study.toml`` of strangers: it is read, or refused in words, in time; nothing else is raised."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.checkpoints import refusal
from support.toml_mutations import find_faults, list_texts

from finegrid.errors import InputError, Problem
from finegrid.study.load import load_study, read_study, read_toml


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list_texts(tmp_path_factory.mktemp("valid") / "study")


def load(folder: Path, text: str) -> str:
    (folder / "study.toml").write_text(text)
    return refusal(lambda: load_study(folder))


def test_mutations_are_read_or_refused_in_words(texts: list[str], tmp_path: Path) -> None:
    fast = [text for text in texts if "fractional" not in text and "screen" not in text]

    assert list(find_faults(tmp_path, fast, range(30))) == []


def test_dates_are_no_levels(texts: list[str], tmp_path: Path) -> None:
    free = texts[0].replace("[factors]", '[factors]\n"posthoc.temperature" = [1979-05-27, 07:32:00]')

    assert 'first level "1979-05-27"' in load(tmp_path, free)


def test_the_home_of_nobody_is_no_folder(texts: list[str], tmp_path: Path) -> None:
    named = texts[0].replace("mini-zh", "~nobody-of-this-name/model")

    assert "no such folder" in load(tmp_path, named)


def test_who_only_reads_is_told_what_is_wrong_with_a_checkpoint_that_is_here(
    texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("[]")
    (tmp_path / "study.toml").write_text(texts[0].replace("mini-zh", "model"))

    assert "not a JSON object" in refusal(lambda: read_study(tmp_path))


@pytest.mark.parametrize(
    "lines",
    ['"{}" = [0, 1]', "x = {{ a{} = 1 }}"],
)
def test_tables_without_end_are_refused_before_names_are_searched(
    texts: list[str], tmp_path: Path, lines: str
) -> None:
    many = "\n".join(lines.format(number).replace("x =", f"x{number} =") for number in range(1000))

    assert "1,00" in load(tmp_path, texts[0].replace("[factors]", f"[factors]\n{many}"))


def test_a_factor_of_more_levels_than_rows_is_refused(texts: list[str], tmp_path: Path) -> None:
    levels = ", ".join(map(str, range(1, 5001)))
    many = texts[0].replace("[factors]", f'[factors]\n"training.epochs" = [{levels}]')

    assert "5,000 levels, but a study has 4,096 rows at most" in load(tmp_path, many)


def test_a_file_that_is_none_or_has_no_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("#" * 1_000_001)
    assert "has 1,000,001 bytes" in refusal(lambda: read_toml(path))

    path.unlink()
    os.mkfifo(path)
    assert "expected a file" in refusal(lambda: read_toml(path))


def test_a_message_has_an_end() -> None:
    said = str(InputError("x" * 9999, [Problem("y" * 9999, f"{'z' * 99_999} do this")] * 999))

    assert len(said) < 60 * 5000 and said.endswith("... and 939 more") and "do this" in said
