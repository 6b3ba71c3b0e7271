"""Facts of single recipes and of any two of them: what a reader of the page may look up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from finegrid.data.table import DataTable
from finegrid.facts.report import DetailsFacts, DifferingText, PairsFacts
from finegrid.report.facts.classes import choose_confused, find_pairs, sum_confusions
from finegrid.report.facts.texts import cut
from finegrid.results.results import Predictions
from finegrid.spelling import json_number
from finegrid.statistics.pairs import RecipePair, compare_pairs
from finegrid.verdict.verdict import Verdict

MOST_RECIPES = 64  # that can be looked up: 2,016 pairs; a page of 10,000 texts grows by some 300 KB
MOST_CLASSES = 12  # of a recipe's confusion table
MOST_TEXTS = 200  # on which recipes differ
MOST_LETTERS = 30_000  # of these texts together
LONGEST = 240  # letters of one
DIGITS = 4  # of a difference, after the point


def details_facts(verdict: Verdict, table: DataTable | None) -> DetailsFacts:
    """Of up to `MOST_RECIPES` recipes: the best ones, the baseline and the recommended one.

    Args:
        verdict: of a study, an imported table or a comparison.
        table: with the texts of test; None where they cannot be shown.
    """
    results = verdict.results
    chosen = choose_recipes(verdict)
    found = results.predictions("test")
    facts: DetailsFacts = {
        "rows": [results.recipes[index].rows[0] for index in chosen],
        "labels": [],
        "classes": 0,
        "confusion": [],
        "pairs": pairs_facts(compare_pairs(verdict.test, chosen)),
        "answers": [],
        "texts": [],
        "differing": 0,
    }
    if found is None or results.labels is None:
        return facts
    right = share_right(found, chosen)
    facts["pairs"]["better"] = [int((one > other).sum()) for one, other in combinations(right, 2)]
    facts["pairs"]["worse"] = [int((one < other).sum()) for one, other in combinations(right, 2)]
    totals = [sum_confusions(found.gold, runs_of(found, index), found.classes) for index in chosen]
    shown = choose_classes(np.sum(totals, axis=0))
    facts["labels"] = [results.labels[number] for number in shown]
    facts["classes"] = found.classes
    facts["confusion"] = [total[np.ix_(shown, shown)].tolist() for total in totals]
    differing, order = find_differing(right)
    facts["differing"] = differing
    if table is not None:
        facts["texts"] = list(describe_texts(found, chosen, right, order, table, facts["answers"]))
    return facts


def pairs_facts(pairs: Sequence[RecipePair]) -> PairsFacts:
    return {
        "difference": [json_number(pair.estimate, DIGITS) for pair in pairs],
        "low": [json_number(pair.plain.low, DIGITS) for pair in pairs],
        "high": [json_number(pair.plain.high, DIGITS) for pair in pairs],
        "better": [],
        "worse": [],
    }


def choose_recipes(verdict: Verdict) -> list[int]:
    """In the order of the design. Recipes without a run are left out."""
    means = np.array([mean for mean, _ in verdict.scores])
    sign = 1 if verdict.results.scale.lower_is_better else -1
    order = [int(index) for index in np.argsort(sign * means, kind="stable") if np.isfinite(means[index])]
    first = [index for index in (verdict.results.baseline, verdict.recommended) if index in order]
    return sorted(list(dict.fromkeys([*first, *order]))[:MOST_RECIPES])


def runs_of(found: Predictions, recipe: int) -> NDArray[np.int64]:
    """``[finished runs, texts]``: what a recipe answers; -1 of a text that a run does not have."""
    answered = found.predicted[recipe]
    return np.asarray(answered[(answered >= 0).any(axis=1)], dtype=np.int64)


def share_right(found: Predictions, recipes: Sequence[int]) -> NDArray[np.float64]:
    """``[recipes, texts]``: which share of a recipe's runs is right; nan where no run has the text."""
    answered = found.predicted[list(recipes)]
    known = (answered >= 0).sum(axis=1)
    right = (answered == found.gold).sum(axis=1)
    return np.asarray(np.divide(right, known, out=np.full(known.shape, np.nan), where=known > 0))


def choose_classes(total: NDArray[np.int64]) -> list[int]:
    """All classes if they are few, else those of the largest confusions.

    Args:
        total: ``[classes, classes]``, over all runs of all recipes.
    """
    if len(total) <= MOST_CLASSES:
        return list(range(len(total)))
    common = np.argsort(-total.sum(axis=1), kind="stable").tolist()
    found = dict.fromkeys([*choose_confused(find_pairs(total), common).tolist(), *common])
    return sorted(list(found)[:MOST_CLASSES])


def find_differing(right: NDArray[np.float64]) -> tuple[int, NDArray[np.int64]]:
    """How many texts some recipes get right more often than others; these, by how much they differ."""
    if not len(right):
        return 0, np.zeros(0, dtype=np.int64)
    known = np.isfinite(right)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, right, 0.0)
    mean = filled.sum(axis=0) / count
    spread = np.where(known, (right - mean) ** 2, 0.0).sum(axis=0) / count
    differing = int((spread > 0).sum())
    return differing, np.argsort(-spread, kind="stable")[:differing]


def describe_texts(
    found: Predictions,
    recipes: Sequence[int],
    right: NDArray[np.float64],
    order: NDArray[np.int64],
    table: DataTable,
    answers: list[str],
) -> Iterator[DifferingText]:
    """As many as there is room for.

    Args:
        found: what runs answer.
        recipes: to tell of.
        right: of `share_right`.
        order: texts, those that recipes differ on most first.
        table: with these texts.
        answers: labels that are named by their place here; it grows.
    """
    letters = 0
    places: dict[int | None, int | None] = {None: None}
    for text in order[:MOST_TEXTS].tolist():
        pieces = [cut(piece, LONGEST) for piece in table.test.texts[text]]
        letters += sum(map(len, pieces))
        if letters > MOST_LETTERS:
            return
        said = [find_commonest(found.predicted[recipe][:, text]) for recipe in recipes]
        for number in said:
            if number is not None and number not in places:
                places[number] = len(answers)
                answers.append(table.labels[number])
        yield {
            "row": int(table.test.ids[text]),
            "text": pieces,
            "gold": table.labels[table.test.labels[text]],
            "said": [places[number] for number in said],
            "right": [None if np.isnan(share) else round(100 * share) for share in right[:, text]],
        }


def find_commonest(answers: NDArray[np.signedinteger]) -> int | None:
    """The answer of most runs; of equals the first class. None where no run has the text."""
    counts = Counter(answers[answers >= 0].tolist())
    return min(counts, key=lambda number: (-counts[number], number)) if counts else None
