"""A kept model as a teacher: it labels a study's training texts for others to learn from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from finegrid.data.tokens import fingerprint_tokenizer
from finegrid.encoders.families import model_fingerprint
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.errors import input_error
from finegrid.inference.apply import apply
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.study.kept_files import HEAD
from finegrid.study.settings import RunSettings
from finegrid.training.evaluate import Logits
from finegrid.training.teachers import KeptModel


def open_teacher(folder: Path, settings: RunSettings) -> KeptModel:
    """Open what `finegrid fit` wrote, without loading its weights.

    Raises:
        InputError: there is no such model, or files of it are missing.
    """
    fitted = load_fitted(folder)

    def read(texts: list[tuple[str, ...]]) -> Logits:
        return apply(folder, fitted, texts, settings)[0]

    known = fitted.fingerprints.get("data", "")
    return KeptModel(tuple(fitted.labels), fitted.texts, fingerprint(folder, fitted), known, read)


def fingerprint(folder: Path, fitted: Fitted) -> str:
    """16 hex digits that stand for all that decides what a kept model says.

    Raises:
        InputError: files are missing.
    """
    path = folder / HEAD
    try:
        # That of transformers stands among the model's weights.
        head = path.read_bytes() if fitted.head_kind == "finegrid" or path.exists() else b""
    except OSError as error:
        raise input_error(
            str(folder), HEAD, f"cannot be read: {error.strerror}. Fit the model again."
        ) from None
    tokenizer = fingerprint_tokenizer(load_tokenizer(folder))
    about = json.dumps(fitted.model_dump(exclude={"versions"}), sort_keys=True)
    digest = hashlib.sha256(f"{model_fingerprint(folder)}/{tokenizer}/{about}".encode())
    digest.update(head)
    return digest.hexdigest()[:16]
