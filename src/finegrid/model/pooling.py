"""Token vectors to one vector a text."""

from __future__ import annotations

from torch import Tensor

from finegrid.model.kernels.operations import means_by_kernel
from finegrid.model.packing.batches import Packed


def means(hidden: Tensor, batch: Packed) -> Tensor:
    """Means over the tokens of each text: ``[tokens, width]`` to ``[texts, width]``."""
    by_kernel = means_by_kernel(hidden, batch.starts, batch.counts)
    return batch.plain_means(hidden) if by_kernel is None else by_kernel
