"""Names and shapes of an encoder's tensors, against the models that transformers makes of the same config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from support.studies import KINDS

from finegrid.encoders.config import check_settings, read_settings
from finegrid.encoders.families import FAMILIES, inspect
from finegrid.encoders.layout import PREFIXES, list_linear, list_tensors

CONFIGS = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "electra": transformers.ElectraConfig,
    "ernie": transformers.ErnieConfig,
    "distilbert": transformers.DistilBertConfig,
    "xlm-roberta": transformers.XLMRobertaConfig,
    "camembert": transformers.CamembertConfig,
    "data2vec-text": transformers.Data2VecTextConfig,
}


def shapes_of(family: str, settings: Any, layers: int) -> dict[str, tuple[int, ...]]:
    config = settings.model_dump()
    tensors = list_tensors(family, config, layers)
    if family not in ("electra", "distilbert"):
        tensors |= dict(list_linear("pooler.dense", ("hidden_size", "hidden_size")))
    return {name: tuple(config[side] for side in shape) for name, shape in tensors.items()}


def shapes_by_transformers(config: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_tensors_are_those_of_transformers(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    info = inspect(checkpoint_of(kind))
    config = transformers.AutoConfig.from_pretrained(info.folder)

    settings = read_settings(info.folder, info.family)
    assert shapes_of(info.family, settings, info.layers) == shapes_by_transformers(config)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_takes(family: str) -> None:
    config = CONFIGS[family]()
    layers = "n_layers" if family == "distilbert" else "num_hidden_layers"
    bare = {layers: config.num_hidden_layers, "max_position_embeddings": config.max_position_embeddings}
    settings = check_settings(Path(), family, bare)

    assert shapes_of(family, settings, config.num_hidden_layers) == shapes_by_transformers(config)
    assert {name: getattr(config, name, None) for name in settings.model_dump()} == settings.model_dump()


@pytest.mark.parametrize("family", FAMILIES)
def test_prefixes_are_those_of_transformers(family: str) -> None:
    with torch.device("meta"):
        model = transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]())

    assert PREFIXES[family] == f"{model.base_model_prefix}."
