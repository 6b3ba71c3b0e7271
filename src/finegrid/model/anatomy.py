"""Where the parts of a Hugging Face encoder live.

The only module that spells an attribute path of a model, and so the only one that needs ``Any``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.model.dropout import Clock, Dropout


class EncoderLayer(Protocol):
    """What is known of a layer, whoever computes it."""

    @property
    def module(self) -> nn.Module: ...
    @property
    def heads(self) -> int: ...
    @property
    def dropouts(self) -> Sequence[Dropout]: ...
    @property
    def linears(self) -> Mapping[str, nn.Linear]:
        """Its linear layers. Those of attention are called "query", "key", "value" and "attention_out" where
        they are told apart; all others have names of the family's own.
        """
        ...


@dataclass(frozen=True)
class Layer:
    """One encoder layer that finegrid computes, post-LayerNorm as in BERT; families differ in spelling."""

    module: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_out: nn.Linear
    attention_norm: nn.LayerNorm
    up: nn.Linear
    activation: Callable[[Tensor], Tensor]
    down: nn.Linear
    output_norm: nn.LayerNorm
    heads: int
    attention_dropout: Dropout  # on attention weights
    hidden_dropout: Dropout  # on the attention's output; rate 0 in DistilBERT, which has none there
    output_dropout: Dropout  # on the feed-forward output

    @property
    def dropouts(self) -> list[Dropout]:
        return [self.attention_dropout, self.hidden_dropout, self.output_dropout]

    @property
    def linears(self) -> dict[str, nn.Linear]:
        names = ("query", "key", "value", "attention_out", "up", "down")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Anatomy:
    """The parts of an encoder, from bottom (nearest the input) to top, whoever computes them."""

    family: str
    embeddings: Sequence[nn.Module]  # all that is below the layers: tables, norms, projections
    embedding_table: nn.Embedding  # of the words alone
    embedding_dropouts: Sequence[Dropout]  # below the layers
    layers: Sequence[EncoderLayer]
    above: Sequence[nn.Module]  # between the layers and the pooling, such as a last norm
    pooler: nn.Module | None
    width: int
    initializer_range: float
    head_dropout_rate: float
    hidden_dropouts: Sequence[Dropout]  # sites on token vectors: where the family has them
    attention_dropouts: Sequence[Dropout]  # sites on attention weights

    @property
    def dropouts(self) -> list[Dropout]:
        """All sites of the encoder, bottom to top."""
        return [*self.embedding_dropouts, *(site for layer in self.layers for site in layer.dropouts)]


@dataclass(frozen=True)
class HandParts:
    """An encoder that finegrid computes itself: its anatomy, and what its computing needs beside."""

    anatomy: Anatomy
    embed: Callable[[Tensor, Tensor, Tensor], Tensor]  # ids, positions, types [tokens] -> [tokens, width]
    layers: list[Layer]


def take_apart(encoder: Any, clock: Clock) -> HandParts:
    """Find the parts of a loaded encoder and put our dropout sites in the place of its own.

    Args:
        encoder: a model of transformers, of one of the hand-written families.
        clock: tells the sites which seed and step to draw masks for.
    """
    config = encoder.config
    if config.model_type == "distilbert":
        layers = [
            distilbert_layer(module, index, config, clock)
            for index, module in enumerate(encoder.transformer.layer)
        ]
        rates = (config.dropout, config.seq_classif_dropout)
    else:
        layers = [
            bert_layer(module, index, config, clock) for index, module in enumerate(encoder.encoder.layer)
        ]
        head_rate = getattr(config, "classifier_dropout", None)
        rates = (config.hidden_dropout_prob, config.hidden_dropout_prob if head_rate is None else head_rate)
    site = Dropout("embeddings", rates[0], clock)
    encoder.embeddings.dropout = site
    project = getattr(encoder, "embeddings_project", None)
    # DistilBERT has no dropout between attention and residual.
    of_layers = [
        [layer.output_dropout]
        if config.model_type == "distilbert"
        else [layer.hidden_dropout, layer.output_dropout]
        for layer in layers
    ]
    anatomy = Anatomy(
        family=config.model_type,
        embeddings=[encoder.embeddings, *([project] if project is not None else [])],
        embedding_table=encoder.embeddings.word_embeddings,
        embedding_dropouts=[site],
        layers=layers,
        above=[],
        pooler=getattr(encoder, "pooler", None),
        width=config.dim if config.model_type == "distilbert" else config.hidden_size,
        initializer_range=config.initializer_range,
        head_dropout_rate=rates[1],
        hidden_dropouts=[site, *(one for sites in of_layers for one in sites)],
        attention_dropouts=[layer.attention_dropout for layer in layers],
    )
    return HandParts(anatomy, embed_function(encoder, project), layers)


def embed_function(encoder: Any, project: Any) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    family = encoder.config.model_type
    # RoBERTa and its like number positions from padding_idx + 1.
    first_position = encoder.embeddings.padding_idx + 1 if family in ROBERTA_LIKE else 0
    # Some RoBERTa-like checkpoints know one type only, and were trained on pairs with all zeros.
    one_type = family == "distilbert" or encoder.config.type_vocab_size < 2

    def embed(ids: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        kwargs: dict[str, Tensor] = {"position_ids": (positions + first_position)[None]}
        if family != "distilbert":
            kwargs["token_type_ids"] = (types * 0 if one_type else types)[None]
        hidden = encoder.embeddings(input_ids=ids[None], **kwargs)
        if project is not None:
            hidden = project(hidden)
        packed: Tensor = hidden[0]
        return packed

    return embed


def bert_layer(module: Any, index: int, config: Any, clock: Clock) -> Layer:
    """All hand-written families but DistilBERT share this spelling."""
    attention = module.attention
    hidden_rate = config.hidden_dropout_prob
    sites = dropout_sites(index, config.attention_probs_dropout_prob, hidden_rate, hidden_rate, clock)
    attention.self.dropout, attention.output.dropout, module.output.dropout = sites
    return Layer(
        module=module,
        query=attention.self.query,
        key=attention.self.key,
        value=attention.self.value,
        attention_out=attention.output.dense,
        attention_norm=attention.output.LayerNorm,
        up=module.intermediate.dense,
        activation=module.intermediate.intermediate_act_fn,
        down=module.output.dense,
        output_norm=module.output.LayerNorm,
        heads=config.num_attention_heads,
        attention_dropout=sites[0],
        hidden_dropout=sites[1],
        output_dropout=sites[2],
    )


def distilbert_layer(module: Any, index: int, config: Any, clock: Clock) -> Layer:
    sites = dropout_sites(index, config.attention_dropout, 0.0, config.dropout, clock)
    module.attention.dropout, module.ffn.dropout = sites[0], sites[2]
    return Layer(
        module=module,
        query=module.attention.q_lin,
        key=module.attention.k_lin,
        value=module.attention.v_lin,
        attention_out=module.attention.out_lin,
        attention_norm=module.sa_layer_norm,
        up=module.ffn.lin1,
        activation=module.ffn.activation,
        down=module.ffn.lin2,
        output_norm=module.output_layer_norm,
        heads=config.n_heads,
        attention_dropout=sites[0],
        hidden_dropout=sites[1],
        output_dropout=sites[2],
    )


def dropout_sites(index: int, weights: float, hidden: float, output: float, clock: Clock) -> list[Dropout]:
    rates = {"attention": weights, "hidden": hidden, "output": output}
    return [Dropout(f"layer.{index}.{name}", rate, clock) for name, rate in rates.items()]
