"""Tensors by their hashes: whether two hold the same bits, without keeping either."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.model.rows import Rows, held_rows, take_rows

LOADED = "as in the checkpoint"  # in place of a hash: most of a model, and dear to hash


def hash_parameters(model: Classifier, rows: Rows | None) -> dict[str, str]:
    """By name; of the table of words only the rows that texts need, whatever the model holds."""
    return hash_each({name: (p, p) for name, p in model.named_parameters()}, model, rows)


def hash_initial(model: Classifier, checkpoint: Checkpoint, rows: Rows | None) -> dict[str, str]:
    """As `hash_parameters`, of a model that was just made; `LOADED` where it has the checkpoint's bits."""
    table = checkpoint.table
    loaded = {
        f"encoder.{name}": take_rows(p.detach(), rows if p is getattr(table, "weight", None) else None)
        for name, p in checkpoint.encoder.named_parameters()
    }
    held = rows if held_rows(model.parts.embedding_table) is None else None
    words = model.parts.embedding_table.weight
    same = {
        name
        for name, p in model.named_parameters()
        if name in loaded and have_same_bits(take_rows(p, held if p is words else None), loaded[name])
    }
    others = {name: (p, p) for name, p in model.named_parameters() if name not in same}
    found = hash_each(others, model, rows)
    return {name: LOADED if name in same else found[name] for name, _ in model.named_parameters()}


def hash_gradients(model: Classifier, rows: Rows | None) -> dict[str, str]:
    """Of all parameters that have one, as `hash_parameters`."""
    named = {name: (p, p.grad) for name, p in model.named_parameters() if p.grad is not None}
    return hash_each(named, model, rows)


def hash_each(
    named: Mapping[str, tuple[Tensor, Tensor]], model: Classifier, rows: Rows | None
) -> dict[str, str]:
    """``named``: parameters, and what is hashed of them."""
    table = model.parts.embedding_table
    rows = rows if held_rows(table) is None else None
    return {
        name: hash_values(take_rows(values, rows if p is table.weight else None))
        for name, (p, values) in named.items()
    }


def hash_values(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def have_same_bits(a: Tensor, b: Tensor) -> bool:
    """Unlike ``torch.equal``, which takes -0.0 for 0.0, and nan for nothing."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = (one.detach().cpu().contiguous().reshape(-1) for one in (a, b))
    as_words = torch.int32 if a.element_size() == 4 else torch.uint8
    return torch.equal(a.view(as_words), b.view(as_words))
