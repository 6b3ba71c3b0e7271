"""Train some of the numbers of the encoder's layers only: the child network. The rest keep still.

Paper   Xu et al., Raise a Child in Large Language Model: Towards Effective and Generalizable Fine-tuning,
        EMNLP 2021 (2109.05687), there Child-Tuning_F (``free``) and Child-Tuning_D (``task``).
Idea    Few texts need not move all numbers. Fewer that move overfit less, and keep what the encoder knows.
Off     ``share=1.0``: every number trains.
Exactly Of all tensors of the encoder's layers. ``free``: in every step each number is in the child with the
        probability ``share``, from the stream ``dropout/<step>/child/<tensor>``. Its gradient is divided by
        ``share`` if it is in the child, and 0 if not. ``task``: the child is the same in all steps, and has
        exactly the ``share`` of the numbers of all these tensors together whose Fisher information is
        highest: the mean over training texts of the squared gradient of the text's own loss, before the
        first step, without dropout. Gradients of the rest are 0. Under both kinds what is outside the child
        has no weight decay in the step. Embeddings, pooler and head train as ever.
Differs The authors' code lets weight decay act on all numbers, so that all of them move. It also masks the
        embeddings and the head under F, squares gradients of whole batches after clipping each tensor's, and
        finds the limit from a sample of the numbers. Here at most 256 texts are read, each by itself.
Note    To Adam the division by ``share`` nearly cancels: its moments go on moving what is not drawn, by steps
        about sqrt(``share``) as long. So ``free`` is also a lower rate: vary ``optimizer.rate`` beside it.
        Fisher information is that of at most 256 training texts, drawn by the seed, with the head that the
        seed draws: a run then starts later by as many passes over one text.
        ``clip.norm`` sees the gradients before they are masked, and ``prior.decay`` pulls all numbers. Muon
        steps matrices as wholes, and schedule-free makes weights of two others: both are refused.
Path    Stacked and captured, with masks that are drawn in the graph.
Reduces The loss stays the mean over a batch's texts.
Evidence C: the paper alone; its abstract says 1.5 to 8.6 points over full fine-tuning, with four models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, UsualLevels
from finegrid.strategies.seams import Setting, Strategy, TableReading

if TYPE_CHECKING:
    from torch import Tensor

    from finegrid.encoders.families import CheckpointInfo
    from finegrid.model.classifier import Classifier
    from finegrid.optim.updater import UpdateRule

ChildKind = Literal["free", "task"]
FISHER_TEXTS = 256  # of the training texts, at most: each is a pass of its own


@dataclass(frozen=True, config=STRICT)
class Child(Strategy):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing(
            "child tuning",
            ("share", "kind"),
            "updates",
            "C",
            step="1.1",
            synonyms=(
                "Child-Tuning",
                "child network",
                "gradient mask",
                "Fisher information",
                "sparse updates",
            ),
            chinese=("子网络微调", "梯度掩码", "费雪信息"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"share": (1.0, 0.3), "kind": ()}
    reads_table: ClassVar[TableReading] = "never"
    reads_texts: ClassVar[bool] = True
    touches: ClassVar[Mapping[str, Claim]] = {
        "share": {"update": "encoder"},
        "kind": {"update": "encoder"},
    }

    share: Annotated[
        float, Field(ge=0.01, le=1, description="of the numbers of layers that train; 1: all")
    ] = 1.0
    kind: Annotated[
        ChildKind,
        Field(description="which ones: drawn in every step, or those that matter most to the task"),
    ] = "free"

    def conflicts(self, levels: Mapping[str, Any], checkpoint: CheckpointInfo) -> list[Problem]:
        kind = levels["optimizer.kind"]
        if self.share == 1 or kind not in ("muon", "schedule-free"):
            return []
        what = (
            f'{self.share:g} with "{kind}", whose steps cannot be masked number by number. Set '
            "child.share = 1, or take another optimizer."
        )
        return [Problem('"child.share" + "optimizer.kind"', what)]

    def prepare_model(self, model: Classifier, setting: Setting) -> None:
        if self.share == 1:
            return
        if self.kind == "task":
            model.partial = choose_highest(fisher_of(model, setting), self.share)
        else:
            model.draws += [stream_of(name) for name in tensors_of_layers(model).values()]

    def update_rule(self, rule: UpdateRule | None, model: Classifier, setting: Setting) -> UpdateRule | None:
        if self.share == 1:
            return rule
        assert rule is not None  # the optimizer comes first
        from finegrid.model.dropout import LEVELS
        from finegrid.optim.masked import Masked

        tensors, child, clock = tensors_of_layers(model), model.partial, model.clock
        dropped = round((1 - self.share) * LEVELS)

        def mask(p: Tensor) -> tuple[Tensor, float]:
            if self.kind == "task":
                return child[p], 1.0
            drawn = clock.draw(stream_of(tensors[p]), dropped, p.numel(), p.device)
            return drawn.keep.view_as(p), drawn.scale

        return Masked(rule, f"child {self.kind} {self.share}", frozenset(tensors), mask) if tensors else rule


def tensors_of_layers(model: Classifier) -> dict[Tensor, str]:
    """What trains of the encoder's layers, with its names."""
    of_layers = {p for layer in model.parts.layers for p in layer.module.parameters()}
    return {p: name for name, p in model.named_parameters() if p in of_layers and p.requires_grad}


def stream_of(name: str) -> str:
    """What is drawn for a tensor in a step, as a site of its own."""
    return f"child/{name}"


def fisher_of(model: Classifier, setting: Setting) -> dict[Tensor, Tensor]:
    """The mean over training texts of the squared gradient of each text's loss, of tensors of layers."""
    import torch
    from torch.nn import functional as F

    params = [*tensors_of_layers(model)]
    sums = [torch.zeros_like(p) for p in params]
    texts = setting.streams.permutation("child/texts", len(setting.texts))[:FISHER_TEXTS]
    with model.evaluating():
        for place in range(len(texts) if params else 0):
            batch = setting.pack(texts[place : place + 1])
            loss = F.cross_entropy(model(batch).float(), batch.labels)
            for total, gradient in zip(sums, torch.autograd.grad(loss, params), strict=True):
                total.addcmul_(gradient, gradient, value=1 / len(texts))
    return dict(zip(params, sums, strict=True))


def choose_highest(values: Mapping[Tensor, Tensor], share: float) -> dict[Tensor, Tensor]:
    """Masks that are True at exactly this share of all values: the highest, of equal ones the first."""
    import torch

    if not values:
        return {}
    flat = torch.cat([one.flatten().cpu() for one in values.values()])
    count = max(1, round(share * len(flat)))
    limit = flat.kthvalue(len(flat) - count + 1).values
    chosen = flat > limit
    chosen[torch.nonzero(flat == limit)[: count - int(chosen.sum())]] = True
    parts = chosen.split([one.numel() for one in values.values()])
    return {p: part.view_as(p).to(p.device) for p, part in zip(values, parts, strict=True)}
