"""AdamW, with what BERT fine-tuning papers disagree on, and other optimizers in its place.

Paper   Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019 (1711.05101).
        Without bias correction: Devlin et al., BERT, 2019, code (``AdamWeightDecayOptimizer``, "BertAdam");
        studied by Mosbach et al. (2006.04884) and Zhang et al. (2006.05987), ICLR 2021.
        ``lion``: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023 (2302.06675). ``muon``:
        Jordan et al. 2024, scaled as in Liu et al., Muon is Scalable for LLM Training, 2025 (2502.16982).
        ``adafactor``: Shazeer & Stern, 2018 (1804.04235). ``schedule-free``: Defazio et al., The Road Less
        Scheduled, 2024 (2405.15682). ``sgd``: Polyak 1964.
Idea    ``bias_correction = false`` leaves out Adam's 1 / (1 - beta ** t), which makes the first steps up to
        about three times as large. ``decay_on="matrices"`` spares biases and LayerNorm from weight decay,
        as BERT's code does; ``"all"`` decays every parameter, as torch does unless told otherwise.
        ``beta1`` and ``beta2`` say how long Adam remembers gradients and their squares; ``eps`` keeps the
        step of a number with tiny gradients small.
        Lion keeps one moment, and steps by signs. Adafactor keeps squares by row and column. Muon gives all
        directions of a matrix about the same step. Schedule-free predicts with a mean of its steps, which
        takes the place of a falling rate.
Off     ``kind="adamw"``, and there ``bias_correction = true, decay_on = "all", beta1 = 0.9, beta2 = 0.999,
        eps = 1e-8``.
Exactly Of a gradient g at the t-th update: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
        theta -= rate * weight_decay * theta; theta -= rate * m' / (sqrt(v') + eps), where m' and v' are
        m / (1 - beta1^t) and v / (1 - beta2^t), or m and v without bias correction. Of the others the decay
        is the same, and the step after it:
        ``lion`` rate * sign(beta1 m + (1 - beta1) g), and then m = beta2 m + (1 - beta2) g.
        ``sgd`` m = beta1 m + g; rate * m.
        ``muon`` for matrices of layers: m = 0.95 m + 0.05 g; rate * 0.2 sqrt(max(rows, columns)) *
        NS(0.05 g + 0.95 m), NS being five Newton-Schulz iterations in float32. All else has AdamW.
        ``adafactor`` mean squares of rows and of columns, at update t t^-0.8 of them new; rate * u /
        max(1, RMS(u)), u = g / sqrt(rows * columns / mean of rows). Vectors keep all squares.
        ``schedule-free`` gradients are taken at y = (1 - beta1) z + beta1 x; z -= rate * (g / (sqrt(v') +
        eps) + weight_decay * y); x = (1 - c) x + c z, c = rate^2 / sum of rate^2 so far. x predicts.
Rate    Each kind needs a rate of its own: for Lion a third to a tenth of AdamW's with a weight decay three to
        ten times as large and ``beta2 = 0.99``; for schedule-free one to ten times AdamW's, a warmup, and
        ``schedule.shape = "constant"``, which is asked for; for SGD 0.001 to 0.1. Muon and Adafactor are
        scaled to steps of AdamW's size. Compare kinds as bundles, each with its own rate, as the preset
        ``optimizers`` does. A comparison at one rate for all is warned of.
Differs The THUCNews study changed Adam's eps (1e-8 to 1e-6) together with the decay groups; here each is a
        factor of its own. ``decay_on`` is inert where ``weight_decay`` is 0. In the first update the betas
        cancel, but for rounding, where the bias is corrected; they show from the second on. ``beta2`` and
        ``eps`` are inert where a kind does not have them. Adafactor's relative steps are left out: rates are
        those that are told. Muon's reference multiplies in bfloat16, which differs between machines. A
        fused matrix of queries, keys and values, as ModernBERT has one, is one matrix to Muon. The reference
        of schedule-free weighs by the square of the highest rate so far, which is the same unless
        the rate falls.
Note    Beside each weight AdamW keeps two numbers, ``lion`` and ``sgd`` one, ``adafactor`` nearly none,
        ``schedule-free`` three. Adafactor and schedule-free train all rows of the table of words, needed or
        not.
Reduces The loss stays the mean over a batch's texts; an update is that of every number by itself, but for
        ``muon`` and ``adafactor``, where it is that of every tensor by itself.
Evidence B for bias correction (two papers of one year, small data). Weight decay: mixed. Betas and eps: D,
        people set 0.98 and 1e-6, and say little of what it is worth. Kinds: D for fine-tuning. Muon was
        behind AdamW wherever it was tried on fine-tuning, and SGD fails for BERT at usual rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

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

OptimizerKind = Literal["adamw", "lion", "sgd", "adafactor", "schedule-free", "muon"]

LIKE_ADAMW: tuple[OptimizerKind, ...] = ("adamw", "muon", "adafactor")  # in the size of their steps


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
        Listing(
            "other optimizers",
            ("kind",),
            "updates",
            "D",
            step="1.0; Muon 2.4",
            synonyms=("Lion", "Muon", "Adafactor", "schedule-free", "SGD", "optimizer"),
            chinese=("其他优化器", "优化器", "随机梯度下降"),
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
        "kind": (),
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
        "kind": {"update": "all"},
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
    kind: Annotated[OptimizerKind, Field(description="what turns gradients into new values")] = "adamw"

    @property
    def copies(self) -> int:
        """Beside the two moments of AdamW."""
        return {"lion": -1, "sgd": -1, "adafactor": -2, "schedule-free": 1}.get(self.kind, 0)

    @property
    def table_reading(self) -> TableReading:
        # Adafactor asks how large the whole step is. Rows that no text needs predict with x, not with y.
        return "in steps" if self.kind in ("adafactor", "schedule-free") else self.reads_table

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if self.kind != "schedule-free":
            return []
        found = []
        if (shape := levels["schedule.shape"]) != "constant":
            what = (
                f'schedule-free with "{shape}", but its mean takes the place of a falling rate. '
                'Set schedule.shape = "constant" with it.'
            )
            found.append(Problem('"optimizer.kind" + "schedule.shape"', what))
        if levels["prior.decay"]:
            what = "schedule-free with prior decay: it would be pulled where it only looks. Leave one out."
            found.append(Problem('"optimizer.kind" + "prior.decay"', what))
        for name, off in (("ema", 0), ("last", 1), ("lawa", 0), ("soup", 0)):
            if levels[f"average.{name}"] != off:
                what = "schedule-free predicts with a mean of its own. Leave one of the two out."
                found.append(Problem(f'"optimizer.kind" + "average.{name}"', what))
        return found

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
        from finegrid.optim.adafactor import Adafactor
        from finegrid.optim.adamw import AdamW
        from finegrid.optim.lion import Lion
        from finegrid.optim.muon import Muon
        from finegrid.optim.schedule_free import ScheduleFree
        from finegrid.optim.sgd import Sgd

        match self.kind:
            case "lion":
                return Lion(self.beta1, self.beta2)
            case "sgd":
                return Sgd(self.beta1)
            case "adafactor":
                return Adafactor()
            case "schedule-free":
                return ScheduleFree(self.bias_correction, self.beta1, self.beta2, self.eps)
        adamw = AdamW(self.bias_correction, self.beta1, self.beta2, self.eps)
        matrices = matrices_of_layers(model) if self.kind == "muon" else frozenset()
        return Muon(adamw, matrices) if matrices else adamw


def list_kinds_at_one_rate(optimizers: Iterable[Optimizer]) -> list[OptimizerKind]:
    """Kinds of a study that have only the rate of its first kind, though they need one of their own.

    Muon and Adafactor step as far as AdamW does, and are named only where the whole study has one rate.

    Args:
        optimizers: of its recipes, the baseline's first.
    """
    rates: dict[OptimizerKind, set[float]] = {}
    for one in optimizers:
        rates.setdefault(one.kind, set()).add(one.rate)
    first, *others = [*rates] or ["adamw"]
    everywhere = {rate for found in rates.values() for rate in found}
    scaled = (*LIKE_ADAMW, first) if first in LIKE_ADAMW else (first,)
    return [
        kind
        for kind in others
        if len(rates[kind]) == 1
        and rates[kind] <= rates[first]
        and (kind not in scaled or len(everywhere) == 1)
    ]


def matrices_of_layers(model: Classifier) -> frozenset[Tensor]:
    """Those that train."""
    of_layers = (p for layer in model.parts.layers for p in layer.module.parameters())
    return frozenset(p for p in of_layers if p.ndim == 2 and p.requires_grad)
