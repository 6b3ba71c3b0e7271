"""One file of predictions: ids, answers, and where it has them probabilities and gold labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid.data.cells import UnfitCell, as_label
from finegrid.data.cells_of_file import Cells, ColumnName, ColumnOptions, read_cells
from finegrid.data.columns import LABEL_NAMES, TEXT_NAMES, suggest_name
from finegrid.data.findings import FileFindings, quote, quote_all

ID_NAMES = ("id", "ids", "text_id", "example_id", "sample_id", "guid", "uid", "idx", "编号", "序号")
PREDICTED_NAMES = (
    "predicted",
    "prediction",
    "predictions",
    "pred",
    "preds",
    "y_pred",
    "predicted_label",
    "pred_label",
    "answer",
    "预测",
    "预测标签",
)
GOLD_NAMES = ("gold", "gold_label", "gold_labels", "true", "truth", "true_label", "y_true", "reference")
# What stands before the name of a class; the first is `finegrid predict`'s.
PREFIXES = ("probability:", "probability_", "probabilities.", "proba_", "prob_", "prob:", "p_", "score_")
NESTED = "probabilities"  # a key of JSON lines whose value has a number per class
TOLERANCE = 0.01  # how far rounded probabilities may add up to something else than 1


@dataclass(frozen=True)
class AnswerColumns:
    """In which columns the user says things stand; None is looked for by the usual names."""

    id: ColumnName | None = None
    predicted: ColumnName | None = None
    gold: ColumnName | None = None


@dataclass(frozen=True)
class Answers:
    """What one file says of the texts, in its own order.

    Attributes:
        predicted: ``[texts]``, labels.
        classes: Of the columns of ``values``.
        values: ``[texts, classes]``, probabilities that add up to 1; None where the file has none.
        are_scores: Whether it has a number per class that are no probabilities.
        disagreeing: Texts whose predicted label is not the one with the highest value.
    """

    predicted: list[str]
    classes: tuple[str, ...] = ()
    values: NDArray[np.float64] | None = None
    are_scores: bool = False
    disagreeing: int = 0


def read_columns(path: Path, findings: FileFindings, given: Cells | None = None) -> Cells:
    """All cells of a file with a header; a key ``probabilities`` of JSON lines becomes columns.

    given: the cells, if they are known already.
    """
    if given is not None:
        findings.unit, cells = "row", given
    else:
        cells = read_cells(path, ColumnOptions(header=True), findings)
    if not cells.places and not findings:
        findings.add_problem("empty file", "no rows. Expected an id and a label in each")
    nested = cells.columns.get(NESTED, ())
    if not any(isinstance(value, dict) for value in nested):
        return cells
    rows = [value if isinstance(value, dict) else {} for value in nested]
    classes = dict.fromkeys(str(key) for row in rows for key in row)
    spread: dict[ColumnName, Sequence[object]] = {
        f"{PREFIXES[0]}{name}": [row.get(name) for row in rows] for name in classes
    }
    others = {name: values for name, values in cells.columns.items() if name != NESTED}
    return Cells({**others, **spread}, cells.places)


def take_ids(cells: Cells, columns: AnswerColumns, findings: FileFindings) -> list[str]:
    """The id of every row; a problem where one is missing or stands twice."""
    name = find(cells, columns.id, ID_NAMES)
    if name is None:
        asked = "no column of ids" if columns.id is None else f"no column {quote(columns.id)}"
        what = f"{asked}. Found: {list_columns(cells)}. Pass --id COLUMN; texts serve where none stands twice"
        findings.add_problem("--id", what)
        return []
    ids = take_labels(cells, name, findings, "id")
    first: dict[str, int] = {}
    for place, each in zip(cells.places, ids, strict=True):
        if each and first.setdefault(each, place) != place:
            what = f"the id {quote(each)} stands on {findings.unit} {first[each]} already. Expected it once"
            findings.add_problem("repeated id", what, place)
    return ids


def find_gold(cells: Cells, columns: AnswerColumns, alone: bool) -> ColumnName | None:
    """The column of the gold labels.

    Args:
        alone: whether this is a file of gold labels. In one of predictions, a column that may be either holds
            gold labels only if the predicted ones stand in another.
    """
    if columns.gold is not None:
        return find(cells, columns.gold, ())
    if (named := find(cells, None, GOLD_NAMES)) is not None:
        return named
    labelled = find(cells, None, LABEL_NAMES)
    predicted = find(cells, columns.predicted, PREDICTED_NAMES)
    return labelled if alone or predicted not in (None, labelled) else None


def find_predicted(cells: Cells, columns: AnswerColumns, gold: ColumnName | None) -> ColumnName | None:
    """The column of the answers. ``gold``: which one is not, as it holds gold labels."""
    if columns.predicted is not None:
        return find(cells, columns.predicted, ())
    labelled = find(cells, None, LABEL_NAMES)
    return find(cells, None, PREDICTED_NAMES) or (labelled if labelled != gold else None)


def find_text(cells: Cells) -> ColumnName | None:
    return find(cells, None, TEXT_NAMES)


def find(cells: Cells, wanted: ColumnName | None, usual: Collection[str]) -> ColumnName | None:
    """The column that is asked for, by name or number; else the first that has one of the usual names."""
    names = list(cells.columns)
    if wanted is not None:
        if wanted in cells.columns:
            return wanted
        return names[wanted - 1] if isinstance(wanted, int) and 1 <= wanted <= len(names) else None
    return next((name for name in names if str(name).strip().casefold() in usual), None)


def list_columns(cells: Cells) -> str:
    return quote_all([str(name) for name in cells.columns]) or "none"


def take_labels(cells: Cells, name: ColumnName, findings: FileFindings, what: str = "label") -> list[str]:
    """The column as words; a problem, and an empty word, where there is none. ``what``: they are."""
    found = []
    for place, cell in zip(cells.places, cells.columns[name], strict=True):
        try:
            found.append(as_label(cell))
        except UnfitCell as unfit:
            findings.add_problem(
                f"{what} {unfit.kind}", unfit.what.replace("the label", f"the {what}"), place
            )
            found.append("")
    return found


def take_answers(
    cells: Cells,
    labels: Collection[str],
    columns: AnswerColumns,
    gold: ColumnName | None,
    findings: FileFindings,
) -> Answers:
    """What the file answers: its column of labels, or the class with the highest number.

    Args:
        labels: of gold.
        gold: the file's own column of gold labels, if it has one.
    """
    by_class, numbered = find_classes(cells, labels)
    name = find_predicted(cells, columns, gold)
    if columns.predicted is not None and name is None:
        what = f"no column {quote(columns.predicted)}. Found: {list_columns(cells)}. Name one of them"
        findings.add_problem("--predicted", what)
        return Answers([])
    lacking = [label for label in labels if label not in by_class]
    if lacking and (numbered or name is None):
        report_lacking(cells, labels, lacking, by_class, name, findings)
        return Answers([])
    values = None if lacking else take_numbers(cells, by_class, findings)
    said = take_labels(cells, name, findings) if name is not None else None
    if values is None or findings:
        return Answers(said or [])
    classes = tuple(by_class)
    best = [classes[number] for number in values.argmax(axis=1)]
    predicted = best if said is None else said
    sums = values.sum(axis=1, keepdims=True)
    proper = bool((values >= 0).all() and (np.abs(sums - 1) <= TOLERANCE).all())
    top = values.max(axis=1)
    column = {label: number for number, label in enumerate(classes)}
    own = np.array(
        [
            row[column[label]] if label in column else -np.inf
            for row, label in zip(values, predicted, strict=True)
        ]
    )
    return Answers(predicted, classes, values / sums if proper else None, not proper, int((own < top).sum()))


def find_classes(cells: Cells, labels: Collection[str]) -> tuple[dict[str, ColumnName], bool]:
    """Columns with a number per class, by label, and whether their names say so themselves.

    A name that begins as such columns do (``probability:``) may be of a class that gold does not have.
    """
    named: dict[str, ColumnName] = {}
    plain: dict[str, ColumnName] = {}
    for name in cells.columns:
        folded = str(name).casefold()
        prefix = next((each for each in PREFIXES if folded.startswith(each)), "")
        if prefix and (label := str(name)[len(prefix) :].strip()):
            named[label] = name
        elif str(name) in labels:
            plain[str(name)] = name
    if any(label in labels for label in named):
        return named, True
    return plain, False


def report_lacking(
    cells: Cells,
    labels: Collection[str],
    lacking: Sequence[str],
    by_class: dict[str, ColumnName],
    name: ColumnName | None,
    findings: FileFindings,
) -> None:
    """A file without answers: no column of labels, and not one number per class."""
    if not by_class and name is None:
        what = (
            f"no column of predicted labels, and none named by a label of gold "
            f"({quote_all(list(labels), 4)}). Found: {list_columns(cells)}. Pass --predicted COLUMN"
        )
        findings.add_problem("--predicted", what)
        return
    others = [str(column) for column in cells.columns if column not in by_class.values()]
    for label in lacking:
        close = suggest_name(label, others)
        what = f"no column for the label {quote(label)} of gold.{close} Found: {list_columns(cells)}"
        findings.add_problem("class", f"{what}. Expected one number per class in every row")


def take_numbers(
    cells: Cells, by_class: dict[str, ColumnName], findings: FileFindings
) -> NDArray[np.float64] | None:
    """``[texts, classes]``; None and problems where a cell is no number."""
    found = np.full((len(cells.places), len(by_class)), np.nan)
    for column, name in enumerate(by_class.values()):
        if (numbers := read_numbers(cells.columns[name])) is not None:
            found[:, column] = numbers
            continue
        for row, (place, cell) in enumerate(zip(cells.places, cells.columns[name], strict=True)):
            number = read_number(cell)
            if number is None:
                what = f"{quote(cell)} in column {quote(name)}, expected a number for that class"
                findings.add_problem("number", what, place)
            else:
                found[row, column] = number
    return None if np.isnan(found).any() else found


def read_numbers(values: Sequence[object]) -> NDArray[np.float64] | None:
    """All at once, which is quick; None if one of them is no finite number."""
    if not {type(value) for value in values} <= {str, float, int}:
        return None
    try:
        numbers = np.array([float(value) for value in values])  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def read_number(cell: object) -> float | None:
    """A finite number, or None."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def count_unknown(answers: Sequence[str], labels: Collection[str]) -> Counter[str]:
    """Answers that are no label of gold, and how often each is given."""
    return Counter(answer for answer in answers if answer not in labels)
