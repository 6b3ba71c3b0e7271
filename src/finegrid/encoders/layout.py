"""The tensors that the encoders of our families are made of, with their shapes, as their config has them.

The only module that spells names of tensors in files. Torch-free, so that a checkpoint is checked before
anything is loaded; `tests/encoders/test_layout.py` compares it with the models of transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Shape = tuple[str, ...]  # settings of the config that say how long each side is

TABLE = "embeddings.word_embeddings.weight"  # which every encoder of ours has
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
FIRST_QUERY = "encoder.layer.0.attention.self.query.weight"  # of all but DistilBERT
LAYER = re.compile(r"(encoder|transformer)\.layer\.(\d+)\.")
BUFFERS = {"embeddings.position_ids", "embeddings.token_type_ids"}
# Families of RoBERTa's layers, which count positions from the padding's number + 1. Their names differ.
ROBERTA_LIKE = frozenset({"roberta", "xlm-roberta", "camembert", "data2vec-text"})
# What stands before the names where the encoder is part of a model with a head.
PREFIXES = {
    "bert": "bert.",
    "roberta": "roberta.",
    "electra": "electra.",
    "ernie": "ernie.",
    "distilbert": "distilbert.",
    "xlm-roberta": "roberta.",
    "camembert": "roberta.",
    "data2vec-text": "data2vec_text.",
}
ROBERTA_HEAD = {"dense": "classifier.dense", "linear": "classifier.out_proj"}
# The layers of a sequence-classification head in transformers 5: as finegrid calls them, and as files do.
HEADS: dict[str, dict[str, str]] = {
    "bert": {"linear": "classifier"},
    **dict.fromkeys(("electra", *ROBERTA_LIKE), ROBERTA_HEAD),
    "ernie": {"linear": "classifier"},
    "distilbert": {"dense": "pre_classifier", "linear": "classifier"},
}
# And the classes of models that have it.
WITH_HEAD = {
    "bert": "BertForSequenceClassification",
    "roberta": "RobertaForSequenceClassification",
    "electra": "ElectraForSequenceClassification",
    "ernie": "ErnieForSequenceClassification",
    "distilbert": "DistilBertForSequenceClassification",
    "xlm-roberta": "XLMRobertaForSequenceClassification",
    "camembert": "CamembertForSequenceClassification",
    "data2vec-text": "Data2VecTextForSequenceClassification",
}
POOLER = "pooler."  # what its tensors begin with, in an encoder
# Beginnings of names that only one family has.
OWN = {
    "cls.predictions.": "bert",
    "cls.seq_relationship.": "bert",
    "lm_head.": "roberta",
    "discriminator_predictions.": "electra",
    "generator_predictions.": "electra",
    "vocab_projector.": "distilbert",
    "transformer.layer.0.attention.q_lin.": "distilbert",
    "embeddings_project.": "electra",
    "embeddings.task_type_embeddings.": "ernie",
}

DISTIL_LINEARS = {
    "attention.q_lin": ("dim", "dim"),
    "attention.k_lin": ("dim", "dim"),
    "attention.v_lin": ("dim", "dim"),
    "attention.out_lin": ("dim", "dim"),
    "ffn.lin1": ("hidden_dim", "dim"),
    "ffn.lin2": ("dim", "hidden_dim"),
}
BERT_LINEARS = {
    "attention.self.query": ("hidden_size", "hidden_size"),
    "attention.self.key": ("hidden_size", "hidden_size"),
    "attention.self.value": ("hidden_size", "hidden_size"),
    "attention.output.dense": ("hidden_size", "hidden_size"),
    "intermediate.dense": ("intermediate_size", "hidden_size"),
    "output.dense": ("hidden_size", "intermediate_size"),
}


def rename_norms(name: str) -> str:
    """As the tensor is called today: TensorFlow's LayerNorm had gamma and beta."""
    old = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    for ending, new in old.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + new
    return name


def list_tensors(family: str, config: Mapping[str, Any], layers: int) -> dict[str, Shape]:
    """Every tensor of an encoder by name, without the pooler's; of a config that is checked and whole."""
    if family == "distilbert":
        return dict(list_distil(layers))
    width = "embedding_size" if family == "electra" else "hidden_size"
    tables = {"word": "vocab_size", "position": "max_position_embeddings", "token_type": "type_vocab_size"}
    if family == "ernie" and config["use_task_id"]:
        tables["task_type"] = "task_type_vocab_size"
    tensors: dict[str, Shape] = {
        f"embeddings.{table}_embeddings.weight": (rows, width) for table, rows in tables.items()
    }
    tensors |= dict(list_norm("embeddings.LayerNorm", width))
    if family == "electra" and config["embedding_size"] != config["hidden_size"]:
        tensors |= dict(list_linear("embeddings_project", ("hidden_size", width)))
    for layer in range(layers):
        place = f"encoder.layer.{layer}"
        for name, shape in BERT_LINEARS.items():
            tensors |= dict(list_linear(f"{place}.{name}", shape))
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors |= dict(list_norm(f"{place}.{name}", "hidden_size"))
    return tensors


def list_distil(layers: int) -> Iterator[tuple[str, Shape]]:
    yield "embeddings.word_embeddings.weight", ("vocab_size", "dim")
    yield "embeddings.position_embeddings.weight", ("max_position_embeddings", "dim")
    yield from list_norm("embeddings.LayerNorm", "dim")
    for layer in range(layers):
        place = f"transformer.layer.{layer}"
        for name, shape in DISTIL_LINEARS.items():
            yield from list_linear(f"{place}.{name}", shape)
        yield from list_norm(f"{place}.sa_layer_norm", "dim")
        yield from list_norm(f"{place}.output_layer_norm", "dim")


def list_linear(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def list_norm(name: str, size: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)
