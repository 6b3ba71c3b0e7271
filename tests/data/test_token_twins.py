"""Texts that the tokeniser makes one: told where the texts themselves do not tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from finegrid.data.token_twins import find_token_twins
from finegrid.data.tokens import Keep, TokenisedSplit, encode, read_template

Texts = list[tuple[str, ...]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Of whole words, without accents; brackets stand around each text."""
    words = ["[UNK]", "[CLS]", "[SEP]", "rain", "sun", "wind", "storm", "cafe", "."]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def find(
    tokenizer: Tokenizer, max_length: int = 44, keep: Keep = "head", **parts: Sequence[tuple[str, ...]]
) -> list[str]:
    splits = {}
    for part, texts in parts.items():
        tokens, bounds = encode(list(texts), tokenizer)
        numbers, width = np.arange(len(texts)), len(texts[0])
        template = read_template(tokenizer, width)
        splits[part] = TokenisedSplit(tokens, bounds, width, numbers * 0, numbers, template)
    return find_token_twins(splits, parts, max_length, keep)


def test_texts_with_equal_tokens_are_told(tokenizer: Tokenizer) -> None:
    train, test = (
        [("rain",), ("café sun",), ("storm .",)],
        [("cafe sun",), ("wind",), ("storm.",), ("wind sun",)],
    )

    assert find(tokenizer, train=train, test=test) == [
        "test: 2 texts with the same tokens as one of train, e.g. "
        "'cafe sun' is 'café sun'; 'storm.' is 'storm .'"
    ]


def test_what_the_texts_tell_themselves_is_not_told_again(tokenizer: Tokenizer) -> None:
    train, dev = [("rain sun",), ("wind  storm",)], [("rain sun",), ("Rain sun",), ("wind storm",)]

    assert find(tokenizer, train=train, dev=dev) == []


def test_texts_that_are_equal_once_cut_are_told_apart(tokenizer: Tokenizer) -> None:
    train, dev = [("rain sun wind",), ("storm",)], [("rain sun storm",), ("rain sun",), ("storm sun",)]

    assert find(tokenizer, 4, train=train, dev=dev) == [
        "dev: 2 texts with the same tokens as one of train once cut at model.max_length = 4, e.g. "
        "'rain sun storm' is 'rain sun wind'; 'rain sun' is 'rain sun wind'"
    ]
    assert find(tokenizer, 5, train=train, dev=dev) == []


def test_pairs_are_equal_where_both_texts_are(tokenizer: Tokenizer) -> None:
    train, dev = [("rain", "sun wind"), ("café", "sun")], [("rain sun", "wind"), ("cafe", "sun")]

    assert find(tokenizer, train=train, dev=dev) == [
        "dev: 1 text with the same tokens as one of train, e.g. 'cafe' / 'sun' is 'café' / 'sun'"
    ]


def test_every_pair_of_splits_is_looked_at(tokenizer: Tokenizer) -> None:
    told = find(tokenizer, train=[("rain",)], dev=[("storm.",), ("café",)], test=[("storm .",), ("cafe",)])

    assert [warning[:20] for warning in told] == ["test: 2 texts with t"] and "one of dev" in told[0]


def test_what_is_cut_is_what_the_baseline_does_not_keep(tokenizer: Tokenizer) -> None:
    """Five words, of which four are kept: one and three of ``head+tail``."""
    words = ["rain", "sun", "wind", "storm", "rain"]
    others = {
        "head": [*words[:4], "cafe"],
        "tail": ["cafe", *words[1:]],
        "head+tail": [words[0], "cafe", *words[2:]],
    }
    for keep in get_args(Keep):
        for lost, text in others.items():
            found = find(tokenizer, 6, keep, train=[(" ".join(words),)], test=[(" ".join(text),)])
            assert bool(found) == (keep == lost)
