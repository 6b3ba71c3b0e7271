"""A kept model on texts that no study has seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from finegrid.data.tokens import TokenisedSplit, encode, read_template
from finegrid.encoders.tokenizer import load_tokenizer, try_texts
from finegrid.errors import input_error
from finegrid.inference.fitted import Fitted
from finegrid.inference.keep import load_model
from finegrid.model.classifier import Classifier
from finegrid.model.packing.batches import evaluation_batches, pack
from finegrid.study.settings import RunSettings
from finegrid.training.evaluate import Logits, predict
from finegrid.training.loaded import EVALUATION_TOKENS, prepare_process


@dataclass(frozen=True)
class OpenedModel:
    """A kept model in memory."""

    folder: Path
    fitted: Fitted
    settings: RunSettings
    tokenizer: object
    model: Classifier

    def label(self, texts: list[tuple[str, ...]]) -> tuple[Logits, int]:
        """Logits ``[texts, classes]`` in the order of the texts, and how many of them were cut.

        Raises:
            InputError: the tokeniser is not the encoder's.
        """
        fitted, device = self.fitted, torch.device(self.settings.device)
        try_texts(self.folder, texts)
        split = tokenise_unlabelled(texts, self.tokenizer)
        size = self.model.encoder.get_input_embeddings().num_embeddings  # type: ignore[operator]
        if split.tokens.max(initial=0) >= size:
            what = f"gives token {split.tokens.max()}, but the encoder has {size}. Fit the model again."
            raise input_error(str(self.folder), "tokenizer", what)
        lengths = np.minimum(split.lengths, fitted.max_length)
        rows = evaluation_batches(lengths, EVALUATION_TOKENS[self.settings.device])
        batches = (pack(split, chosen, fitted.max_length, device, fitted.keep) for chosen in rows)
        (logits,) = predict([self.model], batches, len(texts))
        return logits, int((split.lengths > fitted.max_length).sum())


def open_model(folder: Path, fitted: Fitted, settings: RunSettings) -> OpenedModel:
    """Load tokeniser and weights, in a process that is prepared for them.

    Raises:
        InputError: a model that is damaged, or that this machine cannot run as asked.
    """
    prepare_process(settings)
    model = load_model(folder, fitted, torch.device(settings.device))
    model.compute = torch.bfloat16 if settings.precision == "bf16" else None
    return OpenedModel(folder, fitted, settings, load_tokenizer(folder), model)


def apply(
    folder: Path, fitted: Fitted, texts: list[tuple[str, ...]], settings: RunSettings
) -> tuple[Logits, int]:
    """What a kept model says of texts: `open_model`, then `OpenedModel.label`.

    Raises:
        InputError: as these.
    """
    return open_model(folder, fitted, settings).label(texts)


@contextmanager
def in_user_process(settings: RunSettings) -> Iterator[None]:
    """A process that computes as ours do, and afterwards again as the user had set torch up."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic = torch.utils.deterministic
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # not in the stubs
    reduced = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    prepare_process(settings)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced


def tokenise_unlabelled(texts: list[tuple[str, ...]], tokenizer: object) -> TokenisedSplit:
    """Texts without labels, as flat arrays."""
    tokens, bounds = encode(texts, tokenizer)
    count, parts = len(texts), len(texts[0])
    labels = np.zeros(count, dtype=np.int64)  # `pack` wants some; nothing reads them
    ids = np.arange(1, count + 1, dtype=np.int64)
    return TokenisedSplit(tokens, bounds, parts, labels, ids, read_template(tokenizer, parts))
