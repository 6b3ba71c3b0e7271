"""Label the texts of a file with a kept model, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.findings import quote_all
from finegrid.data.row_file import MOST_ROWS
from finegrid.data.tokens import Keep
from finegrid.data.unlabelled import TextFile, TextPart, UnlabelledTexts, open_texts
from finegrid.errors import input_error
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.spelling import Lang, count_noun
from finegrid.study.settings import RunSettings
from finegrid.words import SHARED

if TYPE_CHECKING:
    from finegrid.training.evaluate import Logits

# By what a model keeps of a text that is too long: what it does not see.
LOST: dict[Keep, str] = {"head": "the end", "tail": "the beginning", "head+tail": "a middle part"}
Read = Callable[[list[tuple[str, ...]]], "tuple[Logits, int]"]  # logits, and how many texts were cut


@dataclass(frozen=True)
class LabelledPart:
    """Some rows of a file, and what the model says of their texts."""

    part: TextPart
    fitted: Fitted
    logits: Logits  # [texts, classes]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        return softmax(self.logits)

    @property
    def labels(self) -> list[str]:
        return name_labels(self.logits, self.fitted)


@dataclass
class LabelledFile:
    """A file whose texts are labelled as `parts` is read, and what that has come to so far.

    Attributes:
        fitted: The model's.
        file: The texts, all of which have been checked.
        read: The model.
        cut: Texts that were too long, so far.
        confusion: ``[classes, classes]``, so far; None where the file has no labels, or unknown ones.
    """

    fitted: Fitted
    file: TextFile
    read: Read
    cut: int = 0
    confusion: NDArray[np.int64] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.file.labelled and not self.unknown:
            classes = len(self.fitted.labels)
            self.confusion = np.zeros((classes, classes), dtype=np.int64)

    @property
    def unknown(self) -> list[str]:
        """Labels of the file that the model does not know."""
        return sorted((self.file.found_labels or frozenset()) - set(self.fitted.labels))

    def parts(self) -> Iterator[LabelledPart]:
        """All rows, in their order."""
        numbers = {label: number for number, label in enumerate(self.fitted.labels)}
        for part in self.file.parts(MOST_ROWS):
            logits, cut = self.read(part.texts)
            self.cut += cut
            if self.confusion is not None:
                gold = np.array([numbers[label] for label in part.labels or ()], dtype=np.int64)
                self.confusion += metrics.confusion(gold, logits.argmax(axis=1), len(numbers))
            yield LabelledPart(part, self.fitted, logits)

    def warnings(self) -> list[str]:
        """What a reader of the labels must know, once all are there."""
        found = list(self.file.warnings)
        if self.cut:
            lost, most = LOST[self.fitted.keep], self.fitted.max_length
            found.append(f"{count_noun(self.cut, 'text')} longer than {most} tokens: {lost} was cut off")
        if self.unknown:
            what = "no scores: the model does not know the label"
            found.append(f"{what} {quote_all(self.unknown)} of the file")
        return found

    def scores(self) -> dict[str, Any] | None:
        """Scores against the file's own labels; None where it has none, or some that are unknown."""
        return None if self.confusion is None else metrics.summary_of(self.confusion, self.fitted.labels)


@dataclass(frozen=True)
class PredictedTexts:
    """Labels and probabilities of some texts, in their order, all in memory."""

    fitted: Fitted
    read: UnlabelledTexts
    logits: Logits  # [texts, classes]
    warnings: list[str]
    scored: dict[str, Any] | None

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``[texts, classes]``, summing to 1 in each row."""
        return softmax(self.logits)

    @property
    def labels(self) -> list[str]:
        return name_labels(self.logits, self.fitted)

    def scores(self) -> dict[str, Any] | None:
        """Scores against the file's own labels; None where it has none, or some that are unknown."""
        return self.scored


def softmax(logits: Logits) -> NDArray[np.float64]:
    """``[texts, classes]``, summing to 1 in each row."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def name_labels(logits: Logits, fitted: Fitted) -> list[str]:
    return [fitted.labels[index] for index in logits.argmax(axis=1)]


def open_labelled(
    model: Path, file: Path, asked: ColumnOptions, settings: RunSettings, name: str | None = None
) -> LabelledFile:
    """Check all texts of a file, and load a model for them.

    Args:
        model: the folder that `finegrid fit` wrote.
        file: CSV, TSV, JSON lines, Parquet or plain text.
        asked: what the user says of its columns, and of how it is read.
        settings: device, precision and threads.
        name: what messages call the file; None: its own name.

    Raises:
        InputError: no such model, a damaged one, or a file that cannot be read; all its problems at once.
    """
    fitted = load_fitted(model)
    usual = StudyReading(tuple(fitted.columns), **fitted.reading.model_dump())
    texts = open_texts(file, fitted.texts, replace(asked, of_study=usual), name)
    from finegrid.inference.apply import open_model

    return LabelledFile(fitted, texts, open_model(model, fitted, settings).label)


def predict_file(model: Path, file: Path, asked: ColumnOptions, settings: RunSettings) -> PredictedTexts:
    """Label every text of a file, and hold all of them; see `open_labelled`."""
    labelled = open_labelled(model, file, asked, settings)
    parts = list(labelled.parts())
    texts = [text for one in parts for text in one.part.texts]
    labels = [label for one in parts for label in one.part.labels or ()] if labelled.file.labelled else None
    read = UnlabelledTexts(labelled.file.names, texts, labels, labelled.file.warnings)
    logits = np.concatenate([one.logits for one in parts])
    return PredictedTexts(labelled.fitted, read, logits, labelled.warnings(), labelled.scores())


def pair_up(values: list[str], parts: int) -> list[tuple[str, ...]]:
    """Texts of the command line: one each, or the two of every pair one after the other.

    Raises:
        InputError: an odd number of them where the model reads pairs, or an empty one.
    """
    if len(values) % parts:
        what = f"found {count_noun(len(values), 'text')}, but the model reads pairs. Pass both texts of each."
        raise input_error("command line", "--text-value", what)
    if not all(value.strip() for value in values):
        raise input_error("command line", "--text-value", "found an empty text, expected words in quotes.")
    return [tuple(values[start : start + parts]) for start in range(0, len(values), parts)]


def score_lines(labelled: LabelledFile, lang: Lang = "en") -> list[str]:
    """What the labels that the file has itself say of the model's; nothing where it has none."""
    scores, count = labelled.scores(), labelled.file.count
    if scores is None:
        return []
    plain = SHARED[lang]["list comma"].join(f"{name} {scores[name]:.4f}" for name in metrics.PLAIN_SCORES)
    if lang == "zh":
        return [f"{plain}（{count:,} 条文本）"]
    return [f"{plain} on {count_noun(count, 'text')}"]
