"""finegrid's attention as transformers calls it, over packed texts and over padded ones.

Registered in transformers' AttentionInterface. Under a name without a mask function transformers makes no
mask for packed texts; padded ones have the mask that its own eager attention has.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.encoders.tiers import Tier
from finegrid.model.kernels.varlen import attend_varlen
from finegrid.model.passing import current_pass
from finegrid.model.sites import HostedDropout

PACKED, PADDED = "finegrid-packed", "finegrid-padded"
# Arguments that change what attention computes, and that finegrid's does not know.
UNKNOWN = ("softcap", "s_aux", "position_bias", "head_mask", "cache_position_bias")
SITE = "finegrid_attention_dropout"  # the attribute of a module of attention that has its dropout site


@cache
def register_attention() -> None:
    """Tell transformers of both, once a process."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(PACKED, attend_packed)
    AttentionInterface.register(PADDED, attend_padded)
    AttentionMaskInterface.register(PADDED, eager_mask)


def attention_of(tier: Tier) -> str:
    """The name that a tier's attention is registered under."""
    return PACKED if tier == "interface" else PADDED


def attend_packed(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention within each text of a packed batch.

    Args:
        module: of transformers, which calls it.
        query: ``[1, heads, tokens, head width]``; so are key and value, perhaps of fewer heads.
        key: as ``query``.
        value: as ``query``.
        attention_mask: none is ever made.
        scaling: of the scores.
        sliding_window: a token sees those that are fewer than so many away.
        is_causal: whether a token sees itself and those before it; None: as the module says.
        others: whatever else transformers gives to attention.

    Returns:
        ``[1, tokens, heads, head width]``, and no weights.
    """
    refuse_unknown(others, attention_mask)
    current = current_pass()
    current.attended += 1
    site: HostedDropout | None = getattr(module, SITE, None)
    dropped = site.of_pass(current, query) if site is not None and site.active else None
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    context = attend_varlen(
        q, k, v, current.layout, dropped, scale=scale, causal=causal, window=sliding_window
    )
    return context[None], None


def attend_padded(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of texts that are padded to one length, as transformers' eager one. Arguments as above."""
    refuse_unknown(others, None)
    current_pass().attended += 1
    repeats = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(repeats, 1) for states in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(2, 3) * scale
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[2]]
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
    site: HostedDropout | None = getattr(module, SITE, None)
    if site is not None:
        weights = site(weights)
    return (weights @ value).transpose(1, 2).contiguous(), None


def refuse_unknown(others: dict[str, Any], mask: Tensor | None) -> None:
    """Refuse attention of a kind that finegrid's would compute wrongly.

    Raises:
        NotImplementedError: it is of such a kind.
    """
    if mask is not None:
        raise NotImplementedError("attention with a mask of its own")
    if asked := [name for name in UNKNOWN if others.get(name) is not None]:
        raise NotImplementedError(f"attention with {', '.join(asked)}")
