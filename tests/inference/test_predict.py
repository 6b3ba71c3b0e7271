"""``finegrid predict``: texts from files, standard input and the command line, and what is written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.kept import keep_run
from support.studies import open_study, write_study

from finegrid.cli import models
from finegrid.data import row_file
from finegrid.data.cells_of_file import ColumnOptions
from finegrid.data.unlabelled import open_texts
from finegrid.errors import InputError
from finegrid.inference import predict as predicting
from finegrid.inference.given import progress
from finegrid.inference.labelled_file import Written, style_of, write_predictions
from finegrid.inference.predict import open_labelled, predict_file
from finegrid.study.settings import RunSettings
from finegrid.training.loaded import LoadedStudy

ONE_THREAD = RunSettings(threads=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return keep_run(open_study(write_study(folder / "study", bert)), folder / "kept")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return keep_run(open_study(write_study(folder / "study", bert, pairs=True)), folder / "kept")


def test_all_columns_go_along_unless_texts_alone_are_asked_for(model: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("ticket,text,label\n17,ba be,x\n18,du,y\n")
    models.predict(model, tmp_path / "new.csv", tmp_path / "all.csv")
    models.predict(model, tmp_path / "new.csv", tmp_path / "texts.csv", keep_columns=False)

    every, alone = ((tmp_path / name).read_text().splitlines() for name in ("all.csv", "texts.csv"))
    assert every[0].startswith("ticket,text,label,predicted,probability:x,") and every[1].startswith(
        "17,ba be"
    )
    assert alone[0].startswith("text,label,predicted,") and alone[2].startswith("du,y,")


def test_labels_of_a_labelled_file_are_refused_as_columns_and_can_be_left_out(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text("ba be\ndu\n")
    models.predict(model, tmp_path / "new.txt", tmp_path / "once.tsv")
    assert (tmp_path / "once.tsv").read_text().startswith("text\tpredicted\t")

    with pytest.raises(InputError, match="--no-keep-columns"):
        models.predict(model, tmp_path / "once.tsv", tmp_path / "twice.tsv")
    models.predict(model, tmp_path / "once.tsv", tmp_path / "twice.tsv", keep_columns=False)
    assert (tmp_path / "once.tsv").read_text() == (tmp_path / "twice.tsv").read_text()


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        ("ba be\ndu, ba\n", {}),
        ('{"text": "ba be"}\n{"text": "du, ba"}\n', {}),
        ('text,n\nba be,1\n"du, ba",2\n', {"format_": "csv"}),
    ],
)
def test_standard_input_is_read_like_a_file(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
    asked: Any,
) -> None:
    (tmp_path / "a.txt").write_text("ba be\ndu, ba\n")
    expected = predict_file(model, tmp_path / "a.txt", ColumnOptions(), ONE_THREAD)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    models.predict(model, Path("-"), **asked)
    head, *rows = capsys.readouterr().out.splitlines()

    place = head.split("\t").index("predicted")
    assert [row.split("\t")[place] for row in rows] == expected.labels
    assert [row.split("\t")[0] for row in rows] == ["ba be", "du, ba"]


def test_problems_of_standard_input_name_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"ba\n\ndu\n")))
    with pytest.raises(InputError, match="standard input line 2"):
        models.predict(model, Path("-"))


def test_texts_are_taken_from_the_command_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("ba be\ndu, ba\n")
    expected = predict_file(model, tmp_path / "a.txt", ColumnOptions(), ONE_THREAD)
    models.predict(model, text_value=["ba be", "du, ba"])
    head, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())

    assert head[:2] == ["text", "predicted"] and [row[1] for row in rows] == expected.labels
    np.testing.assert_allclose(
        [[float(cell) for cell in row[2:]] for row in rows], expected.probabilities, atol=1e-6
    )


def test_pairs_are_taken_from_the_command_line_two_by_two(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("first,second\nba be,du\n")
    expected = predict_file(pairs, tmp_path / "a.csv", ColumnOptions(), ONE_THREAD)
    models.predict(pairs, text_value=["ba be", "du"])

    assert capsys.readouterr().out.splitlines()[1].split("\t")[2] == expected.labels[0]
    with pytest.raises(InputError, match="both texts of each"):
        models.predict(pairs, text_value=["ba be"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "neither FILE nor --text-value"),
        ({"file": Path("a.csv"), "text_value": ["a"]}, "both FILE and --text-value"),
        ({"text_value": [" "]}, "an empty text"),
    ],
)
def test_what_is_given_twice_or_not_at_all_is_told(model: Path, given: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        models.predict(model, **given)


@pytest.mark.parametrize("name", ["out.tsv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("source", ["new.csv", "new.jsonl", "new.parquet"])
def test_labels_in_parts_are_those_of_the_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str
) -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["ba", "be", "du", "ga"], n)) for n in draw.integers(1, 9, 60)]
    rows = [{"id": n, "text": text, "label": "xyz"[n % 3]} for n, text in enumerate(texts)]
    write_rows(tmp_path / source, rows)
    kept = []
    for most in (100, 7):
        monkeypatch.setattr(predicting, "MOST_ROWS", most)
        labelled = open_labelled(model, tmp_path / source, ColumnOptions(), ONE_THREAD)
        out = tmp_path / str(most) / name
        parts = list(labelled.parts())
        write_predictions(parts, Written(labelled.file, labelled.fitted), style_of(out), out)
        kept.append((len(parts), labelled.scores(), read_rows(out)))

    (whole, scores, expected), (many, again, found) = kept
    assert (whole, many) == (1, 9) and scores == again
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["predicted"] == theirs["predicted"] and mine["text"] == theirs["text"]
        assert mine.keys() == theirs.keys() and numbers(mine) == pytest.approx(numbers(theirs), abs=2e-6)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        path.write_text(
            "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"
        )


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    lines = path.read_text().splitlines()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in lines]
    return [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]


def numbers(row: dict[str, Any]) -> list[float]:
    nested = row.get("probabilities")
    return (
        [*nested.values()]
        if nested
        else [float(row[name]) for name in row if name.startswith("probability:")]
    )


def test_a_stop_in_the_middle_leaves_nothing_behind(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("ba\nbe\ndu\n")
    (tmp_path / "out.csv").write_text("what was there")
    monkeypatch.setattr(predicting, "MOST_ROWS", 1)
    labelled = open_labelled(model, tmp_path / "a.txt", ColumnOptions(), ONE_THREAD)

    def stopped() -> Any:
        yield next(labelled.parts())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(stopped(), Written(labelled.file, labelled.fitted), "csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "what was there"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "out.csv"}


def test_a_row_that_is_wrong_is_told_before_anything_is_labelled(model: Path, tmp_path: Path) -> None:
    rows = [*["ba,x"] * 9000, *[",x"] * 7, "ba,x,x"]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    with pytest.raises(InputError, match="line 9009"):
        models.predict(model, tmp_path / "a.csv", tmp_path / "out.csv")
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows[:-1]]) + "\n")
    with pytest.raises(InputError, match=r"line 9002[\s\S]*line 9006[\s\S]*2 more rows like this"):
        models.predict(model, tmp_path / "a.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts: Any = [SimpleNamespace(logits=np.zeros((n, 2))) for n in (3000, 2000)]
    with progress(5000) as count:
        assert list(count(parts)) == parts
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(5000) as count:
        assert list(count(parts)) == parts
    assert "5000/5000" in capsys.readouterr().err


def test_rows_are_held_by_characters_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "ba be du\n" * 10)
    monkeypatch.setattr(row_file, "MOST_CHARACTERS", 24)
    parts = [len(part.texts) for part in open_texts(tmp_path / "a.csv", 1).parts(100)]

    assert parts == [3, 3, 3, 1]
