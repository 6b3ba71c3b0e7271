"""Augmentation: in every epoch some tokens of a training text are hidden, left out, or moved.

Paper   Wei & Zou, EDA: Easy Data Augmentation Techniques, EMNLP 2019 (1901.11196), for delete and swap; Shen
        et al., A Simple but Tough-to-Beat Data Augmentation Approach, 2020 (2009.13818), for cutoff.
Idea    A text with a few tokens changed should have the same label.
Off     ``rate=0.0``; ``kind`` does nothing then.
Exactly Of a text's n tokens (special ones not counted, before ``model.max_length`` cuts them), ``mask``
        puts the mask token in the place of each with probability rate; ``delete`` leaves each out with
        probability rate, but one stays; ``swap`` exchanges two tokens, rate * n times on average;
        ``cutoff-token`` reads no word for each with probability rate, and ``cutoff-span`` for rate * n
        neighbours on average: the embedded word is 0, while position and type stay. Of a pair, each text is
        changed by itself. Every epoch draws anew, from the stream ``augment/<epoch>/<text id>``: whatever
        shares a batch with a text, and in all runs of a seed, its tokens are changed alike.
Differs EDA changes words, and writes each changed text down once, beside the text itself; it also inserts and
        replaces synonyms, for which it needs WordNet. Of cutoff there is no term that draws predictions for
        the text and for what is left of it together: it would be a second pass; see ``rdrop``.
Note    Dev and test are read as they are, and so are the texts by a teacher, a probe, and more pre-training.
        What frozen layers make of a text is computed in every epoch. A text of ``texts.extra`` has the draws
        of the study's text with its number. To write changed texts down once, use ``texts.extra``.
Reduces As without: the mean over a batch's texts.
Evidence D: no consistent gain for pre-trained encoders (2010.01764); cutoff has one paper, with its
        consistency term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.data.tokens import MASKS
from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Strategy, TableReading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finegrid.data.tokens import TokenisedSplit
    from finegrid.streams import Streams

Kind = Literal["mask", "delete", "swap", "cutoff-token", "cutoff-span"]


@dataclass(frozen=True, config=STRICT)
class Augment(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "augmentation of texts",
            ("kind", "rate"),
            "texts",
            "D",
            synonyms=("EDA", "token masking", "word dropout", "cutoff", "random deletion", "random swap"),
            chinese=("随机改动文本", "随机遮盖", "随机删除", "随机交换", "词元增强"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"rate": (0.0, 0.1)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"kind": {"data": "all"}, "rate": {"data": "all"}}

    kind: Annotated[Kind, Field(description="what becomes of the tokens that are drawn")] = "mask"
    rate: Annotated[float, Field(ge=0, le=0.9, description="share of a text's tokens; 0: none")] = 0.0

    @property
    def acts(self) -> bool:
        return self.rate > 0

    @property
    def hides_words(self) -> bool:
        return self.acts and self.kind.startswith("cutoff")

    def find_lacking(self, mask: int | None) -> list[Problem]:
        if not self.acts or self.kind != "mask" or mask is not None:
            return []
        what = (
            f'"mask" at augment.rate {self.rate:g}, but the tokenizer has no token that hides another one '
            f"({' or '.join(MASKS)}). Take another kind."
        )
        return [Problem('"augment.kind"', what)]

    def rewrite(self, texts: TokenisedSplit, epoch: int, streams: Streams) -> TokenisedSplit:
        import numpy as np

        if not self.acts:
            return texts
        parts = list(parts_of(texts, epoch, streams))
        changed = [self._change(part, texts.template.mask) for part in parts]
        bounds = np.cumsum([0, *map(len, changed)], dtype=texts.bounds.dtype)
        return replace(texts, tokens=np.concatenate(changed), bounds=bounds)

    def _change(self, part: DrawnText, mask: int | None) -> NDArray[np.int32]:
        import numpy as np

        tokens, count = part.tokens, len(part.tokens)
        if count == 0:
            return tokens
        if self.kind == "swap":
            return swap(tokens, part.numbers, self.rate)
        if self.kind == "cutoff-span":
            length = round_by(self.rate * count, part.numbers[0])
            begin = int(part.numbers[1] * (count - length + 1))
            drawn = (np.arange(count) >= begin) & (np.arange(count) < begin + length)
        else:
            drawn = part.numbers[:count] < self.rate
        if self.kind == "delete":
            stays = ~drawn
            stays[part.numbers[:count].argmax()] = True
            return tokens[stays]
        if self.kind != "mask":
            return np.where(drawn, ~tokens, tokens)
        assert mask is not None  # see `find_lacking`
        return np.where(drawn, np.full_like(tokens, mask), tokens)


@plain_dataclass(frozen=True)
class DrawnText:
    """A text, or one of a pair.

    Attributes:
        tokens: without special ones.
        numbers: drawn for it, from 0 to 1, two more than twice as many.
    """

    tokens: NDArray[np.int32]
    numbers: NDArray[np.float64]


def parts_of(texts: TokenisedSplit, epoch: int, streams: Streams) -> Iterator[DrawnText]:
    """All texts of a split, one after the other, with what an epoch draws for each."""
    import numpy as np

    for row, number in enumerate(texts.ids):
        bounds = texts.bounds[row * texts.parts : (row + 1) * texts.parts + 1]
        needed = 2 * np.diff(bounds) + 2
        words = streams.bits(f"augment/{epoch}/{number}", int(needed.sum()))
        numbers = np.split((words >> np.uint64(11)) / 2.0**53, np.cumsum(needed)[:-1])
        for part, own in enumerate(numbers):
            yield DrawnText(texts.tokens[bounds[part] : bounds[part + 1]], own)


def round_by(value: float, number: float) -> int:
    """To a neighbouring whole number, so that it is right on average. ``number``: drawn, from 0 to 1."""
    return int(value + number)


def swap(tokens: NDArray[np.int32], numbers: NDArray[np.float64], rate: float) -> NDArray[np.int32]:
    """Exchange two tokens in different places, so many times."""
    count, changed = len(tokens), tokens.copy()
    if count < 2:
        return changed
    for time in range(round_by(rate * count, numbers[0])):
        first, second = numbers[1 + 2 * time : 3 + 2 * time]
        one = int(first * count)
        other = (one + 1 + int(second * (count - 1))) % count
        changed[[one, other]] = changed[[other, one]]
    return changed
