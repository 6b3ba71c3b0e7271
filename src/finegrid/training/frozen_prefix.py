"""What frozen layers without dropout make of the training texts: computed once, for all epochs and seeds.

Kept as plain arrays in the study's ``cache`` folder and mapped into memory, so that workers share one copy,
and a study larger than memory needs no other path (and no other last digits).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from finegrid.data.tokens import TokenisedSplit
from finegrid.errors import input_error
from finegrid.model.packing.batches import Batch, Prefix
from finegrid.refusals import saving
from finegrid.training.rounding import rounding_of
from finegrid.training.run import Run

GIB = 2**30
ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class FrozenPrefix:
    """The prefixes of all training texts, for runs that freeze the same layers and silence their dropout."""

    run: Run  # whichever of the family; what it freezes is what counts

    def of(self, batch: Batch) -> Batch:
        """A batch of training texts with its prefix looked up."""
        hidden, *below = self._arrays
        lengths = batch.lengths
        begins = np.repeat(self._offsets[batch.rows] - np.cumsum(lengths) + lengths, lengths)
        tokens = np.zeros(len(batch.ids), dtype=np.int64)  # tokens that belong to no text: whatever is finite
        tokens[: batch.real_tokens] = begins + np.arange(batch.real_tokens)
        device = batch.ids.device

        def look_up(array: NDArray[np.float32], rows: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(array[rows]).to(device)

        kept = [level for array in below for level in look_up(array, batch.rows).unbind(1)]
        return batch.with_prefix(Prefix(look_up(hidden, tokens), tuple(kept)))

    @property
    def _texts(self) -> TokenisedSplit:
        return self.run.loaded.training_texts(self.run.recipe)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.minimum(self._texts.lengths, self.run.recipe.model.max_length)

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        """Where each text's tokens begin in ``hidden``."""
        return np.cumsum(self._lengths) - self._lengths

    @cached_property
    def _arrays(self) -> list[NDArray[np.float32]]:
        """``hidden`` [tokens, width] of all texts, and, if the pooling reads frozen levels, what it keeps of
        them, [texts, levels, width]: see `Prefix`.
        """
        model = self.run.model
        width, pool = model.parts.width, model.head.pool
        shapes: dict[str, tuple[int, ...]] = {"hidden": (int(self._lengths.sum()), width)}
        if levels := sum(level <= model.frozen_layers for level in pool.levels):
            shapes[pool.key] = (len(self._lengths), levels, width)
        files, key = self.run.loaded.study.files, self._key()
        paths = {name: files.frozen_prefix(key, name) for name in shapes}
        with FileLock(files.frozen_prefix_lock(key)):  # one worker computes, the others wait
            if any(mapped(paths[name], shape) is None for name, shape in shapes.items()):
                self._compute(paths, shapes)
        found = [mapped(paths[name], shape) for name, shape in shapes.items()]
        arrays = [array for array in found if array is not None]
        assert len(arrays) == len(shapes)  # just written, or just seen
        return arrays

    def _key(self) -> str:
        """Of all that the prefixes depend on, down to their last digits."""
        loaded, model = self.run.loaded, self.run.model
        digest = hashlib.sha256()
        about = (
            rounding_of(loaded.settings),
            loaded.fingerprints["data"],
            loaded.fingerprints["tokenizer"],
            loaded.texts.key(self.run.recipe),
            self.run.recipe.model.max_length,
            self.run.recipe.model.keep,
            model.frozen_layers,
        )
        digest.update(repr(about).encode())
        for name, p in model.named_parameters():
            if not p.requires_grad:
                digest.update(name.encode())
                digest.update(p.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def _compute(self, paths: dict[str, Path], shapes: dict[str, tuple[int, ...]]) -> None:
        """Run the frozen layers over all texts, in batches that do not depend on any run's order."""
        loaded, model = self.run.loaded, self.run.model
        check_room(paths["hidden"].parent, sum(4 * prod(shape) for shape in shapes.values()))
        with ExitStack() as drafts:
            hidden, *below = (
                create_mapped(drafts.enter_context(saving(path, 4 * prod(shapes[name]))), shapes[name])
                for name, path in paths.items()
            )
            for batch in loaded.evaluation_batches(self._texts, self.run.recipe):
                prefix = model.prefix(batch)
                for array in below:
                    array[batch.rows] = torch.stack(prefix.below, 1).cpu().numpy()
                begins = self._offsets[batch.rows]
                texts = np.split(prefix.hidden[: batch.real_tokens].cpu().numpy(), np.cumsum(batch.lengths))
                for begin, text in zip(begins, texts, strict=False):
                    hidden[begin : begin + len(text)] = text
            for array in (hidden, *below):
                array.flush()


def frozen_prefix(run: Run) -> FrozenPrefix | None:
    """The prefixes of a run whose frozen layers compute the same in every step; None for any other run."""
    same_texts = not any(strategy.overrides("rewrite") for strategy in run.acting)
    constant = run.model.prefix_is_constant and run.shares_prefix and same_texts
    return FrozenPrefix(run) if constant else None


def mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """An array of this shape from disk, all of it finite, or None where there is none that can be read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # absent, or cut short: it is only a cache
    fits = array.shape == shape and array.dtype == np.float32
    return array if fits and all(np.isfinite(rows).all() for rows in parts_of(array)) else None


def parts_of(array: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Its rows, some at a time: it may be larger than memory."""
    return (array[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(array), ROWS_AT_ONCE))


def create_mapped(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float32]]:
    """A new array on disk, to be written. Its room is taken now: later a full disk would end the process.

    Raises:
        OSError: there is none.
    """
    array: np.memmap[Any, np.dtype[np.float32]] = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        what = (
            f"freeze.dropout = false keeps the output of the frozen layers there: {needed / GIB:.1f} GiB, "
            f"but {free / GIB:.1f} GiB are free. Make room, or leave frozen layers their dropout."
        )
        raise input_error("study", str(folder), what)
