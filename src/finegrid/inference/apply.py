"""A kept model on texts that no study has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from finegrid.data.tokens import TokenisedSplit, encode, read_template
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import input_error
from finegrid.inference.fitted import Fitted
from finegrid.inference.keep import load_model
from finegrid.model.packing.batches import evaluation_batches, pack
from finegrid.study.settings import RunSettings
from finegrid.training.evaluate import Logits, predict
from finegrid.training.loaded import EVALUATION_TOKENS, prepare_process


def apply(
    folder: Path, fitted: Fitted, texts: list[tuple[str, ...]], settings: RunSettings
) -> tuple[Logits, int]:
    """Logits ``[texts, classes]`` in the order of the texts, and how many of them were cut.

    Raises:
        InputError: a model that is damaged, or that this machine cannot run as asked.
    """
    prepare_process(settings)
    device = torch.device(settings.device)
    split = tokenise_unlabelled(texts, load_tokenizer(folder))
    model = load_model(folder, fitted, device)
    model.compute = torch.bfloat16 if settings.precision == "bf16" else None
    size = model.encoder.get_input_embeddings().num_embeddings  # type: ignore[operator]
    if split.tokens.max(initial=0) >= size:
        what = f"gives token {split.tokens.max()}, but the encoder has {size}. Fit the model again."
        raise input_error(str(folder), "tokenizer", what)
    lengths = np.minimum(split.lengths, fitted.max_length)
    rows = evaluation_batches(lengths, EVALUATION_TOKENS[settings.device])
    batches = (pack(split, chosen, fitted.max_length, device, fitted.keep) for chosen in rows)
    (logits,) = predict([model], batches, len(texts))
    return logits, int((split.lengths > fitted.max_length).sum())


def tokenise_unlabelled(texts: list[tuple[str, ...]], tokenizer: object) -> TokenisedSplit:
    """Texts without labels, as flat arrays."""
    tokens, bounds = encode(texts, tokenizer)
    count, parts = len(texts), len(texts[0])
    labels = np.zeros(count, dtype=np.int64)  # `pack` wants some; nothing reads them
    ids = np.arange(1, count + 1, dtype=np.int64)
    return TokenisedSplit(tokens, bounds, parts, labels, ids, read_template(tokenizer, parts))
