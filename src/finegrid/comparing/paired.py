"""All files of a comparison, paired by id with the gold labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finegrid.comparing.answers import (
    AnswerColumns,
    Answers,
    count_unknown,
    find_gold,
    find_text,
    list_columns,
    read_columns,
    take_answers,
    take_ids,
    take_labels,
)
from finegrid.comparing.systems import SystemFiles
from finegrid.data.cells_of_file import Cells
from finegrid.data.findings import FileFindings, quote_all
from finegrid.errors import InputError
from finegrid.results.results import no_answers
from finegrid.spelling import count_noun

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
RemarkKind = Literal["unknown-labels", "no-probabilities", "disagreeing", "same-answers", "one-file"]


@dataclass(frozen=True)
class Remark:
    """Something of the files that a reader must know; its words are `comparing/words.py`'s."""

    kind: RemarkKind
    values: Mapping[str, str | int]


@dataclass(frozen=True)
class Gold:
    """The texts that all systems are judged on, in the order of their file."""

    file: str
    ids: tuple[str, ...]
    labels: tuple[str, ...]  # one per text
    texts: tuple[str, ...] | None

    @property
    def classes(self) -> tuple[str, ...]:
        return sort_labels(set(self.labels))


@dataclass(frozen=True)
class PairedAnswers:
    """What every run of every system answers on every text.

    Attributes:
        systems: With their files.
        gold: Where the labels come from.
        labels: Of the classes: gold's, then those that are only predicted.
        truth: ``[texts]``, class numbers.
        predicted: ``[systems, runs, texts]``, class numbers; -1 where a system has fewer files.
        probabilities: By system ``[runs, texts, classes]``; None where one of its files has none.
        remarks: About the files.
    """

    systems: tuple[SystemFiles, ...]
    gold: Gold
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.signedinteger]
    probabilities: tuple[NDArray[np.float64] | None, ...]
    remarks: tuple[Remark, ...]


def sort_labels(labels: set[str]) -> tuple[str, ...]:
    """In numerical order if all are whole numbers."""
    if all(WHOLE.fullmatch(label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def read_paired(
    systems: Sequence[SystemFiles],
    gold_file: Path | None,
    columns: AnswerColumns,
    given: Mapping[Path, Cells] | None = None,
) -> PairedAnswers:
    """Read and check all files.

    Args:
        systems: with their files.
        gold_file: None if the files of predictions have the gold labels, too.
        columns: where ids and labels stand.
        given: cells of what is no file, by the path that stands for it.

    Raises:
        InputError: with all problems of all files.
    """
    paths = [path for system in systems for path in system.files]
    findings = {path: FileFindings(str(path)) for path in paths}
    given = given or {}
    cells = {path: read_columns(path, findings[path], given.get(path)) for path in paths}
    ids = {path: take_ids(cells[path], columns, findings[path]) for path in paths if not findings[path]}
    gold_findings = FileFindings("gold" if gold_file is None else str(gold_file))
    if gold_file is not None:
        gold = read_gold(gold_file, columns, given, gold_findings)
    else:
        gold = collect_gold(cells, ids, columns, findings, gold_findings)
    answers: dict[Path, Answers] = {}
    if gold is not None and not gold_findings:
        for path in ids:
            if not findings[path]:
                check_ids(ids[path], gold, findings[path])
                own = None if gold_file is not None else find_gold(cells[path], columns, alone=False)
                answers[path] = take_answers(cells[path], gold.classes, columns, own, findings[path])
                check_labels(answers[path], gold, findings[path])
    problems = [*gold_findings.problems()]
    for each in findings.values():
        problems += each.problems()
    if problems or gold is None:
        raise InputError("compare", problems)
    return pair(systems, gold, ids, answers)


def read_gold(
    path: Path, columns: AnswerColumns, given: Mapping[Path, Cells], findings: FileFindings
) -> Gold | None:
    """Ids and labels of a file of gold labels; None and problems if it has none."""
    cells = read_columns(path, findings, given.get(path))
    if findings:
        return None
    ids = take_ids(cells, columns, findings)
    name = find_gold(cells, columns, alone=True)
    if name is None:
        what = f"no column of gold labels. Found: {list_columns(cells)}. Pass --gold-column COLUMN"
        findings.add_problem("--gold-column", what)
        return None
    labels = take_labels(cells, name, findings)
    check_gold(labels, findings)
    text = find_text(cells)
    texts = None if text is None else tuple(str(cell) for cell in cells.columns[text])
    return None if findings else Gold(str(path), tuple(ids), tuple(labels), texts)


def collect_gold(
    cells: Mapping[Path, Cells],
    ids: Mapping[Path, list[str]],
    columns: AnswerColumns,
    findings: Mapping[Path, FileFindings],
    missing: FileFindings,
) -> Gold | None:
    """Gold labels of the files of predictions: of the first that has them. Files must not contradict it."""
    found: Gold | None = None
    known: dict[str, str] = {}
    for path, own in ids.items():
        name = find_gold(cells[path], columns, alone=False)
        if name is None or findings[path]:
            continue
        labels = take_labels(cells[path], name, findings[path])
        if found is None:
            text = find_text(cells[path])
            texts = None if text is None else tuple(str(cell) for cell in cells[path].columns[text])
            found = Gold(str(path), tuple(own), tuple(labels), texts)
            known = dict(zip(own, labels, strict=True))
            check_gold(labels, findings[path])
            continue
        for place, each, label in zip(cells[path].places, own, labels, strict=True):
            if label != known.get(each, label):
                what = f"the gold label of {each!r} is {label!r}, but {known[each]!r} in {found.file}"
                findings[path].add_problem("gold", f"{what}. Expected the same in all files", place)
    if found is None and ids:
        what = "no gold labels: pass --gold FILE, or --gold-column COLUMN if the files have them"
        missing.add_problem("--gold", what)
    return found


def check_gold(labels: Sequence[str], findings: FileFindings) -> None:
    if len(set(labels)) == 1 and not findings:
        what = f"one class only, {labels[0]!r}. Expected two or more: is this the right column?"
        findings.add_problem("classes", what)


def check_ids(ids: Sequence[str], gold: Gold, findings: FileFindings) -> None:
    """Every text once: none more than gold has, and none less."""
    here, there = set(ids), set(gold.ids)
    lacking = [each for each in gold.ids if each not in here]
    beyond = [each for each in ids if each not in there]
    if lacking:
        what = f"without {count_noun(len(lacking), 'id')} of {gold.file}: {quote_all(lacking, 5)}"
        findings.add_problem("ids", f"{what}. All systems are judged on the same texts: predict these, too")
    if beyond:
        what = f"with {count_noun(len(beyond), 'id')} that {gold.file} lacks: {quote_all(beyond, 5)}"
        findings.add_problem("ids", f"{what}. Take these rows out, or add their gold labels")


def check_labels(answers: Answers, gold: Gold, findings: FileFindings) -> None:
    """A file whose every answer is unknown is not wrong everywhere: it spells its labels otherwise."""
    unknown = count_unknown(answers.predicted, gold.classes)
    if answers.predicted and unknown.total() == len(answers.predicted) and not findings:
        what = f"none of its answers ({quote_all(sorted(unknown), 4)}) is a label of {gold.file} "
        what += f"({quote_all(list(gold.classes), 4)}). Spell labels alike, or name the column: --predicted"
        findings.add_problem("labels", what)


def pair(
    systems: Sequence[SystemFiles],
    gold: Gold,
    ids: Mapping[Path, list[str]],
    answers: Mapping[Path, Answers],
) -> PairedAnswers:
    """All answers in the order of the gold labels."""
    classes = gold.classes
    answered = {label for each in answers.values() for label in (*each.predicted, *each.classes)}
    labels = (*classes, *sort_labels(answered - {*classes}))
    number = {label: index for index, label in enumerate(labels)}
    texts, runs = len(gold.ids), max(len(system.files) for system in systems)
    predicted = no_answers((len(systems), runs, texts), len(labels))
    probabilities: list[NDArray[np.float64] | None] = []
    for index, system in enumerate(systems):
        values = []
        for run, path in enumerate(system.files):
            place = {each: row for row, each in enumerate(ids[path])}
            order = np.array([place[each] for each in gold.ids])
            one = answers[path]
            predicted[index, run] = np.array([number[label] for label in one.predicted])[order]
            if one.values is not None:
                spread = np.zeros((texts, len(labels)))
                spread[:, [number[label] for label in one.classes]] = one.values[order]
                values.append(spread)
        probabilities.append(np.stack(values) if len(values) == len(system.files) else None)
    truth = np.array([number[label] for label in gold.labels], dtype=np.int64)
    remarks = (*remark_on_files(answers, classes), *remark_on_runs(systems, predicted))
    return PairedAnswers(tuple(systems), gold, labels, truth, predicted, tuple(probabilities), remarks)


def remark_on_files(answers: Mapping[Path, Answers], classes: Sequence[str]) -> list[Remark]:
    found = []
    for path, one in answers.items():
        if unknown := count_unknown(one.predicted, classes):
            told = quote_all([label for label, _ in unknown.most_common()], 5)
            values: dict[str, str | int] = {"file": str(path), "count": unknown.total(), "labels": told}
            found.append(Remark("unknown-labels", values))
        if one.are_scores:
            found.append(Remark("no-probabilities", {"file": str(path)}))
        if one.disagreeing:
            found.append(Remark("disagreeing", {"file": str(path), "count": one.disagreeing}))
    return found


def remark_on_runs(systems: Sequence[SystemFiles], predicted: NDArray[np.signedinteger]) -> list[Remark]:
    """Runs that answer the same everywhere, and systems whose own runs say nothing of chance."""
    found = []
    seen: dict[bytes, Path] = {}
    for system, runs in zip(systems, predicted, strict=True):
        for path, run in zip(system.files, runs, strict=False):
            other = seen.setdefault(run.tobytes(), path)
            if other != path:
                found.append(Remark("same-answers", {"one": str(other), "other": str(path)}))
    counts = [len(system.files) for system in systems]
    alone = [system.name for system in systems if len(system.files) == 1]
    if max(counts) > 1 and alone:
        found.append(Remark("one-file", {"systems": ", ".join(alone)}))
    return found
