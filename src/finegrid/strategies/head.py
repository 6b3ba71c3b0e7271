"""What turns a text's vector into logits: ours, or the one that Hugging Face's classifiers have.

Head    ``finegrid``: LayerNorm, dropout, a linear layer, on the vector of ``model.pooling``. ``huggingface``:
        that of ``AutoModelForSequenceClassification`` (transformers 5), for those who ask why their scores
        are not ours. BERT, ERNIE: the checkpoint's pooler, dropout, linear. RoBERTa, XLM-RoBERTa,
        CamemBERT, Data2Vec: first token, dropout, linear, tanh, dropout, linear. ELECTRA: the same with gelu.
        DistilBERT: first token, linear, ReLU, dropout, linear. The layers between have the encoder's width.
Depth   ``hidden`` puts a layer of so many units into ours: LayerNorm, linear, tanh, dropout, linear.
Samples The head reads one vector ``samples`` times, each time with dropout masks of its own.
Paper   Of samples: Inoue, Multi-Sample Dropout for Accelerated Training and Better Generalization, 2019
        (1905.09788).
Idea    A fresh layer on a good vector is all that a classifier adds to an encoder. Several masks average
        over what dropout hides of the vector, at next to no cost.
Off     ``kind="finegrid", hidden=0, samples=1``.
Exactly Weights from N(0, initializer_range), biases 0, LayerNorm 1 and 0, from the streams
        ``head/<tensor>``. With K samples the loss of a text is (1/K) sum_k loss(head_k(v)). Dev and test
        read the head once, without dropout.
Differs ``huggingface`` decides the pooling, so that it can be switched on by itself: ``model.pooling`` is
        inert then. Its values are drawn from our streams, at the spread that transformers draws them at. A
        kept model is then one of transformers, and `AutoModelForSequenceClassification` loads it. ``hidden``
        has dropout before the last layer, RoBERTa's own head before both. Some average logits over the
        samples; that is another strategy, since a loss of means is not a mean of losses. Views of a batch
        (R-Drop) have samples each; what is added to the loss looks at the first of them.
Reduces Per text the mean over samples, then the mean over a batch's texts.
Evidence D: kind and depth are asked for parity with other tools, not for a gain that was shown. Samples are
        known from contests.
Note    Where the head drops nothing, samples are all the same: refused. Runs with other samples share
        families, stacks and captured steps; kinds and widths only among their like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.encoders.poolings import HeadKind
from finegrid.errors import Problem
from finegrid.strategies.dropout import rates_of
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.strategies.criterion import Criterion


@dataclass(frozen=True, config=STRICT)
class HeadSettings(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "Hugging Face head",
            ("kind",),
            "architecture",
            "D",
            synonyms=("AutoModelForSequenceClassification", "classification head", "out_proj"),
            chinese=("Hugging Face 分类头", "分类头", "分类器"),
        ),
        Listing(
            "head depth",
            ("hidden",),
            "architecture",
            "D",
            synonyms=("MLP head", "two-layer head"),
            chinese=("分类头深度", "分类头层数", "多层分类头", "两层分类头"),
        ),
        Listing(
            "multi-sample dropout",
            ("samples",),
            "losses",
            "D",
            synonyms=("MSD",),
            chinese=("多次采样 dropout", "多样本 dropout", "多重 dropout"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"kind": (), "hidden": (0, 256), "samples": (1, 5)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "kind": {"pooling": "all", "initial": "head", "trained": "head", "sites": "head"},
        "hidden": {"initial": "head", "trained": "head"},
        "samples": {"loss": "all", "gradients": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"samples": "nothing"}

    kind: Annotated[HeadKind, Field(description="whose head; huggingface decides the pooling")] = "finegrid"
    hidden: Annotated[
        int, Field(ge=0, le=16384, description="width of a layer before the last; 0 for none")
    ] = 0
    samples: Annotated[
        int, Field(ge=1, le=64, description="how often the head reads a vector in training, with other masks")
    ] = 1

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if self.kind == "finegrid":
            return []
        if checkpoint.tier != "hand":
            what = f'"{self.kind}", but for {checkpoint.family} finegrid has its own head only.'
            return [Problem('"head.kind"', what)]
        if not self.hidden:
            return []
        what = (
            f'"{self.kind}" and {self.hidden} units, but that head is as deep as transformers makes it. Take '
            "one of the two out."
        )
        return [Problem('"head.kind" + "head.hidden"', what)]

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if self.samples == 1 or rates_of(levels, checkpoint).head > 0:
            return []
        what = (
            f"{self.samples} samples, but the head drops nothing: all would be the same. Set dropout.head "
            "above 0, or leave samples at 1."
        )
        return [Problem('"head.samples" + "dropout.head"', what)]

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if self.kind != "finegrid" or self.hidden:
            model.replace_head_(self.kind, self.hidden)

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return criterion if self.samples == 1 else replace(criterion, samples=self.samples)
