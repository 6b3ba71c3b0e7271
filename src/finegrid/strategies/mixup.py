"""Mixup: the vectors of two texts are mixed before the head reads them, and so are their labels' losses.

Paper   Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (1710.09412); of the vectors of
        texts: Guo et al., Augmenting Data with Mixup for Sentence Classification, 2019 (1905.08941).
Idea    Between two texts the answer should go over from one label to the other, and not jump.
Off     ``alpha=0.0``: every text is read by itself.
Exactly Once a batch: sigma, a random order of its texts, and lam, drawn from Beta(alpha, alpha). The head
        reads lam * v_i + (1 - lam) * v_sigma(i), where v is the vector that it else reads, before its own
        LayerNorm and dropout. The loss is lam * l(z_i, y_i) + (1 - lam) * l(z_i, y_sigma(i)), where l is
        what the other strategies make of the loss. Stream ``mixup/<epoch>/<batch>``: its first number is
        the quantile of lam, so that lam moves with alpha and nothing else does.
Differs lam is not replaced by max(lam, 1 - lam): mixing by 1 - lam is mixing by lam in the inverse order,
        which is as likely. Others draw one lam per text; 1905.08941 mixes words, too, and lets the vectors
        come from a convolution or an LSTM. TMix (2004.12239) mixes inside the encoder: it needs texts that
        are padded to one length, and is not offered.
Note    A text may be its own partner. Dev and test are read unmixed. A teacher's part is that of both texts,
        by their shares; a contrastive loss compares the vectors before they are mixed. The pairs depend on
        which texts share a batch: ``training.micro_batch`` is refused beside it.
Reduces Mean over a batch's N texts, of both parts.
Evidence C: gains in the paper, without pre-trained encoders; little replicated with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.criterion import Criterion
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.streams import Streams


@dataclass(frozen=True, config=STRICT)
class Mixup(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "mixup",
            ("alpha",),
            "losses",
            "C",
            synonyms=("manifold mixup", "sentence mixup", "interpolation", "TMix"),
            chinese=("mixup 混合", "混合增强", "句子混合", "插值"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"alpha": (0.0, 0.2)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"alpha": {"loss": "all", "gradients": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"alpha": "nothing"}

    alpha: Annotated[float, Field(ge=0, le=100, description="of the distribution of shares; 0: none")] = 0.0

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        portion, texts = levels["training.micro_batch"], levels["training.batch_size"]
        problems = []
        if self.alpha and texts == 1:
            what = (
                f"{self.alpha:g} and 1, but a text is mixed with another one of its batch. Let a batch have "
                "two texts or more, or leave alpha at 0."
            )
            problems.append(Problem('"mixup.alpha" + "training.batch_size"', what))
        if self.alpha and 0 < portion < texts:
            what = (
                f"{self.alpha:g} and {portion}, but texts are mixed with any others of their batch, and "
                "only so many are in memory at once. Leave one of them out; run.recompute = true saves "
                "memory, too."
            )
            problems.append(Problem('"mixup.alpha" + "training.micro_batch"', what))
        return problems

    def criterion(self, criterion: Criterion, setting: Setting) -> Criterion:
        return replace(criterion, pair=Pairs(self.alpha, setting.streams)) if self.alpha else criterion


@plain_dataclass(frozen=True)
class Pairs:
    """Who is mixed with whom, and by which share, in the batches of a run."""

    alpha: float
    streams: Streams

    def __call__(self, epoch: int, number: int, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
        """See `criterion.Pairing`. The order in which a batch is packed does not matter."""
        import numpy as np
        from scipy import special

        first, *words = self.streams.bits(f"mixup/{epoch}/{number}", 1 + len(rows))
        quantile = (int(first >> np.uint64(11)) + 0.5) / 2**53
        packed = np.argsort(rows)  # where in the batch its texts lie, in the order of their file
        partners = np.empty_like(packed)
        partners[packed] = packed[np.argsort(words, kind="stable")]
        return partners, float(special.betaincinv(self.alpha, self.alpha, quantile))
