"""Linear probe, then fine-tune (LP-FT): train the head alone first, so that it does not start at random.

Paper   Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, ICLR
        2022 (2202.10054).
Idea    A random head sends large, random gradients into the encoder in its first steps. A head that fits the
        features already sends small ones.
Off     ``epochs=0``.
Exactly Before the run, the encoder reads every training text once, without dropout; what it makes of them is
        kept. Over these vectors the head trains for ``epochs`` passes, alone and without its dropout, in
        batches of 32 texts in the order ``probe/order/<epoch>`` of the run's seed, by AdamW at the constant
        rate ``rate`` without decay. Then the run begins at its step 0: moments, schedule and best epoch know
        nothing of it. The encoder is bitwise what it was. It comes after all that changes the encoder, and
        is refused with ``reinit.layers``: features of layers drawn afresh say nothing.
Differs The paper's code probes by logistic regression run to its end, and then fine-tunes without dropout.
        Here the head trains for a number of passes, and fine-tuning keeps its dropout.
Note    The head is the run's own, with its LayerNorm: vectors are normalised before the linear layer. A
        probe makes the head's norm larger, which can hurt calibration (2405.16747). What strategies do to the
        loss and to rates begins with the run. ``rate`` does nothing where ``epochs`` is 0.
Reduces The probe's loss is cross-entropy, the mean over a batch's texts; so is the run's.
Evidence B: one paper, on texts unlike those of training, and replications.
Path    None is left. Runs of one family have the same probe.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.encoders.poolings import reads_pooler
from finegrid.errors import Problem
from finegrid.spelling import count_noun
from finegrid.strategies.part import STRICT, Claim, Listing, Price, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier

BATCH = 32  # texts a step


@dataclass(frozen=True, config=STRICT)
class Probe(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "linear probe, then fine-tune",
            ("epochs", "rate"),
            "initial values",
            "B",
            step="1.0, and a pass over the texts before it",
            synonyms=("LP-FT", "linear probing", "head warm-up"),
            chinese=("先线性探测再微调", "线性探测", "先训练分类头"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"epochs": (0, 5)}
    reads_table: ClassVar[TableReading] = "never"
    touches: ClassVar[Mapping[str, Claim]] = {"epochs": {"initial": "head"}, "rate": {"initial": "head"}}
    prices: ClassVar[Mapping[str, Price]] = {"epochs": "start", "rate": "start"}
    reads_texts: ClassVar[bool] = True

    epochs: Annotated[int, Field(ge=0, le=1000, description="passes of the head alone, before the run")] = 0
    rate: Annotated[float, Field(gt=0, le=1, description="learning rate of these passes")] = 1e-3

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        if not self.epochs:
            return []
        found = []
        says = "drawn afresh, so the head would be probed on noise. Leave one of the two out."
        if levels["reinit.layers"]:
            what = f"{count_noun(levels['reinit.layers'], 'layer')} {says}"
            found.append(Problem('"probe.epochs" + "reinit.layers"', what))
        if levels["reinit.pooler"] and reads_pooler(levels, checkpoint.family):
            what = f"the pooler is {says}"
            found.append(Problem('"probe.epochs" + "reinit.pooler"', what))
        return found

    def start_key(self, seed: int) -> Hashable | None:
        return "features" if self.epochs else None  # of all seeds: the encoder knows none yet

    def start_seconds(self, setting: Setting) -> float:
        return setting.features.seconds if self.epochs else 0.0

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if not self.epochs:
            return
        import torch
        from torch.nn import functional as F

        from finegrid.optim.adamw import AdamW
        from finegrid.optim.updater import Updater

        features = setting.features.of(model)
        began = time.perf_counter()
        labels = torch.tensor(setting.texts.labels, device=features.device)
        updater = Updater(
            [{"params": list(model.head.parameters()), "lr": self.rate, "weight_decay": 0.0}], AdamW()
        )
        training = model.head.training
        model.head.eval()
        for epoch in range(self.epochs):
            order = setting.streams.permutation(f"probe/order/{epoch}", len(labels))
            for rows in torch.from_numpy(order).to(features.device).split(BATCH):
                F.cross_entropy(model.head(features[rows]).float(), labels[rows]).backward()
                updater.step([self.rate])
                updater.zero_grad()
        model.head.train(training)
        setting.features.seconds += time.perf_counter() - began
