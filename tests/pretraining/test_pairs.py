"""The order of an epoch, and its pairs."""

from __future__ import annotations

import numpy as np
import pytest
from support.pretrain_samples import VOCABULARY, epoch_of, random_examples

from finegrid.pretraining.examples import Documents, cut_examples, hold_out
from finegrid.pretraining.pairs import FOLLOWS, SINGLE, STRANGE, draw_epoch
from finegrid.streams import Streams


def test_half_of_the_pairs_get_a_strange_second_part_from_the_same_file() -> None:
    examples = random_examples(documents=3000)
    epoch = epoch_of(examples)
    share = {label: float((epoch.labels == label).mean()) for label in (SINGLE, FOLLOWS, STRANGE)}
    source = np.repeat(examples.sources, examples.ends - examples.begins)
    strange = epoch.labels == STRANGE

    assert share == pytest.approx({SINGLE: 0.5, FOLLOWS: 0.25, STRANGE: 0.25}, abs=0.03)
    assert np.array_equal(source[epoch.first[strange, 0]], source[epoch.second[strange, 0]])
    assert np.array_equal(epoch.first[epoch.labels == FOLLOWS, 1], epoch.second[epoch.labels == FOLLOWS, 0])


def test_an_epoch_shows_every_stretch_once_and_fits_the_length() -> None:
    examples = random_examples()
    epoch = epoch_of(examples, pair_share=1.0)

    assert sorted(epoch.first[:, 0]) == sorted(examples.begins)
    assert epoch.lengths.max() <= 32
    assert (np.diff(epoch.first) > 0).all() and (np.diff(epoch.second)[epoch.labels >= 0] > 0).all()


def test_weights_say_how_often_a_file_is_shown() -> None:
    examples = random_examples(documents=400)
    about = {"pair_share": 0.0, "max_length": 32, "batch_tokens": 500}
    epoch = draw_epoch(examples, Streams(0), "0", weights=(2.0, 0.5), **about)  # type: ignore[arg-type]
    own = [examples.begins[examples.sources == source] for source in (0, 1)]
    shown = [np.isin(epoch.first[:, 0], begins).sum() for begins in own]

    assert shown == [2 * len(own[0]), round(0.5 * len(own[1]))]
    assert len(np.unique(epoch.keys)) == len(epoch.keys)  # copies are masked differently


def test_no_held_out_token_is_ever_learned_from() -> None:
    examples = random_examples(documents=500)
    lengths = np.full(500, 20)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    documents = Documents(examples.tokens[: bounds[-1]], bounds, np.zeros(500, dtype=np.int64), 0)
    held_out = hold_out(documents, 0.1, Streams(3))
    learned, judged = (cut_examples(documents, rows, 15, VOCABULARY) for rows in (~held_out, held_out))
    epoch = epoch_of(learned, pair_share=1.0)

    def covered(ranges: list[tuple[int, int]]) -> set[int]:
        return {token for begin, end in ranges for token in range(begin, end)}

    seen = covered([*map(tuple, epoch.first), *map(tuple, epoch.second)])
    kept = covered(list(zip(judged.begins, judged.ends, strict=True)))
    assert 0.08 < len(kept) / bounds[-1] < 0.12
    assert not seen & kept
    assert seen | kept <= set(range(int(bounds[-1]))) and len(seen) > 0.6 * bounds[-1]


def test_documents_are_cut_into_even_stretches() -> None:
    tokens = np.arange(5, 36, dtype=np.int32)
    documents = Documents(tokens, np.array([0, 31]), np.zeros(1, dtype=np.int64), 0)
    examples = cut_examples(documents, np.ones(1, dtype=bool), 15, VOCABULARY)

    assert (examples.ends - examples.begins).tolist() == [10, 10, 11]
    assert ((examples.splits > examples.begins) & (examples.splits < examples.ends)).all()


def test_a_stretch_is_cut_after_punctuation_in_its_middle() -> None:
    ends = VOCABULARY.ends.copy()
    ends[7] = True
    tokens = np.full(20, 9, dtype=np.int32)
    tokens[[1, 11]] = 7  # the first is too near the edge
    documents = Documents(tokens, np.array([0, 20]), np.zeros(1, dtype=np.int64), 0)
    vocabulary = VOCABULARY.__class__(**{**VOCABULARY.__dict__, "ends": ends})

    assert cut_examples(documents, np.ones(1, dtype=bool), 30, vocabulary).splits.tolist() == [12]
