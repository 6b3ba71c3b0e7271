"""Files of predictions for docs/compare.md: linear models of character n-grams on the embedded headlines.

    python scripts/compare_example.py OUT

Writes ``gold.csv``; naive Bayes, which has one answer; and three runs, other only in the order of their
training texts, of a logistic regression on pairs of characters (``pairs``) and on triples as well
(``triples``). Needs scikit-learn.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from finegrid import ASSETS

RUNS = 3


def read_texts(part: str) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    path = ASSETS / "headlines" / f"{part}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def make_model(longest: int, run: int | None) -> Any:
    """On n-grams of up to so many characters; naive Bayes if there is no run."""
    counts = CountVectorizer(analyzer="char", ngram_range=(1, longest), binary=True)
    if run is None:
        return make_pipeline(counts, MultinomialNB(alpha=0.1))
    return make_pipeline(counts, SGDClassifier(loss="log_loss", alpha=1e-3, random_state=run))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    train, labels = read_texts("train")
    texts, gold = read_texts("test")
    rows = enumerate(zip(texts, gold, strict=True), start=1)
    write_rows(out / "gold.csv", ["id", "text", "label"], ([number, *row] for number, row in rows))
    models = {"bayes": make_model(3, None)}
    for run in range(RUNS):
        models |= {f"pairs{run}": make_model(2, run), f"triples{run}": make_model(3, run)}
    for name, model in models.items():
        probabilities = model.fit(train, labels).predict_proba(texts)
        header = ["id", *(f"probability:{label}" for label in model.classes_)]
        rounded = (
            [number, *(f"{p:.6f}" for p in each)] for number, each in enumerate(probabilities, start=1)
        )
        write_rows(out / f"{name}.csv", header, rounded)
    print(f"wrote gold.csv and {len(models)} files of predictions to {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
