"""Near-twins against a join by brute force: none is missed, none is made up."""

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finegrid.data import near
from finegrid.data.near import LEAST, estimate_seconds, find_near
from finegrid.data.pieces import MOST_BYTES, PIECE, Ints

WORDS = ["rain", "sun", "wind", "storm", "cloud", "frost", "大雨", "晴天", "台风", "降温"]
FEW = ["ab", "cd", "ef", "gh", "ij"]
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)


def cut(text: str) -> set[bytes]:
    raw = text.encode()[:MOST_BYTES].ljust(PIECE, b"\0")
    return {raw[at : at + PIECE] for at in range(len(raw) - PIECE + 1)}


def jaccard(one: str, other: str) -> float:
    return len(cut(one) & cut(other)) / len(cut(one) | cut(other))


def pairs_of(texts: list[str]) -> dict[tuple[int, int], float]:
    similar = {(a, b): jaccard(texts[a], texts[b]) for a, b in combinations(range(len(texts)), 2)}
    return {pair: share for pair, share in similar.items() if share >= LEAST}


def check(texts: list[str], asked: list[int], among: list[int], earlier: bool) -> int:
    """Every text that has a near one finds its nearest. How many have."""
    found = find_near(texts, np.array(asked, dtype=np.int64), np.array(among, dtype=np.int64), earlier)
    pairs = pairs_of(texts)
    for number, of, similarity in zip(asked, found.of.tolist(), found.similarity.tolist(), strict=True):
        others = [a + b - number for a, b in pairs if number in (a, b)]
        fit = [other for other in others if other in among and not (earlier and other > number)]
        best = max((pairs[min(number, o), max(number, o)] for o in fit), default=0.0)
        assert similarity == pytest.approx(best)
        assert (of in fit) if fit else of == -1
    return int((found.of >= 0).sum())


@given(st.lists(SENTENCE, unique=True, max_size=12), st.data())
def test_near_texts_are_those_of_brute_force(texts: list[str], data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, max(0, len(texts) - 1)), unique=True, max_size=len(texts))
    asked, among = sorted(data.draw(numbers)), sorted(data.draw(numbers))

    check(texts, asked, among, earlier=False)
    check(texts, list(range(len(texts))), list(range(len(texts))), earlier=True)


def test_edited_texts_are_found_among_many() -> None:
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghij天地人日月", k=draw.randint(3, 7))) for _ in range(300)]
    texts = list(dict.fromkeys(" ".join(draw.choices(vocabulary, k=8)) for _ in range(120)))
    edited = [f"{text}{draw.choice('!?。')}" for text in texts[:40]]
    texts = list(dict.fromkeys([*texts, *edited]))
    every = list(range(len(texts)))

    assert check(texts, every[120:], every[:120], earlier=False) >= 40


@pytest.mark.parametrize("pieces", [4, 20, 40, 100])
def test_texts_are_found_whose_rarest_pieces_are_all_in_one_of_them(pieces: int) -> None:
    """The limit: a fifth of the longer text is in no other, and rarer than all that both have."""
    letters = [chr(0x4E00 + 11 * number) for number in range(pieces)]
    body = "".join(f"{letter}{number % 10}" for number, letter in enumerate(letters))
    body = body.encode()[: pieces + PIECE - 1].decode(errors="ignore").ljust(1)
    size = len(cut(body))
    longer = body + "".join(chr(0x61 + number % 26) for number in range(size // 4))
    found = find_near([body, longer], np.arange(2), np.arange(2))

    assert jaccard(body, longer) >= LEAST > jaccard(body, longer + "!!")
    assert found.of.tolist() == [1, 0]


@pytest.mark.parametrize("blocks", [30, 1000])
def test_texts_that_are_looked_at_in_blocks_are_compared_all_the_same(
    blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"title number {number // 2:05} of this list{'.' * (number % 2)}" for number in range(40)]
    whole = find_near(texts, np.arange(40), np.arange(40))
    monkeypatch.setattr("finegrid.data.pieces.AT_ONCE", blocks)
    monkeypatch.setattr(near, "ASKED", 7)
    monkeypatch.setattr(near, "PAIRS", 3)
    monkeypatch.setattr(near, "COMPARED_PAIRS", 2)
    again = find_near(texts, np.arange(40), np.arange(40))

    assert (whole.of.tolist(), whole.similarity.tolist()) == (again.of.tolist(), again.similarity.tolist())
    assert (whole.of >= 0).all()


def test_of_a_long_text_its_beginning_counts() -> None:
    begin = " ".join(f"word{number}" for number in range(200))
    texts = [begin + " and so on", begin + " and thus it ends, quite differently", "x" + begin[::-1]]

    assert len(begin) > MOST_BYTES
    assert find_near(texts, np.arange(3), np.arange(3)).of.tolist() == [1, 0, -1]


def test_texts_that_all_share_their_pieces_take_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 texts on the same few words each is compared with some of the others only."""
    compared = 0
    sift = near._Index.sift

    def count(self: near._Index, one: Ints, other: Ints) -> tuple[Ints, Ints]:
        nonlocal compared
        compared += len(one)
        return sift(self, one, other)

    monkeypatch.setattr(near._Index, "sift", count)
    draw = random.Random(1)
    texts = list(dict.fromkeys(" ".join(draw.choices(FEW, k=16)) for _ in range(2000)))
    find_near(texts, np.arange(len(texts)), np.arange(len(texts)))

    assert 0 < compared < len(texts) * near.CANDIDATE_PIECES / 12


def test_no_texts_have_no_near_ones() -> None:
    assert find_near([], np.arange(0), np.arange(0)).of.tolist() == []
    assert find_near(["one text"], np.arange(1), np.arange(0)).of.tolist() == [-1]


def test_the_time_is_estimated_from_a_sample() -> None:
    assert 0 < estimate_seconds([f"text {number}" for number in range(100)]) < 60
