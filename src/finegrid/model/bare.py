"""BERT as a tree of modules with the names of transformers', made without importing its models.

finegrid computes BERT's layers itself. Of transformers it needs the names of modules and parameters and what
the embeddings do; importing its models takes longer than loading most checkpoints. Whatever else is asked of
the encoder, its config or its own forward pass, is transformers': imported then, over the same parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from finegrid.encoders.config import read_settings
from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.files import weight_files
from finegrid.encoders.layout import PREFIXES, TABLE, rename_norms

FAMILY, ACTIVATION = "bert", "gelu"


def can_be_bare(info: CheckpointInfo) -> bool:
    """Whether a checkpoint is one that `load_bare` knows."""
    if info.tier != "hand" or info.family != FAMILY:
        return False
    if any(path.suffix != ".safetensors" for path in weight_files(info.folder)):
        return False
    return bool(read_settings(info.folder, FAMILY).hidden_act == ACTIVATION)


def load_bare(info: CheckpointInfo, make_config: Callable[[], Any]) -> tuple[BareBert, list[str]]:
    """Load a BERT in float32, whose weights have been checked.

    Args:
        info: the checkpoint.
        make_config: the config of transformers, for what asks for more than finegrid reads.

    Returns:
        The encoder, and the names of the tensors that there are no weights for.
    """
    settings = read_settings(info.folder, FAMILY)
    with torch.device("meta"):  # nothing is drawn, to be overwritten
        encoder = BareBert(BareConfig(FAMILY, settings.model_dump(), make_config))
    stored = read_tensors(weight_files(info.folder))
    prefix = PREFIXES[FAMILY] if PREFIXES[FAMILY] + TABLE in stored else ""
    missing = []
    for name, p in [*encoder.named_parameters()]:
        module, _, own = name.rpartition(".")
        if prefix + name not in stored:
            missing.append(name)
        value = stored[prefix + name]() if prefix + name in stored else torch.zeros(p.shape)
        setattr(encoder.get_submodule(module), own, nn.Parameter(value.to(torch.float32)))
    return encoder.eval(), sorted(missing)


def read_tensors(files: list[Path]) -> dict[str, Callable[[], Tensor]]:
    """What reads each tensor, by the name that it has today."""
    found: dict[str, Callable[[], Tensor]] = {}
    for path in files:
        opened = safe_open(path, framework="pt")
        for name in opened.keys():  # noqa: SIM118  no mapping
            found[rename_norms(name)] = partial(opened.get_tensor, name)
    return found


class BareConfig:
    """The settings that finegrid reads; all others are asked of transformers' own config."""

    def __init__(self, family: str, settings: dict[str, Any], make: Callable[[], Any]) -> None:
        self._settings = {**settings, "model_type": family}
        self._make = make
        self._whole: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of copies that are being made
            raise AttributeError(name)
        known = self.__dict__["_settings"]
        return known[name] if name in known else getattr(self.whole, name)

    @property
    def whole(self) -> Any:
        if self._whole is None:
            self._whole = self._make()
        return self._whole

    def __deepcopy__(self, memo: object) -> BareConfig:
        return self  # nothing in it changes


class BareBert(nn.Module):
    """As ``BertModel``: the same names, in the same order."""

    def __init__(self, config: BareConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = holding(layer=nn.ModuleList(layer_of(config) for _ in range(config.num_hidden_layers)))
        self.pooler = Pooler(config.hidden_size)
        self._whole: list[Any] = []  # transformers' own, once it was asked for

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_whole": []}

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_attn_implementation(self, name: str) -> None:
        self._make_whole().set_attn_implementation(name)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        **more: Any,
    ) -> Any:
        """As transformers computes it."""
        whole = self._make_whole().train(self.training)
        return whole(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            **more,
        )

    def _make_whole(self) -> Any:
        """transformers' own model, around the very modules that have parameters."""
        from transformers import BertModel

        if not self._whole:
            with torch.random.fork_rng(devices=[]):  # it draws what is overwritten
                whole = BertModel(self.config.whole)
            whole.to(self.embeddings.word_embeddings.weight.device)
            for name, module in [*whole.named_modules()]:
                if [*module.parameters(recurse=False)]:  # with whatever was added to it here
                    whole.set_submodule(name, self.get_submodule(name))
            self._whole.append(whole)
        return self._whole[0]


class Embeddings(nn.Module):
    def __init__(self, config: BareConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = table(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = table(config.max_position_embeddings, width)
        self.token_type_embeddings = table(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, position_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        """In the order in which transformers adds, for the same bits."""
        vectors = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        vectors = vectors + self.position_embeddings(position_ids)
        embedded: Tensor = self.dropout(self.LayerNorm(vectors))
        return embedded


def table(rows: int, width: int, padding: int | None = None) -> nn.Embedding:
    """Not drawn: without a weight it would be, and on the meta device that imports torch's compiler."""
    return nn.Embedding(rows, width, padding_idx=padding, _weight=torch.empty(rows, width))


class Gelu(nn.Module):
    """The exact one, under the name by which kernels know it."""

    def __init__(self) -> None:
        super().__init__()
        self.act = F.gelu

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


class Pooler(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.activation = nn.Tanh()

    def forward(self, hidden: Tensor) -> Tensor:
        """``[texts, tokens, width]`` to ``[texts, width]``: of the first token."""
        pooled: Tensor = self.activation(self.dense(hidden[:, 0]))
        return pooled


def layer_of(config: BareConfig) -> nn.Module:
    width, wide, rate = config.hidden_size, config.intermediate_size, config.hidden_dropout_prob
    attention = holding(
        query=nn.Linear(width, width),
        key=nn.Linear(width, width),
        value=nn.Linear(width, width),
        dropout=nn.Dropout(config.attention_probs_dropout_prob),
    )
    return holding(
        attention=holding(self=attention, output=output_of(width, width, rate, config.layer_norm_eps)),
        intermediate=holding(dense=nn.Linear(width, wide), intermediate_act_fn=Gelu()),
        output=output_of(wide, width, rate, config.layer_norm_eps),
    )


def output_of(before: int, width: int, rate: float, eps: float) -> nn.Module:
    return holding(
        dense=nn.Linear(before, width), LayerNorm=nn.LayerNorm(width, eps=eps), dropout=nn.Dropout(rate)
    )


def holding(**modules: nn.Module) -> nn.Module:
    """A module that only holds others."""
    holder = nn.Module()
    for name, module in modules.items():
        holder.add_module(name, module)
    return holder
