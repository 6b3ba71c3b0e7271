"""Dropout rates of the encoder and of the head.

Paper   Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 2014.
Idea    What a pre-trained encoder was trained with need not be best for a few epochs on little data.
Off     ``"checkpoint"`` for each: the rates of the checkpoint's ``config.json``.
Exactly ``hidden``: after the embeddings, and on what attention and the feed-forward layer add to the token
        vectors. ``attention``: on attention weights. ``head``: before the head's linear layers. What is kept
        is scaled by 1 / (1 - rate). At rate 0 nothing is drawn and no kernel called.
Differs In transformers ``hidden_dropout_prob`` moves the head's rate too where a config has no
        ``classifier_dropout``; here ``head`` keeps the rate that the config gives it. DistilBERT drops
        nothing of what attention adds, whatever its rate: ``hidden`` sets its other places. Pre-training
        (``pretrain.tokens``) keeps the checkpoint's rates. Rates are counted in 65,536ths.
Reduces The loss stays the mean over a batch's texts.
Evidence A: for a few epochs 0 is often as good as 0.1.
Path    Rates draw the same 16-bit numbers: what 0.1 drops, 0.2 drops as well, and levels are compared on
        paired masks. In a stack there is one mask for all runs, so only runs of equal ``hidden`` and
        ``attention`` share families and stacks; ``head`` is drawn run by run, and may differ.
Note    A level that is the checkpoint's own rate is the run that ``"checkpoint"`` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo, DropoutRates
    from finegrid.model.classifier import Classifier

Rate = Annotated[float, Field(ge=0, le=0.9)] | Literal["checkpoint"]


@dataclass(frozen=True, config=STRICT)
class DropoutSettings(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "dropout rates",
            ("hidden", "attention", "head"),
            "architecture",
            "A",
            step="1.0; less at rate 0",
            synonyms=(
                "hidden_dropout_prob",
                "attention_probs_dropout_prob",
                "classifier_dropout",
                "regularisation",
            ),
            chinese=("dropout 比率", "随机失活", "丢弃率", "暂退法", "正则化"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "hidden": ("checkpoint", 0.0, 0.2),
        "attention": ("checkpoint", 0.0, 0.2),
        "head": ("checkpoint", 0.0, 0.3),
    }
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "hidden": {"sites": "all"},
        "attention": {"sites": "all"},
        "head": {"sites": "head"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"head": "nothing"}

    hidden: Annotated[Rate, Field(description="of token vectors, in the embeddings and in layers")] = (
        "checkpoint"
    )
    attention: Annotated[Rate, Field(description="of attention weights")] = "checkpoint"
    head: Annotated[Rate, Field(description="before the linear layers of the head")] = "checkpoint"

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        parts = model.parts
        by_rate = (
            (self.hidden, parts.hidden_dropouts),
            (self.attention, parts.attention_dropouts),
            (self.head, model.head.dropouts),
        )
        for rate, sites in by_rate:
            if rate != "checkpoint":
                for site in sites:
                    site.drop_(rate)


def rates_of(levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> DropoutRates:
    """What a recipe drops on a checkpoint.

    Args:
        levels: of the whole recipe, by dotted names.
        checkpoint: whose rates hold where the recipe has none of its own.
    """
    own = {name: levels[f"dropout.{name}"] for name in ("hidden", "attention", "head")}
    return replace(checkpoint.dropout, **{name: rate for name, rate in own.items() if rate != "checkpoint"})
