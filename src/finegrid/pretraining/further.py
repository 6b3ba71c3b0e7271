"""Encoders pre-trained further on a study's training texts: made once, kept in its ``cache`` folder."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from finegrid.data.tokens import TokenisedSplit
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import input_error
from finegrid.model.kernels.operations import describe_rounding
from finegrid.pretraining.examples import SHORTEST, Documents, Vocabulary, cut_examples
from finegrid.pretraining.loop import PretrainLoop, PretrainTexts
from finegrid.pretraining.settings import PretrainSettings
from finegrid.pretraining.start import load_model
from finegrid.pretraining.vocabulary import check_specials
from finegrid.recipe.identity import ENGINE
from finegrid.refusals import saving
from finegrid.spelling import Telling

LENGTH = 128  # tokens of a sequence, or as many as the encoder has places for
BATCH_TOKENS = 2048
SHARED_SEED = 2**40  # of what all seeds share; no run's


@dataclass(frozen=True)
class FurtherPretraining:
    """The training texts of a study, and the checkpoint that reads them."""

    checkpoint: Path
    texts: TokenisedSplit  # of the training split
    cache: Path
    fingerprints: Mapping[str, str]  # of data, tokeniser and model
    precision: str
    device: str
    threads: int

    def weights(self, tokens: int, rate: float, seed: int | None) -> dict[str, Tensor]:
        """The encoder's tensors by name, in float32. The first process that asks makes them, others wait.

        Args:
            tokens: to see.
            rate: peak rate.
            seed: of the run; None for what all seeds share.

        Raises:
            InputError: the checkpoint is no complete BERT, or the texts are too few.
        """
        path = self._path(tokens, rate, seed)
        with FileLock(path.with_suffix(".lock")):
            if (tensors := read_tensors(path)) is None:
                self._make(path, tokens, rate, SHARED_SEED if seed is None else seed)
                tensors = read_tensors(path)
        assert tensors is not None  # just written, or just seen
        return tensors

    def seconds(self, tokens: int, rate: float, seed: int | None) -> float:
        """Seconds that making them took; 0 where they have not been made yet."""
        try:
            with safe_open(self._path(tokens, rate, seed), "pt") as file:
                return float(file.metadata()["seconds"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return 0.0

    def _path(self, tokens: int, rate: float, seed: int | None) -> Path:
        # Not of the threads: they change no bit.
        rounding = self.precision, self.device, *describe_rounding(torch.device(self.device)).items()
        about = (ENGINE, sorted(self.fingerprints.items()), *rounding, tokens, rate, seed)
        key = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
        return self.cache / f"pretrained-{key}.safetensors"

    def _make(self, path: Path, tokens: int, rate: float, seed: int) -> None:
        model, _ = load_model(str(self.checkpoint))
        settings = PretrainSettings(
            corpus=(Path("train"),),
            tokens=tokens,
            rate=rate,
            seed=seed,
            length=min(LENGTH, model.config.max_position_embeddings),
            batch_tokens=BATCH_TOKENS,
            precision=self.precision,
            device=self.device,
        )
        state = path.with_suffix(".state")
        texts = self._cut(settings.length - 3)
        loop = PretrainLoop(settings, texts, model, state, self.threads, tell=to_log)
        loop.run()
        tensors = {name: t.detach().cpu().contiguous() for name, t in loop.model.encoder.state_dict().items()}
        about = {"seconds": str(loop.progress.seconds), "digest": digest_tensors(tensors)}
        with saving(path, sum(t.nbytes for t in tensors.values())) as draft:
            save_file(tensors, draft, about)
        state.unlink()

    def _cut(self, longest: int) -> PretrainTexts:
        """Examples of all training texts, none held out: the study has a dev split to judge by."""
        documents = self._documents
        if not len(documents):
            what = f"no training text has {SHORTEST} tokens: nothing to pre-train on. Leave the factor out."
            raise input_error("study", '"pretrain.tokens"', what)
        every = np.ones(len(documents), dtype=bool)
        train, none = (cut_examples(documents, rows, longest, self._vocabulary) for rows in (every, ~every))
        return PretrainTexts(train, none, self._vocabulary)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        tokenizer = load_tokenizer(self.checkpoint)
        check_specials(tokenizer, self.checkpoint)
        return Vocabulary.of(tokenizer)

    @cached_property
    def _documents(self) -> Documents:
        """Each text (of pairs, both) is a document."""
        bounds = self.texts.bounds[:: self.texts.parts]
        lengths = np.diff(bounds)
        kept = lengths >= SHORTEST
        tokens = self.texts.tokens[np.repeat(kept, lengths)]
        ends = np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64)
        return Documents(tokens, ends, np.zeros(int(kept.sum()), dtype=np.int64), 0)


def to_log(telling: Telling) -> None:
    """To the log of the worker."""
    print(*telling("en"), sep="\n", file=sys.stderr)


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file, or None where there is none that can be read and is as it was written."""
    try:
        with safe_open(path, "pt") as file:
            digest = (file.metadata() or {}).get("digest")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None  # absent, or cut short: it is only a cache
    return tensors if digest == digest_tensors(tensors) else None


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Of names, shapes and values, on the CPU."""
    digest = hashlib.sha256()
    for name, t in sorted(tensors.items()):
        digest.update(f"{name} {t.dtype} {[*t.shape]}".encode())
        digest.update(t.contiguous().numpy().tobytes())
    return digest.hexdigest()
