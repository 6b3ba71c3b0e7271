"""Facts of classes and texts: where the recommended recipe is right, and what it gets wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from finegrid import metrics
from finegrid.data.table import DataTable, Split, fingerprint_tables, unite_splits
from finegrid.errors import InputError
from finegrid.facts.report import (
    ClassesFacts,
    ClassFacts,
    DisputedText,
    TextFacts,
    TextsFacts,
    WhyNoTexts,
    WrongText,
)
from finegrid.results.results import Results
from finegrid.spelling import json_number
from finegrid.statistics.effects import score_recipe
from finegrid.study.predictions import RunPredictions, read_run
from finegrid.study.study import Study
from finegrid.verdict.outcomes import rescore
from finegrid.verdict.to_json import pair
from finegrid.verdict.verdict import Verdict

SHOWN_TEXTS = 30  # of each kind
SHOWN_CHARACTERS = 400
MOST_CLASSES = 50  # a page that names more helps nobody


def class_facts(verdict: Verdict) -> ClassesFacts | None:
    """Of the recommended recipe: F1 of every class with a 95 % interval, and its mean confusion table.

    None where there are no predictions of it. Of more than `MOST_CLASSES` classes, the largest in test.
    """
    results, index = verdict.results, verdict.recommended
    predictions = results.predictions("test")
    labels = results.labels
    if predictions is None or labels is None or index is None:
        return None
    gold, predicted, classes = predictions.gold, predictions.predicted[index], predictions.classes
    runs = predicted[(predicted >= 0).any(axis=1)].astype(np.int64)  # [finished seeds, texts]
    if not len(runs):  # they diverged
        return None
    total = np.sum([metrics.confusion(gold[run >= 0], run[run >= 0], classes) for run in runs], axis=0)
    support = total.sum(axis=1) // len(runs)
    kept = np.sort(np.argsort(-support, kind="stable")[:MOST_CLASSES])
    return {
        "rows": list(results.recipes[index].rows),
        "seeds": len(runs),
        "all": classes,
        "labels": [labels[number] for number in kept],
        "confusion": (total[np.ix_(kept, kept)] / len(runs)).round(4).tolist(),
        "classes": [score_class(verdict, index, total, int(number), len(runs)) for number in kept],
    }


def score_class(verdict: Verdict, index: int, total: NDArray[np.int64], number: int, runs: int) -> ClassFacts:
    """Of one recipe and one class.

    Args:
        verdict: of the study.
        index: of the recipe.
        total: ``[classes, classes]``, confusion over all runs of the recipe.
        number: of the class.
        runs: how many they are.
    """
    results = verdict.results
    assert results.labels is not None
    label = results.labels[number]
    f1, interval = score_recipe(rescore(verdict.test, results, f"f1:{label}", index), index)
    hits, predicted, gold = total[number, number], total[:, number].sum(), total[number].sum()
    return {
        "label": label,
        "texts": int(gold // runs),
        "f1": json_number(f1),
        "f1_interval": pair(interval),
        "precision": json_number(100 * hits / predicted) if predicted else None,
        "recall": json_number(100 * hits / gold) if gold else None,
    }


def readable_table(results: Results, study: Study | None) -> tuple[DataTable | None, WhyNoTexts | None]:
    """The texts that the runs were scored on, or None and why they cannot be shown."""
    if study is None or results.audit is None:
        return None, "imported"
    found = results.predictions("test")
    if found is None:
        return None, "no-runs"
    try:
        tables = study.read_tables(keep_split=False)
    except InputError:
        return None, "data-gone"
    same = fingerprint_tables(tables) == results.audit.fingerprints["data"]
    table = tables[0]
    if results.is_nested("test"):  # the texts of the splits that have runs
        splits = {study.head.design.split_of(results.seeds[seed]) for (_, seed), _ in results.finished()}
        table = replace(table, test=unite_splits([tables[split].test for split in sorted(splits)]))
    if not same or not np.array_equal(table.test.labels, found.gold):
        return None, "data-changed"
    return table, None


def text_facts(verdict: Verdict, table: DataTable | None) -> TextsFacts | None:
    """Test texts that the recommended recipe gets wrong most surely, and those that recipes disagree on."""
    if table is None or verdict.recommended is None:
        return None
    return {"wrong": wrong(verdict, table), "disputed": disputed(verdict.results, table)}


def wrong(verdict: Verdict, table: DataTable) -> list[WrongText]:
    """By falling probability of the wrong answer, the mean over the recommended recipe's seeds."""
    results = verdict.results
    assert verdict.recommended is not None
    records = results.recipes[verdict.recommended].records.values()
    ids = [record.run_id for record in records if record.done]
    if not ids:  # they diverged
        return []
    each = [place_probabilities(read_run(results.folder, run_id)["test"], table.test) for run_id in ids]
    known = np.isfinite([one[:, 0] for one in each])  # [runs, texts]: whose text it is
    mean = np.nansum(each, axis=0) / np.maximum(known.sum(axis=0), 1)[:, None]
    said, sure, gold = mean.argmax(axis=1), mean.max(axis=1), table.test.labels
    sure = np.where(known.any(axis=0), sure, -np.inf)
    order = np.argsort(-sure, kind="stable")
    wrongly = (said != gold) & known.any(axis=0)
    chosen = [int(text) for text in order if wrongly[text]][:SHOWN_TEXTS]
    return [
        {
            **text_json(table.test, text, table),
            "said": table.labels[said[text]],
            "probability": json_number(sure[text]),
            "seeds_wrong": sum(
                int(one[text].argmax() != gold[text])
                for one, knows in zip(each, known[:, text], strict=True)
                if knows
            ),
            "seeds": int(known[:, text].sum()),
        }
        for text in chosen
    ]


def place_probabilities(run: RunPredictions, texts: Split) -> NDArray[np.float64]:
    """``[texts, classes]``; nan of texts that the run did not see, where each split has its own."""
    found = softmax(run.logits.astype(np.float64), axis=1)
    if len(run.ids) == len(texts):
        return np.asarray(found)
    placed = np.full((len(texts), found.shape[1]), np.nan)
    placed[np.searchsorted(texts.ids, run.ids)] = found
    return placed


def disputed(results: Results, table: DataTable) -> list[DisputedText]:
    """By rising share of the runs that give the commonest answer; only texts with more than one."""
    found = results.predictions("test")
    assert found is not None
    said = found.predicted[(found.predicted >= 0).any(axis=2)]  # [runs, texts]
    counts = np.stack([(said == number).sum(axis=0) for number in range(found.classes)])
    runs = np.maximum(counts.sum(axis=0), 1)  # of every text
    share = counts.max(axis=0) / runs
    order = np.argsort(share, kind="stable")
    chosen = [int(text) for text in order[:SHOWN_TEXTS] if share[text] < 1]
    return [
        {
            **text_json(table.test, text, table),
            "answers": dict(answers(counts[:, text], table.labels).most_common()),
            "runs": int(runs[text]),
        }
        for text in chosen
    ]


def answers(counts: NDArray[np.int64], labels: tuple[str, ...]) -> Counter[str]:
    return Counter({label: int(count) for label, count in zip(labels, counts, strict=True) if count})


def text_json(split: Split, text: int, table: DataTable) -> TextFacts:
    return {
        "row": int(split.ids[text]),
        "text": [cut(piece) for piece in split.texts[text]],
        "gold": table.labels[split.labels[text]],
    }


def cut(piece: str) -> str:
    return piece if len(piece) <= SHOWN_CHARACTERS else piece[: SHOWN_CHARACTERS - 1] + "…"
