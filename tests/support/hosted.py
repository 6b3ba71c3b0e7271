"""Tiny encoders of families that transformers computes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from finegrid.encoders.families import inspect
from finegrid.encoders.poolings import Pooling
from finegrid.encoders.tiers import Tier
from finegrid.model.classifier import Classifier
from finegrid.model.load import Checkpoint
from finegrid.streams import Streams

TOKENS, LAYERS = 128, 4
COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": TOKENS,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
NARROW_HEADS = {"num_key_value_heads": 2}  # two heads of queries for each of keys
WINDOWS = {"local_attention": 6, "global_attn_every_n_layers": 3, "cls_token_id": 2, "sep_token_id": 3}
RELATIVE = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
}
# What a family's config has beside `COMMON`.
HOSTED: dict[str, dict[str, Any]] = {
    "modernbert": WINDOWS,
    "eurobert": NARROW_HEADS,
    "nomic_bert": {},
    "gte": {},
    "jina_embeddings_v3": {},
    "albert": {"embedding_size": 16, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "modernbert-decoder": {**WINDOWS, "bos_token_id": 2, "eos_token_id": 3},
    "qwen2": NARROW_HEADS,
    "qwen3": {**NARROW_HEADS, "head_dim": 8},
    "llama": NARROW_HEADS,
    "mistral": {**NARROW_HEADS, "sliding_window": 5},
    "smollm3": NARROW_HEADS,
    "olmo2": NARROW_HEADS,
    "gemma3_text": {**NARROW_HEADS, "head_dim": 8, "sliding_window": 5},
    "phi3": NARROW_HEADS,
    "granite": NARROW_HEADS,
    "deberta-v2": RELATIVE,
    "mpnet": {"pad_token_id": 1},
    "roformer": {},
    "rembert": {"input_embedding_size": 16},
    "gpt2": {},
}
# Whose plain attention computes its softmax in float32, whatever the type of the rest: compare in sdpa.
IN_FLOAT32 = {
    *("modernbert", "modernbert-decoder", "eurobert", "qwen2", "qwen3", "llama", "mistral", "smollm3"),
    *("olmo2", "gemma3_text", "phi3", "granite"),
}
# Vectors of a text depend on its padding, whoever computes them.
DEPEND_ON_PADDING = {
    "fnet": {"tpu_short_seq_length": 64},
    "nystromformer": {"segment_means_seq_len": 64},
    "yoso": {},
    "convbert": {"embedding_size": 32},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32},
}


def config_of(family: str, **changed: Any) -> Any:
    from transformers import AutoConfig

    own = HOSTED.get(family) or DEPEND_ON_PADDING.get(family) or {}
    return AutoConfig.for_model(family, **{**COMMON, **own, **changed})


def save_hosted(folder: Path, family: str, seed: int = 0, **changed: Any) -> Path:
    """A tiny encoder with a tokenizer of syllables. ``changed`` goes into its config."""
    from transformers import AutoModel

    from support.studies import save_tokenizer

    torch.manual_seed(seed)
    config = config_of(family, **changed)
    model = AutoModel.from_config(config)
    with torch.no_grad():
        for p in model.parameters():  # norms of 1 and biases of 0 would hide what is done with them
            p.copy_(torch.randn_like(p) * 0.2 + (1.0 if p.ndim < 2 else 0.0))
    model.save_pretrained(folder)
    save_tokenizer(folder, "bert")
    return folder


@cache
def open_hosted(folder: Path) -> Checkpoint:
    return Checkpoint(inspect(folder))


def hosted_classifier(
    folder: Path, pooling: Pooling = "last-mean", tier: Tier | None = None, seed: int = 0
) -> Classifier:
    """A classifier of three classes, in training mode."""
    checkpoint = open_hosted(folder)
    model = Classifier(checkpoint.copy(), 3, pooling, Streams(seed), tier or checkpoint.tier)
    return model.train()
