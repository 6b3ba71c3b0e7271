"""NoisyTune: add a little noise to the pre-trained weights, once, before fine-tuning.

Paper   Wu et al., NoisyTune: A Little Noise Can Help You Finetune Pretrained Language Models Better, ACL 2022
        (2202.12024).
Idea    The weights fit the pre-training task too closely; a small push lets fine-tuning find better ones.
Off     ``strength=0``.
Exactly Every tensor W of the encoder becomes W + U * std(W), U uniform in [-strength / 2, strength / 2), one
        number for each of its own, from the stream ``noise/<tensor>`` of the run's seed. std is that of the
        tensor's numbers (with n - 1). Tensors whose numbers are all equal get none: LayerNorm weights in
        some checkpoints. It comes after further pre-training, and before layers are drawn afresh. The head
        gets none.
Differs ``strength`` stands for the paper's lambda. A pooler that the checkpoint lacks, which the run draws,
        gets noise as all others.
Reduces The loss stays the mean over a batch's texts.
Evidence C: the paper alone.
Path    None is left. Runs that freeze layers share what these compute with runs of the same noise only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.model.classifier import Classifier


@dataclass(frozen=True, config=STRICT)
class Noise(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "NoisyTune",
            ("strength",),
            "initial values",
            "C",
            synonyms=("noise", "perturbation"),
            chinese=("权重加噪", "加噪", "噪声", "扰动", "参数扰动"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"strength": (0.0, 0.15)}
    reads_table: ClassVar[TableReading] = "before steps"
    touches: ClassVar[Mapping[str, Claim]] = {"strength": {"initial": "all"}}
    prices: ClassVar[Mapping[str, Price]] = {"strength": "prefix"}

    strength: Annotated[
        float, Field(ge=0, le=2, description="width of the noise, in standard deviations of each tensor")
    ] = 0.0

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if not self.strength:
            return
        import torch

        with torch.no_grad():
            for name, p in model.encoder.named_parameters():
                if p.numel() > 1:
                    draw = setting.streams.uniform(f"noise/{name}", tuple(p.shape))
                    noise = torch.from_numpy(draw).to(p.device).sub_(0.5).mul_(self.strength)
                    p.add_(noise.mul_(p.std()))
