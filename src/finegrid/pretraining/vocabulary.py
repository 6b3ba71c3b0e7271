"""WordPiece vocabularies: a checkpoint's, or one trained on the corpus."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from finegrid.errors import input_error
from finegrid.pretraining.corpus import Corpus

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # in BERT's order: [PAD] is number 0
RAREST = 5  # occurrences of a pair that is worth a piece
MOST_CHARACTERS = 100_000_000  # to count pieces in: more text moves none of them much


def train_vocabulary(corpus: Corpus, size: int, positions: int, folder: Path) -> None:
    """Train a lower-casing WordPiece vocabulary, each Chinese character by itself, and write its files.

    Args:
        corpus: what to count pieces in.
        size: pieces at most, special ones counted.
        positions: of the model; goes into ``tokenizer_config.json``.
        folder: gets ``tokenizer.json``, ``tokenizer_config.json`` and ``vocab.txt``.
    """
    from tokenizers import BertWordPieceTokenizer

    plain: Any = BertWordPieceTokenizer(lowercase=True)
    counts = count_words(corpus, plain.normalizer, plain.pre_tokenizer)
    pieces = [*SPECIALS, *learn_pieces(counts, size - len(SPECIALS))]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    whole: Any = BertWordPieceTokenizer(vocab=numbers, lowercase=True)
    folder.mkdir(parents=True, exist_ok=True)
    whole.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8", newline="")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": positions,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("cls", "mask", "pad", "sep", "unk")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def count_words(corpus: Corpus, normalizer: Any, pre_tokenizer: Any) -> Counter[str]:
    """How often each word occurs, as the tokeniser will cut them."""
    counts: Counter[str] = Counter()
    left = MOST_CHARACTERS
    for document in corpus.documents:
        for line in document:
            words = pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(line))
            counts.update(word for word, _ in words)
            left -= len(line)
        if left <= 0:
            break
    return counts


def learn_pieces(counts: Mapping[str, int], size: int) -> list[str]:
    """The pieces of a vocabulary: characters, then whatever pair of pieces is most frequent, again and again.

    Byte-pair merges with BERT's ``##`` for what continues a word, as tokenizers' ``WordPieceTrainer``. That
    one breaks ties by chance; here the same counts give the same pieces.
    """
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for place, character in enumerate(word):
            characters["##" * (place > 0) + character] += count
    ranked = sorted(characters, key=lambda piece: (-characters[piece], piece))
    pieces = ranked[: size * 7 // 8]  # the rarest characters make room for pieces of words
    known = set(pieces)
    merges = Merges()
    for word, count in sorted(counts.items()):
        split = [character if place == 0 else f"##{character}" for place, character in enumerate(word)]
        if len(split) > 1 and known.issuperset(split):
            merges.add(split, count)
    while len(pieces) < size and (pair := merges.find_most_frequent()) is not None:
        merged = merges.merge(*pair)
        if merged not in known:
            known.add(merged)
            pieces.append(merged)
    return pieces


class Merges:
    """Words in pieces, and how often each pair of neighbouring pieces occurs."""

    def __init__(self) -> None:
        self.words: list[list[str]] = []
        self.weights: list[int] = []
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self.heap: list[tuple[int, tuple[str, str]]] | None = None  # made when the first pair is asked for

    def add(self, word: list[str], count: int) -> None:
        self.words.append(word)
        self.weights.append(count)
        self._count(len(self.words) - 1, 1)

    def find_most_frequent(self) -> tuple[str, str] | None:
        """The pair that occurs most often, the first in order among equals; None if none is frequent."""
        if self.heap is None:
            self.heap = [(-count, pair) for pair, count in self.pairs.items()]
            heapq.heapify(self.heap)
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            now = self.pairs[pair]
            if now == -count:
                return pair if now >= RAREST else None
            if now > 0:
                heapq.heappush(self.heap, (-now, pair))  # it was counted down since
        return None

    def merge(self, first: str, second: str) -> str:
        """Make one piece of two, wherever they are neighbours."""
        merged = first + second.removeprefix("##")
        touched: set[tuple[str, str]] = set()
        for index in sorted(self.where[first, second]):
            self._count(index, -1)
            self.words[index] = join_neighbours(self.words[index], first, second, merged)
            touched.update(self._count(index, 1))
        assert self.heap is not None  # a pair was asked for
        for pair in touched:
            heapq.heappush(self.heap, (-self.pairs[pair], pair))
        return merged

    def _count(self, index: int, sign: int) -> list[tuple[str, str]]:
        word = self.words[index]
        pairs = list(pairwise(word))
        for pair in pairs:
            self.pairs[pair] += sign * self.weights[index]
            if sign > 0:
                self.where[pair].add(index)
            else:
                self.where[pair].discard(index)
        return pairs


def join_neighbours(word: list[str], first: str, second: str, merged: str) -> list[str]:
    pieces: list[str] = []
    for piece in word:
        if pieces and pieces[-1] == first and piece == second:
            pieces[-1] = merged
        else:
            pieces.append(piece)
    return pieces


def check_specials(tokenizer: Any, folder: Path) -> None:
    """Raise an `InputError` where BERT's special tokens are missing."""
    missing = [piece for piece in SPECIALS if tokenizer.token_to_id(piece) is None]
    if missing:
        what = f"no {', '.join(missing)}; pre-training needs BERT's special tokens. Take a BERT checkpoint."
        raise input_error(str(folder), "tokenizer", what)
