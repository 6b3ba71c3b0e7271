"""Which model families finegrid computes itself, and what is known of a checkpoint before it is loaded.

Torch-free: ``plan`` reads the number of layers from here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid import ASSETS
from finegrid.data.findings import quote
from finegrid.encoders.config import check_settings
from finegrid.encoders.evidence import guess_family
from finegrid.encoders.files import WEIGHT_FILES, find_inner_model, read_config, weight_files
from finegrid.encoders.hosted import (
    COUNTED_FROM_PADDING,
    DECODERS,
    INTERFACE,
    PADDED,
    SHARED_LAYERS,
    WITHOUT_BIASES,
    is_known_to_transformers,
    tier_of,
)
from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.encoders.tiers import Tier
from finegrid.errors import input_error
from finegrid.spelling import expand_user

# model_type of the Hugging Face config -> how people call it, of those whose layers are hand-written
FAMILIES = {
    "bert": "BERT (and MacBERT, RoBERTa-wwm, ...)",
    "roberta": "RoBERTa",
    "electra": "ELECTRA",
    "ernie": "ERNIE",
    "distilbert": "DistilBERT",
    "xlm-roberta": "XLM-RoBERTa (and multilingual E5, BGE-M3, ...)",
    "camembert": "CamemBERT",
    "data2vec-text": "Data2Vec text",
}
WITHOUT_POOLER = {"electra", "distilbert"}
# What is fetched of a hub id beside its weights.
FETCHED = (
    *("config.json", "*.index.json", "tokenizer*.json", "vocab.*", "merges.txt", "special_tokens_map.json"),
    *("added_tokens.json", "*.model"),
)
EMBEDDED = "mini-zh"  # the checkpoint that comes with finegrid


@dataclass(frozen=True)
class DropoutRates:
    """What a model drops in training, as shares of 1."""

    hidden: float = 0.1  # after the embeddings, and of what each half layer adds
    attention: float = 0.1  # of attention weights
    head: float = 0.1  # before the classifier


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's ``config.json`` says."""

    folder: Path
    family: str
    layers: int
    positions: int  # most tokens in one text
    has_pooler: bool
    has_biases: bool = True  # in its layers
    dropout: DropoutRates = DropoutRates()  # the checkpoint's own
    tier: Tier = "hand"
    is_decoder: bool = False  # whose tokens see only themselves and those before them
    shares_layers: bool = False  # one set of weights for several layers

    def is_like(self, other: CheckpointInfo) -> bool:
        """Whether a study of the one has the rows of a study of the other."""
        mine, theirs = ((info.family, info.layers, info.positions, info.has_pooler) for info in (self, other))
        return mine == theirs


def embedded_checkpoint() -> Path:
    return ASSETS / EMBEDDED


def resolve(name: str, base: Path) -> Path:
    """The folder of a checkpoint: the embedded one, a folder, or a hub id (downloaded by its name only).

    Args:
        name: ``mini-zh``, a folder (relative to ``base`` or absolute), or a hub id such as
            ``bert-base-chinese``.
        base: the study folder.

    Raises:
        InputError: if it is none of these.
    """
    if (folder := find_folder(name, base)) is not None:
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise input_error("model.name", name, "no such folder. Expected a Hugging Face folder or a hub id.")
    return download(name)


def find_folder(name: str, base: Path) -> Path | None:
    """The embedded checkpoint or the folder of that name, relative to ``base``; None if it is neither."""
    folder = base / expand_user(name)
    if is_folder(folder):  # in messages without "..", and by the name that a link has
        return folder.resolve() if folder.name == ".." else folder.parent.resolve() / folder.name
    return embedded_checkpoint() if name == EMBEDDED else None


def is_folder(path: Path) -> bool:
    """Whether it is one; no error for a name that no folder can have."""
    try:
        return path.is_dir()
    except OSError:
        return False


def find_cached(hub_id: str) -> Path | None:
    """The files of a hub id that the Hugging Face cache has. No network."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, local_files_only=True))
    except (OSError, ValueError):  # not in the cache, or no name that the hub allows
        return None


def find_hub_id(folder: Path) -> str | None:
    """The hub id of a checkpoint in the Hugging Face cache, by its folder; None of others."""
    cached = next((part for part in folder.parts if part.startswith("models--")), None)
    return None if cached is None else cached.removeprefix("models--").replace("--", "/")


def download(hub_id: str) -> Path:
    """The files of a hub id: from the Hugging Face cache, or fetched into it. Weights and text, no code."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        try:
            folder = snapshot_download(hub_id, local_files_only=True)
            if any(list(Path(folder).glob(pattern)) for pattern in WEIGHT_FILES):
                return Path(folder)  # so that a study goes on without a network
        except LocalEntryNotFoundError:
            pass
        folder = snapshot_download(hub_id, allow_patterns=[*FETCHED, "*.safetensors"])
        if not list(Path(folder).glob("*.safetensors")):
            folder = snapshot_download(hub_id, allow_patterns=[*FETCHED, "pytorch_model*.bin"])
    except Exception as error:  # the hub client raises a dozen kinds; the user's remedy is the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        what = (
            f"neither a folder nor a hub id that could be fetched ({reason}). Check the name or the network."
        )
        raise input_error("model.name", hub_id, what) from error
    return Path(folder)


def inspect(folder: Path) -> CheckpointInfo:
    """Read ``config.json``; refuse what finegrid cannot fine-tune, by name.

    Raises:
        InputError: not a checkpoint folder, an unknown family, or a decoder.
    """
    config = read_config(folder)
    family = str(config.get("model_type") or "")
    if family not in FAMILIES and not is_hosted(family):
        raise input_error(str(folder), "config.json", describe_family(folder, config))
    check_kind(folder, family, config)
    settings = check_settings(folder, family, config)
    if family not in FAMILIES:
        return describe_hosted(folder, family, settings)
    positions = settings.max_position_embeddings
    if family in ROBERTA_LIKE:
        positions -= settings.pad_token_id + 1  # they count positions from padding_idx + 1
    layers = settings.n_layers if family == "distilbert" else settings.num_hidden_layers
    rates = dropout_rates_of(family, settings)
    return CheckpointInfo(folder, family, layers, positions, family not in WITHOUT_POOLER, dropout=rates)


def is_hosted(family: str) -> bool:
    """Whether transformers computes encoders of a family, so far as can be told without importing it."""
    return bool(family) and family not in FAMILIES and is_known_to_transformers(family)


def describe_hosted(folder: Path, family: str, settings: Any) -> CheckpointInfo:
    """What the `HostedSettings` of a checkpoint say."""
    asks_for_biases = settings.attention_bias or settings.mlp_bias or settings.norm_bias
    positions = settings.max_position_embeddings
    if family in COUNTED_FROM_PADDING:
        positions -= (settings.pad_token_id or 0) + 1
    return CheckpointInfo(
        folder,
        family,
        settings.num_hidden_layers,
        positions,
        has_pooler=False,
        has_biases=family not in WITHOUT_BIASES or asks_for_biases,
        dropout=DropoutRates(settings.hidden_rate, settings.attention_rate, settings.head_rate),
        tier=tier_of(family),
        is_decoder=family in DECODERS,
        shares_layers=family in SHARED_LAYERS,
    )


def check_kind(folder: Path, family: str, config: dict[str, Any]) -> None:
    """Refuse models of a kind that cannot be fine-tuned here.

    Raises:
        InputError: it is a decoder that reads an encoder, of two parts, or quantised.
    """
    source = str(folder)
    decoder = config.get("is_decoder") and family in FAMILIES
    if decoder or config.get("add_cross_attention"):
        raise input_error(source, "config.json", "this is a decoder; finegrid fine-tunes encoders only.")
    if config.get("is_encoder_decoder"):
        what = "this model has an encoder and a decoder. finegrid fine-tunes models of one part only."
        raise input_error(source, "config.json", what)
    relative = config.get("position_embedding_type", "absolute")
    if family in FAMILIES and relative != "absolute":
        what = f'position_embedding_type "{str(relative)[:40]}" is not supported; only "absolute" is.'
        raise input_error(source, "config.json", what)
    if (quantised := config.get("quantization_config")) is not None:
        how = quantised.get("quant_method", "") if isinstance(quantised, dict) else ""
        what = (
            f"quantization_config {quote(how)}: this checkpoint is quantised, and finegrid trains in floats. "
            "Take the checkpoint that it was made from."
        )
        raise input_error(source, "config.json", what)


def dropout_rates_of(family: str, settings: Any) -> DropoutRates:
    """The rates of a checkpoint's `Settings`."""
    if family == "distilbert":
        return DropoutRates(settings.dropout, settings.attention_dropout, settings.seq_classif_dropout)
    hidden, head = settings.hidden_dropout_prob, settings.classifier_dropout
    return DropoutRates(hidden, settings.attention_probs_dropout_prob, hidden if head is None else head)


def describe_family(folder: Path, config: dict[str, Any]) -> str:
    """Why a config's ``model_type`` is none of ours, and what to do."""
    known = "; ".join(f"{name} = {title}" for name, title in {**FAMILIES, **INTERFACE, **PADDED}.items())
    family = config.get("model_type")
    if not family:
        if (inner := find_inner_model(folder)) is not None:
            return f"a sentence-transformers folder. Its model lies in {quote(inner.name)}: name {inner}."
        if (guess := guess_family(folder, config)) is not None:
            name, why = guess
            return f'names no model_type. Add "model_type": "{name}" to it: {why}.'
        return f'names no model_type. Add one to it, such as "model_type": "bert". Supported: {known}.'
    own_code = " It comes with code of its own (auto_map), and finegrid runs no code of a checkpoint."
    about = own_code if config.get("auto_map") else ""
    return (
        f'model_type "{str(family)[:40]}" is not among those that transformers computes.{about} '
        f"finegrid is tested with: {known}."
    )


def model_fingerprint(folder: Path) -> str:
    """Short hash of the weights and of the settings that decide what is computed."""
    digest = hashlib.sha256()
    config = read_config(folder)
    config.pop("transformers_version", None)
    config.pop("_name_or_path", None)
    digest.update(json.dumps(config, sort_keys=True).encode())
    for path in weight_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
