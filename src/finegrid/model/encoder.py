"""The forward pass of an encoder layer over packed texts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from finegrid.model.anatomy import Layer
from finegrid.model.attention import Group, PackedAttention


def forward_layer(layer: Layer, x: Tensor, groups: tuple[Group, ...]) -> Tensor:
    """One post-LayerNorm layer. ``[tokens, width]`` to ``[tokens, width]``."""
    # One product for queries, keys and values: fewer, larger products, and one sum in the backward pass.
    weight = torch.cat([layer.query.weight, layer.key.weight, layer.value.weight])
    bias = torch.cat([layer.query.bias, layer.key.bias, layer.value.bias])
    qkv = F.linear(x, weight, bias)
    mask = attention_mask(layer, qkv, groups)
    context: Tensor = PackedAttention.apply(qkv, layer.heads, groups, mask)  # type: ignore[no-untyped-call]
    x = layer.attention_norm(layer.hidden_dropout.add(layer.attention_out(context), x))
    expanded = layer.activation(layer.up(x))
    out: Tensor = layer.output_norm(layer.output_dropout.add(layer.down(expanded), x))
    return out


def attention_mask(layer: Layer, qkv: Tensor, groups: tuple[Group, ...]) -> Tensor | None:
    """Dropout factors for the attention weights of all groups, end to end."""
    if not layer.attention_dropout.active:
        return None
    count = sum(group.weights(layer.heads) for group in groups)
    return layer.attention_dropout.mask(count, qkv.device, qkv.dtype)
