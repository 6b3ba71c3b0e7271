"""AdamW, with what BERT fine-tuning papers disagree on: bias correction, what decays, betas and eps.

Paper   Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019 (1711.05101).
        Without bias correction: Devlin et al., BERT, 2019, code (``AdamWeightDecayOptimizer``, "BertAdam");
        studied by Mosbach et al. (2006.04884) and Zhang et al. (2006.05987), ICLR 2021.
Idea    ``bias_correction = false`` leaves out Adam's 1 / (1 - beta ** t), which makes the first steps up to
        about three times as large. ``decay_on="matrices"`` spares biases and LayerNorm from weight decay,
        as BERT's code does; ``"all"`` decays every parameter, as torch does unless told otherwise.
        ``beta1`` and ``beta2`` say how long Adam remembers gradients and their squares; ``eps`` keeps the
        step of a number with tiny gradients small.
Off     ``bias_correction = true, decay_on = "all", beta1 = 0.9, beta2 = 0.999, eps = 1e-8``.
Exactly Of a gradient g at the t-th update: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
        theta -= rate * weight_decay * theta; theta -= rate * m' / (sqrt(v') + eps), where m' and v' are
        m / (1 - beta1^t) and v / (1 - beta2^t), or m and v without bias correction.
Differs The THUCNews study changed Adam's eps (1e-8 to 1e-6) together with the decay groups; here each is a
        factor of its own. ``decay_on`` is inert where ``weight_decay`` is 0. In the first update the betas
        cancel, but for rounding, where the bias is corrected; they show from the second on.
Reduces The loss stays the mean over a batch's texts; an update is that of every number by itself.
Evidence B for bias correction (two papers of one year, small data). Weight decay: mixed. Betas and eps: D,
        people set 0.98 and 1e-6, and say little of what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import ParamGroup, UpdateRule


@dataclass(frozen=True, config=STRICT)
class Optimizer(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing("learning rate", ("rate",), "rates", "A", synonyms=("lr",), chinese=("学习率",)),
        Listing(
            "weight decay",
            ("weight_decay", "decay_on"),
            "decays",
            "B/D",
            synonyms=("wd", "no_decay", "decay"),
            chinese=("权重衰减", "L2 正则", "L2 正则化"),
        ),
        Listing(
            "bias correction",
            ("bias_correction",),
            "updates",
            "B",
            synonyms=("BertAdam", "AdamW"),
            chinese=("偏差校正", "偏差修正", "偏置校正"),
        ),
        Listing(
            "Adam's betas and eps",
            ("beta1", "beta2", "eps"),
            "updates",
            "D",
            synonyms=("adam_beta1", "adam_beta2", "adam_epsilon", "momentum"),
            chinese=("Adam 的 beta 和 eps", "动量"),
        ),
    )
    always: ClassVar[bool] = True
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "rate": (5e-5, 2e-5, 1e-4),
        "weight_decay": (0.01, 0.0, 0.1),
        "decay_on": (),
        "bias_correction": (),
        "beta1": (0.9, 0.8),
        "beta2": (0.999, 0.98),
        "eps": (1e-8, 1e-6),
    }
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        "rate": {"rates": "all"},
        "weight_decay": {"decays": "all"},
        "decay_on": {"decays": "vectors"},
        "bias_correction": {"update": "all"},
        "beta1": {"update": "all"},
        "beta2": {"update": "all"},
        "eps": {"update": "all"},
    }
    prices: ClassVar[Mapping[str, Price]] = {
        "rate": "nothing",
        "weight_decay": "nothing",
        "decay_on": "nothing",
        "bias_correction": "nothing",
        "beta1": "nothing",
        "beta2": "nothing",
        "eps": "nothing",
    }

    rate: Annotated[float, Field(gt=0, le=1, description="peak learning rate")] = 5e-5
    weight_decay: Annotated[float, Field(ge=0, le=1, description="decoupled weight decay")] = 0.01
    decay_on: Annotated[
        Literal["all", "matrices"], Field(description="every parameter, or all but biases and LayerNorm")
    ] = "all"
    bias_correction: Annotated[bool, Field(description="Adam's correction of its first steps")] = True
    beta1: Annotated[float, Field(ge=0, le=0.99999, description="share of the old mean gradient")] = 0.9
    beta2: Annotated[float, Field(ge=0, le=0.99999, description="share of the old mean square")] = 0.999
    eps: Annotated[float, Field(gt=0, le=1, description="added to the root of the mean square")] = 1e-8

    def param_groups(self, groups: list[ParamGroup], model: Classifier) -> list[ParamGroup]:
        """Each group in two: what decays, and what does not. An empty group is left out."""
        split: list[ParamGroup] = []
        for group in groups:
            # Biases and LayerNorm are the vectors; embeddings and linear weights are the matrices.
            spared = {p for p in group["params"] if p.ndim < 2} if self.decay_on == "matrices" else set()
            for params, decay in (
                ([p for p in group["params"] if p not in spared], self.weight_decay),
                ([p for p in group["params"] if p in spared], 0.0),
            ):
                if params:
                    split.append({**group, "params": params, "lr": self.rate, "weight_decay": decay})
        return split

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule:
        from finegrid.optim.adamw import AdamW

        return AdamW(self.bias_correction, self.beta1, self.beta2, self.eps)
