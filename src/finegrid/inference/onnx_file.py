"""A kept model as one ONNX file, which runs without torch and transformers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finegrid.data.tokens import TokenisedSplit
from finegrid.encoders.families import inspect
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import input_error
from finegrid.inference.apply import tokenise_unlabelled
from finegrid.inference.fitted import Fitted
from finegrid.inference.keep import load_model, reads_types
from finegrid.model.classifier import Classifier
from finegrid.model.load import load_pretrained
from finegrid.model.packing.batches import evaluation_batches, pack
from finegrid.model.padded import PaddedClassifier
from finegrid.refusals import saving
from finegrid.study.kept_files import ONNX
from finegrid.training.evaluate import Logits, predict

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # as tokenizers call them
NEAR = 1e-5  # how far logits may be from those of `finegrid predict`
CHECKED_TEXTS, CHECKED_TOKENS = 12, 4096
CPU = torch.device("cpu")


def export_onnx(folder: Path, fitted: Fitted) -> None:
    """Write ``model.onnx``, for batches of any size and length, and compare it with `finegrid predict`.

    Args:
        folder: of the model.
        fitted: what its ``finegrid.json`` says.

    Raises:
        InputError: the model is damaged, or the graph gives other logits.
    """
    model = load_model(folder, fitted, CPU).eval()
    padded = load_padded(folder, fitted, model)
    names = INPUTS if reads_types(model.encoder.config) else INPUTS[:2]
    example = [torch.ones(2, 8, dtype=torch.int64) for _ in names]
    sides = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with quiet():
        program = torch.onnx.export(
            padded,
            tuple(example),
            input_names=list(names),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(names, sides),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "dynamo=True gives a program"
    program.model.metadata_props["labels"] = json.dumps(fitted.labels, ensure_ascii=False)
    with saving(folder / ONNX) as draft:
        program.save(str(draft))
        check_onnx(draft, folder, fitted, model)


def load_padded(folder: Path, fitted: Fitted, model: Classifier) -> PaddedClassifier:
    """A kept model, its encoder loaded by transformers.

    Args:
        folder: of the model.
        fitted: what its ``finegrid.json`` says.
        model: the same, as `load_model` has it.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, MODEL_MAPPING

    whole = fitted.head_kind == "huggingface"
    classes = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING if whole else MODEL_MAPPING
    opened, _ = load_pretrained(classes, inspect(folder), num_labels=len(fitted.labels))
    return PaddedClassifier(opened, None if whole else model.head).eval()


def check_onnx(file: Path, folder: Path, fitted: Fitted, model: Classifier) -> None:
    """Refuse a graph that gives other logits than its model."""
    split = tokenise_unlabelled(make_texts(folder, fitted), load_tokenizer(folder))
    rows = evaluation_batches(np.minimum(split.lengths, fitted.max_length), CHECKED_TOKENS)
    batches = (pack(split, chosen, fitted.max_length, CPU, fitted.keep) for chosen in rows)
    (expected,) = predict([model], batches, len(split))
    off = float(np.abs(run_onnx(file, split, fitted) - expected).max())
    if not off <= NEAR:
        what = f"its logits are {off:.1e} from those of finegrid predict, expected {NEAR:.0e} at most."
        raise input_error(str(folder), ONNX, f"{what} Leave --onnx out, and report it with your checkpoint.")


def run_onnx(file: Path, split: TokenisedSplit, fitted: Fitted) -> Logits:
    """Logits of an ONNX file, in batches of several sizes. ``[texts, classes]``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    wanted = [one.name for one in session.get_inputs()]
    parts = []
    for rows in np.array_split(np.arange(len(split)), 3):
        padded = dict(zip(INPUTS, pad(split, rows, fitted), strict=True))
        parts.append(session.run(None, {name: padded[name] for name in wanted})[0])
    return np.concatenate(parts)


def pad(split: TokenisedSplit, rows: NDArray[np.int64], fitted: Fitted) -> tuple[NDArray[np.int64], ...]:
    """Token numbers, which of them are real, and types of some texts: ``[texts, longest]`` each."""
    ids, types = split.texts(rows, fitted.max_length, fitted.keep)
    lengths = np.minimum(split.lengths[rows], fitted.max_length)
    real = np.arange(lengths.max()) < lengths[:, None]
    padded = []
    for flat in (ids, types):
        padded.append(np.zeros(real.shape, dtype=np.int64))
        padded[-1][real] = flat
    return padded[0], real.astype(np.int64), padded[1]


def make_texts(folder: Path, fitted: Fitted) -> list[tuple[str, ...]]:
    """Texts of the tokenizer's own pieces, from one of them to more than the model reads."""
    words = sorted(
        word for word in load_tokenizer(folder).get_vocab(with_added_tokens=False) if word.isalnum()
    )
    draw = np.random.default_rng(0)
    most = min(2 * fitted.max_length, 300)
    lengths = np.linspace(1, most, CHECKED_TEXTS).astype(int)
    return [
        tuple(" ".join(draw.choice(words, length)) for _ in range(fitted.texts))
        for length in draw.permutation(lengths)
    ]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporter says to those who develop it."""
    log: Any = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
