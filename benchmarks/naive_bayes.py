"""Character n-gram naive Bayes on a study's own split: what a fine-tuned model must beat.

    python benchmarks/naive_bayes.py STUDY_FOLDER

n-grams of 1 to 3 characters; the smoothing is chosen on dev, the score is macro-F1 on dev and test.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import f1_score
from sklearn.naive_bayes import MultinomialNB

from finegrid.data.table import DataTable
from finegrid.study.load import load_study

SMOOTHING = (0.01, 0.03, 0.1, 0.3, 1.0)


def naive_bayes(table: DataTable) -> dict[str, float]:
    """Macro-F1 on ``dev`` and ``test``, 0 to 1."""
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 3))
    train = vectorizer.fit_transform(["\n".join(text) for text in table.train.texts])
    parts = {"dev": table.dev, "test": table.test}
    features = {
        name: vectorizer.transform(["\n".join(text) for text in part.texts]) for name, part in parts.items()
    }

    def scores(alpha: float) -> dict[str, float]:
        model = MultinomialNB(alpha=alpha).fit(train, table.train.labels)
        return {
            name: float(f1_score(part.labels, model.predict(features[name]), average="macro"))
            for name, part in parts.items()
        }

    return max((scores(alpha) for alpha in SMOOTHING), key=lambda found: found["dev"])


def main(folder: Path) -> None:
    found = naive_bayes(load_study(folder).read_table())
    print(f"naive Bayes: macro-f1 {found['dev']:.4f} on dev, {found['test']:.4f} on test")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
