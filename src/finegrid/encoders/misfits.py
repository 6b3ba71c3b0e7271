"""What does not fit between a checkpoint's weights and its config: names, shapes, types, values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from finegrid.data.findings import quote, quote_all
from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.layout import LAYER, Shape
from finegrid.encoders.tensors import StoredTensor
from finegrid.errors import Problem
from finegrid.spelling import count_noun

Stored = Mapping[str, StoredTensor]
QUANTISED = re.compile(r"\.(SCB|absmax|quant_map|quant_state.*|qweight|qzeros|scales|g_idx|weight_scale)$")
NAMED = 3  # tensors in a message
WEIGHTS = "weights"  # where problems of them stand


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
        found = quote([*encoder[names[0]].shape])
        shown = f"{names[0]} is {found}, expected {[sizes[n] for n in expected[names[0]]]}"
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
