"""Linear layers and their gradients, on the fastest matrix products that torch has here.

Every argument may have a leading dimension of runs: stacked runs are one batched product.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# torch's own float32 products go through MKL, which keeps to AVX2 on AMD processors: 110 GFLOP/s on a Zen 5
# core, where oneDNN reaches 240. bf16 products go through oneDNN already, but for a bias it is copied first.
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
ONEDNN_BF16 = ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def by_onednn(x: Tensor) -> bool:
    return ONEDNN and x.dtype == torch.float32 and x.device.type == "cpu"


def adds_bias(x: Tensor) -> bool:
    """Whether oneDNN adds a bias to bf16 products itself: 5 % faster at mini shape, and bit for bit equal."""
    return ONEDNN_BF16 and x.dtype == torch.bfloat16 and x.device.type == "cpu"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``: ``[rows, in]``, ``[out, in]`` to ``[rows, out]``. No gradient is recorded."""
    if x.ndim == 3:
        return linear_of_runs(x, weight, bias)
    if by_onednn(x) or (bias is not None and adds_bias(x)):
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return out
    return F.linear(x, weight, bias)


def linear_of_runs(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same with a leading dimension of runs."""
    if by_onednn(x):  # torch's batched float32 products go through MKL: run by run is twice as fast
        biases = [None] * len(x) if bias is None else bias
        return torch.stack([linear(*own) for own in zip(x, weight, biases, strict=True)])
    product = x, weight.mT
    return torch.bmm(*product) if bias is None else torch.baddbmm(bias[:, None], *product)


def grad_input(grad: Tensor, weight: Tensor) -> Tensor:
    """``[rows, out]``, ``[out, in]`` to ``[rows, in]``."""
    return linear(grad, weight.mT, None)


def add_grad_input_(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """``x += grad_input(grad, weight)``, by the product itself where it can."""
    if x.is_cuda and grad.dtype != x.dtype:
        product = torch.addmm if x.ndim == 2 else torch.baddbmm
        out: Tensor = product(x, grad, weight, out_dtype=x.dtype, out=x)
        return out
    return x.add_(grad_input(grad, weight))


def grad_weight(grad: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """``[rows, out]``, ``[rows, in]`` to ``[out, in]``, in ``dtype``."""
    if grad.is_cuda and grad.dtype != dtype:  # where the product's sums need not be rounded first
        product = torch.mm if grad.ndim == 2 else torch.bmm
        return product(grad.mT, x, out_dtype=dtype)
    return linear(grad.mT, x.mT, None).to(dtype)
