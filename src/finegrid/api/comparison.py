"""Systems compared by their predictions, from files and frames."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from finegrid.api.frames import ArrowStream, Data, path_of, read_frame
from finegrid.api.showing import html_line, wrap
from finegrid.api.summary import effect_lines, effects_html
from finegrid.api.table import Table
from finegrid.api.wording import COMMAND_LINE, in_python
from finegrid.comparing.answers import AnswerColumns
from finegrid.comparing.compare import SystemsCompared
from finegrid.comparing.files import compare_answers
from finegrid.comparing.page import check_ending, comparison_facts
from finegrid.comparing.paired import read_paired
from finegrid.comparing.systems import check_systems
from finegrid.data.cells_of_file import Cells
from finegrid.errors import input_error
from finegrid.export.frame import Frame, FrameColumn, make_category
from finegrid.facts.comparison import CompareFacts, DifferenceFacts, LossFacts, SystemFacts
from finegrid.facts.decision_words import decision_of, decision_words, needs_words
from finegrid.report.write import write_facts
from finegrid.spelling import expand_user, parse_lang
from finegrid.statistics.decide import KINDS

# Predictions of one run, or a list of those of several runs.
Predictions: TypeAlias = "Data | Sequence[Data]"


@in_python
def compare(
    systems: Mapping[str, Predictions],
    gold: Data | None = None,
    *,
    score: str = "macro-f1",
    margin: float | None = None,
    paired_seeds: bool = False,
    id: str | int | None = None,
    predicted: str | int | None = None,
    gold_column: str | int | None = None,
) -> Comparison:
    """Judge systems by their predictions, as `finegrid compare` does; the first is the baseline.

    Args:
        systems: by name, the predictions of a run, or a list of those of several runs. Each is a path (CSV,
            TSV, JSONL, Parquet), a frame of pandas or polars, a table of pyarrow, a mapping of columns, or a
            list of rows as dictionaries. It has a column of ids, and one of labels or a number per class.
        gold: ids and gold labels, in the same forms; None: a column of the predictions.
        score: "macro-f1", "accuracy", "mcc" or "f1:<label>".
        margin: points; smaller differences are none. None: a tenth of the baseline's error, 0.2 to 0.5.
        paired_seeds: the n-th runs of all systems share a seed.
        id: the column of ids; None: by its usual names.
        predicted: the column of predicted labels; None: by its usual names.
        gold_column: the column of gold labels; None: by its usual names.

    Raises:
        InputError: with all problems of all of them.
    """
    if not isinstance(systems, Mapping) or len(systems) < 2:
        what = "expected two systems or more, by name: {'old': ..., 'new': ...}. The first is the baseline."
        raise input_error(COMMAND_LINE, "systems", what)
    given: dict[Path, Cells] = {}
    paths = {
        str(name): [take_run(run, label, given) for run, label in list_runs(str(name), runs)]
        for name, runs in systems.items()
    }
    checked = check_systems(paths, paired_seeds)
    gold_path = None if gold is None else take_run(gold, "gold", given)
    answers = read_paired(checked, gold_path, AnswerColumns(id, predicted, gold_column), given)
    return Comparison.of(*compare_answers(answers, score, margin, paired_seeds))


def list_runs(name: str, predictions: Predictions) -> list[tuple[Data, str]]:
    """The runs of a system, each with what it is called where it is no file."""
    if is_one(predictions):
        return [(cast(Data, predictions), f"{name} (frame)")]
    runs = cast(Sequence[Data], predictions)
    return [(run, f"{name} (frame {number})") for number, run in enumerate(runs, start=1)]


def is_one(predictions: Predictions) -> bool:
    """Whether this is one run: a list of dictionaries whose values are no columns has a row in each."""
    if isinstance(predictions, str | os.PathLike | Mapping | ArrowStream) or not predictions:
        return True
    return all(isinstance(row, Mapping) and not any(map(is_column, row.values())) for row in predictions)


def is_column(value: object) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)


def take_run(data: Data, name: str, given: dict[Path, Cells]) -> Path:
    """The file; of a frame a name that stands for it, under which ``given`` gets its cells."""
    path = path_of(data)
    if path is not None:
        return path
    table = read_frame(data, name)
    path = Path(name)
    columns = {column: table.column(column).to_pylist() for column in table.column_names}
    given[path] = Cells(columns, list(range(1, table.num_rows + 1)))
    return path


@dataclass(frozen=True, repr=False)
class Comparison:
    """Which system to use, and how sure that is. Points of 100.

    Attributes:
        score: That the systems are compared by.
        margin: Points; smaller differences are none.
        baseline: The system that the others are compared with.
        texts: That all are judged on.
        systems: A row per system: its score with its interval, and where there are probabilities log loss and
            Brier score.
        differences: A row per other system: its score less the baseline's, both intervals, the decision, and
            what would settle it.
        remarks: What a reader must know of the predictions.
    """

    score: str
    margin: float
    baseline: str
    texts: int
    systems: Table
    differences: Table
    remarks: tuple[str, ...]
    _compared: SystemsCompared = field(compare=False)
    _facts: CompareFacts = field(compare=False)

    @classmethod
    def of(cls, compared: SystemsCompared, facts: CompareFacts) -> Comparison:
        return cls(
            score=facts["score"],
            margin=facts["margin"],
            baseline=facts["baseline"],
            texts=facts["texts"],
            systems=Table((make_systems_table(facts["systems"]),)),
            differences=Table((make_differences_table(facts),)),
            remarks=tuple(f"{one['en']['what']}. {one['en']['advice']}" for one in facts["remarks"]),
            _compared=compared,
            _facts=facts,
        )

    def to_json(self) -> dict[str, Any]:
        """What `finegrid compare --json` prints."""
        return cast(dict[str, Any], deepcopy(self._facts))

    @in_python
    def report(self, path: str | os.PathLike[str], *, lang: str = "en") -> Path:
        """Write a page (``.html``, with its facts beside it) or tables (``.md``). Returns where it lies.

        Raises:
            InputError: another ending or language.
        """
        out, language = expand_user(path), parse_lang(lang)
        check_ending(out)
        command = f"finegrid.compare({{{', '.join(f'{name!r}: ...' for name in self.systems['system'])}}})"
        write_facts(comparison_facts(self._compared, self._facts, out.stem, command), out, language)
        return out

    def _title(self) -> str:
        return f"{self.score}, {self.texts:,} texts, in points; differences against {self.baseline}"

    def __str__(self) -> str:
        lines = [*effect_lines(self.differences), *self.remarks]
        return "\n".join([wrap([self._title()]), repr(self.systems), wrap(lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = f"{self.systems._repr_html_()}{effects_html(self.differences)}"
        return f"<div>{html_line(self._title())}{tables}{''.join(map(html_line, self.remarks))}</div>"


def make_systems_table(systems: Sequence[SystemFacts]) -> Frame:
    """A line per system. Losses stand in it where any system has probabilities."""
    losses = [
        FrameColumn(
            f"{loss}{end}",
            "number",
            [pick(one["log_loss"] if loss == "log_loss" else one["brier"]) for one in systems],
        )
        for loss in ("log_loss", "brier")
        for end, pick in (("", mean_of), ("_low", low_of), ("_high", high_of))
        if any(one["log_loss"] for one in systems)
    ]
    return Frame(
        (
            FrameColumn("system", "text", [one["system"] for one in systems]),
            FrameColumn("runs", "whole", [len(one["runs"]) for one in systems]),
            FrameColumn("score", "number", [one["score"] for one in systems]),
            FrameColumn("low", "number", [one["interval"][0] for one in systems]),
            FrameColumn("high", "number", [one["interval"][1] for one in systems]),
            FrameColumn("in_best_set", "truth", [one["in_best_set"] for one in systems]),
            *losses,
        )
    )


def mean_of(loss: LossFacts | None) -> float | None:
    return None if loss is None else loss["mean"]


def low_of(loss: LossFacts | None) -> float | None:
    return None if loss is None else loss["mean_interval"][0]


def high_of(loss: LossFacts | None) -> float | None:
    return None if loss is None else loss["mean_interval"][1]


def make_differences_table(facts: CompareFacts) -> Frame:
    """A line per system but the baseline."""
    lines = facts["differences"]

    def settle(line: DifferenceFacts) -> str | None:
        if line["decision"]["kind"] != "open" or line["needs"] is None:
            return None
        runs = max(len(one["runs"]) for one in facts["systems"])
        return needs_words(line["needs"], runs, facts["texts"], "en", method=facts["noise"]["method"])

    words = [decision_words(decision_of(line["decision"]), facts["margin"], "en") for line in lines]
    return Frame(
        (
            FrameColumn("system", "text", [line["system"] for line in lines]),
            FrameColumn("effect", "number", [line["effect"] for line in lines]),
            FrameColumn("low", "number", [line["low"] for line in lines]),
            FrameColumn("high", "number", [line["high"] for line in lines]),
            FrameColumn("adjusted_low", "number", [line["adjusted"][0] for line in lines]),
            FrameColumn("adjusted_high", "number", [line["adjusted"][1] for line in lines]),
            FrameColumn("p", "number", [line["p"] for line in lines]),
            make_category("decision", [line["decision"]["kind"] for line in lines], KINDS),
            FrameColumn("verdict", "text", words),
            FrameColumn("would_settle", "text", [settle(line) for line in lines]),
        )
    )
