"""A comparison as the facts of a report: the same page, tables and figures as a study's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finegrid import __version__
from finegrid.comparing.compare import SystemsCompared
from finegrid.comparing.paired import PairedAnswers
from finegrid.data.table import DataTable, Split
from finegrid.errors import input_error
from finegrid.facts.comparison import CompareFacts, RemarkFacts
from finegrid.facts.report import Caution, Facts, ReportRecipe, RunCounts, WrongText
from finegrid.report.facts.classes import class_facts
from finegrid.report.facts.details import details_facts
from finegrid.report.facts.facts import state_facts
from finegrid.report.facts.origin import protocol_facts
from finegrid.report.facts.recipes import recipe_facts
from finegrid.report.facts.texts import SHOWN_TEXTS, disputed, text_json
from finegrid.spelling import json_number
from finegrid.verdict.to_json import as_json

ENDINGS = (".html", ".md")


def check_ending(out: Path | None) -> None:
    """Refuse a report of another kind, before anything is read."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        what = f'found "{out}", expected an ending of {" or ".join(ENDINGS)}: a page, or tables in Markdown.'
        raise input_error("command line", "--out", what)


def comparison_facts(compared: SystemsCompared, told: CompareFacts, name: str, command: str) -> Facts:
    """What `report_facts` says of a study, of a comparison.

    Args:
        told: of `comparing.to_json.compare_json`.
        name: of the report.
        command: that compares the same again.
    """
    verdict = compared.verdict
    table = make_table(compared.answers)
    return {
        "schema": 1,
        "finegrid": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": name,
        "kind": "comparison",
        "title": ", ".join(compared.names),
        "note": None,
        "source": told["gold"],
        "state": {**state_facts(verdict, None), "runs": count_files(compared)},
        "verdict": as_json(verdict),
        "warnings": [caution_facts(remark) for remark in told["remarks"]],
        "confirmed": [],
        "recipes": [with_its_files(one) for one in recipe_facts(verdict)],
        "curves": [],
        "classes": class_facts(verdict),
        "texts": {"wrong": find_wrong(compared, table), "disputed": disputed(verdict.results, table)},
        "why_no_texts": None,
        "details": details_facts(verdict, table),
        "data": None,
        "cards": [],
        "protocol": protocol_facts(verdict.results, None),
        "commands": {"report": command},
        "comparison": told,
    }


def count_files(compared: SystemsCompared) -> RunCounts:
    files = sum(len(system.files) for system in compared.answers.systems)
    return {"planned": files, "done": files, "left": 0, "diverged": 0, "failed": 0}


def with_its_files(recipe: ReportRecipe) -> ReportRecipe:
    """Runs are files: a system that has fewer than another lacks none."""
    runs = [run for run in recipe["runs"] if run["status"] == "done"]
    return {**recipe, "runs": runs}


def caution_facts(remark: RemarkFacts) -> Caution:
    return {"kind": remark["kind"], "en": {**remark["en"]}, "zh": {**remark["zh"]}}


def make_table(answers: PairedAnswers) -> DataTable:
    """The texts with their gold labels; where gold has no texts, their ids."""
    shown = answers.gold.ids if answers.gold.texts is None else answers.gold.texts
    test = Split([(text,) for text in shown], answers.truth, np.arange(1, len(answers.truth) + 1))
    none = Split([], np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    return DataTable(answers.labels, none, none, test)


def find_wrong(compared: SystemsCompared, table: DataTable) -> list[WrongText]:
    """Texts that the recommended system gets wrong: most surely where probabilities are known, else in most
    runs."""
    answers, index = compared.answers, compared.verdict.recommended
    if index is None:
        return []
    runs = answers.predicted[index, : len(answers.systems[index].files)]  # [runs, texts]
    shares = share_answers(runs, len(answers.labels))  # [texts, classes]
    probabilities = answers.probabilities[index]
    mean = shares if probabilities is None else probabilities.mean(axis=0)
    said = np.where(shares.max(axis=1) == 1, runs[0], mean.argmax(axis=1))
    sure = mean[np.arange(len(said)), said]
    order = np.argsort(-sure, kind="stable")
    chosen = [int(text) for text in order if said[text] != answers.truth[text]][:SHOWN_TEXTS]
    return [
        {
            **text_json(table.test, text, table),
            "said": answers.labels[said[text]],
            "probability": None if probabilities is None else json_number(float(sure[text])),
            "seeds_wrong": int((runs[:, text] != answers.truth[text]).sum()),
            "seeds": len(runs),
        }
        for text in chosen
    ]


def share_answers(runs: NDArray[np.signedinteger], classes: int) -> NDArray[np.float64]:
    """``[texts, classes]``: how many of the runs give which answer."""
    counts = np.zeros((runs.shape[1], classes))
    for run in runs:
        counts[np.arange(len(run)), run] += 1
    return counts / len(runs)
