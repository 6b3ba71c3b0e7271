"""Facts of texts: what the recommended recipe gets wrong, and what recipes disagree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from finegrid.data.table import DataTable, Split, fingerprint_tables, unite_splits
from finegrid.errors import InputError
from finegrid.facts.report import (
    DisputedText,
    TextFacts,
    TextsFacts,
    WhyNoTexts,
    WrongText,
)
from finegrid.results.results import Results
from finegrid.spelling import json_number
from finegrid.study.predictions import read_logits
from finegrid.study.record import Record
from finegrid.study.study import Study
from finegrid.verdict.verdict import Verdict

SHOWN_TEXTS = 30  # of each kind
SHOWN_CHARACTERS = 400
CHUNK = 1_000_000  # probabilities at a time: 8 MB each of a few arrays


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
    same = fingerprint_tables(tables) == results.audit.fingerprints.get("data")
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
    results, index = verdict.results, verdict.recommended
    found = results.predictions("test")
    assert index is not None and found is not None
    records = results.recipes[index].records.values()
    done = [record for record in records if record.done]
    if not done:  # they diverged
        return []
    answered = found.predicted[index]
    known = (answered >= 0).sum(axis=0)  # [texts]: seeds that have the text
    said, sure = find_surest(results, done, table.test, known)
    gold = table.test.labels
    wrongly = (said != gold) & (known > 0)
    order = np.argsort(-sure, kind="stable")
    chosen = order[wrongly[order]][:SHOWN_TEXTS].tolist()
    return [
        {
            **text_json(table.test, text, table),
            "said": table.labels[said[text]],
            "probability": json_number(sure[text]),
            "seeds_wrong": int(((answered[:, text] != gold[text]) & (answered[:, text] >= 0)).sum()),
            "seeds": int(known[text]),
        }
        for text in chosen
    ]


def find_surest(
    results: Results, records: Sequence[Record], texts: Split, known: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``[texts]`` each: the class that is most probable in the mean over runs, and its probability.

    Logits are read run by run, and their probabilities added up: texts x classes values at a time, once.

    Args:
        results: of the study.
        records: of the runs.
        texts: all that any of them was scored on.
        known: ``[texts]``, how many of them have the text: where splits are drawn each has some.
    """
    total = np.zeros((len(texts), len(results.labels or ())))
    for record in records:
        run = read_logits(results.folder, record, "test")
        place = np.arange(len(texts))
        if len(run.ids) != len(texts):
            place = np.searchsorted(texts.ids, run.ids)
        step = max(CHUNK // total.shape[1], 1)
        for start in range(0, len(place), step):
            part = slice(start, start + step)
            total[place[part]] += softmax(run.logits[part].astype(np.float64), axis=1)
    return total.argmax(axis=1), total.max(axis=1) / np.maximum(known, 1)


def disputed(results: Results, table: DataTable) -> list[DisputedText]:
    """By rising share of the runs that give the commonest answer; only texts with more than one."""
    found = results.predictions("test")
    assert found is not None
    said = found.predicted[(found.predicted >= 0).any(axis=2)]  # [runs, texts]
    runs = np.maximum((said >= 0).sum(axis=0), 1)  # of every text
    share = count_commonest(said) / runs
    order = np.argsort(share, kind="stable")
    chosen = [int(text) for text in order[:SHOWN_TEXTS] if share[text] < 1]
    return [
        {
            **text_json(table.test, text, table),
            "answers": dict(answers(said[:, text], table.labels).most_common()),
            "runs": int(runs[text]),
        }
        for text in chosen
    ]


def count_commonest(said: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """``[texts]``: how many runs give the commonest answer.

    Args:
        said: ``[runs, texts]``, class numbers; -1 of a text that a run does not have.
    """
    ordered = np.sort(said, axis=0)
    most = np.zeros(said.shape[1], dtype=np.int64)
    count = np.zeros_like(most)
    for run, answer in enumerate(ordered):
        again = run > 0 and answer == ordered[run - 1]
        count = np.where(answer < 0, 0, np.where(again, count + 1, 1))
        most = np.maximum(most, count)
    return most


def answers(said: NDArray[np.signedinteger], labels: tuple[str, ...]) -> Counter[str]:
    """``said``: ``[runs]``, class numbers of one text; -1 where a run does not have it. By class number."""
    numbers, counts = np.unique(said[said >= 0], return_counts=True)
    return Counter({labels[number]: int(count) for number, count in zip(numbers, counts, strict=True)})


def text_json(split: Split, text: int, table: DataTable) -> TextFacts:
    return {
        "row": int(split.ids[text]),
        "text": [cut(piece) for piece in split.texts[text]],
        "gold": table.labels[split.labels[text]],
    }


def cut(piece: str, most: int = SHOWN_CHARACTERS) -> str:
    return piece if len(piece) <= most else piece[: most - 1] + "…"
