"""`finegrid init --clean` and `--near-twins`: a study of clean files, or nothing at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.command_line import Call
from support.studies import draw_texts, save_word_checkpoint, write_data, write_tsv

from finegrid.data import clean_files, leaks
from finegrid.data.table import load_table
from finegrid.study.load import load_study


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_checkpoint(tmp_path_factory.mktemp("home") / "model")


def write_leaky(folder: Path) -> list[str | Path]:
    """Files of which train has three texts of test in other case, and dev has a repeated row."""
    rows = draw_texts(60)
    write_tsv(folder / "train.tsv", [*rows[:32], *((text.upper(), label) for text, label in rows[44:47])])
    write_tsv(folder / "dev.tsv", [*rows[32:44], rows[32]])
    write_tsv(folder / "test.tsv", rows[44:])
    return [part for name in ("train", "dev", "test") for part in (f"--{name}", folder / f"{name}.tsv")]


def test_a_clean_study_has_no_leaks_and_says_what_was_done(tmp_path: Path, call: Call, model: Path) -> None:
    files = write_leaky(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.tsv")}
    where = ("--out", tmp_path / "study", "--clean", tmp_path / "new" / "c")
    done = call("init", *files, "--model", model, *where)
    study = load_study(tmp_path / "study")
    table = load_table(study.head.data, study.folder)

    assert done.returncode == 0, done.stderr
    assert study.head.data.train == Path("../new/c/train.tsv")
    assert (len(table.train), len(table.dev), len(table.test)) == (30, 12, 16)
    assert not any("also in" in told or "repeated" in told for told in table.warnings)
    three, near = "text also in test, but for case and blanks: 3", "text nearly like one of test: 2"
    assert f"clean     train.tsv: 5 rows taken out ({three}, {near})" in done.stdout
    assert "dev.tsv: 1 row taken out (repeated row: 1)" in done.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.tsv")} == before
    assert len((tmp_path / "new" / "c" / "removed.tsv").read_text().splitlines()) == 7


def test_what_was_cleaned_is_told_in_chinese_too(tmp_path: Path, call: Call, model: Path) -> None:
    files = write_leaky(tmp_path)
    where = ("--out", tmp_path / "study", "--clean", tmp_path / "new", "--lang", "zh")
    said = call("init", *files, "--model", model, *where).stdout

    three, near = "文本除大小写和空白外也在测试集中 3", "文本与测试集中的某条几乎相同 2"
    assert f"清理      train.tsv：删去 5 行（{three}、{near}）\n" in said
    assert "清理      dev.tsv：删去 1 行（重复行 1）\n" in said
    assert "taken out" not in said and f"逐行列在 {tmp_path / 'new'}" in said


def test_the_study_may_hold_its_clean_files(tmp_path: Path, call: Call, model: Path) -> None:
    files = write_leaky(tmp_path)
    study = tmp_path / "study"
    done = call("init", *files, "--model", model, "--out", study, "--clean", study / "data")

    assert done.returncode == 0, done.stderr
    moved = shutil.move(study, tmp_path / "elsewhere")
    assert load_study(Path(moved)).head.data.dev == Path("data/dev.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dev.tsv",
        "elsewhere",
        "test.tsv",
        "train.tsv",
    ]
    assert len(load_table(load_study(Path(moved)).head.data, Path(moved)).dev) == 12


def test_foreign_encodings_and_ordinary_quotation_marks_are_gone(
    tmp_path: Path, call: Call, model: Path
) -> None:
    rows = [(f'"{text}', "标签" if label == "good" else label) for text, label in draw_texts(80)]
    content = "\n".join(["text\tlabel", *("\t".join(row) for row in rows)]) + "\n"
    (tmp_path / "train.tsv").write_bytes(content.encode("gb18030"))
    study = tmp_path / "study"
    said = ("--encoding", "gb18030", "--quoting", "none", "--model", model, "--out", study)
    done = call("init", "--train", tmp_path / "train.tsv", *said, "--clean", study / "c")
    data = load_study(study).head.data
    table = load_table(data, study)

    assert done.returncode == 0, done.stderr
    assert (data.encoding, data.quoting) == ("auto", "rfc4180")
    _, *lines = (study / "c" / "train.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 70 and all(line.startswith('"""') for line in lines)
    assert all(text.startswith('"') for (text,) in table.train.texts)


@pytest.mark.parametrize("wrong", [("--model", "nowhere"), ("--set", "reinit.layer=1"), ("--score", "f1:no")])
def test_what_is_refused_leaves_no_clean_files(
    tmp_path: Path, call: Call, model: Path, wrong: tuple[str, str]
) -> None:
    files = write_leaky(tmp_path)
    done = call("init", *files, "--model", model, "--out", tmp_path / "s", "--clean", tmp_path / "c", *wrong)

    assert done.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.tsv", "test.tsv", "train.tsv"]


def test_a_clean_folder_that_holds_something_is_refused(tmp_path: Path, call: Call, model: Path) -> None:
    write_data(tmp_path / "data")
    train = tmp_path / "data" / "train.tsv"
    content = train.read_bytes()
    where = ("--out", tmp_path / "s", "--clean", tmp_path / "data")
    done = call("init", "--train", train, "--model", model, *where)

    assert done.returncode == 2 and "--clean" in done.stderr and "not an empty folder" in done.stderr
    assert train.read_bytes() == content and not (tmp_path / "s").exists()


def test_near_twins_are_looked_for_among_many_texts_when_asked(
    tmp_path: Path, call: Call, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = draw_texts(44)
    write_tsv(tmp_path / "train.tsv", rows[:32])
    write_tsv(tmp_path / "dev.tsv", [*rows[32:], (f"{rows[0][0]} {rows[0][0]}s", rows[0][1])])
    for module in (leaks, clean_files):
        monkeypatch.setattr(module, "MOST_TEXTS", 10)
    files = ["--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv", "--model", model]
    plain = call("init", *files, "--out", tmp_path / "plain")
    asked = call("init", *files, "--out", tmp_path / "asked", "--near-twins")

    assert plain.returncode == asked.returncode == 0
    assert "near-twins were not looked for, since there are 45 texts" in plain.stderr
    assert "near-twins" not in asked.stderr and "nearly like one of train" in asked.stderr
