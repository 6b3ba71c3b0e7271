"""Settings that fit the user's texts and model, each with its reason; docs/defaults.md has the sources.

Pure functions of a few numbers: who has read the files gives them, and `finegrid init` writes the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.encoders.size import EncoderSize
from finegrid.in_chinese import translate
from finegrid.recipe.identity import Level
from finegrid.spelling import Lang
from finegrid.study.toml_words import say

ROUND_TO = 8  # tokens; texts that are packed cost what they have, so a few more cost nothing
LEAST_LENGTH = 16  # tokens, so that a quarter of it still holds a word
FEW_TEXTS = 2_000  # for training; below, the smaller of the usual batches makes more steps of them
SMALL_BATCH, BATCH = 16, 32  # Devlin et al. 2019, appendix A.3
LEAST_EPOCHS = 3  # Devlin et al. 2019: 2 to 4
MOST_EPOCHS = 20  # Mosbach et al. 2021, for data sets of some thousand texts
ENOUGH_STEPS = 1_000  # Zhang et al. 2021 found 3 epochs of 1,000 texts, some 100 steps, to be far too few


@dataclass(frozen=True)
class TextLengths:
    """What the proposals need to know of the texts.

    Attributes:
        train: How many texts there are for training.
        percentile_99: Tokens, special ones counted, that 99 % of the texts of every split have at most.
        longest: Tokens of the longest text.
        limit: Most tokens that the encoder takes.
        share_over_limit: Of the texts, those that are longer than that.
    """

    train: int
    percentile_99: int
    longest: int
    limit: int
    share_over_limit: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """A level, and why: one line."""

    level: Level
    reason: str


def propose(
    texts: TextLengths, size: EncoderSize, set_: dict[str, Level], lang: Lang = "en"
) -> dict[str, Proposal]:
    """Settings of the baseline, by factor; the epochs fit the batch that is asked for.

    Args:
        texts: what is known of them.
        size: of the encoder.
        set_: what the user has set, by factor: no proposal is made of it.
        lang: en or zh, of the reasons.
    """
    batch = propose_batch(texts, lang)
    asked = set_.get("training.batch_size", batch.level)
    found = {
        "model.max_length": propose_length(texts, lang),
        "training.batch_size": batch,
        "training.epochs": propose_epochs(texts, int(asked), lang),
        "optimizer.rate": propose_rate(size, lang),
    }
    return {factor: proposal for factor, proposal in found.items() if factor not in set_}


def propose_length(texts: TextLengths, lang: Lang = "en") -> Proposal:
    """As many tokens as 99 % of the texts have, or as the encoder takes."""
    enough = max(LEAST_LENGTH, ROUND_TO * math.ceil(texts.percentile_99 / ROUND_TO))
    if enough > texts.limit and texts.percentile_99 > texts.limit:
        share = 100 * texts.share_over_limit
        return Proposal(texts.limit, say("limit", lang, share=share, longest=texts.longest))
    level = min(enough, texts.limit)
    if texts.longest <= level:
        return Proposal(level, say("length of all", lang, longest=texts.longest))
    return Proposal(level, say("length of most", lang, most=texts.percentile_99, longest=texts.longest))


def propose_batch(texts: TextLengths, lang: Lang) -> Proposal:
    few = texts.train < FEW_TEXTS
    level = SMALL_BATCH if few else BATCH
    return Proposal(level, say("small batch" if few else "batch", lang, texts=texts.train, few=FEW_TEXTS))


def propose_epochs(texts: TextLengths, batch: int, lang: Lang) -> Proposal:
    """So many that some 1,000 steps come together: more for few texts."""
    steps = max(1, math.ceil(texts.train / batch))
    level = min(max(math.ceil(ENOUGH_STEPS / steps), LEAST_EPOCHS), MOST_EPOCHS)
    key = "more epochs" if level > LEAST_EPOCHS else "epochs"
    return Proposal(level, say(key, lang, steps=level * steps, epoch=steps))


def propose_rate(size: EncoderSize, lang: Lang) -> Proposal:
    """Smaller encoders take larger rates."""
    return Proposal(rate_for(size), say("rate", lang, size=translate(size.name, lang)))


# By family, then for encoders at least so wide: the rate. The source of each stands in docs/defaults.md.
RATES: dict[str, Sequence[tuple[int, float]]] = {
    "electra": ((1024, 5e-5), (0, 1e-4)),
    **dict.fromkeys(ROBERTA_LIKE, ((1024, 1e-5), (640, 2e-5), (320, 1e-4), (0, 3e-4))),
    "xlm-roberta": ((640, 1e-5), (320, 1e-4), (0, 3e-4)),
    "": ((1024, 2e-5), (640, 3e-5), (320, 1e-4), (0, 3e-4)),
}
DEEP = 10  # layers; a shallower encoder of the usual width takes the largest of the usual rates
SHALLOW_RATE = 5e-5


def rate_for(size: EncoderSize) -> float:
    rate = next(rate for width, rate in RATES.get(size.family, RATES[""]) if size.width >= width)
    return max(rate, SHALLOW_RATE) if size.layers < DEEP else rate


def scale_levels(levels: Sequence[Level], first: Level) -> list[Level]:
    """A preset's numbers about another first level: each keeps its ratio to the first.

    Args:
        levels: numbers; the first is the preset's own baseline.
        first: that is proposed instead.
    """
    whole = isinstance(first, int)
    scaled = [float(first) * float(level) / float(levels[0]) for level in levels]
    found: list[Level] = [max(1, round(one)) if whole else float(f"{one:.3g}") for one in scaled]
    return list(dict.fromkeys([first, *found[1:]]))
