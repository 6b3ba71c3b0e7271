"""Facts of classes and texts: where the recommended recipe is right, and what it gets wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from finegrid import metrics
from finegrid.data.table import DataTable, Split
from finegrid.errors import InputError
from finegrid.results.results import Results
from finegrid.spelling import json_number
from finegrid.statistics.effects import recipe_scores
from finegrid.study.predictions import read_run
from finegrid.study.study import Study
from finegrid.verdict.outcomes import outcomes_of
from finegrid.verdict.to_json import pair
from finegrid.verdict.verdict import Verdict

SHOWN_TEXTS = 30  # of each kind
SHOWN_CHARACTERS = 400
MOST_CLASSES = 50  # a page that names more helps nobody
WhyNot = Literal["imported", "no-runs", "data-gone", "data-changed"]


def class_facts(verdict: Verdict) -> dict[str, Any] | None:
    """Of the recommended recipe: F1 of every class with a 95 % interval, and its mean confusion table.

    None where there are no predictions. Of more than `MOST_CLASSES` classes, the largest in test.
    """
    results, index = verdict.results, verdict.recommended
    found = results.predictions("test")
    if found is None or results.audit is None or index is None:
        return None
    runs = [s for s in range(len(results.seeds)) if (found.predicted[index, s] >= 0).all()]
    tables = [
        metrics.confusion(found.gold, found.predicted[index, s].astype(np.int64), found.classes) for s in runs
    ]
    total = np.sum(tables, axis=0)
    support = total.sum(axis=1) // len(runs)
    kept = np.sort(np.argsort(-support, kind="stable")[:MOST_CLASSES])
    return {
        "rows": list(results.recipes[index].rows),
        "seeds": len(runs),
        "all": found.classes,
        "labels": [results.audit.labels[number_] for number_ in kept],
        "confusion": (total[np.ix_(kept, kept)] / len(runs)).round(4).tolist(),
        "classes": [
            {
                "label": results.audit.labels[number_],
                "texts": int(support[number_]),
                **scores_of_class(results, index, total, int(number_)),
            }
            for number_ in kept
        ],
    }


def scores_of_class(
    results: Results, index: int, total: NDArray[np.int64], number_: int
) -> dict[str, float | list[float | None] | None]:
    """``total``: ``[classes, classes]``, confusion over all seeds of the recipe."""
    assert results.audit is not None
    score = f"f1:{results.audit.labels[number_]}"
    f1, interval = recipe_scores(outcomes_of(results, "test", score))[index]
    hits, said, gold = total[number_, number_], total[:, number_].sum(), total[number_].sum()
    return {
        "f1": json_number(f1),
        "f1_interval": pair(interval),
        "precision": json_number(100 * hits / said) if said else None,
        "recall": json_number(100 * hits / gold) if gold else None,
    }


def readable_table(results: Results, study: Study | None) -> tuple[DataTable | None, WhyNot | None]:
    """The texts that the runs were scored on, or None and why they cannot be shown."""
    if study is None or results.audit is None:
        return None, "imported"
    found = results.predictions("test")
    if found is None:
        return None, "no-runs"
    try:
        table = study.read_table()
    except InputError:
        return None, "data-gone"
    same = table.fingerprint() == results.audit.fingerprints["data"]
    if not same or not np.array_equal(table.test.labels, found.gold):
        return None, "data-changed"
    return table, None


def text_facts(verdict: Verdict, table: DataTable | None) -> dict[str, Any] | None:
    """Test texts that the recommended recipe gets wrong most surely, and those that recipes disagree on."""
    if table is None or verdict.recommended is None:
        return None
    return {"wrong": wrong(verdict, table), "disputed": disputed(verdict.results, table)}


def wrong(verdict: Verdict, table: DataTable) -> list[dict[str, Any]]:
    """By falling probability of the wrong answer, the mean over the recommended recipe's seeds."""
    results = verdict.results
    assert verdict.recommended is not None
    records = results.recipes[verdict.recommended].records.values()
    ids = [record["run_id"] for record in records if record["status"] == "done"]
    each = [
        softmax(read_run(results.folder, run_id)["test"].logits.astype(np.float64), axis=1) for run_id in ids
    ]
    mean = np.mean(each, axis=0)
    said, sure, gold = mean.argmax(axis=1), mean.max(axis=1), table.test.labels
    order = np.argsort(-sure, kind="stable")
    chosen = [int(text) for text in order if said[text] != gold[text]][:SHOWN_TEXTS]
    return [
        {
            **text_json(table.test, text, table),
            "said": table.labels[said[text]],
            "probability": json_number(sure[text]),
            "seeds_wrong": sum(int(one[text].argmax() != gold[text]) for one in each),
            "seeds": len(each),
        }
        for text in chosen
    ]


def disputed(results: Results, table: DataTable) -> list[dict[str, Any]]:
    """By rising share of the runs that give the commonest answer; only texts with more than one."""
    found = results.predictions("test")
    assert found is not None
    said = found.predicted[found.predicted[:, :, 0] >= 0]  # [runs, texts]
    counts = np.stack([(said == number_).sum(axis=0) for number_ in range(found.classes)])
    order = np.argsort(counts.max(axis=0), kind="stable")
    chosen = [int(text) for text in order[:SHOWN_TEXTS] if counts[:, text].max() < len(said)]
    return [
        {
            **text_json(table.test, text, table),
            "answers": dict(answers(counts[:, text], table.labels).most_common()),
            "runs": len(said),
        }
        for text in chosen
    ]


def answers(counts: NDArray[np.int64], labels: tuple[str, ...]) -> Counter[str]:
    return Counter({label: int(count) for label, count in zip(labels, counts, strict=True) if count})


def text_json(split: Split, text: int, table: DataTable) -> dict[str, Any]:
    return {
        "row": int(split.ids[text]),
        "text": [cut(piece) for piece in split.texts[text]],
        "gold": table.labels[split.labels[text]],
    }


def cut(piece: str) -> str:
    return piece if len(piece) <= SHOWN_CHARACTERS else piece[: SHOWN_CHARACTERS - 1] + "…"
