"""Opens a study's checkpoint before anything is trained: weights, tokeniser, tokens of the texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.data.table import DataTable
from finegrid.data.token_facts import TokenFacts, check_tokens, draw_token_facts, find_token_warnings
from finegrid.data.tokens import Template, read_template
from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.tokenizer import check_pair, describe_excess, load_tokenizer, try_texts
from finegrid.encoders.weights import CheckedWeights, check_weights
from finegrid.errors import input_error


@dataclass(frozen=True)
class OpenedCheckpoint:
    """What a checkpoint makes of a study's texts."""

    facts: list[TokenFacts]  # of train, dev and test
    warnings: list[str]


def open_checkpoint(
    info: CheckpointInfo, table: DataTable, max_length: int | Callable[[Sequence[NDArray[np.int64]]], int]
) -> OpenedCheckpoint:
    """Check weights and tokeniser, and count the tokens of the texts, drawn ones where there are many.

    For who does not go on to train: no model is made, and torch is not needed for safetensors.

    Args:
        info: the checkpoint.
        table: the study's texts.
        max_length: the baseline's, in tokens; or what chooses it, given the lengths of each split's texts.

    Raises:
        InputError: weights or a tokeniser that cannot be used, or that do not fit each other or the texts.
    """
    tokenizer = load_tokenizer(info.folder)
    weights = check_weights(info)
    try_texts(info.folder, chain(table.train.texts, table.dev.texts, table.test.texts))
    facts = draw_token_facts(table, tokenizer, max_length)
    template = read_template(tokenizer, len(table.train.texts[0]))
    return OpenedCheckpoint(facts, check_opened(info, weights, tokenizer, template, facts))


def check_opened(
    info: CheckpointInfo,
    weights: CheckedWeights,
    tokenizer: Any,
    template: Template,
    facts: Sequence[TokenFacts],
) -> list[str]:
    """Whether weights, tokeniser and texts fit each other. Returns what is to be warned of.

    Raises:
        InputError: they do not.
    """
    specials = [piece.token for piece in template.pieces if piece.text < 0]
    of_pair = check_pair(info.folder, tokenizer, weights.rows, specials)
    check_largest(info, weights, max(fact.largest for fact in facts))
    check_tokens(facts)
    return [*weights.warnings, *of_pair, *find_token_warnings(facts)]


def check_largest(info: CheckpointInfo, weights: CheckedWeights, largest: int) -> None:
    """Refuse texts with a token that has no embedding.

    Raises:
        InputError: there are such.
    """
    if largest >= weights.rows:
        raise input_error(str(info.folder), "tokenizer", describe_excess(largest + 1, weights.rows))
