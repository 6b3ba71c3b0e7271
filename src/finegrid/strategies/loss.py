"""What a text's loss is made of: weights of classes, their prior, smoothed targets, and what is easy.

Paper   Weights of the effective number: Cui et al., Class-Balanced Loss, CVPR 2019 (1901.05555). Prior:
        Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (2007.07314). Smoothing: Szegedy et
        al., Rethinking the Inception Architecture, CVPR 2016 (1512.00567); Müller et al., When Does Label
        Smoothing Help?, 2019 (1906.02629). Focal: Lin et al., Focal Loss for Dense Object Detection, 2017.
Idea    Four strategies, each a factor of its own, that change the cross-entropy of a text and nothing else.
Off     ``weights="none"``, ``prior_tau=0``, ``smoothing=0``, ``focal_gamma=0``.
Exactly With logits z and label y of a text: z' = z + prior_tau * log(pi), p = softmax(z'); targets
        q = (1 - smoothing) * onehot(y) + smoothing / C; l = -sum_c q_c log p_c; then
        l * (1 - p_y)^focal_gamma, then that times the weight of y. In this order, whichever are on.
        Training only: dev, test and a kept model have the plain logits.
Weights With n_c of n training texts in class c of C: "balanced" n / (C n_c); "sqrt" n_c^(-1/2);
        "effective-b" (1 - b) / (1 - b^n_c). All are scaled so that sum_c n_c w_c / n = 1: the mean weight of
        a training text is 1, else weights would be a change of the rate as well. A class without a training
        text (a drawn split may lack one) has weight 0, and nothing reads it. Where all classes have as many
        texts, every weight is 1, and the level does nothing. The probabilities are those of a re-weighted
        prior: judge weights by macro-F1, and expect accuracy and calibration to fall. Evidence A for
        macro-F1 where classes are of unlike size.
Prior   pi_c = n_c / n, the training texts' shares; of a class without one, that of half a text, since the
        logarithm of 0 is no number. It teaches the model what to say beyond the prior. Weights do that, too:
        both at once correct twice, and are refused together. Where all classes have as many texts, it does
        nothing. Evidence B from images; of texts there is little.
Smooth  torch's convention, in which the label keeps smoothing / C; others spread smoothing over the wrong
        classes alone. Evidence A for calibration, D for accuracy. A smoothed model is a poorer teacher
        (``distil.teacher``).
Focal   p_y is that of the adjusted logits, and the factor is trained through as well. It is a factor of each
        text, not of a batch's mean. Early gradients are smaller: it looks like a lower rate at first.
        Evidence D for classes that are of like size.
Differs torch's cross_entropy(weight=...) divides by the sum of the batch's weights: in a batch of one class,
        or of one text, weights then do nothing. Others do not scale weights, or take one number for all
        classes as "alpha", which is a change of the rate.
Reduces The mean over a batch's N texts: (1/N) sum_i w_{y_i} l_i, never divided by the batch's weights.
Evidence A for weights (macro-F1), B for the prior, A/D for smoothing, D for focal: see each above.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Constant, Criterion
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo

Weights = Literal["none", "balanced", "sqrt", "effective-0.99", "effective-0.999", "effective-0.9999"]
LEAST_LEFT = 1e-6  # of 1 - p: below, a root of it would have no slope that is a number


@dataclass(frozen=True, config=STRICT)
class Loss(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "class weights",
            ("weights",),
            "losses",
            "A",
            synonyms=("class-balanced loss", "imbalance", "effective number", "weighted cross-entropy"),
            chinese=(
                "类别权重",
                "类别加权",
                "类别不平衡",
                "类别不均衡",
                "样本不均衡",
                "加权交叉熵",
                "有效样本数",
            ),
        ),
        Listing(
            "logit adjustment",
            ("prior_tau",),
            "losses",
            "B",
            synonyms=("balanced softmax", "long tail", "prior correction"),
            chinese=("logit 校正", "logit 调整", "长尾", "长尾分布", "类别先验", "先验校正"),
        ),
        Listing(
            "label smoothing",
            ("smoothing",),
            "losses",
            "A/D",
            synonyms=("LSR", "soft targets"),
            chinese=("标签平滑", "软目标"),
        ),
        Listing(
            "focal loss",
            ("focal_gamma",),
            "losses",
            "D",
            synonyms=("focal", "hard examples"),
            chinese=("focal 损失", "焦点损失", "难例", "难样本"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {
        "weights": ("none", "sqrt", "balanced", "effective-0.999"),
        "prior_tau": (0.0, 1.0),
        "smoothing": (0.0, 0.1),
        "focal_gamma": (0.0, 2.0),
    }
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {
        name: {"loss": "all", "gradients": "all"}
        for name in ("weights", "prior_tau", "smoothing", "focal_gamma")
    }
    prices: ClassVar[Mapping[str, Price]] = {
        "weights": "nothing",
        "prior_tau": "nothing",
        "smoothing": "nothing",
        "focal_gamma": "nothing",
    }

    weights: Annotated[
        Weights, Field(description="of the texts of a class, by how many training texts it has")
    ] = "none"
    prior_tau: Annotated[
        float, Field(ge=0, le=10, description="times the log of the classes' shares, added to logits")
    ] = 0.0
    smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of a target that goes to all classes alike")
    ] = 0.0
    focal_gamma: Annotated[
        float, Field(ge=0, le=10, description="power of 1 - p of the label that a loss is multiplied by")
    ] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if self.weights == "none" or not self.prior_tau:
            return []
        what = (
            f'"{self.weights}" and {self.prior_tau:g}, but each corrects for the sizes of classes: both '
            "would correct twice. Leave one of them out."
        )
        return [Problem('"loss.weights" + "loss.prior_tau"', what)]

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        counts = count_classes(setting)
        prior, weights = self.prior(counts), self.weights_of(counts)
        if prior is not None:
            criterion = replace(criterion, adjust=(*criterion.adjust, Adjust(Constant.of(prior))))
        if self.smoothing:
            criterion = replace(criterion, soften=(*criterion.soften, self.soften))
        if self.focal_gamma:
            criterion = replace(criterion, modulate=(*criterion.modulate, self.modulate))
        if weights is not None:
            criterion = replace(criterion, weigh=(*criterion.weigh, Weigh(Constant.of(weights))))
        return criterion

    def form(self, setting: Setting) -> Hashable:
        counts = count_classes(setting)
        prior, weights = self.prior(counts), self.weights_of(counts)
        parts = (
            None if prior is None else tuple(prior),
            self.smoothing,
            self.focal_gamma,
            None if weights is None else tuple(weights),
        )
        return None if parts == (None, 0, 0, None) else ("loss", parts)

    def prior(self, counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """What is added to the logits, ``[classes]``; None where it would be the same for all."""
        import numpy as np  # slow to import, and `finegrid --help` reads this file

        if not self.prior_tau or are_alike(counts):
            return None
        return np.asarray(self.prior_tau * np.log(np.maximum(counts, 0.5) / counts.sum()))

    def weights_of(self, counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Of every class, ``[classes]``; None where all that come are 1."""
        import numpy as np  # slow to import, and `finegrid --help` reads this file

        there = counts > 0
        if self.weights == "none" or are_alike(counts[there]):
            return None
        weights = np.where(there, weigh_classes(self.weights, np.maximum(counts, 1)), 0.0)
        return np.asarray(weights * counts.sum() / (counts * weights).sum())

    def soften(self, targets: Tensor) -> Tensor:
        """``[texts, classes]``."""
        return (1 - self.smoothing) * targets + self.smoothing / targets.shape[-1]

    def modulate(self, losses: Tensor, p_label: Tensor) -> Tensor:
        """``[..., texts]``."""
        modulated: Tensor = losses * (1 - p_label).clamp(min=LEAST_LEFT) ** self.focal_gamma
        return modulated


class Adjust:
    """Adds to the logits what the classes' shares tell."""

    def __init__(self, prior: Constant) -> None:
        self.prior = prior

    def __call__(self, logits: Tensor) -> Tensor:
        return logits + self.prior.beside(logits)


class Weigh:
    """Multiplies a text's loss by the weight of its class."""

    def __init__(self, weights: Constant) -> None:
        self.weights = weights

    def __call__(self, losses: Tensor, labels: Tensor) -> Tensor:
        return losses * self.weights.beside(losses)[labels]


def count_classes(setting: Setting) -> NDArray[np.int64]:
    """Training texts of every class, ``[classes]``: of the split that the seed has."""
    import numpy as np  # slow to import, and `finegrid --help` reads this file

    return np.bincount(setting.texts.labels, minlength=setting.classes).astype(np.int64)


def are_alike(counts: NDArray[np.int64]) -> bool:
    return bool((counts == counts[0]).all())


def weigh_classes(weights: Weights, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """As the papers have them, but for their scale."""
    import numpy as np  # slow to import, and `finegrid --help` reads this file

    if weights == "balanced":
        return 1 / counts
    if weights == "sqrt":
        return np.asarray(counts**-0.5)
    beta = float(weights.removeprefix("effective-"))
    return np.asarray((1 - beta) / (1 - beta**counts))
