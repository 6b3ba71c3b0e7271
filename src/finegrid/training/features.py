"""What a model makes of the training texts before its head: computed once, for all runs that it is equal for.

Kept in the study's ``cache`` folder: workers and seeds share it as long as their encoders are alike.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import Batch
from finegrid.refusals import saving


@dataclass
class TextFeatures:
    """One vector a text, of models that read the same texts in the same way.

    Attributes:
        cache: the folder.
        about: all that decides what is read, and with which last digits.
        texts: how many there are.
        batches: all of them.
        seconds: that computing took of those that were asked for last; 0 where none were.
    """

    cache: Path
    about: Hashable
    texts: int
    batches: Callable[[], Iterator[Batch]]
    seconds: float = 0.0

    def of(self, model: Classifier) -> Tensor:
        """``[texts, width]`` in float32, on the model's device, in the order of the texts."""
        path = self.cache / f"features-{self._key(model)}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # one worker computes, the others wait
            known = read_features(path, self.texts)
            if known is None:
                self._make(model, path)
                known = read_features(path, self.texts)
        assert known is not None  # just written, or just seen
        values, self.seconds = known
        return values.to(next(model.parameters()).device)

    def _key(self, model: Classifier) -> str:
        digest = hashlib.sha256(repr((self.about, model.pooling)).encode())
        # Some poolings have parameters of their own, which lie in the head: their vectors are read, too.
        of_head = {id(p) for p in model.head.parameters()} - {id(p) for p in model.head.pool.parameters()}
        for name, p in model.named_parameters():
            if id(p) not in of_head:
                digest.update(name.encode())
                digest.update(p.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def _make(self, model: Classifier, path: Path) -> None:
        began = time.perf_counter()
        values: Tensor | None = None
        with model.evaluating():
            for batch in self.batches():
                some = model.features(batch).float().cpu()
                values = torch.empty(self.texts, some.shape[1]) if values is None else values
                values[torch.from_numpy(batch.rows)] = some
        assert values is not None  # a study has texts
        with saving(path, values.nbytes) as draft:
            save_file({"features": values}, draft, {"seconds": str(time.perf_counter() - began)})


def read_features(path: Path, texts: int) -> tuple[Tensor, float] | None:
    """Features of so many texts and the seconds that they took, or None where there are none that fit."""
    try:
        with safe_open(path, "pt") as file:
            values, seconds = file.get_tensor("features"), float(file.metadata()["seconds"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None  # absent, or cut short: it is only a cache
    fits = values.dtype == torch.float32 and values.ndim == 2 and len(values) == texts
    return (values, seconds) if fits and bool(values.isfinite().all()) and 0 <= seconds < math.inf else None
