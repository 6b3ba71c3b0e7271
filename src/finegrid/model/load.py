"""Checkpoints from disk: safetensors or weights-only, no remote code, float32."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finegrid.encoders.families import CheckpointInfo, weight_files
from finegrid.errors import input_error

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")


class Checkpoint:
    """A loaded encoder that fresh copies are made from."""

    def __init__(self, info: CheckpointInfo) -> None:
        self.info = info
        self.encoder, self.missing = load_encoder(info)

    @property
    def vocabulary(self) -> int:
        """Rows of the table of word embeddings."""
        table: nn.Embedding = self.encoder.get_input_embeddings()  # type: ignore[operator]
        return table.num_embeddings

    def copy(self) -> nn.Module:
        """An encoder of one's own; the loaded one stays as it is."""
        return copy.deepcopy(self.encoder)


def load_encoder(info: CheckpointInfo) -> tuple[nn.Module, list[str]]:
    """Load an encoder in float32.

    Returns:
        The encoder, and the names of modules that the checkpoint has no weights for. Only the pooler may
        be missing (masked-language checkpoints have none); a run draws it from its own streams.

    Raises:
        InputError: unreadable weights, or weights that do not fit the config.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    weight_files(info.folder)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        encoder, report = AutoModel.from_pretrained(
            str(info.folder),
            dtype=torch.float32,  # else transformers keeps the checkpoint's own
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors and pickle raise kinds of their own; the remedy is the same
        raise input_error(str(info.folder), "weights", f"cannot be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    lost = [name for name in missing if not name.startswith("pooler.")]
    if lost:
        what = f"no weights for {', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''} ({len(lost)} tensors)."
        raise input_error(str(info.folder), "weights", f"{what} Is this a complete {info.family} encoder?")
    return encoder, ["pooler"] if missing else []


def load_tokenizer(folder: Path) -> Any:
    """The fast tokeniser of a checkpoint, as a ``tokenizers.Tokenizer`` that neither cuts nor pads."""
    from transformers import AutoTokenizer

    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        # transformers would make one without a vocabulary, for which every word is unknown.
        what = f"none of {', '.join(TOKENIZER_FILES)}. Copy it from where the weights came from."
        raise input_error(str(folder), "tokenizer", what)
    try:
        wrapped = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer = wrapped.backend_tokenizer
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise input_error(str(folder), "tokenizer", f"cannot be loaded: {first_line(error)}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


# What a checkpoint may bring for its tokeniser. Copied, not written anew: it then reads texts just alike.
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
)
