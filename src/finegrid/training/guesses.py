"""The baseline's run of a seed as a teacher of texts without labels: trained once, then kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from finegrid.data.tokens import TokenisedSplit, load_arrays, save_arrays_
from finegrid.recipe.identity import key_of
from finegrid.study.study import Study
from finegrid.training.evaluate import Logits


@dataclass(frozen=True)
class Guess:
    """What a teacher says of some texts.

    Attributes:
        logits: ``[texts, classes]``.
        seconds: that training it and reading the texts took.
        diverged: whether the teacher did; what it says is then of no worth.
    """

    logits: Logits
    seconds: float
    diverged: bool

    def labels(self, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """``[texts]``: the most probable class of each, and whether it is probable enough."""
        return self.logits.argmax(axis=1), (self.probabilities >= threshold) & (not self.diverged)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``[texts]``, of the most probable class of each."""
        values = self.logits.astype(np.float64)
        least: NDArray[np.float64] = 1 / np.exp(values - values.max(axis=1, keepdims=True)).sum(axis=1)
        return least


@dataclass(frozen=True)
class Guesser:
    """The teacher of one seed.

    Attributes:
        study: the study.
        seed: of the baseline's run.
        about: all else that decides what the teacher says, down to the last digits.
        teach: trains it, and asks it about texts; it goes on from its state, where there is one.
    """

    study: Study
    seed: int
    about: Callable[[], Hashable]
    teach: Callable[[int, TokenisedSplit, Path], Guess]
    _known: dict[str, Guess] = field(default_factory=dict)  # by key

    def __call__(self, texts: TokenisedSplit) -> Guess:
        """The first process that asks trains the teacher, others wait."""
        key = self.key(texts)
        if key not in self._known:
            path = self.study.files.teacher(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                self._known[key] = read_guess(path, len(texts)) or self._make(path, texts)
        return self._known[key]

    def key(self, texts: TokenisedSplit) -> str:
        """16 hex digits of all that decides what is said of the texts."""
        teacher = self.study.first_recipe.without_unlabelled
        told = key_of(teacher.moved()), self.study.head.protocol, self.study.head.score, self.seed
        digest = hashlib.sha256(repr((*told, self.about())).encode())
        digest.update(texts.tokens.tobytes())
        digest.update(texts.bounds.tobytes())
        return digest.hexdigest()[:16]

    def _make(self, path: Path, texts: TokenisedSplit) -> Guess:
        state = path.with_suffix(".state")
        guess = self.teach(self.seed, texts, state)
        about = {"seconds": np.array(guess.seconds), "diverged": np.array(guess.diverged)}
        save_arrays_(path, {"logits": guess.logits, **about})
        state.unlink(missing_ok=True)
        return guess


def read_guess(path: Path, texts: int) -> Guess | None:
    """What was kept of a teacher, or None where there is nothing that can be read and fits."""
    found = load_arrays(path) or {}
    if found.keys() != {"logits", "seconds", "diverged"}:
        return None
    logits = found["logits"]
    fits = (
        logits.ndim == 2 and len(logits) == texts and logits.dtype == np.float32 and np.isfinite(logits).all()
    )
    return Guess(logits, float(found["seconds"]), bool(found["diverged"])) if fits else None
