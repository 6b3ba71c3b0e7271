"""What finegrid takes of a checkpoint's ``config.json``, checked by type and range; the rest is never used.

A config may name files, code and kernels that transformers would load, and hold values that it fails on.
What is read here alone reaches it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from finegrid.data.findings import quote
from finegrid.encoders.files import read_config
from finegrid.encoders.hosted import spell_settings
from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.errors import InputError, Problem

MOST_LAYERS = 1000
MOST_ROWS = 10_000_000  # of a table of embeddings: the largest vocabularies have a million
MOST_WIDTH = 100_000
# Those of transformers that are one function of a number, without weights of their own.
ACTIVATIONS = (
    *("gelu", "gelu_10", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_python_tanh"),
    *("gelu_accurate", "hardswish", "laplace", "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2"),
    *("relu6", "sigmoid", "silu", "sqrtsoftplus", "swish", "tanh"),
)


def known_activation(name: Any) -> Any:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError("the name of an activation, such as gelu or relu")
    return name


def token_or_none(value: Any) -> Any:
    """A token's number where it is one. Only who generates text needs it, so the rest does not matter."""
    return value if type(value) is int and 0 <= value < MOST_ROWS else None


def name_or_none(value: Any) -> Any:
    return value if isinstance(value, str) else None


Layers = Annotated[int, Field(ge=1, le=MOST_LAYERS)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # of dropout
Small = Annotated[float, Field(gt=0, le=1)]
Activation = Annotated[str, BeforeValidator(known_activation)]
Padding = Annotated[int, Field(ge=0, lt=MOST_ROWS)]
Name = Annotated[str | None, BeforeValidator(name_or_none)]
Token = Annotated[int | None, BeforeValidator(token_or_none)]


class Settings(BaseModel):
    """Of all families."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    vocab_size: Rows = 30522
    max_position_embeddings: Rows
    initializer_range: Small = 0.02
    pad_token_id: Padding | None = 0
    bos_token_id: Token = None
    eos_token_id: Token = None
    tokenizer_class: Name = None  # where tokenizer_config.json names none


class BertSettings(Settings):
    hidden_size: Width = 768
    num_hidden_layers: Layers
    num_attention_heads: Width = 12
    intermediate_size: Width = 3072
    hidden_act: Activation = "gelu"
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    classifier_dropout: Rate | None = None
    type_vocab_size: Rows = 2
    layer_norm_eps: Small = 1e-12


class RobertaSettings(BertSettings):
    vocab_size: Rows = 50265
    pad_token_id: Padding = 1  # from which positions are counted
    bos_token_id: Token = 0
    eos_token_id: Token = 2


class LikeRobertaSettings(RobertaSettings):
    """XLM-RoBERTa, CamemBERT, Data2Vec: RoBERTa with a vocabulary of their own."""

    vocab_size: Rows = 30522


class ElectraSettings(BertSettings):
    embedding_size: Width = 128
    hidden_size: Width = 256
    num_attention_heads: Width = 4
    intermediate_size: Width = 1024


class ErnieSettings(BertSettings):
    task_type_vocab_size: Rows = 3
    use_task_id: bool = False


class DistilSettings(Settings):
    n_layers: Layers
    n_heads: Width = 12
    dim: Width = 768
    hidden_dim: Width = 3072
    activation: Activation = "gelu"
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    seq_classif_dropout: Rate = 0.2
    sinusoidal_pos_embds: bool = False


class HostedSettings(Settings):
    """Of a family that transformers computes, by the names that most families use."""

    max_position_embeddings: Rows = 512
    hidden_size: Width
    num_hidden_layers: Layers
    num_attention_heads: Width = 1
    intermediate_size: Width = 3072
    initializer_range: Small | None = 0.02  # type: ignore[assignment]  # some families have none
    type_vocab_size: int = 0
    hidden_rate: Rate = 0.0  # the largest of all
    attention_rate: Rate = 0.0
    head_rate: Rate = 0.0
    head_dim: Width | None = None
    attention_bias: bool = False  # of families that have biases only where they are asked for
    mlp_bias: bool = False
    norm_bias: bool = False


OF_FAMILIES: dict[str, type[Settings]] = {
    "bert": BertSettings,
    "roberta": RobertaSettings,
    "electra": ElectraSettings,
    "ernie": ErnieSettings,
    "distilbert": DistilSettings,
    "xlm-roberta": LikeRobertaSettings,
    "camembert": LikeRobertaSettings,
    "data2vec-text": LikeRobertaSettings,
}
# Names that DistilBERT's config may have instead of its own.
DISTIL_NAMES = {"hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers"}


def read_settings(folder: Path, family: str) -> Any:
    """What a checkpoint's config says, or leaves to transformers' defaults, of the settings that are used.

    Returns:
        The `Settings` of the family; what other families lack is not typed here.

    Raises:
        InputError: a value that no encoder of the family can have; names all of them.
    """
    return check_settings(folder, family, read_config(folder))


def check_settings(folder: Path, family: str, config: dict[str, Any]) -> Any:
    """As `read_settings`, of a config that has been read."""
    known = dict(config) if family in OF_FAMILIES else spell_settings(config)
    if family == "distilbert":
        for other, name in DISTIL_NAMES.items():
            if other in known:
                known.setdefault(name, known[other])
    try:
        settings = OF_FAMILIES.get(family, HostedSettings).model_validate(known)
    except ValidationError as error:
        raise InputError(str(folder), describe_errors(error)) from None
    if problems := find_misfits(family, settings):
        raise InputError(str(folder), problems)
    return settings


def describe_errors(error: ValidationError) -> list[Problem]:
    """Pydantic's findings, each setting once."""
    missing = [str(item["loc"][0]) for item in error.errors() if item["type"] == "missing"]
    if missing:
        what = f"no {' and no '.join(missing)}; the file looks incomplete."
        return [Problem("config.json", what)]
    problems: dict[str, Problem] = {}
    for item in error.errors():
        name = str(item["loc"][0])
        expected = item["msg"].replace("Input should be", "expected").replace("Value error,", "expected")
        problems.setdefault(name, Problem("config.json", f"{name} is {quote(item['input'])}, {expected}."))
    return list(problems.values())


def find_misfits(family: str, settings: Any) -> list[Problem]:
    """Settings that do not go together."""
    width, heads = ("dim", "n_heads") if family == "distilbert" else ("hidden_size", "num_attention_heads")
    problems = []
    own_width = getattr(settings, "head_dim", None)  # of a head
    if own_width is None and getattr(settings, width) % getattr(settings, heads):
        what = f"{heads} is {getattr(settings, heads)}, which does not divide {width} = "
        problems.append(f"{what}{getattr(settings, width)}.")
    padding = settings.pad_token_id
    if padding is not None and padding >= settings.vocab_size:
        problems.append(f"pad_token_id is {padding}, expected less than vocab_size = {settings.vocab_size}.")
    if family in ROBERTA_LIKE and padding >= settings.max_position_embeddings - 1:
        problems.append(f"pad_token_id is {padding}, expected a whole number below the positions.")
    return [Problem("config.json", what) for what in problems]
