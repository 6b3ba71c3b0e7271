"""From files to a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finegrid.comparing.answers import AnswerColumns
from finegrid.comparing.compare import SystemsCompared, compare_systems
from finegrid.comparing.page import check_ending
from finegrid.comparing.paired import PairedAnswers, read_paired
from finegrid.comparing.systems import parse_systems
from finegrid.comparing.to_json import compare_json
from finegrid.data.cells_of_file import ColumnName
from finegrid.facts.comparison import CompareFacts


def compare_files(
    systems: Sequence[str],
    gold: Path | None,
    columns: tuple[ColumnName | None, ...],
    score: str,
    margin: float | None,
    paired_seeds: bool,
    out: Path | None,
) -> tuple[SystemsCompared, CompareFacts]:
    """Read the files of every system, and judge them.

    Args:
        systems: as the command line names them.
        gold: file of ids and gold labels, or None: a column of the predictions.
        columns: of ids, predicted and gold labels; None: by their names.
        score: as in `compare_systems`.
        margin: as in `compare_systems`.
        paired_seeds: as in `compare_systems`.
        out: where the report will go; its ending is checked before anything is read.

    Raises:
        InputError: with all problems of all files.
    """
    check_ending(out)
    answers = read_paired(parse_systems(systems, paired_seeds), gold, AnswerColumns(*columns))
    return compare_answers(answers, score, margin, paired_seeds)


def compare_answers(
    answers: PairedAnswers, score: str, margin: float | None, paired_seeds: bool
) -> tuple[SystemsCompared, CompareFacts]:
    """Judge what was read, and say so for programs.

    Raises:
        InputError: as `compare_systems`.
    """
    compared = compare_systems(answers, score, margin, paired_seeds)
    return compared, compare_json(compared)
