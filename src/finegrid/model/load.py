"""Encoders from disk: safetensors or weights-only, no remote code, float32."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from finegrid.data.findings import quote
from finegrid.encoders.config import OF_FAMILIES, read_settings
from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.files import read_config, weight_files
from finegrid.encoders.hosted import plain_values
from finegrid.encoders.tiers import Tier
from finegrid.encoders.weights import CheckedWeights, check_weights
from finegrid.errors import first_line, input_error
from finegrid.model.bare import can_be_bare, load_bare
from finegrid.model.rows import Rows, copy_encoder
from finegrid.refusals import lacks_memory


class Checkpoint:
    """A loaded encoder that fresh copies are made from."""

    def __init__(self, info: CheckpointInfo) -> None:
        """
        Raises:
            InputError: weights that cannot be read, do not fit the config, or are of an encoder whose parts
                finegrid cannot tell apart.
        """
        self.info = info
        self.tier: Tier = info.tier  # until `prove_tier` finds that it cannot be
        self.weights: CheckedWeights = check_weights(info)
        self.encoder, self.missing = load_encoder(info)
        if info.tier != "hand":
            check_hosted(self.encoder, info)

    def copy(self, rows: Rows | None = None) -> nn.Module:
        """An encoder of one's own, with some rows of its table of words, or all; the loaded one stays."""
        encoder: nn.Module = copy_encoder(self.encoder, rows)
        return encoder

    @property
    def table(self) -> nn.Module:
        """Of words, all of them. Whatever is no plain ``nn.Embedding`` is nobody's to take rows of."""
        table: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]  # transformers' own
        return table


def load_encoder(info: CheckpointInfo) -> tuple[nn.Module, list[str]]:
    """Load an encoder in float32, whose weights `check_weights` has seen.

    Returns:
        The encoder, and the names of modules that the checkpoint has no weights for. Only the pooler may
        be missing (masked-language checkpoints have none); a run draws it from its own streams.

    Raises:
        InputError: unreadable weights, or weights that do not fit the config.
    """
    if can_be_bare(info):
        encoder: nn.Module
        encoder, missing = load_bare(info, partial(make_config, info.folder, info.family))
    else:
        from transformers import MODEL_MAPPING

        encoder, missing = load_pretrained(MODEL_MAPPING, info)
    lost = [name for name in missing if not name.startswith("pooler.")]
    if lost:
        what = f"no weights for {', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''} ({len(lost)} tensors)."
        raise input_error(str(info.folder), "weights", f"{what} Is this a complete {info.family} encoder?")
    return encoder, ["pooler"] if missing else []


def check_hosted(encoder: nn.Module, info: CheckpointInfo) -> None:
    """Look at an encoder that transformers computes, and refuse what cannot be trained.

    Raises:
        InputError: values that are no finite numbers, or parts that cannot be told apart.
    """
    from finegrid.model.hosted_engine import find_once
    from finegrid.model.outline import UnknownEncoderError

    for name, p in encoder.named_parameters():
        if not bool(torch.isfinite(p).all()):
            what = f"{name} is not finite. Take another copy, or an earlier checkpoint of its training."
            raise input_error(str(info.folder), "weights", what)
    try:
        find_once(encoder, info.tier)
    except UnknownEncoderError as error:
        what = f"finegrid cannot run {info.family}: {first_line(error)}. Take a checkpoint of another family."
        raise input_error(str(info.folder), "config.json", what) from error


def load_pretrained(
    classes: Mapping[type, Any], info: CheckpointInfo, **changed: Any
) -> tuple[Any, list[str]]:
    """A model of transformers, in float32, from a checkpoint that has been checked.

    transformers opens no file of the folder: it would follow what files there name, such as kernels, adapters
    and weights of other names.

    Args:
        classes: by class of config that of the model.
        info: the checkpoint.
        changed: settings of the config beside those that finegrid reads.

    Returns:
        The model, and the names of tensors that there are no weights for.

    Raises:
        InputError: unreadable weights, or weights that do not fit the config.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    config = make_config(info.folder, info.family, **changed)
    if type(config) not in classes:
        what = f"transformers has no encoder of model_type {quote(info.family)} by itself."
        raise input_error(str(info.folder), "config.json", what)
    try:
        model, report = classes[type(config)].from_pretrained(
            None,
            config=config,
            state_dict=read_state(weight_files(info.folder)),
            dtype=torch.float32,  # else transformers keeps the checkpoint's own
            output_loading_info=True,
            trust_remote_code=False,
            local_files_only=True,
            **without_pooler(classes[type(config)], info),
        )
    except Exception as error:  # safetensors and pickle raise kinds of their own; the remedy is the same
        if lacks_memory(error):
            raise  # the checkpoint is not to blame
        raise input_error(str(info.folder), "weights", f"cannot be loaded: {first_line(error)}") from error
    return model, sorted(report["missing_keys"])


def without_pooler(made: Any, info: CheckpointInfo) -> dict[str, bool]:
    """What leaves out a pooler that is never read."""
    takes = "add_pooling_layer" in inspect.signature(made).parameters
    return {"add_pooling_layer": False} if info.tier != "hand" and takes else {}


def make_config(folder: Path, family: str, **changed: Any) -> Any:
    """The config of transformers that has what finegrid reads of a checkpoint's, and nothing else of it.

    Of a family that transformers computes: all that is plain.

    Raises:
        InputError: as `read_settings`; or a value that no config of the family can have.
    """
    from transformers import AutoConfig

    settings = read_settings(folder, family)
    if family in OF_FAMILIES:
        given = settings.model_dump(exclude_none=True) | {
            "pad_token_id": settings.pad_token_id
        }  # may be none
        return AutoConfig.for_model(family, **given, **changed)
    try:
        return AutoConfig.for_model(family, **plain_values(read_config(folder)), **changed)
    except Exception as error:  # transformers' own checks raise several kinds
        raise input_error(str(folder), "config.json", f"cannot be used: {first_line(error)}") from error


def read_state(files: Sequence[Path]) -> dict[str, Any]:
    """What weight files hold by name: tensors, or what reads them when it is asked for. No code is run."""
    from transformers.modeling_utils import load_state_dict

    state: dict[str, Any] = {}
    for path in files:
        if path.suffix == ".safetensors":
            opened = safe_open(path, framework="pt")
            state |= {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  no mapping
        else:
            state |= load_state_dict(path, weights_only=True)
    return state
