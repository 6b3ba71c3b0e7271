"""Sentencepiece's own tables are told from those that a stranger wrote."""

from __future__ import annotations

import base64
import io

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from finegrid.encoders.charsmap import is_tame

RULES = ("nfkc", "nfkc_cf", "nmt_nfkc", "nmt_nfkc_cf")


def table_of(rule: str) -> bytes:
    written, model = io.BytesIO(), sentencepiece_model_pb2.ModelProto()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab cd ef ba"] * 50),
        model_writer=written,
        vocab_size=14,
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    model.ParseFromString(written.getvalue())
    return bytes(model.normalizer_spec.precompiled_charsmap)


def tame(table: bytes) -> bool:
    return is_tame(base64.b64encode(table).decode())


@pytest.fixture(scope="module")
def table() -> bytes:
    return table_of("nmt_nfkc")


def replace_unit(table: bytes, number: int, unit: int) -> bytes:
    begin = 4 + 4 * number
    return table[:begin] + unit.to_bytes(4, "little") + table[begin + 4 :]


@pytest.mark.parametrize("rule", RULES)
def test_sentencepieces_own_tables_are_tame(rule: str) -> None:
    assert tame(table_of(rule))


def test_a_long_text_is_not(table: bytes) -> None:
    assert tame(table + b"a" * 40 + b"\0") and not tame(table + b"a" * 41 + b"\0")


def test_a_text_without_an_end_is_not(table: bytes) -> None:
    assert not tame(table + b"a")


def test_a_step_out_of_the_trie_is_not(table: bytes) -> None:
    units = int.from_bytes(table[:4], "little") // 4
    assert not tame(replace_unit(table, 0, units << 10))


def test_a_value_in_the_middle_of_a_letter_or_behind_the_texts_is_not(table: bytes) -> None:
    size = int.from_bytes(table[:4], "little")
    texts = table[4 + size :]
    middle = next(place for place, byte in enumerate(texts) if byte & 0xC0 == 0x80)
    leaf = next(n for n in range(size // 4) if int.from_bytes(table[4 + 4 * n : 8 + 4 * n], "little") >> 31)

    assert tame(replace_unit(table, leaf, 1 << 31))
    assert not tame(replace_unit(table, leaf, 1 << 31 | middle))
    assert not tame(replace_unit(table, leaf, 1 << 31 | len(texts)))


@pytest.mark.parametrize("content", [None, "", "no base 64!", "BAAAAP////8=", "AAAAAA==", 3, "A" * 3_000_000])
def test_what_is_no_table_is_not(content: object) -> None:
    assert not is_tame(content)
