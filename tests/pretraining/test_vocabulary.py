"""Word pieces learned from counts."""

from __future__ import annotations

from pathlib import Path

from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.pretraining.corpus import Corpus
from finegrid.pretraining.vocabulary import SPECIALS, learn_pieces, train_vocabulary


def test_the_most_frequent_pair_is_merged_first_and_equals_in_order() -> None:
    pieces = learn_pieces({"abc": 10, "ab": 7, "xbc": 9, "yz": 17}, 24)

    assert pieces[:6] == ["##b", "##c", "##z", "a", "y", "x"]  # 26, 19, three times 17, 9
    assert pieces[6:] == ["##bc", "yz", "abc", "xbc", "ab"]  # 19, 17, 10, 9, and what is left of a-b, 7


def test_rare_characters_and_pairs_are_left_out_of_a_full_vocabulary() -> None:
    pieces = learn_pieces({"aa": 50, "ab": 4, "q": 1, "r": 30, "s": 20}, 4)

    assert pieces == ["a", "##a", "r", "aa"]


def test_the_same_text_gives_the_same_files(tmp_path: Path) -> None:
    corpus = Corpus([("我们 unbelievable believers 2024", "我的 believe 2023 BELIEVE")] * 6, [0] * 6, [])
    for name in "ab":
        train_vocabulary(corpus, 60, 32, tmp_path / name)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")
    tokenizer = load_tokenizer(tmp_path / "a")

    assert first == second and set(first) == {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert tokenizer.encode("我们 BELIEVE").tokens == ["[CLS]", "我", "们", "believe", "[SEP]"]
    assert [tokenizer.token_to_id(piece) for piece in SPECIALS] == [0, 1, 2, 3, 4]
