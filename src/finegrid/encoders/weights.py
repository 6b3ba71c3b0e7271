"""Checks a checkpoint's weights against its config, and their values, before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finegrid.data.findings import quote, quote_all
from finegrid.encoders.evidence import find_evidence, find_prefixes, read_all_safetensors
from finegrid.encoders.families import FAMILIES, CheckpointInfo
from finegrid.encoders.files import read_config, weight_files
from finegrid.encoders.layout import (
    BUFFERS,
    LAYER,
    POSITIONS,
    PREFIXES,
    TABLE,
    TYPES,
    Shape,
    list_linear,
    list_tensors,
    read_sizes,
    rename_norms,
)
from finegrid.encoders.pickles import read_pickled
from finegrid.encoders.tensors import StoredTensor
from finegrid.errors import InputError, Problem, input_error
from finegrid.spelling import count_noun

Stored = Mapping[str, StoredTensor]
QUANTISED = re.compile(r"\.(SCB|absmax|quant_map|quant_state.*|qweight|qzeros|scales|g_idx|weight_scale)$")
NAMED = 3  # tensors in a message
WEIGHTS = "weights"  # where problems of them stand


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
    config, source = read_config(info.folder), str(info.folder)
    try:
        sizes = read_sizes(info.family, config)
    except ValueError as error:
        raise input_error(source, "config.json", str(error)) from None
    files = weight_files(info.folder)
    if files[0].suffix == ".safetensors":
        raw = read_all_safetensors(files)
    else:
        raw = {name: tensor for path in files for name, tensor in read_pickled(path).items()}
    stored = {rename_norms(name): tensor for name, tensor in raw.items()}
    check_family(info, config, stored)
    prefix = PREFIXES[info.family]
    if prefix not in find_prefixes(stored):
        prefix = ""
    encoder = {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}
    expected = list_tensors(info.family, config, info.layers)
    pooler = list_pooler(info, encoder)
    problems = [
        *find_missing(info, encoder, expected),
        *find_other_shapes(encoder, expected | pooler, sizes),
        *find_unused(info, encoder, expected),
    ]
    if problems or (problems := list(find_bad_values(encoder, expected | pooler))):
        raise InputError(source, problems)
    return CheckedWeights(encoder[TABLE].shape[0], tuple(find_warnings(encoder, expected)))


def check_family(info: CheckpointInfo, config: Mapping[str, Any], stored: Stored) -> None:
    """Refuse weights of another family than config.json's, and those whose names nothing would find."""
    source, ours = str(info.folder), info.family
    evidence = find_evidence(stored) or find_absolute_positions(info, config, stored)
    if evidence is not None and evidence[0] != ours:
        family, why = evidence
        what = (
            f'model_type "{ours}", but the weights are {FAMILIES[family].partition(" (")[0]}\'s: {why}. '
            f'Write "model_type": "{family}", or take the config.json that belongs to the weights.'
        )
        raise input_error(source, "config.json", what)
    prefixes = find_prefixes(stored)
    if prefixes and not {"", PREFIXES[ours]} & {*prefixes}:
        what = (
            f"all names begin with {quote(prefixes[0])}, as of a model inside another. Expected {TABLE}, or "
            f"{PREFIXES[ours]}{TABLE}. Save the inner model with save_pretrained."
        )
        raise input_error(source, WEIGHTS, what)


def find_absolute_positions(
    info: CheckpointInfo, config: Mapping[str, Any], stored: Stored
) -> tuple[str, str] | None:
    """BERT's positions in what is called a RoBERTa: that has two more, and never trains the padding's."""
    table = stored.get(POSITIONS)
    types = stored.get(TYPES)
    padding = config.get("pad_token_id", 1)
    if info.family != "roberta" or table is None or types is None or not isinstance(padding, int):
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


def find_missing(info: CheckpointInfo, encoder: Stored, expected: Mapping[str, Shape]) -> Iterator[Problem]:
    lost = [name for name in expected if name not in encoder]
    if not lost:
        return
    if any(QUANTISED.search(name) for name in encoder):
        yield Problem(WEIGHTS, describe_quantised(next(name for name in encoder if QUANTISED.search(name))))
        return
    known = [LAYER.match(name) for name in encoder]
    layers = 1 + max((int(match[2]) for match in known if match), default=-1)
    if 0 < layers < info.layers and all(layers <= layer_of(name) for name in lost):
        what = (
            f"config.json says {info.layers} layers, the weights have {layers}: no {place_of(lost[0])}. "
            "Take the config.json that belongs to the weights."
        )
        yield Problem(WEIGHTS, what)
        return
    more = " ..." if len(lost) > NAMED else ""
    what = f"no weights for {', '.join(lost[:NAMED])}{more} ({count_noun(len(lost), 'tensor')})."
    found = f" Found {quote_all(list(encoder), NAMED)}." if len(lost) == len(expected) else ""
    yield Problem(WEIGHTS, f"{what}{found} Is this a complete {info.family} encoder?")


def find_other_shapes(
    encoder: Stored, expected: Mapping[str, Shape], sizes: Mapping[str, int]
) -> Iterator[Problem]:
    """Shapes against the config's, a problem for each of its settings."""
    by_setting: dict[tuple[str, int | None], list[str]] = {}
    for name, shape in expected.items():
        if (tensor := encoder.get(name)) is None:
            continue
        if not tensor.is_float:
            yield Problem(WEIGHTS, describe_quantised(f"{name} of type {tensor.kind}"))
            return
        unlike: list[tuple[str, int | None]] = [("", None)]
        if len(tensor.shape) == len(shape):
            pairs = zip(shape, tensor.shape, strict=True)
            unlike = [(setting, side) for setting, side in pairs if sizes[setting] != side]
        for key in dict.fromkeys(unlike):
            by_setting.setdefault(key, []).append(name)
    for (setting, side), names in by_setting.items():
        shown = (
            f"{names[0]} is {[*encoder[names[0]].shape]}, expected {[sizes[n] for n in expected[names[0]]]}"
        )
        more = f", and {len(names) - 1} more" if len(names) > 1 else ""
        if side is None:
            hint = " DeepSpeed's ZeRO-3 saves such: make whole weights with its zero_to_fp32.py."
            empty = 0 in encoder[names[0]].shape
            yield Problem(WEIGHTS, f"{shown}{more}.{hint if empty else ''}")
            continue
        says = f"config.json says {setting} = {sizes[setting]}, the weights have {side}"
        yield Problem(WEIGHTS, f"{says}: {shown}{more}. Take the config.json that belongs to the weights.")


def find_unused(info: CheckpointInfo, encoder: Stored, expected: Mapping[str, Shape]) -> Iterator[Problem]:
    """Weights of layers that the model would leave out."""
    others = [name for name in encoder if LAYER.match(name) and name not in expected]
    beyond = [name for name in others if layer_of(name) >= info.layers]
    if beyond:
        places = sorted({place_of(name) for name in beyond}, key=lambda place: int(place.rpartition(".")[2]))
        layers = 1 + max(map(layer_of, beyond))
        shown = places[0] if len(places) == 1 else f"{places[0]} to {places[-1]}"
        what = (
            f"weights of {shown} are not used: config.json says {info.layers} layers, the weights have "
            f"{layers}. Correct config.json. "
            "If you want fewer layers, load it with transformers and save it anew."
        )
        yield Problem(WEIGHTS, what)
    inside = [name for name in others if layer_of(name) < info.layers]
    if inside and not any(QUANTISED.search(name) for name in inside):
        what = (
            f"{count_noun(len(inside), 'tensor')} in the layers that no {info.family} has: "
            f"{quote_all(inside, NAMED)}. If they are an adapter's, merge it first (merge_and_unload)."
        )
        yield Problem(WEIGHTS, what)
    elif inside:
        yield Problem(WEIGHTS, describe_quantised(inside[0]))


def find_bad_values(encoder: Stored, expected: Mapping[str, Shape]) -> Iterator[Problem]:
    """Values that are no finite numbers, and weights that are nothing but zeros. Reads the whole file."""
    broken, empty = {}, []
    for name in expected:
        bad, some = 0, False
        for piece in encoder[name].pieces():
            with np.errstate(over="ignore"):
                finite = np.isfinite(piece.astype(np.float32, copy=False))
            bad += 0 if finite.all() else int((~finite).sum())
            some = some or bool(np.any(piece))
        if bad:
            broken[name] = bad
        if not some and may_not_be_zero(name):
            empty.append(name)
    for name, bad in list(broken.items())[:NAMED]:
        size = int(np.prod(encoder[name].shape))
        more = (
            f", and {len(broken) - 1} tensors more" if len(broken) > 1 and name == next(iter(broken)) else ""
        )
        what = f"{name} is not finite ({bad:,} of {size:,} values are NaN or infinite{more}). "
        yield Problem(WEIGHTS, f"{what}Take another copy, or an earlier checkpoint of its training.")
    if empty:
        shown = f"{', '.join(empty[:NAMED])}{' ...' if len(empty) > NAMED else ''}"
        what = f"{shown} ({count_noun(len(empty), 'tensor')}) are all zeros. Download the file again."
        yield Problem(WEIGHTS, what)


def may_not_be_zero(name: str) -> bool:
    """Biases may be zero, and the embeddings of a single token type."""
    return name.endswith(".weight") and "_type_embeddings" not in name and not name.startswith("pooler.")


def find_warnings(encoder: Stored, expected: Mapping[str, Shape]) -> Iterator[str]:
    tables = [name for name in encoder if name.startswith("embeddings.") and name not in expected]
    if others := [name for name in tables if name not in BUFFERS]:
        yield (
            f"weights: {quote_all(others, NAMED)} are not used, since config.json does not ask for them. "
            "Is it the config.json that belongs to the weights?"
        )


def describe_quantised(example: str) -> str:
    return (
        f"these weights are quantised ({quote(example)}), and finegrid trains in floats. "
        "Take the checkpoint that they were made from."
    )


def layer_of(name: str) -> int:
    """The number of a tensor's layer; -1 where it is in none."""
    match = LAYER.match(name)
    return int(match[2]) if match else -1


def place_of(name: str) -> str:
    """``encoder.layer.2``, of a tensor in it."""
    match = LAYER.match(name)
    return match[0].rstrip(".") if match else name
