"""Encoders from disk: safetensors or weights-only, no remote code, float32."""

from __future__ import annotations

import copy

import torch
from torch import nn

from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.weights import CheckedWeights, check_weights
from finegrid.errors import first_line, input_error


class Checkpoint:
    """A loaded encoder that fresh copies are made from."""

    def __init__(self, info: CheckpointInfo) -> None:
        self.info = info
        self.weights: CheckedWeights = check_weights(info)
        self.encoder, self.missing = load_encoder(info)

    def copy(self) -> nn.Module:
        """An encoder of one's own; the loaded one stays as it is."""
        return copy.deepcopy(self.encoder)


def load_encoder(info: CheckpointInfo) -> tuple[nn.Module, list[str]]:
    """Load an encoder in float32, whose weights `check_weights` has seen.

    Returns:
        The encoder, and the names of modules that the checkpoint has no weights for. Only the pooler may
        be missing (masked-language checkpoints have none); a run draws it from its own streams.

    Raises:
        InputError: unreadable weights, or weights that do not fit the config.
    """
    from transformers import AutoModel
    from transformers.utils import logging

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
