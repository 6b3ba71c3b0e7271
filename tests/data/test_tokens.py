"""Texts to token numbers, against transformers' own tokenisers; and the cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.studies import SYLLABLES, open_study, pack_all, random_split, save_tokenizer, write_study
from transformers import AutoTokenizer

from finegrid.data.table import DataTable, Split, load_table
from finegrid.data.tokens import Keep, Tokenised, TokenisedSplit, cut, encode, read_template, tokenise
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import InputError
from finegrid.study.load import load_study

CheckpointOf = Callable[[str], Path]
ONE = ["ba", "ba be bi bo bu", "bas zz ba", "da de di do du ga ge gi go gu ka ke ki ko ku", "DA, de! xx", ""]
TWO = [
    ("ba", "be"),
    ("ba be bi bo bu da de di", "ga"),
    ("ga", "ba be bi bo bu da de di"),
    ("ka ke ki ko", "pa " * 9),
]
WRAPPED = {"bert": {1: 2, 2: 3}, "distilbert": {1: 2, 2: 3}, "roberta": {1: 2, 2: 4}}


def tokenised(folder: Path, texts: list[tuple[str, ...]]) -> TokenisedSplit:
    tokenizer = load_tokenizer(folder)
    tokens, bounds = encode(texts, tokenizer)
    parts = len(texts[0])
    numbers = np.arange(len(texts))
    return TokenisedSplit(tokens, bounds, parts, numbers * 0, numbers, read_template(tokenizer, parts))


@pytest.mark.parametrize("max_length", [3, 4, 5, 8, 64])
@pytest.mark.parametrize("kind", WRAPPED)
def test_single_texts_are_encoded_and_cut_as_by_transformers(
    checkpoint_of: CheckpointOf, kind: str, max_length: int
) -> None:
    folder = checkpoint_of(kind)
    split, theirs = tokenised(folder, [(text,) for text in ONE]), AutoTokenizer.from_pretrained(folder)
    for row, text in enumerate(ONE):
        ids, types = split.texts([row], max_length)
        expected = theirs(text, truncation=True, max_length=max_length, return_token_type_ids=True)
        assert ids.tolist() == expected["input_ids"]
        assert types.tolist() == expected["token_type_ids"]
        assert min(split.lengths[row], max_length) == len(ids)


@pytest.mark.parametrize("max_length", [6, 7, 8, 11, 64])
@pytest.mark.parametrize("kind", WRAPPED)
def test_pairs_are_encoded_and_cut_as_by_transformers(
    checkpoint_of: CheckpointOf, kind: str, max_length: int
) -> None:
    folder = checkpoint_of(kind)
    split, theirs = tokenised(folder, list(TWO)), AutoTokenizer.from_pretrained(folder)
    for row, pair in enumerate(TWO):
        ids, types = split.texts([row], max_length)
        expected = theirs(*pair, truncation=True, max_length=max_length, return_token_type_ids=True)
        assert ids.tolist() == expected["input_ids"]
        assert types.tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("max_length", [3, 4, 5, 9])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("kind", WRAPPED)
def test_cut_texts_never_exceed_the_length_and_keep_their_special_tokens(
    checkpoint_of: CheckpointOf, kind: str, parts: int, max_length: int
) -> None:
    split = random_split(checkpoint_of(kind), [(30,) * parts, (1,) * parts, (7,) * parts])
    specials = [piece.token for piece in split.template.pieces if piece.text < 0]
    if max_length < len(specials):
        pytest.skip("refused: see the next test")
    for row in range(3):
        ids, types = split.texts([row], max_length)
        assert len(ids) == len(types) == min(split.lengths[row], max_length)
        assert [token for token in ids.tolist() if token in specials] == specials
    batch = pack_all(split, max_length=max_length)
    assert len(batch.ids) == len(batch.types) == len(batch.positions)


def test_a_length_without_room_for_the_special_tokens_is_refused(
    checkpoint_of: CheckpointOf, tmp_path: Path
) -> None:
    factors = '[factors]\n"model.max_length" = [3, 32]'
    folder = write_study(tmp_path / "study", checkpoint_of("roberta"), factors, pairs=True)

    with pytest.raises(InputError, match="max_length"):
        open_study(folder)


def test_specials_are_counted(checkpoint_of: CheckpointOf) -> None:
    for kind, by_parts in WRAPPED.items():
        tokenizer = load_tokenizer(checkpoint_of(kind))
        assert {parts: read_template(tokenizer, parts).specials for parts in (1, 2)} == by_parts


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_cutting_fills_the_budget_and_takes_from_the_longer(first: int, second: int, budget: int) -> None:
    a, b = cut(np.array([[first, second]]), budget)[0].tolist()

    assert 0 <= a <= first and 0 <= b <= second
    assert a + b == min(first + second, budget)
    assert a == first or b == second or abs(a - b) <= 1
    assert (a, b) == (first, second) or max(a, b) >= min(first, second, budget // 2)


def test_of_two_texts_of_one_length_the_second_keeps_the_odd_token(bert: Path) -> None:
    tokenizer = load_tokenizer(bert)
    tokenizer.enable_truncation(7 + 3, strategy="longest_first")
    encoded = tokenizer.encode("ba be bi bo bu", "da de di do du")
    kept = [sum(text == part for text in encoded.sequence_ids) for part in (0, 1)]

    assert cut(np.array([[5, 5]]), 7)[0].tolist() == kept == [3, 4]


def test_a_special_token_written_in_a_text_does_not_end_it(bert: Path) -> None:
    """As by transformers: it becomes that token, in the middle of the text."""
    split = tokenised(bert, [("ba [SEP] be",)])

    assert split.texts([0], 64)[0].tolist() == [2, 5, 3, 6, 3]


class Spy:
    """A tokenizer that counts how often it is asked to encode texts."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.batches = tokenizer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode_batch_fast(self, *args: Any, **kwargs: Any) -> Any:
        self.batches += 1
        return self.tokenizer.encode_batch_fast(*args, **kwargs)


@pytest.fixture
def table(tmp_path: Path, bert: Path) -> DataTable:
    study = load_study(write_study(tmp_path / "study", bert))
    return load_table(study.head.data, study.folder)


def same(a: Tokenised, b: Tokenised) -> bool:
    return all(
        np.array_equal(getattr(getattr(a, part), name), getattr(getattr(b, part), name))
        for part in ("train", "dev", "test")
        for name in ("tokens", "bounds", "labels", "ids", "lengths")
    )


def cached(cache: Path) -> set[Path]:
    return set(cache.iterdir())


def test_texts_are_tokenised_once(table: DataTable, bert: Path, tmp_path: Path) -> None:
    spy = Spy(load_tokenizer(bert))
    first = tokenise(table, spy, tmp_path / "cache")
    asked = spy.batches
    again = tokenise(table, spy, tmp_path / "cache")

    assert asked > 0 and spy.batches == asked
    assert same(first, again)
    assert len(cached(tmp_path / "cache")) == 1  # and no temporary file


def test_each_text_comes_out_as_its_own_tokens(table: DataTable, bert: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(bert)
    tokens = tokenise(table, tokenizer, tmp_path / "cache")
    for name in ("train", "dev", "test"):
        texts: Split = getattr(table, name)
        split: TokenisedSplit = getattr(tokens, name)
        for row, (text,) in enumerate(texts.texts):
            assert split.texts([row], 64)[0].tolist() == tokenizer.encode(text).ids


@pytest.mark.parametrize("keep", [0, 3, 100, 600, -1, -30, "flipped", "other arrays", "not ours"])
def test_a_damaged_cache_is_made_anew(table: DataTable, bert: Path, tmp_path: Path, keep: int | str) -> None:
    spy = Spy(load_tokenizer(bert))
    first = tokenise(table, spy, tmp_path / "cache")
    (path,) = cached(tmp_path / "cache")
    content = path.read_bytes()
    if keep == "flipped":
        middle = content.index(b"train_tokens") + 200
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif keep == "other arrays":
        with path.open("wb") as file:
            np.savez(file, something=np.arange(3))
    elif keep == "not ours":
        path.write_bytes(b"PK" + b"something else" * 50)
    else:
        path.write_bytes(content[: int(keep)])
    asked = spy.batches
    again = tokenise(table, spy, tmp_path / "cache")

    assert spy.batches > asked and same(first, again)
    assert path.read_bytes() == content


def test_other_texts_and_other_tokenizers_have_other_caches(
    table: DataTable, bert: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    tokenise(table, load_tokenizer(bert), cache)
    changed = replace(table, dev=replace(table.dev, texts=[("pu",), *table.dev.texts[1:]]))
    tokenise(changed, load_tokenizer(bert), cache)
    assert len(cached(cache)) == 2

    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((bert / "config.json").read_bytes())
    save_tokenizer(other, "bert", extra=("newword",))
    tokenise(table, load_tokenizer(other), cache)
    assert len(cached(cache)) == 3


def test_tokenizer_settings_for_cutting_and_padding_are_ignored(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cuts"
    folder.mkdir()
    (folder / "config.json").write_bytes((bert / "config.json").read_bytes())
    save_tokenizer(folder, "bert")
    tokenizer = load_tokenizer(folder)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(folder / "tokenizer.json"))

    assert len(load_tokenizer(folder).encode(" ".join(SYLLABLES)).ids) == 42


def kept_by_hand(tokens: list[int], budget: int, keep: str) -> list[int]:
    """By the formula: of n tokens and budget b the first ceil(b / 4) and the last b - ceil(b / 4)."""
    if len(tokens) <= budget:
        return tokens
    front = {"head": budget, "tail": 0, "head+tail": math.ceil(budget / 4)}[keep]
    return [*tokens[:front], *tokens[len(tokens) - (budget - front) :]]


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize("budget", [1, 2, 4, 5, 8, 11])
def test_of_a_longer_text_those_tokens_stay_that_are_asked_for(
    checkpoint_of: CheckpointOf, budget: int, keep: Keep
) -> None:
    lengths = [(budget - 1,), (budget,), (budget + 1,), (2 * budget,)]
    split = random_split(checkpoint_of("bert"), lengths)
    split = replace(split, tokens=np.arange(100, 100 + len(split.tokens), dtype=np.int32))  # all different
    for row, (length,) in enumerate(lengths):
        own = split.tokens[split.bounds[row] : split.bounds[row] + length].tolist()

        assert split.texts([row], budget + 2, keep)[0].tolist() == [2, *kept_by_hand(own, budget, keep), 3]
    every, types = split.texts(range(4), budget + 2, keep)
    each = [split.texts([row], budget + 2, keep)[0] for row in range(4)]
    assert every.tolist() == np.concatenate(each).tolist() and not types.any()


def test_head_and_tail_of_510_tokens_are_128_and_382(bert: Path) -> None:
    split = random_split(bert, [(1000,)])
    split = replace(split, tokens=np.arange(1000, dtype=np.int32))
    ids = split.texts([0], 512, "head+tail")[0].tolist()

    assert ids[1:-1] == [*range(128), *range(1000 - 382, 1000)]


@pytest.mark.parametrize("keep", get_args(Keep))
def test_of_pairs_the_longer_text_is_cut_first_whatever_is_kept(bert: Path, keep: Keep) -> None:
    lengths = [(3, 20), (20, 3), (20, 20), (2, 2)]
    split = random_split(bert, lengths)
    split = replace(split, tokens=np.arange(100, 100 + len(split.tokens), dtype=np.int32))
    kept = cut(np.array(lengths), 9)
    for row in range(4):
        bounds = split.bounds[2 * row : 2 * row + 3]
        first, second = (
            kept_by_hand(split.tokens[begin:end].tolist(), int(own), keep)
            for begin, end, own in zip(bounds, bounds[1:], kept[row], strict=False)
        )
        ids, types = split.texts([row], 12, keep)

        assert ids.tolist() == [2, *first, 3, *second, 3]
        assert types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
