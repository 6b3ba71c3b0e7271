"""What finegrid reads is what pandas reads, and its scores are scikit-learn's: on files written here."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from support.command_line import Call
from support.studies import write_study

from finegrid.data.settings import DataSettings
from finegrid.data.sniff import sniff
from finegrid.data.table import DataTable, load_table
from finegrid.study.folder import StudyFolder
from finegrid.study.ledger import Ledger
from finegrid.study.predictions import read_run

WORDS = (
    *("shovel", "hedge,", "lawn;", "seed|ling", "番茄", "土壤。", '"quoted"', "it's", "né", "naïve"),
    *("\\", "a\tb", "e\u0301", "\u200b\U0001d11e"),
)
SEPARATORS = {"csv": ",", "tsv": "\t", "semicolon.csv": ";", "bar.txt": "|"}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "gb18030")


def make_table(chance: random.Random, lines: bool) -> pd.DataFrame:
    """Different texts of some words, a number and a label for each; with line ends inside, if asked."""
    size = chance.randint(30, 60)
    texts = [f"{' '.join(chance.choices(WORDS, k=chance.randint(1, 6)))} {i}" for i in range(size)]
    if lines:
        texts = [text + chance.choice(("", "", "\nand more", "\r\nand")) for text in texts]
    labels = [chance.choice(("yes", "no", "perhaps, so")) for _ in range(size)]
    return pd.DataFrame(
        {"number": range(size), "text": texts, "label": ["yes", "no", "perhaps, so", *labels[3:]]}
    )


def read_by_finegrid(path: Path) -> tuple[DataTable, list[tuple[str, str]]]:
    """The table, and text and label of every row, by number of row."""
    settings = DataSettings.model_validate({"train": path, **sniff([path]).settings()})
    table = load_table(settings, path.parent)
    rows = {}
    for split in (table.train, table.dev, table.test):
        for (text,), label, row in zip(split.texts, split.labels, split.ids, strict=True):
            rows[int(row)] = (text, table.labels[label])
    return table, [rows[row] for row in sorted(rows)]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ending", SEPARATORS)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_rows_of_delimited_files_are_those_of_pandas(
    encoding: str, ending: str, quoting: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"train.{ending}"
    for seed in range(12):
        written = make_table(random.Random(seed), lines=True)
        written.to_csv(
            path, sep=SEPARATORS[ending], index=False, encoding=encoding, quoting=quoting, lineterminator="\n"
        )
        expected = pd.read_csv(
            path,
            sep=SEPARATORS[ending],
            encoding=encoding,
            dtype=str,
            keep_default_na=False,
            lineterminator="\n",
        )

        _, rows = read_by_finegrid(path)

        assert [text for text, _ in rows] == expected["text"].tolist() == written["text"].tolist()
        assert [label for _, label in rows] == expected["label"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz"])
def test_rows_of_json_lines_and_parquet_are_those_of_pandas(compression: Any, tmp_path: Path) -> None:
    ending = {None: "", "gzip": ".gz", "bz2": ".bz2", "xz": ".xz"}[compression]
    lines, parquet = tmp_path / f"train.jsonl{ending}", tmp_path / "train.parquet"
    for seed in range(12):
        written = make_table(random.Random(seed), lines=True)
        written.to_json(
            lines, orient="records", lines=True, force_ascii=seed % 2 > 0, compression=compression
        )
        written.to_parquet(parquet)

        for path, expected in ((lines, pd.read_json(lines, lines=True)), (parquet, pd.read_parquet(parquet))):
            _, rows = read_by_finegrid(path)
            assert rows == list(zip(expected["text"], expected["label"], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("score", ["macro-f1", "accuracy", "mcc"])
def test_scores_of_a_study_are_those_of_scikit_learn(
    score: str, bert: Path, tmp_path: Path, call: Call
) -> None:
    factors = '[factors]\n"reinit.layers" = [0, 1]\n"freeze.layers" = [0, 2]\n[design]\nseeds = 3'
    folder = write_study(tmp_path / "study", bert, settings=factors, head=f'score = "{score}"')
    assert call("run", folder, "--workers", "1").returncode == 0
    labels = sorted(pd.read_csv(folder / "train.tsv", sep="\t", dtype=str)["label"].unique())
    records = [record for record in Ledger(StudyFolder(folder).ledger).latest().values() if record.done]
    assert len(records) == 12
    for record in records:
        predictions = read_run(folder, record)
        for part in ("dev", "test"):
            gold = (
                pd.read_csv(folder / f"{part}.tsv", sep="\t", dtype=str)["label"].map(labels.index).to_numpy()
            )
            predicted = predictions[part].logits.argmax(axis=1)
            present = np.unique(gold)
            expected = {
                "macro-f1": f1_score(gold, predicted, labels=present, average="macro", zero_division=0),
                "accuracy": accuracy_score(gold, predicted),
                "mcc": matthews_corrcoef(gold, predicted),
            }
            for name, value in expected.items():
                assert record.score(part, name) == pytest.approx(value, abs=1e-12)
