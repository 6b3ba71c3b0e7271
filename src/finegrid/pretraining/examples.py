"""Tokenises a corpus, holds out some documents, and cuts the others into examples."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.pretraining.corpus import Corpus, leave_out_
from finegrid.pretraining.mixing import as_shares, draw_words
from finegrid.streams import Streams

SHORTEST = 4  # tokens of a document: less has nothing to tell
LINES_AT_ONCE = 20_000
MOST_HELD_OUT = 50_000  # tokens: enough for a loss to one hundredth, and read in seconds


@dataclass(frozen=True)
class Vocabulary:
    """What masking and pairing need to know of the token numbers."""

    cls: int
    sep: int
    mask: int
    size: int
    regular: NDArray[np.int64]  # the numbers that are no special tokens
    continues: NDArray[np.bool_]  # [size], pieces inside a word: ``##...``
    ends: NDArray[np.bool_]  # [size], punctuation, after which a text may be cut in two

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        numbers: dict[str, int] = tokenizer.get_vocab()
        size = max(numbers.values()) + 1
        special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
        continues, ends = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        for piece, number in numbers.items():
            continues[number] = piece.startswith("##")
            ends[number] = len(piece) == 1 and unicodedata.category(piece) in ("Po", "Pe", "Pf")
        regular = sorted(number for piece, number in numbers.items() if piece not in special)
        return cls(
            numbers["[CLS]"],
            numbers["[SEP]"],
            numbers["[MASK]"],
            size,
            np.array(regular, dtype=np.int64),
            continues,
            ends,
        )


@dataclass(frozen=True)
class Examples:
    """Stretches of text, each short enough for one sequence."""

    tokens: NDArray[np.int32]  # all of them, end to end
    begins: NDArray[np.int64]  # [examples]
    ends: NDArray[np.int64]  # [examples]
    splits: NDArray[np.int64]  # [examples], where the second part begins if it is made a pair
    sources: NDArray[np.int64]  # [examples], which file

    def __len__(self) -> int:
        return len(self.begins)


@dataclass(frozen=True)
class Documents:
    """Tokenised documents, end to end."""

    tokens: NDArray[np.int32]
    bounds: NDArray[np.int64]  # [documents + 1]
    sources: NDArray[np.int64]  # [documents]
    unknown: int  # tokens that the vocabulary has no piece for

    def __len__(self) -> int:
        return len(self.sources)


def tokenise(corpus: Corpus, tokenizer: Any) -> Documents:
    """Token numbers of all documents; those shorter than `SHORTEST` are left out, and counted as dropped."""
    pieces: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    sources: list[int] = []
    for first in range(0, len(corpus.documents), LINES_AT_ONCE):
        chunk = corpus.documents[first : first + LINES_AT_ONCE]
        encoded = iter(tokenizer.encode_batch_fast([x for d in chunk for x in d], add_special_tokens=False))
        for document, source in zip(chunk, corpus.sources[first:], strict=False):
            document_tokens = np.concatenate([np.array(next(encoded).ids, dtype=np.int32) for _ in document])
            if len(document_tokens) < SHORTEST:
                leave_out_(document, corpus.files[source])
                continue
            pieces.append(document_tokens)
            lengths.append(len(document_tokens))
            sources.append(source)
    tokens = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int32)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    unknown = int((tokens == tokenizer.token_to_id("[UNK]")).sum())
    return Documents(tokens, bounds, np.array(sources, dtype=np.int64), unknown)


def hold_out(documents: Documents, share: float, streams: Streams) -> NDArray[np.bool_]:
    """``[documents]``, which ones are never learned from: a random ``share`` of the tokens, not too many."""
    lengths = np.diff(documents.bounds)
    order = streams.permutation("pretrain/held-out", len(documents))
    before = np.cumsum(lengths[order]) - lengths[order]
    held_out = np.zeros(len(documents), dtype=bool)
    held_out[order[before < min(MOST_HELD_OUT, share * lengths.sum())]] = True
    return held_out


def cut_examples(
    documents: Documents, which: NDArray[np.bool_], longest: int, vocabulary: Vocabulary
) -> Examples:
    """Cut the chosen documents into stretches of about equal length, at most ``longest`` tokens each."""
    rows = np.flatnonzero(which)
    begins, lengths = documents.bounds[rows], np.diff(documents.bounds)[rows]
    parts = -(-lengths // longest)
    row = np.repeat(np.arange(len(rows)), parts)
    part = np.arange(len(row)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = begins[row] + part * lengths[row] // parts[row]
    ends = begins[row] + (part + 1) * lengths[row] // parts[row]
    splits = choose_splits(documents.tokens, starts, ends, vocabulary.ends)
    return Examples(documents.tokens, starts, ends, splits, documents.sources[rows][row])


def choose_splits(
    tokens: NDArray[np.int32], begins: NDArray[np.int64], ends: NDArray[np.int64], stops: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Where each stretch is cut in two: in its middle half, after the first punctuation behind a drawn place.

    Cut inside a word, the two halves would give themselves away by their edges alone.
    """
    lengths = ends - begins
    low = begins + np.maximum(1, lengths // 4)
    high = np.maximum(ends - np.maximum(1, lengths // 4), low + 1)  # not reached
    drawn = low + (as_shares(draw_words(0, begins)) * (high - low)).astype(np.int64)
    after = np.flatnonzero(stops[tokens]) + 1
    following = np.searchsorted(after, np.concatenate([drawn, low]))
    best = np.append(after, len(tokens) + 1)[following].reshape(2, -1)
    return np.asarray(np.where(best[0] < high, best[0], np.where(best[1] < high, best[1], drawn)))
