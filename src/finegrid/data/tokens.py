"""Tokenises the texts of a study once, caches them by content, and keeps them as flat arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from finegrid.errors import input_error, refusing_panics, without_stderr
from finegrid.refusals import saving
from finegrid.spelling import count_noun

if TYPE_CHECKING:
    from finegrid.data.table import DataTable, Split


# Which tokens of a text that is too long are kept: the first, the last, or a quarter and three quarters.
Keep = Literal["head", "tail", "head+tail"]
MASKS = ("[MASK]", "<mask>")  # what it is called: as BERT calls it, or as RoBERTa does
MOST_SPECIALS = 16  # around a text, or a pair: BERT has three, RoBERTa four
ARRAYS = {f"{part}_{kind}" for part in ("train", "dev", "test") for kind in ("tokens", "bounds")}


class TemplatePiece(NamedTuple):
    """One element of a template: a special token, or the place of the first or second text."""

    token: int  # the special token's number; -1 where a text goes
    type: int
    text: int  # 0 or 1 where a text goes; -1 for a special token


@dataclass(frozen=True)
class Template:
    """How a tokeniser wraps one text, or a pair, in special tokens: ``[CLS] A [SEP]``."""

    pieces: tuple[TemplatePiece, ...]
    mask: int | None = None  # the number of the token that hides another one, if the tokeniser has one

    @property
    def specials(self) -> int:
        return sum(piece.text < 0 for piece in self.pieces)


@dataclass(frozen=True)
class TokenisedSplit:
    """The texts of one split as flat arrays, without special tokens and uncut.

    Whole texts are kept so that ``model.max_length`` may be a factor without tokenising anything twice.
    """

    # All texts, end to end; of a pair, the first then the second. ``~token`` is a token whose word is not
    # read: only its place counts.
    tokens: NDArray[np.int32]
    bounds: NDArray[np.int64]  # [texts * parts + 1], where each part begins
    parts: int  # 1, or 2 for text pairs
    labels: NDArray[np.int64]  # [texts]
    ids: NDArray[np.int64]  # [texts], row numbers in the user's file
    template: Template

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``[texts]``, in tokens, special ones counted, before cutting."""
        parts = np.diff(self.bounds).reshape(len(self), self.parts)
        return np.asarray(parts.sum(axis=1) + self.template.specials, dtype=np.int64)

    def texts(
        self, rows: Sequence[int] | NDArray[np.int64], max_length: int, keep: Keep = "head"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token numbers and types of some texts (or pairs), end to end, each in special tokens and cut.

        Args:
            rows: which texts.
            max_length: tokens, special ones counted.
            keep: which tokens of a longer text stay; of pairs, of each text that is cut.

        Raises:
            InputError: the special tokens leave no room for a text.
        """
        if max_length < self.template.specials:
            what = f"is {max_length}, but {self.template.specials} special tokens go around a text. Raise it."
            raise input_error("model", "max_length", what)
        firsts = np.asarray(rows)[:, None] * self.parts + np.arange(self.parts)
        begins, ends = self.bounds[firsts], self.bounds[firsts + 1]
        kept = cut(ends - begins, max_length - self.template.specials)
        count, pieces = len(firsts), self.template.pieces
        # One column for every piece of the template: how many tokens, from where, or which.
        sizes, sources = np.ones((count, len(pieces)), np.int64), np.zeros((count, len(pieces)), np.int64)
        fronts, gaps = np.zeros_like(sizes), np.zeros_like(sizes)  # tokens before what is left out, and of it
        for column, piece in enumerate(pieces):
            if piece.text >= 0:
                sizes[:, column], sources[:, column] = kept[:, piece.text], begins[:, piece.text]
                fronts[:, column] = count_front(kept[:, piece.text], keep)
                gaps[:, column] = (ends - begins - kept)[:, piece.text]
        lengths = sizes.reshape(-1)
        ids = np.repeat(np.tile([piece.token for piece in pieces], count), lengths)
        is_text = ids < 0
        offsets = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        if keep != "head":
            behind = offsets >= np.repeat(fronts.reshape(-1), lengths)
            offsets += np.where(behind, np.repeat(gaps.reshape(-1), lengths), 0)
        ids[is_text] = self.tokens[(np.repeat(sources.reshape(-1), lengths) + offsets)[is_text]]
        return ids, np.repeat(np.tile([piece.type for piece in pieces], count), lengths)


def cut(lengths: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
    """``[texts, parts]``: how many tokens of each text are kept so that the budget holds.

    Of a pair the longer text is cut first, as Hugging Face does.
    """
    if lengths.shape[1] == 1:
        return np.minimum(lengths, budget)
    first, second = lengths.T
    shorter = np.minimum(np.minimum(first, second), budget // 2)
    longer = np.where(first <= second, 1, 0)
    kept = np.where(np.arange(2) == longer[:, None], budget - shorter[:, None], shorter[:, None])
    return np.where(lengths.sum(1, keepdims=True) <= budget, lengths, kept)


def count_front(kept: NDArray[np.int64], keep: Keep) -> NDArray[np.int64]:
    """How many of the kept tokens of each text are its first ones; the others are its last ones."""
    fronts: dict[Keep, NDArray[np.int64]] = {"head": kept, "tail": 0 * kept, "head+tail": -(-kept // 4)}
    return fronts[keep]


@dataclass(frozen=True)
class Tokenised:
    """A study's texts, ready to be packed."""

    train: TokenisedSplit
    dev: TokenisedSplit
    test: TokenisedSplit
    labels: tuple[str, ...]
    fingerprint: str  # of the tokeniser


def tokenise(table: DataTable, tokenizer: Any, cache: Path) -> Tokenised:
    """Tokenise a table, or read what an earlier call kept in ``cache`` for the same texts and tokeniser.

    Args:
        table: the checked texts.
        tokenizer: a ``tokenizers.Tokenizer``.
        cache: a folder; one ``.npz`` per table and tokeniser is kept there.
    """
    fingerprint = fingerprint_tokenizer(tokenizer)
    key = hashlib.sha256(f"{table.fingerprint()}/{fingerprint}".encode()).hexdigest()[:16]
    path = cache / f"tokens-{key}.npz"
    arrays = load_arrays(path)
    if arrays is None or not fit(arrays, table, tokenizer.get_vocab_size()):
        arrays = {}
        for name in ("train", "dev", "test"):
            split: Split = getattr(table, name)
            arrays[f"{name}_tokens"], arrays[f"{name}_bounds"] = encode(split.texts, tokenizer)
        save_arrays_(path, arrays)
    parts = len(table.train.texts[0])
    template = read_template(tokenizer, parts)

    def split_of(name: str) -> TokenisedSplit:
        split: Split = getattr(table, name)
        tokens, bounds = arrays[f"{name}_tokens"], arrays[f"{name}_bounds"]
        return TokenisedSplit(tokens, bounds, parts, split.labels, split.ids, template)

    return Tokenised(split_of("train"), split_of("dev"), split_of("test"), table.labels, fingerprint)


def fit(arrays: Mapping[str, NDArray[Any]], table: DataTable, vocabulary: int) -> bool:
    """Whether cached arrays can be those of a table's texts, by a tokeniser of so many numbers."""
    if arrays.keys() != ARRAYS:
        return False
    for name in ("train", "dev", "test"):
        split: Split = getattr(table, name)
        tokens, bounds = arrays[f"{name}_tokens"], arrays[f"{name}_bounds"]
        parts = sum(map(len, split.texts))
        if tokens.dtype != np.int32 or bounds.dtype != np.int64:
            return False
        if tokens.ndim != 1 or bounds.shape != (parts + 1,):
            return False
        within = bounds[0] == 0 and bounds[-1] == len(tokens) and bool((np.diff(bounds) >= 0).all())
        if not within or tokens.min(initial=0) < 0 or tokens.max(initial=0) >= vocabulary:
            return False
    return True


@refusing_panics()
def encode(texts: list[tuple[str, ...]], tokenizer: Any) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Flat token numbers and bounds of all parts of all texts, each distinct text tokenised once."""
    flat = [part for text in texts for part in text]
    distinct = list(dict.fromkeys(flat))
    encodings = tokenizer.encode_batch_fast(distinct, add_special_tokens=False)
    numbers = {
        text: np.array(encoding.ids, dtype=np.int32)
        for text, encoding in zip(distinct, encodings, strict=True)
    }
    pieces = [numbers[part] for part in flat]
    bounds = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int32), bounds


@refusing_panics()
def read_template(tokenizer: Any, parts: int) -> Template:
    """Read off a sample how this tokeniser wraps ``parts`` texts.

    Raises:
        InputError: it leaves one of them out, or wraps them in more tokens than any encoder knows.
    """
    with without_stderr():
        sample = tokenizer.encode("a", "a", add_special_tokens=True) if parts == 2 else tokenizer.encode("a")
    pieces: list[TemplatePiece] = []
    for token, kind, text in zip(sample.ids, sample.type_ids, sample.sequence_ids, strict=True):
        if text is None:
            pieces.append(TemplatePiece(token, kind, -1))
        elif not any(piece.text == text for piece in pieces):
            pieces.append(TemplatePiece(-1, kind, text))
    template = Template(tuple(pieces), find_mask(tokenizer))
    if len(pieces) - template.specials != parts or template.specials > MOST_SPECIALS:
        what = (
            f"puts {template.specials} special tokens around {len(pieces) - template.specials} of "
            f"{count_noun(parts, 'text')}, expected {MOST_SPECIALS} at most, around each. Take another."
        )
        raise input_error("model.name", "tokenizer", what)
    return template


def find_mask(tokenizer: Any) -> int | None:
    """The number of the token that stands for a hidden one in masked language modelling, or None."""
    numbers = (tokenizer.token_to_id(name) for name in MASKS)
    return next((number for number in numbers if number is not None), None)


def fingerprint_tokenizer(tokenizer: Any) -> str:
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]


def load_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The cached arrays, or None where there are none that can be read."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, MemoryError):
        return None  # absent, cut short by a crash, or nonsense: it is only a cache


def save_arrays_(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write atomically: a reader sees the whole file or none."""
    size = sum(array.nbytes for array in arrays.values())
    with saving(path, size) as draft, draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
