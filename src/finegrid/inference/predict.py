"""Label the texts of a file with a kept model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.findings import quote_all
from finegrid.data.tokens import Keep
from finegrid.data.unlabelled import UnlabelledTexts, read_texts
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.spelling import count_noun
from finegrid.study.settings import RunSettings

if TYPE_CHECKING:
    from finegrid.training.evaluate import Logits

# By what a model keeps of a text that is too long: what it does not see.
LOST: dict[Keep, str] = {"head": "the end", "tail": "the beginning", "head+tail": "a middle part"}


@dataclass(frozen=True)
class PredictedTexts:
    """Labels and probabilities of some texts, in their order."""

    fitted: Fitted
    file: Path
    read: UnlabelledTexts
    logits: Logits  # [texts, classes]
    warnings: list[str]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``[texts, classes]``, summing to 1 in each row."""
        powers = np.exp(self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    @property
    def labels(self) -> list[str]:
        return [self.fitted.labels[index] for index in self.logits.argmax(axis=1)]

    def scores(self) -> dict[str, Any] | None:
        """Scores against the file's own labels; None where it has none, or some that are unknown."""
        if self.read.labels is None or set(self.read.labels) - set(self.fitted.labels):
            return None
        gold = np.array([self.fitted.labels.index(label) for label in self.read.labels], dtype=np.int64)
        return metrics.summary(gold, self.logits, self.fitted.labels)


def predict_file(model: Path, file: Path, asked: ColumnOptions, settings: RunSettings) -> PredictedTexts:
    """Label every text of a file.

    Args:
        model: the folder that `finegrid fit` wrote.
        file: CSV, TSV, JSON lines, Parquet or plain text.
        asked: what the user says of its columns, and of how it is read.
        settings: device, precision and threads.

    Raises:
        InputError: no such model, a damaged one, or a file that cannot be read; all its problems at once.
    """
    fitted = load_fitted(model)
    usual = StudyReading(tuple(fitted.columns), **fitted.reading.model_dump())
    read = read_texts(file, fitted.texts, replace(asked, of_study=usual))
    from finegrid.inference.apply import apply

    logits, cut = apply(model, fitted, read.texts, settings)
    warnings = list(read.warnings)
    if cut:
        lost = LOST[fitted.keep]
        warnings.append(
            f"{count_noun(cut, 'text')} longer than {fitted.max_length} tokens: {lost} was cut off"
        )
    unknown = sorted(set(read.labels or ()) - set(fitted.labels))
    if unknown:
        warnings.append(f"no scores: the model does not know the label {quote_all(unknown)} of the file")
    return PredictedTexts(fitted, file, read, logits, warnings)


def score_lines(predictions: PredictedTexts) -> list[str]:
    scores = predictions.scores()
    if scores is None:
        return []
    plain = ", ".join(f"{name} {scores[name]:.4f}" for name in metrics.PLAIN_SCORES)
    return [f"{plain} on {count_noun(len(predictions.read.texts), 'text')}"]
