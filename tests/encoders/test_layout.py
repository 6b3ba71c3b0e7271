"""Names and shapes of an encoder's tensors, against the models that transformers makes of the same config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from support.studies import KINDS

from finegrid.encoders.families import FAMILIES, inspect
from finegrid.encoders.files import read_config
from finegrid.encoders.layout import PREFIXES, list_linear, list_tensors, read_sizes

CONFIGS = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "electra": transformers.ElectraConfig,
    "ernie": transformers.ErnieConfig,
    "distilbert": transformers.DistilBertConfig,
}


def shapes_of(family: str, config: dict[str, Any], layers: int) -> dict[str, tuple[int, ...]]:
    sizes = read_sizes(family, config)
    tensors = list_tensors(family, config, layers)
    if family not in ("electra", "distilbert"):
        tensors |= dict(list_linear("pooler.dense", ("hidden_size", "hidden_size")))
    return {name: tuple(sizes[side] for side in shape) for name, shape in tensors.items()}


def shapes_by_transformers(config: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_tensors_are_those_of_transformers(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    info = inspect(checkpoint_of(kind))
    config = transformers.AutoConfig.from_pretrained(info.folder)

    assert shapes_of(info.family, read_config(info.folder), info.layers) == shapes_by_transformers(config)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_takes(family: str) -> None:
    config = CONFIGS[family]()
    bare = {"model_type": family}

    assert shapes_of(family, bare, config.num_hidden_layers) == shapes_by_transformers(config)


@pytest.mark.parametrize("family", FAMILIES)
def test_prefixes_are_those_of_transformers(family: str) -> None:
    with torch.device("meta"):
        model = transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]())

    assert PREFIXES[family] == f"{model.base_model_prefix}."


@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True, None, [768]])
def test_a_size_that_is_no_number_is_named(value: object) -> None:
    with pytest.raises(ValueError, match="hidden_size"):
        read_sizes("bert", {"hidden_size": value})
