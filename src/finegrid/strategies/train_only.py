"""Train a small part of the model only: its biases, its biases and norms, or its head.

Paper   Ben-Zaken et al., BitFit, ACL 2022 (2106.10199), for ``biases``.
Idea    Few numbers suffice to turn what the encoder knows towards the task; all others keep it.
Off     ``only="all"``.
Exactly The head always trains, and so does a pooler that the checkpoint lacks. Of the encoder train
        ``biases``: every bias, those of LayerNorm among them; ``biases+norms``: the weights of LayerNorm
        too; ``head``: nothing. Gradients of what does not train are not computed, and it has no moments.
        ``rate`` is the peak learning rate of what trains, in the place of ``optimizer.rate``; 0 is that
        one. It does nothing where everything trains.
Rate    So few numbers need a higher rate: 10 to 100 times that of full fine-tuning, such as 5e-4 to 5e-3. At
        the same rate the comparison is unfair by construction: give ``train.rate`` beside ``train.only``.
Differs AutoGluon has biases and norms as choices apart (``bit_fit``, ``norm_fit``); here norms come with the
        biases. With ``head`` the encoder keeps its dropout while it computes, as frozen layers do.
Reduces The loss stays the mean over a batch's texts.
Evidence B, for what it costs: 0.7 of a step, and moments of a thousandth of the numbers.
Path    None is left. With ``head`` a family shares all that the encoder computes, as with frozen layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.encoders.poolings import reads_pooler
from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import nn

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup

EVERY_LAYER = 10_000  # more than any encoder has


@dataclass(frozen=True, config=STRICT)
class Train(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "BitFit and head only",
            ("only", "rate"),
            "what trains",
            "B",
            step="0.7 with biases, 0.3 with the head",
            synonyms=("BitFit", "bias tuning", "linear probe", "head only", "feature extraction"),
            chinese=(
                "BitFit 与只训练分类头",
                "只训练偏置",
                "只训练分类头",
                "偏置微调",
                "特征提取",
                "线性分类",
            ),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"only": ()}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "only": {"trained": "all", "rates": "all"},  # where the baseline gives a rate of its own
        "rate": {"rates": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {"rate": "nothing"}

    only: Annotated[
        Literal["all", "biases", "biases+norms", "head"],
        Field(description="what trains of the encoder, beside the head"),
    ] = "all"
    rate: Annotated[
        float, Field(ge=0, le=1, description="peak learning rate of what trains; 0: optimizer.rate")
    ] = 0.0

    @property
    def frozen_layers(self) -> int:
        return EVERY_LAYER if self.only == "head" else 0

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        if self.only in ("biases", "biases+norms") and not checkpoint.has_biases:
            what = f'"{self.only}", but {checkpoint.family} has no biases. Expected "all" or "head".'
            return [Problem('"train.only"', what)]
        return []

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if self.only == "all":
            return []
        found = []
        if levels["freeze.layers"] == checkpoint.layers:
            what = (
                f'"{self.only}", but all {checkpoint.layers} layers are frozen: nothing is left to choose '
                "from. Freeze fewer layers, or leave one of the two out."
            )
            found.append(Problem('"train.only" + "freeze.layers"', what))
        afresh = "would be drawn afresh, and their matrices then never trained. Leave one of the two out."
        if levels["reinit.layers"]:
            found.append(Problem('"train.only" + "reinit.layers"', f'"{self.only}": layers {afresh}'))
        if levels["reinit.pooler"] and reads_pooler(levels, checkpoint.family):
            what = f'"{self.only}": the pooler {afresh.replace("their matrices", "its matrix")}'
            found.append(Problem('"train.only" + "reinit.pooler"', what))
        return found

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if self.only == "all":
            return
        norms = {p for m in model.encoder.modules() if is_norm(m) for p in m.parameters(recurse=False)}
        # A pooler that the checkpoint lacks is drawn by the run. No other pooling reads it.
        pooler = model.parts.pooler if model.pooling == "pooler" else None
        of_pooler = {*pooler.parameters()} if pooler is not None else set()
        for name, p in model.encoder.named_parameters():
            bias = self.only != "head" and name.endswith(".bias")
            norm = self.only == "biases+norms" and p in norms
            fresh = p in of_pooler and f"encoder.{name}" not in setting.anchor
            if not (bias or norm or fresh):
                p.requires_grad_(False)
        if self.only == "head":
            model.frozen_layers = len(model.parts.layers)

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        if self.only == "all" or not self.rate:
            return groups
        return [{**group, "lr": self.rate} for group in groups]


def is_norm(module: nn.Module) -> bool:
    """Whether a module is LayerNorm or RMSNorm: transformers' families have classes of their own."""
    return "LayerNorm" in type(module).__name__ or "RMSNorm" in type(module).__name__
