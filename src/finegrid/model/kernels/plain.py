"""The operations of a layer in torch's own terms: on CPUs, and wherever Triton's kernels cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.model.kernels import attention, products
from finegrid.model.kernels.attention import Attended
from finegrid.model.kernels.layout import Dropped, Layout
from finegrid.model.kernels.sight import WHOLE, Sight

Joined = tuple[Tensor, Tensor, Tensor]  # what went into LayerNorm, its mean, its reciprocal deviation


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, None]:
    return products.linear(x, weight, bias), None


def attend(
    qkv: Tensor, bias: None, layout: Layout, dropped: Dropped | None, sight: Sight = WHOLE
) -> tuple[Tensor, Attended]:
    context, attended = attention.attend(qkv.flatten(0, -2), layout, dropped, sight)
    return context.view(*qkv.shape[:-1], -1), attended


def attend_backward(grad: Tensor, attended: Attended) -> Tensor:
    return attention.attend_backward(grad.flatten(0, -2), attended).view(*grad.shape[:-1], -1)


def join(norm: Any, x: Tensor, y: Tensor, bias: None, dropped: Dropped | None) -> tuple[Tensor, None, Joined]:
    total = add_residual(x, y, dropped)
    out, mean, rstd = normalise(norm, total)
    return out, None, (total, mean, rstd)


def join_backward(
    norm: Any, grad: Tensor, joined: Joined, dropped: Dropped | None, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
    grad_x, *of_norm = normalise_backward(norm, grad, *joined)
    grad_y = through_dropout(grad_x, dropped).to(dtype)
    of_bias = sum_tokens(grad_y, grad.dtype) if with_bias else None
    return grad_x, grad_y, *of_norm, of_bias  # type: ignore[return-value]  # of_norm are two


def activate(activation: Callable[[Tensor], Tensor], wide: Tensor, bias: None) -> tuple[Tensor, Any]:
    wide.requires_grad_()
    with torch.enable_grad():  # whatever activation the checkpoint has, it knows its own derivative
        active = activation(wide)
    return active.detach(), (wide, active)


def activate_backward(
    grad: Tensor, activated: Any, dtype: torch.dtype, with_bias: bool
) -> tuple[Tensor, Tensor | None]:
    wide, active = activated
    (back,) = torch.autograd.grad(active, wide, grad)
    return back, sum_tokens(back, dtype) if with_bias else None


def of_trained(norm: Any, weight: Tensor, bias: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """A norm's gradients, but for what is frozen."""
    return (
        weight if norm.weight.requires_grad else None,
        bias if norm.bias.requires_grad else None,
    )


def is_gelu(activation: Any) -> bool:
    """Whether it is the exact one, as in BERT, and not an approximation."""
    inner = getattr(activation, "act", activation)
    return inner is nn.functional.gelu


def sum_tokens(grad: Tensor, dtype: torch.dtype) -> Tensor:
    return grad.sum(-2).to(dtype)


def add_residual(x: Tensor, y: Tensor, dropped: Dropped | None) -> Tensor:
    """``x + dropout(y)``."""
    if dropped is None:
        return x + y
    keep = dropped.keep.view(x.shape[-2:]).to(x.dtype)
    return torch.addcmul(x, y.to(x.dtype), keep, value=dropped.scale)


def through_dropout(grad: Tensor, dropped: Dropped | None) -> Tensor:
    """The gradient of what went into a dropout."""
    return grad if dropped is None else dropped.of(grad).mul_(dropped.scale)


def normalise(norm: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNorm, and the mean and reciprocal deviation that its backward pass needs."""
    if norm.weight.ndim == 1:
        return torch.native_layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    out, mean, rstd = torch.native_layer_norm(x, norm.normalized_shape, None, None, norm.eps)
    return torch.addcmul(norm.bias[:, None], out, norm.weight[:, None]), mean, rstd


def normalise_backward(
    norm: Any, grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of input, weight and bias; None for a frozen weight or bias."""
    backward, shape = torch.ops.aten.native_layer_norm_backward, norm.normalized_shape
    if norm.weight.ndim == 1:
        wanted = [True, norm.weight.requires_grad, norm.bias.requires_grad]
        grads: tuple[Tensor, Tensor | None, Tensor | None] = backward(
            grad.contiguous(), x, shape, mean, rstd, norm.weight, norm.bias, wanted
        )
        return grads
    weighted = grad * norm.weight[:, None]
    grad_x: Tensor = backward(weighted, x, shape, mean, rstd, None, None, [True, False, False])[0]
    normal = (x - mean).mul_(rstd)
    return grad_x, normal.mul_(grad).sum(-2), grad.sum(-2)
