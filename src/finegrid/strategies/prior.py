"""Decay the encoder towards the checkpoint's values, not towards 0.

Paper   Li et al., Explicit Inductive Bias for Transfer Learning, ICML 2018 (1802.01483), there L2-SP.
Idea    The pre-trained values are a better guess than 0 of where the best ones lie.
Off     ``decay=0.0``.
Exactly Before each update, theta -= rate * ``decay`` * (theta - theta0), where theta0 is the checkpoint's
        value: decoupled, as AdamW's weight decay, and multiplied by the same rate. It acts on all of the
        encoder that trains and has an anchor: not on the head, nor on layers and poolers that were drawn
        afresh. Those keep ``optimizer.weight_decay``; what has an anchor has none of it, since both would
        pull. So two things change where ``optimizer.weight_decay`` is not 0: set it to 0 to vary one.
Differs The paper adds the distance to the loss; decoupled, Adam does not divide it by the size of
        gradients. A public code meant to leave out the head, but never does, and pulls it towards its random
        start; we leave it out. With ``pretrain.tokens`` the checkpoint's values are no longer where
        fine-tuning starts from, and both together are refused.
Reduces The loss stays the mean over a batch's texts; the pull is no part of it.
Evidence B: gains in the paper (images), and mixed ones for text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup, UpdateRule


@dataclass(frozen=True, config=STRICT)
class Prior(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "prior decay",
            ("decay",),
            "decays",
            "B",
            synonyms=("L2-SP", "decay to the pre-trained weights", "prior_wd", "decay"),
            chinese=("向预训练权重衰减", "L2-SP 正则", "预训练权重衰减"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"decay": (0.0, 0.01, 0.1)}
    # Once two steps have gone apart, what they update does so everywhere.
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"decay": {"decays": "encoder", "update": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"decay": "nothing"}

    shows_after: ClassVar[int] = 2  # at the checkpoint's values nothing pulls

    decay: Annotated[float, Field(ge=0, le=100, description="pull towards the checkpoint's values")] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        tokens = levels["pretrain.tokens"]
        if not self.decay or not tokens:
            return []
        what = (
            f"{self.decay:g} with pretrain.tokens {tokens}: prior decay without an anchor, since fine-tuning "
            "does not start from the checkpoint's values. Leave one of the two at 0."
        )
        return [Problem('"prior.decay" + "pretrain.tokens"', what)]

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Each group in two: what is pulled, which has no decay beside, and the rest."""
        if not self.decay:
            return groups
        pulled = pulled_parameters(model)
        split: list[ParamGroup] = []
        for group in groups:
            for params, decay in (
                ([p for p in group["params"] if p in pulled], 0.0),
                ([p for p in group["params"] if p not in pulled], group["weight_decay"]),
            ):
                if params:
                    split.append({**group, "params": params, "weight_decay": decay})
        return split

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule | None:
        if not self.decay:
            return rule
        assert rule is not None  # the optimizer comes first
        from finegrid.optim.prior_decay import PriorDecay

        pulled, known = pulled_parameters(model), setting.anchor
        anchor: dict[Tensor, Tensor] = {p: known[name] for name, p in model.named_parameters() if p in pulled}
        return PriorDecay(rule, self.decay, anchor) if anchor else rule


def pulled_parameters(model: Classifier) -> set[Tensor]:
    """Those of the encoder that train and were not drawn: the checkpoint has a value for them.

    Frozen ones are left out, since they are exchanged for those of another run of the family; and so is a
    pooler that is not read.
    """
    unread = {model.parts.pooler} if model.pooling != "pooler" else set()
    others = {p for module in model.fresh | unread if module is not None for p in module.parameters()}
    return {p for p in model.encoder.parameters() if p.requires_grad and p not in others}
