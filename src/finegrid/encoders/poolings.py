"""The ways in which an encoder's token vectors become one vector, and what each reads of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

Pooling = Literal[
    "cls",
    "pooler",
    "last-mean",
    "first-last-mean",
    "max",
    "mean-of-last-4",
    "concat-last-4",
    "cls-last-4",
    "cls-max-3",
    "weighted",
    "attention",
    "last-token",
]
# Ours, or that of transformers for the family, which decides the pooling too.
HeadKind = Literal["finegrid", "huggingface"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# How many of the top layers a pooling reads, where that is more than one.
TOP_LAYERS: dict[Pooling, int] = {
    "mean-of-last-4": 4,
    "concat-last-4": 4,
    "cls-last-4": 4,
    "cls-max-3": 3,
}
OF_FIRST_TOKENS: frozenset[Pooling] = frozenset({"cls", "pooler", "cls-last-4", "cls-max-3"})


def levels_below(pooling: Pooling, layers: int) -> tuple[int, ...]:
    """Which levels a pooling reads beside the last, bottom up: 0 is the output of the embeddings.

    Args:
        pooling: how token vectors become one.
        layers: of the encoder; at least ``TOP_LAYERS`` of the pooling.
    """
    if pooling == "weighted":
        return tuple(range(layers))
    if pooling == "first-last-mean":
        return (1,)
    return tuple(range(layers - TOP_LAYERS.get(pooling, 1) + 1, layers))


def huggingface_pooling(family: str) -> Pooling:
    """What the sequence-classification head of transformers reads of a model of this family."""
    return "pooler" if family in ("bert", "ernie") else "cls"


def reads_pooler(levels: Mapping[str, Any], family: str) -> bool:
    """Whether a recipe's head reads the pooler.

    Args:
        levels: of the recipe, by dotted names.
        family: of the encoder.
    """
    own = levels["head.kind"] == "finegrid"
    return bool((levels["model.pooling"] if own else huggingface_pooling(family)) == "pooler")
