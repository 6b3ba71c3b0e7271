"""What is said of a study's tokens, against counts by hand and against the tokeniser itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import refusal

from finegrid.data import token_facts
from finegrid.data.table import DataTable, Split
from finegrid.data.token_facts import (
    TokenFacts,
    check_tokens,
    describe_tokens,
    draw_token_facts,
    find_token_warnings,
    find_unknown_number,
)
from finegrid.encoders.tokenizer import load_tokenizer

KNOWN: list[tuple[str, ...]] = [("ba be",), ("bi",), ("bo bu da de",)]
CheckpointOf = Callable[[str], Path]


def split_of(texts: list[tuple[str, ...]]) -> Split:
    rows = np.arange(len(texts))
    return Split(texts, rows * 0, rows + 1)


def facts_of(
    folder: Path,
    train: list[tuple[str, ...]],
    max_length: int = 8,
    others: list[tuple[str, ...]] | None = None,
) -> list[TokenFacts]:
    rest = split_of(others or [train[0]])
    table = DataTable(("x", "y"), split_of(train), rest, rest, {})
    return draw_token_facts(table, load_tokenizer(folder), max_length)


def test_lengths_and_cuts_are_counted_with_special_tokens(bert: Path) -> None:
    train = facts_of(bert, KNOWN, max_length=4)[0]

    assert (train.mean, train.median, train.percentile_99, train.longest) == (13 / 3, 4, 6, 6)
    assert (train.cut, train.lost, train.tokens, train.unknown) == (1, 2 / 6, 7, 0)


def test_unknown_tokens_are_counted_with_their_words(bert: Path) -> None:
    train = facts_of(bert, [("ba цы",), ("zz цы",), ("be bi",)])[0]

    assert (train.unknown, train.unknown_share, train.unknown_texts) == (3, 0.5, 1)
    assert train.examples == ("цы", "zz")


def test_byte_pairs_know_everything(checkpoint_of: CheckpointOf) -> None:
    train = facts_of(checkpoint_of("roberta"), [("ba цы 猫",), ("😀",)])[0]

    assert (train.unknown, train.unknown_share, train.examples) == (0, 0.0, ())
    assert train.tokens > 5


def test_sentence_pieces_have_an_unknown_number() -> None:
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.Unigram([("<s>", 0.0), ("<unk>", 0.0), ("a", -1.0)], unk_id=1))

    assert find_unknown_number(tokenizer) == 1


def test_many_unknown_tokens_are_warned_of_in_one_line(bert: Path) -> None:
    facts = facts_of(bert, [("ba be bi цы",), ("цы",), *KNOWN * 3], others=[("ba be",)])

    (warning,) = find_token_warnings(facts)

    assert warning == (
        "8 % of the tokens of train are unknown to this checkpoint's vocabulary, e.g. 'цы'; "
        "1 text has no known token. Does the checkpoint know the texts' language?"
    )
    check_tokens(facts)


def test_few_unknown_tokens_bring_no_warning(bert: Path) -> None:
    facts = facts_of(bert, [("цы ba",), *KNOWN * 10])

    assert 0 < facts[0].unknown_share < token_facts.WARNED_SHARE
    assert find_token_warnings(facts[:1]) == []


def test_more_than_half_unknown_is_refused_and_half_is_not(bert: Path) -> None:
    check_tokens(facts_of(bert, [("цы ba",)]))

    said = refusal(lambda: check_tokens(facts_of(bert, [("цы цы ba",)], others=KNOWN)))

    assert "67 % of the tokens of train are unknown to this checkpoint's vocabulary, e.g. 'цы'" in said


def test_texts_without_a_token_are_refused_with_their_rows(bert: Path) -> None:
    facts = facts_of(bert, [*KNOWN, ("\u200b",), ("ba",), ("\u00ad\u200d",)])

    said = refusal(lambda: check_tokens(facts))

    assert "2 texts for which the tokenizer gives no token: data rows 4, 6. Take out such rows." in said


def test_a_tokenizer_without_a_token_for_any_text_is_refused(bert: Path) -> None:
    said = refusal(lambda: check_tokens(facts_of(bert, [("\u200b",)])))

    assert "tokenizer    gives no token for any text" in said


def test_pairs_of_which_one_text_gives_no_token_are_warned_of(bert: Path) -> None:
    pairs: list[tuple[str, ...]] = [("ba", "\u200b"), ("ba", "be")]
    facts = facts_of(bert, pairs, others=[("ba", "be")])

    check_tokens(facts)

    assert find_token_warnings(facts) == ["train: 1 pair of which one text gives no token."]


def test_of_many_texts_the_same_ones_are_drawn_each_time_and_it_is_said(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_facts, "MOST_TEXTS", 20)
    texts: list[tuple[str, ...]] = [("ba " * (row + 1),) for row in range(100)]

    facts, again = facts_of(bert, texts, max_length=50), facts_of(bert, texts, max_length=50)

    assert facts == again
    assert (facts[0].texts, facts[0].of) == (20, 100)
    assert 30 < facts[0].mean < 75  # the first 20 have 12.5 in the mean
    assert "a text in 20 drawn ones (median" in describe_tokens(facts)
    assert "of 20 drawn texts are longer than model.max_length = 50" in find_token_warnings(facts)[0]


def test_lengths_and_unknown_shares_are_told_in_one_line(bert: Path) -> None:
    line = describe_tokens(facts_of(bert, [("ba цы",), *KNOWN]))

    assert line == (
        "tokens    train 4.2 a text (median 4, 99th percentile 6, longest 6; 0 cut at 8; 11.1 % unknown), "
        "dev 4.0 a text (median 4, 99th percentile 4, longest 4; 0 cut at 8; 50.0 % unknown), "
        "test 4.0 a text (median 4, 99th percentile 4, longest 4; 0 cut at 8; 50.0 % unknown), e.g. 'цы'"
    )


def test_a_share_that_rounds_to_nothing_is_not_told_as_nothing(bert: Path) -> None:
    texts: list[tuple[str, ...]] = [("цы",), *[("ba " * 30,)] * 100]

    assert "less than 0.1 % unknown" in describe_tokens(facts_of(bert, texts))


def test_counts_are_those_of_the_tokeniser(bert: Path) -> None:
    draw = np.random.default_rng(0)
    words = ["ba", "be", "zz", "цы", "bas", "\u200b ba", "x,y"]
    texts: list[tuple[str, ...]] = [
        (" ".join(draw.choice(words, int(draw.integers(1, 9)))),) for _ in range(60)
    ]
    tokenizer: Any = load_tokenizer(bert)
    encoded = [tokenizer.encode(text).ids for (text,) in texts]
    unknown = tokenizer.token_to_id("[UNK]")

    train = facts_of(bert, texts, max_length=6)[0]

    assert train.mean == pytest.approx(np.mean([len(ids) for ids in encoded]))
    assert train.cut == sum(len(ids) > 6 for ids in encoded)
    assert train.unknown == sum(ids.count(unknown) for ids in encoded)
    assert train.unknown_texts == sum({*ids[1:-1]} == {unknown} for ids in encoded)
