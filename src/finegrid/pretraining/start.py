"""Loads or draws the ``BertForPreTraining`` that a run starts from, and finds its tokeniser's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from finegrid.encoders.families import inspect, resolve
from finegrid.encoders.files import read_config
from finegrid.encoders.weights import check_weights
from finegrid.errors import first_line, input_error
from finegrid.model.load import load_pretrained
from finegrid.streams import Streams


def load_model(init: str) -> tuple[Any, Path]:
    """A checkpoint with both heads, in float32, and its folder; what heads it lacks is drawn.

    Raises:
        InputError: no BERT, or weights that do not fit.
    """
    from transformers import BertConfig, BertForPreTraining

    folder = resolve(init, Path())
    info = inspect(folder)
    if info.family != "bert":
        what = f'model_type "{info.family}": only BERT can be pre-trained here. Take a BERT checkpoint.'
        raise input_error(str(folder), "config.json", what)
    check_weights(info)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # for what the checkpoint lacks; drawn anew below
        model, lacks = load_pretrained({BertConfig: BertForPreTraining}, info)
    missing = set(lacks)
    lost = sorted(name for name in missing if not name.startswith(("bert.pooler.", "cls.")))
    if lost:
        what = f"no weights for {', '.join(lost[:3])} ({len(lost)} tensors). Is this a complete BERT?"
        raise input_error(str(folder), "weights", what)
    draw_(model, missing, Streams(0))
    return model, folder


def draw_model(config: Any, seed: int) -> Any:
    """A model of a config's shape with random weights, as BERT draws them."""
    from transformers import BertForPreTraining

    model = BertForPreTraining(config)
    draw_(model, set(model.state_dict()), Streams(seed))
    return model


@torch.no_grad()
def draw_(model: Any, names: set[str], streams: Streams) -> None:
    """Draw the named tensors: matrices from N(0, initializer_range), LayerNorm 1, biases 0."""
    norms = {
        f"{module}.weight" for module, kind in model.named_modules() if isinstance(kind, torch.nn.LayerNorm)
    }
    for name, p in model.named_parameters():
        if name not in names:
            continue
        if p.ndim > 1:
            normal = torch.from_numpy(streams.normal(f"pretrain/{name}", tuple(p.shape)))
            p.copy_(normal * model.config.initializer_range)
        else:
            p.fill_(1.0 if name in norms else 0.0)


def read_shape(path: Path) -> Any:
    """A ``BertConfig`` from a JSON file such as a checkpoint's ``config.json``.

    Raises:
        InputError: unreadable, not BERT's, or a width that its heads do not divide.
    """
    from transformers import BertConfig

    if not path.is_file():
        raise input_error(str(path), "--config", "no such file. Expected JSON, as in a BERT's config.json.")
    settings = read_config_file(path)
    if settings.get("model_type", "bert") != "bert":
        what = f'model_type "{settings["model_type"]}": only BERT can be pre-trained here.'
        raise input_error(str(path), "--config", what)
    try:
        config = BertConfig(**settings)
        sizes = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.vocab_size)
        if min(*sizes, config.intermediate_size) < 1 or config.hidden_size % config.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads, all sizes above 0")
    except Exception as error:  # transformers checks fields by several kinds of its own
        raise input_error(str(path), "--config", f"no BERT's shape: {first_line(error)}.") from error
    config.architectures = None
    return config


def read_config_file(path: Path) -> dict[str, Any]:
    if path.name == "config.json":
        return read_config(path.parent)
    import json

    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise input_error(str(path), "--config", f"cannot be read: {error}. Expected JSON.") from error
    if not isinstance(config, dict):
        raise input_error(str(path), "--config", "not a JSON object. Expected a Hugging Face config.")
    return config
