"""What turns a text's vector into logits."""

from __future__ import annotations

from torch import Tensor, nn

from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.model.anatomy import Anatomy
from finegrid.model.dropout import Clock, Dropout
from finegrid.model.pooling import Pool, linear

SITE, INPUT_SITE = "head", "head-input"  # of dropout: before the last layer, and where a head has two


class ClassifierHead(nn.Module):
    """Steps from vector to logits. It owns the pooling too, whose parameters train as a head's do."""

    def __init__(self, pool: Pool, steps: dict[str, nn.Module]) -> None:
        super().__init__()
        self.pool = pool
        self._steps = tuple(steps)
        for name, step in steps.items():
            self.add_module(name, step)

    @property
    def dropouts(self) -> list[Dropout]:
        return [step for name in self._steps if isinstance(step := self.get_submodule(name), Dropout)]

    def forward(self, vectors: Tensor) -> Tensor:
        """``[texts, width]`` to logits ``[texts, classes]``."""
        for name in self._steps:
            vectors = self.get_submodule(name)(vectors)
        return vectors


def finegrid_head(pool: Pool, parts: Anatomy, classes: int, hidden: int, clock: Clock) -> ClassifierHead:
    """LayerNorm, dropout and a linear layer; with ``hidden`` a layer of so many units and tanh between."""
    deep = {"dense": linear(pool.width, hidden), "activation": nn.Tanh()} if hidden else {}
    steps: dict[str, nn.Module] = {
        "norm": nn.LayerNorm(pool.width),
        **deep,
        "dropout": Dropout(SITE, parts.head_dropout_rate, clock, "text"),
        "linear": linear(hidden or pool.width, classes),
    }
    return ClassifierHead(pool, steps)


def huggingface_head(pool: Pool, parts: Anatomy, classes: int, clock: Clock) -> ClassifierHead:
    """That of ``AutoModelForSequenceClassification`` for the family, in transformers 5."""

    def dropout(site: str) -> Dropout:
        return Dropout(site, parts.head_dropout_rate, clock, "text")

    between: dict[str, nn.Module] = {}
    if parts.family in {"electra", *ROBERTA_LIKE}:
        activation = nn.Tanh() if parts.family in ROBERTA_LIKE else nn.GELU()
        dense = linear(pool.width, pool.width)
        between = {"input_dropout": dropout(INPUT_SITE), "dense": dense, "activation": activation}
    if parts.family == "distilbert":
        between = {"dense": linear(pool.width, pool.width), "activation": nn.ReLU()}
    return ClassifierHead(pool, {**between, "dropout": dropout(SITE), "linear": linear(pool.width, classes)})
