"""`finegrid init`: looks at the files, and writes a study that can be moved; or writes nothing."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from support.command_line import Call
from support.studies import draw_texts, save_word_checkpoint, write_data, write_tsv

from finegrid.data.table import load_table
from finegrid.study.load import load_study
from finegrid.study.study import Study

STRANGE_NAMES = [
    'qu"ote',
    "back\\slash",
    "标题 数据",
    "tab\there",
    "del\x7f",
    "esc\x1b[31m",
    "new\nline",
    "#=[x]",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_checkpoint(tmp_path_factory.mktemp("home") / "model")


def made(call: Call, out: Path, model: Path, train: Path, *more: str) -> Study:
    done = call("init", "--train", train, "--model", model, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return load_study(out)


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_columns_are_found_by_looking(tmp_path: Path, call: Call, model: Path) -> None:
    rows = [("x", text, label) for text, label in draw_texts(40)]
    train = write_tsv(tmp_path / "train.tsv", rows, "source\ttitle\tcategory")
    data = made(call, tmp_path / "study", model, train).head.data

    assert (data.text, data.label, data.header) == ("title", "category", True)


def test_text_twice_is_a_pair(tmp_path: Path, call: Call, model: Path) -> None:
    rows = [(text, text[::-1], label) for text, label in draw_texts(40)]
    train = write_tsv(tmp_path / "train.tsv", rows, "a\tb\tc")
    study = made(call, tmp_path / "study", model, train, "--text", "a", "--text", "2", "--label", "c")

    assert study.head.data.text == ("a", 2)
    assert all(len(text) == 2 for text in load_table(study.head.data, study.folder).train.texts)


def test_set_moves_the_baseline(tmp_path: Path, call: Call, model: Path) -> None:
    write_data(tmp_path)
    settings = ("optimizer.rate=1e-3", "model.pooling=cls", "training.epochs = 5", 'optimizer.decay_on="all"')
    more = [word for setting in settings for word in ("--set", setting)]
    levels = made(call, tmp_path / "study", model, tmp_path / "train.tsv", *more).baseline.levels()

    assert levels["optimizer.rate"] == 1e-3
    assert levels["model.pooling"] == "cls"
    assert levels["training.epochs"] == 5


def test_in_a_chinese_locale_only_the_comments_of_study_toml_are_other_ones(
    tmp_path: Path, call: Call, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path)
    english = made(call, tmp_path / "english", model, tmp_path / "train.tsv")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = made(call, tmp_path / "chinese", model, tmp_path / "train.tsv")
    texts = [study.files.settings.read_text(encoding="utf-8") for study in (english, chinese)]

    assert "适合 BERT，宽" in texts[1] and "训练文本" in texts[1]  # why levels were proposed
    assert tomllib.loads(texts[0]) == tomllib.loads(texts[1])
    assert chinese.rows == english.rows


def test_the_study_and_its_data_can_be_moved_together(tmp_path: Path, call: Call, model: Path) -> None:
    work = tmp_path / "work"
    write_data(work / "data")
    shutil.copytree(model, work / "model")
    made(call, work / "deep" / "study", work / "model", work / "data" / "train.tsv")
    shutil.move(work, tmp_path / "elsewhere")

    study = load_study(tmp_path / "elsewhere" / "deep" / "study")
    assert len(load_table(study.head.data, study.folder).train) > 0
    assert study.checkpoint.folder.is_dir()


def test_a_study_behind_a_link_finds_its_data(tmp_path: Path, call: Call, model: Path) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    study = made(call, tmp_path / "link" / "study", model, tmp_path / "data" / "train.tsv")

    assert len(load_table(study.head.data, study.folder).train) > 0


def test_the_folder_one_stands_in_may_become_the_study(
    tmp_path: Path, call: Call, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    done = call("init", "--train", "../data/train.tsv", "--model", model, "--out", ".")

    assert done.returncode == 0, done.stderr
    assert entries(tmp_path / "study") == ["study.toml"]
    assert entries(tmp_path) == ["data", "study"]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names_of_files_columns_and_labels_survive_the_study_file(
    tmp_path: Path, call: Call, model: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    rows = [{name: text, "label": name if label == "sport" else label} for text, label in draw_texts(40)]
    train = folder / f"{name}.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    study = made(
        call, folder / "study", model, train, "--text", name, "--label", "label", "--score", f"f1:{name}"
    )

    assert study.head.score == f"f1:{name}"
    assert study.head.data.text == name
    assert name in load_table(study.head.data, study.folder).labels


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--dev", "nope.tsv"), ["nope.tsv"]),
        (("--text", "nope", "--label", "title"), ["no column 'nope'", "no column 'title'"]),
        (("--set", "reinit.layer=1", "--set", "optimizer.rate=2024-01-01", "--set", "x"), [
            'Did you mean "reinit.layers"?', "optimizer.rate", 'found "x", expected factor=level'
        ]),
        (("--set", "freeze.layers={a = 1}"), ["freeze.layers"]),
        (("--set", "training.epochs=0"), ["level 0"]),
        (("--set", "model.max_length=200"), ["level 200, but the encoder has 128 positions"]),
        (("--score", "f3"), ['"f3" is not a score']),
        (("--preset", "grid"), ['"grid" is not a preset. Known: thucnews64, few-sample']),
        (("--seeds", "0"), ["--seeds"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_together_and_nothing_is_written(
    tmp_path: Path, call: Call, model: Path, arguments: tuple[str, ...], expected: list[str]
) -> None:
    write_data(tmp_path)
    done = call(
        "init", "--train", tmp_path / "train.tsv", "--model", model, "--out", tmp_path / "a" / "b", *arguments
    )

    assert done.returncode == 2
    assert all(part in done.stderr for part in expected), done.stderr
    assert entries(tmp_path) == ["dev.tsv", "test.tsv", "train.tsv"]


def test_faults_of_all_files_are_told_at_once(tmp_path: Path, call: Call, model: Path) -> None:
    rows = draw_texts(30)
    write_tsv(tmp_path / "train.tsv", [*rows, ("", "sport")])
    write_tsv(tmp_path / "dev.tsv", [*draw_texts(10, seed=1), ("a new one", "weather")])
    (tmp_path / "test.tsv").write_bytes(b"text\tlabel\nnul\0byte\tsport\n")
    files = [
        word for part in ("train", "dev", "test") for word in (f"--{part}", str(tmp_path / f"{part}.tsv"))
    ]
    done = call("init", *files, "--model", model, "--out", tmp_path / "study")

    assert done.returncode == 2
    assert "train.tsv line 32" in done.stderr and "NUL byte" in done.stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("there", ["study.toml", "other.txt"])
def test_a_folder_that_holds_something_is_refused_and_left_alone(
    tmp_path: Path, call: Call, model: Path, there: str
) -> None:
    write_data(tmp_path)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / there).write_text("mine")
    done = call("init", "--train", tmp_path / "train.tsv", "--model", model, "--out", tmp_path / "study")

    assert done.returncode == 2 and "exists" in done.stderr
    assert (tmp_path / "study" / there).read_text() == "mine"
    assert entries(tmp_path / "study") == [there]


def test_warnings_about_the_data_go_to_stderr(tmp_path: Path, call: Call, model: Path) -> None:
    rows = draw_texts(30)
    write_tsv(tmp_path / "train.tsv", [*rows, rows[0]])
    done = call("init", "--train", tmp_path / "train.tsv", "--model", model, "--out", tmp_path / "study")

    assert done.returncode == 0
    assert "warning: " in done.stderr and "warning:" not in done.stdout


def test_a_separator_other_than_the_ending_says_is_written_down(
    tmp_path: Path, call: Call, model: Path
) -> None:
    train = tmp_path / "train.txt"
    train.write_text("".join(f"{text},{label}\n" for text, label in draw_texts(40)))
    study = made(call, tmp_path / "study", model, train)

    assert (study.head.data.format, study.head.data.header) == ("csv", False)
    assert len(load_table(study.head.data, study.folder).labels) == 2


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path, call: Call, model: Path) -> None:
    write_data(tmp_path)
    train = (tmp_path / "train.tsv").rename(tmp_path / "tr\udcffain.tsv")
    done = call("init", "--train", train, "--model", model, "--out", tmp_path / "study")

    assert done.returncode == 2 and "not UTF-8" in done.stderr
    assert not (tmp_path / "study").exists()
