"""Label the texts of a file with a kept model, and write what came out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finegrid import metrics
from finegrid.atomic import replacing
from finegrid.data.findings import quote_all
from finegrid.data.unlabelled import ColumnOptions, UnlabelledTexts, read_texts
from finegrid.errors import input_error, visible
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.spelling import count_noun
from finegrid.study.settings import RunSettings

if TYPE_CHECKING:
    from finegrid.training.evaluate import Logits

TSV, JSONL = (".tsv", ".txt"), (".jsonl", ".ndjson")
QUOTED = frozenset('\t\n\r"')


@dataclass(frozen=True)
class PredictedTexts:
    """Labels and probabilities of some texts, in their order."""

    fitted: Fitted
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
        asked: what the user says about its columns.
        settings: device, precision and threads.

    Raises:
        InputError: no such model, a damaged one, or a file that cannot be read; all its problems at once.
    """
    fitted = load_fitted(model)
    usual = tuple(fitted.columns)
    read = read_texts(file, fitted.texts, ColumnOptions(asked.texts, asked.label, asked.header, usual))
    from finegrid.inference.apply import apply

    logits, cut = apply(model, fitted, read.texts, settings)
    warnings = list(read.warnings)
    if cut:
        warnings.append(
            f"{count_noun(cut, 'text')} longer than {fitted.max_length} tokens: the end was cut off"
        )
    unknown = sorted(set(read.labels or ()) - set(fitted.labels))
    if unknown:
        warnings.append(f"no scores: the model does not know the label {quote_all(unknown)} of the file")
    return PredictedTexts(fitted, read, logits, warnings)


def style_of(out: Path | None) -> str:
    """``tsv`` or ``jsonl``, as the ending of the output file says.

    Raises:
        InputError: another ending.
    """
    if out is None or out.suffix.lower() in TSV:
        return "tsv"
    if out.suffix.lower() in JSONL:
        return "jsonl"
    what = f'the ending "{out.suffix}" is not known. Expected {", ".join((*TSV, *JSONL))}.'
    raise input_error("command line", "--out", what)


def write_predictions(predictions: PredictedTexts, style: str, out: Path | None) -> None:
    """Write one line per text, after a header in TSV: to a file, or to stdout."""
    lines = tsv_lines(predictions) if style == "tsv" else jsonl_lines(predictions)
    if out is not None:
        with replacing(out) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    for line in lines:
        # A terminal would obey control characters of a text; a pipe gets texts as they are.
        print("\t".join(map(visible, line.split("\t"))) if sys.stdout.isatty() else line)


def tsv_lines(predictions: PredictedTexts) -> Iterator[str]:
    """``text``, the file's own label where it has them, ``predicted``, and a probability for each label."""
    gold = predictions.read.labels
    header = [*predictions.read.names, *["label"] * (gold is not None), "predicted"]
    yield join_cells([*header, *(f"probability:{label}" for label in predictions.fitted.labels)])
    rows = zip(predictions.read.texts, predictions.labels, predictions.probabilities, strict=True)
    for row, (texts, label, probabilities) in enumerate(rows):
        known = [gold[row]] if gold is not None else []
        yield join_cells([*texts, *known, label, *(f"{p:.6f}" for p in probabilities)])


def join_cells(cells: Sequence[str]) -> str:
    """A line of TSV, quoted as in RFC 4180 where a cell needs it."""
    return "\t".join(
        f'"{cell.replace(chr(34), 2 * chr(34))}"' if QUOTED & set(cell) else cell for cell in cells
    )


def jsonl_lines(predictions: PredictedTexts) -> Iterator[str]:
    """The text, the file's own label where it has them, ``predicted``, and a probability for each label."""
    gold = predictions.read.labels
    rows = zip(predictions.read.texts, predictions.labels, predictions.probabilities, strict=True)
    for row, (texts, label, probabilities) in enumerate(rows):
        rounded = (round(float(p), 6) for p in probabilities)
        by_label = dict(zip(predictions.fitted.labels, rounded, strict=True))
        known = {"label": gold[row]} if gold is not None else {}
        text = dict(zip(predictions.read.names, texts, strict=True))
        line = {**text, **known, "predicted": label, "probabilities": by_label}
        yield json.dumps(line, ensure_ascii=False)


def score_lines(predictions: PredictedTexts) -> list[str]:
    scores = predictions.scores()
    if scores is None:
        return []
    plain = ", ".join(f"{name} {scores[name]:.4f}" for name in metrics.PLAIN_SCORES)
    return [f"{plain} on {count_noun(len(predictions.read.texts), 'text')}"]
