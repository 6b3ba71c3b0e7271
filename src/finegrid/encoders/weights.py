"""Checks a checkpoint's weights against its config, and their values, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finegrid.data.findings import quote, quote_all
from finegrid.encoders.config import read_settings
from finegrid.encoders.evidence import find_evidence, find_prefixes, read_all_safetensors
from finegrid.encoders.families import FAMILIES, CheckpointInfo
from finegrid.encoders.files import weight_files
from finegrid.encoders.layout import (
    BUFFERS,
    POSITIONS,
    PREFIXES,
    ROBERTA_LIKE,
    TABLE,
    TYPES,
    Shape,
    list_linear,
    list_tensors,
    rename_norms,
)
from finegrid.encoders.misfits import (
    NAMED,
    QUANTISED,
    WEIGHTS,
    Stored,
    describe_quantised,
    find_bad_values,
    find_missing,
    find_other_shapes,
    find_unused,
)
from finegrid.encoders.pickles import read_pickled
from finegrid.errors import InputError, input_error

MOST_TENSORS = 5_000  # BERT-large has 400


@dataclass(frozen=True)
class CheckedWeights:
    """What is known of weights that have been checked."""

    rows: int  # of the table of word embeddings: the tokens that it has
    warnings: tuple[str, ...]


def check_weights(info: CheckpointInfo) -> CheckedWeights:
    """Read names, types, shapes and values of a checkpoint's weights; no model is made.

    Safetensors need no torch. At most a few MiB are in memory at once.

    Raises:
        InputError: files that cannot be read, another family's weights, or weights that do not fit the
            config, are quantised, or are no finite numbers.
    """
    source, config = str(info.folder), read_settings(info.folder, info.family).model_dump()
    files = weight_files(info.folder)
    if files[0].suffix == ".safetensors":
        raw = read_all_safetensors(files)
    else:
        raw = {name: tensor for path in files for name, tensor in read_pickled(path).items()}
    if len(raw) > MOST_TENSORS:
        what = f"{len(raw):,} tensors, expected {MOST_TENSORS:,} at most. Is this an encoder?"
        raise input_error(source, WEIGHTS, what)
    stored = {rename_norms(name): tensor for name, tensor in raw.items()}
    if info.tier != "hand":
        return check_hosted_weights(info, config, raw)
    check_family(info, config, stored)
    prefix = PREFIXES[info.family]
    if prefix not in find_prefixes(stored):
        prefix = ""
    encoder = {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}
    if info.layers > len(stored):
        what = f"config.json says {info.layers:,} layers, the weights have {len(stored)} tensors in all."
        raise input_error(source, WEIGHTS, f"{what} Take the config.json that belongs to the weights.")
    expected = list_tensors(info.family, config, info.layers)
    pooler = list_pooler(info, encoder)
    problems = [
        *find_missing(info, encoder, expected),
        *find_other_shapes(encoder, expected | pooler, config),
        *find_unused(info, encoder, expected),
    ]
    if problems or (problems := list(find_bad_values(encoder, expected | pooler))):
        raise InputError(source, problems)
    return CheckedWeights(encoder[TABLE].shape[0], tuple(find_warnings(encoder, expected)))


def check_hosted_weights(info: CheckpointInfo, config: Mapping[str, Any], raw: Stored) -> CheckedWeights:
    """What can be told of a hosted family's weights by names, types and shapes alone.

    Raises:
        InputError: they are quantised, or have no table of word embeddings of the config's size.
    """
    source = str(info.folder)
    whole = {name for name, t in raw.items() if not t.is_float and name.endswith(".weight")}
    if quantised := next((name for name in raw if QUANTISED.search(name) or name in whole), None):
        raise input_error(source, WEIGHTS, describe_quantised(quantised))
    rows = config["vocab_size"]
    tables = [t for t in raw.values() if len(t.shape) == 2 and t.shape[0] >= rows]
    if not tables:
        what = (
            f"no table of embeddings for the {rows:,} tokens that config.json names. Take the config.json "
            "that belongs to the weights."
        )
        raise input_error(source, WEIGHTS, what)
    return CheckedWeights(rows, ())


def check_family(info: CheckpointInfo, config: Mapping[str, Any], stored: Stored) -> None:
    """Refuse weights of another family than config.json's, and those whose names nothing would find."""
    source, ours = str(info.folder), info.family
    evidence = find_evidence(stored) or find_absolute_positions(info, config, stored)
    prefixes = find_prefixes(stored)
    if evidence is not None and not is_like(evidence[0], ours, prefixes):
        family, why = evidence
        what = (
            f'model_type "{ours}", but the weights are {FAMILIES[family].partition(" (")[0]}\'s: {why}. '
            f'Write "model_type": "{family}", or take the config.json that belongs to the weights.'
        )
        raise input_error(source, "config.json", what)
    if prefixes and not {"", PREFIXES[ours]} & {*prefixes}:
        what = (
            f"all names begin with {quote(prefixes[0])}, as of a model inside another. Expected {TABLE}, or "
            f"{PREFIXES[ours]}{TABLE}. Save the inner model with save_pretrained."
        )
        raise input_error(source, WEIGHTS, what)


def is_like(family: str, ours: str, prefixes: list[str]) -> bool:
    """Whether weights that tell of one family may be of ours: those like RoBERTa differ in prefixes alone."""
    alike = {family, ours} <= ROBERTA_LIKE and not {*prefixes} & {PREFIXES[family]} - {PREFIXES[ours]}
    return alike or family == ours


def find_absolute_positions(
    info: CheckpointInfo, config: Mapping[str, Any], stored: Stored
) -> tuple[str, str] | None:
    """BERT's positions in what is called a RoBERTa: that has two more, and never trains the padding's."""
    table = stored.get(POSITIONS)
    types = stored.get(TYPES)
    padding = config["pad_token_id"]
    if info.family not in ROBERTA_LIKE or table is None or types is None:
        return None
    if len(table.shape) != 2 or types.shape[:1] == (1,) or table.shape[0] % 8 or padding >= table.shape[0]:
        return None
    rows = next(table.pieces(), np.zeros(0))[: (padding + 1) * table.shape[1]]
    if not np.any(rows[padding * table.shape[1] :]):
        return None
    return (
        "bert",
        f"{table.shape[0]} positions and {types.shape[0]} token types, and position {padding} is trained",
    )


def list_pooler(info: CheckpointInfo, encoder: Stored) -> dict[str, Shape]:
    """The pooler's tensors, of which a checkpoint may have none: a run then draws them."""
    tensors = list_linear("pooler.dense", ("hidden_size", "hidden_size")) if info.has_pooler else ()
    return {name: shape for name, shape in tensors if name in encoder}


def find_warnings(encoder: Stored, expected: Mapping[str, Shape]) -> Iterator[str]:
    tables = [name for name in encoder if name.startswith("embeddings.") and name not in expected]
    if others := [name for name in tables if name not in BUFFERS]:
        yield (
            f"weights: {quote_all(others, NAMED)} are not used, since config.json does not ask for them. "
            "Is it the config.json that belongs to the weights?"
        )
