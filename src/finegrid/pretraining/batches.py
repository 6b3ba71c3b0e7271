"""Packs sequences into masked batches of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finegrid.buckets import round_up
from finegrid.model.packing.batches import GRAIN, Batch
from finegrid.pretraining.examples import Vocabulary
from finegrid.pretraining.masking import draw_mask
from finegrid.pretraining.pairs import SINGLE, PairedEpoch

# What a thread works on at a time. Its activations stay near the processor, and threads wait for each other
# once a step instead of at every product; sums over shards do not depend on how many threads there are.
# A GPU takes what its memory has room for at a time: small products leave it idle.
SHARD_TOKENS = {"cpu": 2048, "cuda": 32768}
FEWEST_SHARDS = {"cpu": 2, "cuda": 1}


@dataclass(frozen=True)
class MaskedBatch:
    """A packed batch, and what the model is to predict of it."""

    batch: Batch  # its labels: those of `finegrid.pretraining.pairs`
    places: Tensor  # [hidden], then fewer than GRAIN that do not count
    targets: Tensor  # [hidden and those]
    counts: Tensor  # [hidden and those], 1.0 or 0.0
    hidden: int
    pairs: int


def make_masked_batches(
    tokens: NDArray[np.int32],
    epoch: PairedEpoch,
    rows: slice,
    *,
    share: float,
    masking: str,
    vocabulary: Vocabulary,
    heads: int,
    device: torch.device,
    shard_tokens: int | None = None,
) -> list[MaskedBatch]:
    """Pack some sequences of an epoch, shortest first, and hide some of their tokens.

    Returns:
        The batch in shards of about ``shard_tokens`` tokens (the device's, if not given): what one thread
        works on at a time.
    """
    order = np.argsort(epoch.lengths[rows], kind="stable") + rows.start
    ends = np.cumsum(epoch.lengths[order])
    size = shard_tokens or SHARD_TOKENS[device.type]
    shards = max(FEWEST_SHARDS[device.type], round(int(ends[-1]) / size))
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, shards) / shards)
    return [
        make_masked_batch(tokens, epoch, sequences, share, masking, vocabulary, heads, device)
        for sequences in np.split(order, cuts)
        if len(sequences)
    ]


def make_masked_batch(
    tokens: NDArray[np.int32],
    epoch: PairedEpoch,
    order: NDArray[np.int64],
    share: float,
    masking: str,
    vocabulary: Vocabulary,
    heads: int,
    device: torch.device,
) -> MaskedBatch:
    """One shard, of the sequences ``order``, shortest first."""
    first, second, labels = epoch.first[order], epoch.second[order], epoch.labels[order]
    a, b, pair = np.diff(first)[:, 0], np.diff(second)[:, 0], labels != SINGLE
    lengths = epoch.lengths[order]
    starts = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    owner = np.repeat(np.arange(len(order)), lengths)
    place = np.arange(total) - starts[owner]
    # [CLS] first [SEP] second [SEP]: where in the sequence each token comes from among the corpus's.
    in_first = (place >= 1) & (place <= a[owner])
    in_second = (place >= a[owner] + 2) & (place < a[owner] + 2 + b[owner]) & pair[owner]
    origin = np.where(in_first, first[owner, 0] + place - 1, second[owner, 0] + place - 2 - a[owner])
    real = in_first | in_second
    ids = np.where(place == 0, vocabulary.cls, vocabulary.sep)
    ids[real] = tokens[origin[real]]
    types = (place > a[owner] + 1).astype(np.int64)
    mask = draw_mask(ids, owner, place, real, epoch.keys[order], share, masking, vocabulary)
    filling = round_up(total, GRAIN) - total
    spare = round_up(len(mask.places), GRAIN) - len(mask.places)

    def tensor(array: NDArray[np.int64], more: int = 0) -> Tensor:
        return torch.from_numpy(np.pad(array.astype(np.int64), (0, more))).to(device)

    batch = Batch(
        ids=tensor(mask.ids, filling),
        positions=tensor(place, filling),
        types=tensor(types, filling),
        lengths=lengths,
        starts=tensor(starts),
        labels=tensor(labels),
        rows=order,
    )
    layout = batch.layout(heads)
    if device.type == "cpu":
        # Made here, where it can run beside the step before. Threads that ask for them would wait for each
        # other: Python 3.11 locks a cached property for all objects at once.
        _ = layout.indices, layout.masks
    counts = torch.ones(len(mask.places) + spare)
    counts[len(mask.places) :] = 0.0
    places, targets = tensor(mask.places, spare), tensor(mask.targets, spare)
    return MaskedBatch(batch, places, targets, counts.to(device), len(mask.places), int(pair.sum()))
