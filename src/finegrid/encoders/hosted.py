"""Encoders that transformers computes: which there are, and what their ``config.json`` says. Torch-free."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finegrid.encoders.tiers import Tier

# model_type of the Hugging Face config -> how people call it, of those that run over packed texts.
INTERFACE = {
    "modernbert": "ModernBERT (and mmBERT, gte-modernbert, ...)",
    "eurobert": "EuroBERT",
    "nomic_bert": "Nomic BERT",
    "gte": "GTE",
    "jina_embeddings_v3": "Jina Embeddings v3",
    "albert": "ALBERT",
    "modernbert-decoder": "ModernBERT decoder (Ettin)",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "llama": "Llama",
    "mistral": "Mistral",
    "smollm3": "SmolLM3",
    "olmo2": "OLMo 2",
    "gemma3_text": "Gemma 3",
    "phi3": "Phi-3",
    "granite": "Granite",
}
# Of those that run padded, some that people ask for. Others that transformers knows run so, too.
PADDED = {
    "deberta-v2": "DeBERTa v2 and v3 (and mDeBERTa)",
    "mpnet": "MPNet",
    "roformer": "RoFormer",
}
# Whose tokens see only themselves and those before them.
DECODERS = {
    *("modernbert-decoder", "qwen2", "qwen3", "llama", "mistral", "smollm3", "olmo2"),
    *(
        "gemma3_text",
        "phi3",
        "granite",
        "gpt2",
        "gpt_neo",
        "gpt_neox",
        "gptj",
        "opt",
        "bloom",
        "phi",
        "gemma",
    ),
    *("falcon", "stablelm", "starcoder2", "cohere", "qwen3_moe", "smollm", "olmo", "olmo3"),
}
SHARED_LAYERS = {"albert"}
# Whose positions are counted from the padding's number + 1.
COUNTED_FROM_PADDING = {"mpnet", "xlm-roberta-xl", "roberta-prelayernorm", "xmod", "luke"}
# Layers of these have no biases at all, unless their config asks for some.
WITHOUT_BIASES = {
    *("modernbert", "modernbert-decoder", "eurobert", "llama", "mistral", "smollm3", "olmo2", "qwen3"),
    *("gemma3_text", "phi3", "granite"),
}
# Whose queries, keys and values come out of one matrix.
FUSED_ATTENTION = {"modernbert", "phi3", "deberta", "gpt_neox", "bloom", "falcon"}
# Whose layers are made of something else than torch's linear layers.
WITHOUT_LINEARS = {"gpt2", "openai-gpt", "ibert", "squeezebert"}
# What a setting may be called in a config.
ALIASES: dict[str, tuple[str, ...]] = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "hidden_size": ("d_model", "n_embd", "dim"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads"),
    "intermediate_size": ("n_inner", "d_inner", "ffn_dim", "hidden_dim"),
    "max_position_embeddings": ("n_positions", "max_sequence_length"),
}
HIDDEN_RATES = (
    *("hidden_dropout_prob", "hidden_dropout", "dropout", "embedding_dropout", "mlp_dropout"),
    *("resid_pdrop", "embd_pdrop"),
)
ATTENTION_RATES = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "attn_dropout")
HEAD_RATES = ("classifier_dropout", "cls_dropout", "summary_last_dropout")
# Settings that name files, code or kernels, or that say how a model is trained or saved.
KEPT_OUT = {
    *("auto_map", "model_type", "architectures", "transformers_version", "torch_dtype", "dtype"),
    *("attn_implementation", "quantization_config", "compression_config", "use_cache", "torchscript"),
    *("id2label", "label2id", "num_labels", "problem_type", "task_specific_params", "pruned_heads"),
    *("output_hidden_states", "output_attentions", "return_dict", "gradient_checkpointing"),
    *("is_decoder", "add_cross_attention", "is_encoder_decoder", "experts_implementation"),
    *("finetuning_task", "prefix", "tokenizer_class", "use_memory_efficient_attention"),
    *("reference_compile", "use_flash_attn", "base_model_tp_plan", "base_model_pp_plan"),
    *("distributed_config", "tie_weights", "use_bfloat16", "use_kernels", "unpad_inputs"),
}
LONGEST_NAME = 100  # characters of a string in a config
MOST_VALUES = 10_000  # of a list or an object in it
MOST_NESTED = 3


def tier_of(family: str) -> Tier:
    """How encoders of a family that finegrid has no layers for are run."""
    return "interface" if family in INTERFACE else "padded"


def title_of(family: str) -> str:
    """As people call a hosted family."""
    return INTERFACE.get(family) or PADDED.get(family) or family


def is_known_to_transformers(family: str) -> bool:
    """Whether the installed transformers has a module for a ``model_type``. Imports nothing."""
    name = family.replace("-", "_")
    if not name.isidentifier():
        return False
    spec = importlib.util.find_spec("transformers")
    places = [] if spec is None else spec.submodule_search_locations or []
    return any(Path(place, "models", name).is_dir() for place in places) or family in INTERFACE


def spell_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose settings have the names that most families use."""
    known = dict(config)
    for name, others in ALIASES.items():
        for other in others:
            if known.get(name) is None and known.get(other) is not None:
                known[name] = known[other]
    for name, rates in (("hidden_rate", HIDDEN_RATES), ("attention_rate", ATTENTION_RATES)):
        found = [known[rate] for rate in rates if isinstance(known.get(rate), int | float)]
        known[name] = max(found, default=0.0)
    head = next((known[rate] for rate in HEAD_RATES if isinstance(known.get(rate), int | float)), None)
    known["head_rate"] = known["hidden_rate"] if head is None else head
    return known


def plain_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config may reach transformers: numbers, words and lists of them, by harmless names."""
    return {
        name: value
        for name, value in config.items()
        if name not in KEPT_OUT and not name.startswith("_") and is_plain(value)
    }


def is_plain(value: Any, level: int = 0) -> bool:
    """Whether a value names no file and no hub id, and is of a size that configs have."""
    if value is None or isinstance(value, bool | int):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= LONGEST_NAME and not any(sign in value for sign in "/\\")
    if isinstance(value, list | dict) and level < MOST_NESTED and len(value) <= MOST_VALUES:
        inside = value if isinstance(value, list) else [*value, *value.values()]
        return all(is_plain(one, level + 1) for one in inside)
    return False
