"""Files of predictions as people have them, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call
from support.compared import (
    IDS,
    LABELS,
    TEXTS,
    TRUTH,
    answer,
    write_gold,
    write_labels,
    write_probabilities,
    write_rows,
)

from finegrid.comparing.answers import AnswerColumns
from finegrid.comparing.paired import PairedAnswers, read_paired
from finegrid.comparing.systems import parse_systems
from finegrid.errors import InputError

SAID = answer(1.0, 1).argmax(axis=1)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return write_gold(tmp_path / "gold.csv")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "good.csv", SAID)


def read(*files: Path, gold: Path | None, columns: AnswerColumns | None = None) -> PairedAnswers:
    return read_paired(parse_systems([str(path) for path in files]), gold, columns or AnswerColumns())


def problems(*files: Path, gold: Path | None) -> str:
    with pytest.raises(InputError) as caught:
        read(*files, gold=gold)
    return str(caught.value)


def write_parquet(path: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": IDS, "prediction": [LABELS[n] for n in SAID]}), path)
    return path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_format_says_the_same(tmp_path: Path, gold: Path, good: Path) -> None:
    rows = [{"id": name, "pred": LABELS[n]} for name, n in zip(IDS, SAID, strict=True)]
    tsv = tmp_path / "t.tsv"
    tsv.write_text("id\ty_pred\n" + "".join(f"{row['id']}\t{row['pred']}\n" for row in rows))
    nested = [
        {"id": name, "probabilities": dict(zip(LABELS, map(float, each), strict=True))}
        for name, each in zip(IDS, answer(1.0, 1), strict=True)
    ]
    spread = [(name, *each) for name, each in zip(IDS, answer(1.0, 1), strict=True)]
    wide = write_rows(tmp_path / "wide.csv", ["id", *LABELS], spread)
    files = [
        good,
        tsv,
        write_lines(tmp_path / "l.jsonl", rows),
        write_parquet(tmp_path / "p.parquet"),
        write_lines(tmp_path / "n.jsonl", nested),
        write_probabilities(tmp_path / "probabilities.csv", answer(1.0, 1)),
        wide,
    ]

    answers = read(*files, gold=gold)

    assert all(np.array_equal(each[0], SAID) for each in answers.predicted)
    assert [each is not None for each in answers.probabilities] == 4 * [False] + 3 * [True]
    last = answers.probabilities[-1]
    assert last is not None and np.allclose(last, answer(1.0, 1))
    assert {remark.kind for remark in answers.remarks} == {"same-answers"}


def test_gold_may_stand_in_the_files_of_predictions(tmp_path: Path) -> None:
    """As `finegrid predict` writes them: the file's own label, then the predicted one."""
    rows = [(f"text {i}", LABELS[g], LABELS[s]) for i, g, s in zip(IDS, TRUTH, SAID, strict=True)]
    header = ["text", "label", "predicted"]
    files = [write_rows(tmp_path / f"{name}.csv", header, rows) for name in "ab"]

    answers = read(*files, gold=None, columns=AnswerColumns(id="text"))

    assert np.array_equal(answers.truth, TRUTH) and np.array_equal(answers.predicted[0, 0], SAID)


def test_gold_labels_must_not_contradict_each_other(tmp_path: Path) -> None:
    header = ["id", "gold", "predicted"]
    rows = [(i, LABELS[g], LABELS[s]) for i, g, s in zip(IDS, TRUTH, SAID, strict=True)]
    one = write_rows(tmp_path / "a.csv", header, rows)
    other = write_rows(tmp_path / "b.csv", header, [("t0", "pos", "pos"), *rows[1:]])

    assert "the gold label of 't0' is 'pos', but 'neg' in" in problems(one, other, gold=None)


def test_numbers_that_are_no_probabilities_have_no_loss(tmp_path: Path, gold: Path, good: Path) -> None:
    logits = write_probabilities(tmp_path / "logits.csv", np.log(answer(1.0, 1)))

    answers = read(good, logits, gold=gold)

    assert np.array_equal(answers.predicted[1, 0], SAID) and answers.probabilities[1] is None
    assert "no-probabilities" in {remark.kind for remark in answers.remarks}


def test_an_answer_that_gold_does_not_know_is_wrong_and_told(
    tmp_path: Path, gold: Path, good: Path, call: Call
) -> None:
    rows = [(i, "other" if n < 3 else LABELS[g]) for n, (i, g) in enumerate(zip(IDS, TRUTH, strict=True))]
    other = write_rows(tmp_path / "other.csv", ["id", "label"], rows)

    done = call("compare", good, other, "--gold", gold, "--score", "accuracy", "--json")

    facts = json.loads(done.stdout)
    assert facts["systems"][1]["score"] == pytest.approx(100 * (1 - 3 / TEXTS))
    assert facts["labels"] == [*LABELS, "other"]
    (remark,) = facts["remarks"]
    assert remark["en"]["what"] == f"{other}: 3 answers are labels that gold does not have ('other')"


def test_a_class_that_only_the_model_knows_has_its_column(tmp_path: Path, gold: Path, good: Path) -> None:
    header = ["id", *(f"prob_{label}" for label in LABELS), "prob_rare"]
    rows = [(i, *(0.9 * p), 0.1) for i, p in zip(IDS, answer(1.0, 1), strict=True)]
    more = write_rows(tmp_path / "more.csv", header, rows)

    probabilities = read(good, more, gold=gold).probabilities[1]

    assert probabilities is not None and np.allclose(probabilities[0, :, 3], 0.1)


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path, gold: Path, call: Call) -> None:
    rows = [(name, LABELS[n]) for name, n in zip(IDS, SAID, strict=True)]
    twice = write_rows(tmp_path / "twice.csv", ["id", "label"], [*rows, rows[0]])
    few = write_rows(tmp_path / "few.csv", ["id", "label"], [*rows[2:], ("x9", "neg")])
    empty = write_rows(tmp_path / "empty.csv", ["id", "label"], [("t0", ""), *rows[1:]])
    sure = [(name, 1, 0, 0) for name in IDS]
    words = write_rows(tmp_path / "words.csv", ["id", *LABELS], [("t0", "high", 0, 0), *sure[1:]])
    lacking = write_rows(tmp_path / "lacking.csv", ["id", "neg", "neu", "poss"], [(i, 1, 0, 0) for i in IDS])
    nameless = write_rows(tmp_path / "nameless.csv", ["number", "label"], rows)
    alien = write_rows(tmp_path / "alien.csv", ["id", "label"], [(i, "A") for i in IDS])
    mute = write_rows(tmp_path / "mute.csv", ["id", "note"], [(i, "A") for i in IDS])
    files = [twice, few, empty, words, lacking, nameless, alien, mute, tmp_path / "none.csv"]

    done = call("compare", *files, "--gold", gold)

    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    for said in (
        "twice.csv line 122",
        "the id 't0' stands on line 2 already",
        f"without 2 ids of {gold}: 't0', 't1'",
        f"with 1 id that {gold} lacks: 'x9'",
        "the label is empty",
        "'high' in column 'neg', expected a number for that class",
        "no column for the label 'pos' of gold. Did you mean 'poss'?",
        "no column of ids. Found: 'number', 'label'",
        f"none of its answers ('A') is a label of {gold} ('neg', 'neu', 'pos')",
        "no column of predicted labels, and none named by a label of gold",
        "no such file",
    ):
        assert said in done.stderr, said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["good.csv"], "found 1 system, expected two or more"),
        (["a=good.csv", "a=other.csv"], "found 1 system, expected two or more"),
        (["a=good.csv", "b=good.csv"], "is named more than once"),
        (["a=good.csv", "=other.csv"], "a system without a name"),
        (["a=good.csv", "b=no*.csv"], "fits no file"),
        (["a=good.csv", "b=other.csv", "--paired-seeds"], "Seeds to pair need two or more of each"),
        (["a=good.csv", "a=third.csv", "b=other.csv", "--paired-seeds"], "a has 2 files, b has 1 file"),
        (["a=good.csv", "b=other.csv", "--score", "f1:rare"], '"f1:rare" is not a score'),
        (["a=good.csv", "b=other.csv", "--score", "f1:unseen"], "no text of gold.csv has the label"),
        (["a=good.csv", "b=other.csv", "--score", "auc"], '"auc" is not a score'),
        (["a=good.csv", "b=other.csv", "--out", "r.pdf"], "expected an ending of .html or .md"),
        (["a=good.csv", "b=other.csv", "--lang", "fr"], "expected en or zh"),
        (["a=good.csv", "b=other.csv", "--id", "key"], "no column 'key'"),
        (["a=good.csv", "b=other.csv", "--predicted", "key"], "no column 'key'"),
    ],
)
def test_wishes_that_cannot_be_met_say_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
    gold: Path,
    good: Path,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path / "third.csv", answer(1.0, 3).argmax(axis=1))
    rows = [(name, "unseen" if n == 0 else LABELS[SAID[n]]) for n, name in enumerate(IDS)]
    write_rows(tmp_path / "other.csv", ["id", "label"], rows)

    done = call("compare", *arguments, "--gold", gold.name)

    assert done.returncode == 2 and said in done.stderr and done.stdout == ""
    assert not (tmp_path / "r.pdf").exists()


def test_a_name_that_no_file_can_have_is_named(gold: Path, good: Path) -> None:
    assert "has a NUL character in it" in problems(good, Path("b\0.csv"), gold=gold)


def test_without_gold_labels_it_says_where_to_give_them(tmp_path: Path, good: Path, call: Call) -> None:
    other = write_labels(tmp_path / "other.csv", answer(1.0, 2).argmax(axis=1))

    done = call("compare", good, other)

    assert done.returncode == 2 and "no gold labels: pass --gold FILE, or --gold-column COLUMN" in done.stderr


def test_a_label_that_is_not_the_most_probable_class_is_told(tmp_path: Path, gold: Path, good: Path) -> None:
    rows = [
        (name, LABELS[(n + 1) % 3 if row < 2 else n], *each)
        for row, (name, n, each) in enumerate(zip(IDS, SAID, answer(1.0, 1), strict=True))
    ]
    both = write_rows(tmp_path / "both.csv", ["id", "predicted", *LABELS], rows)

    answers = read(good, both, gold=gold)

    (remark,) = answers.remarks
    assert remark.kind == "disagreeing" and remark.values["count"] == 2
    assert (answers.predicted[1, 0] != SAID).sum() == 2
