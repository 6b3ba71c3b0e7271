"""What a step minimises: a loss for every text, composed in a fixed order, whatever that of the strategies.

Torch is not imported: `finegrid --help` reads the strategies, and tensors know their own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Constant:
    """Numbers that a criterion needs beside a tensor: made once for every device and type that asks.

    A step that is captured finds them there: the ordinary steps before it have made them.
    """

    values: tuple[float, ...]
    _made: dict[tuple[torch.device, torch.dtype], Tensor] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Constant:
        return cls(tuple(values.tolist()))

    def beside(self, tensor: Tensor) -> Tensor:
        """``[values]``, on the device and in the type of a tensor."""
        key = tensor.device, tensor.dtype
        if key not in self._made:
            self._made[key] = tensor.new_tensor(self.values)
        return self._made[key]


@dataclass(frozen=True)
class Blend:
    """How the texts of a batch are mixed, two by two.

    Attributes:
        partners: ``[texts]``, which text of the batch each is mixed with.
        share: of the text itself, in a tensor without dimensions; the rest is its partner's.
    """

    partners: Tensor
    share: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Values ``[texts, ...]``, each mixed with its partner's."""
        return values[self.partners].lerp(values, self.share.to(values.dtype))


# Epoch (from 0), number of the batch in it (from 0), and which training texts it has, to the partner of each
# and the share of each text itself.
Pairing = Callable[[int, int, "NDArray[np.int64]"], tuple["NDArray[np.int64]", float]]


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch. Of stacked runs, every shape has their dimension first.

    Attributes:
        logits: of each view of the batch, ``[..., texts, classes]``, in float32 (or wider).
        features: of each view, ``[..., texts, width]``: one vector a text, before the head.
        labels: ``[texts]``, class numbers.
        texts: ``[texts]``, which of the training texts each is; None where nobody can know.
        more_logits: of each view, those of more passes of the head alone, with dropout masks of their own.
        blend: how the vectors were mixed before the head read them; ``features`` are those before.
    """

    logits: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    labels: Tensor
    texts: Tensor | None = None
    more_logits: tuple[tuple[Tensor, ...], ...] = ()  # by view
    blend: Blend | None = None

    def for_partners(self, blend: Blend) -> Outputs:
        """The same logits, as answers to the partners of the texts."""
        partners = blend.partners
        return replace(
            self,
            features=tuple(vectors.index_select(-2, partners) for vectors in self.features),
            labels=self.labels[partners],
            texts=None if self.texts is None else self.texts[partners],
        )


@dataclass(frozen=True)
class Mixed:
    """Another loss that takes a share of what is minimised.

    Attributes:
        share: from 0 to 1; the rest is left to the loss so far.
        losses: outputs to losses ``[..., texts]``.
    """

    share: float
    losses: Callable[[Outputs], Tensor]


@dataclass(frozen=True)
class Criterion:
    """A loss per text, of logits and labels. Parts of one kind act in the order in which they were added.

    The order of the kinds is fixed, so that strategies compose without knowing each other. It is the order
    of the attributes. Dev and test keep the plain logits: this is for training only.

    Attributes:
        views: how often a batch is read in one step, with dropout masks of its own each time. The loss of
            a text is the mean over its views.
        samples: how often the head reads each view's vectors, with dropout masks of its own each time. The
            loss of a view is the mean over its samples; `add` looks at the first of them.
        pair: who is mixed with whom in a batch; the loss is then that of the texts and that of their
            partners, by their shares. None: nobody is.
        adjust: logits ``[..., texts, classes]`` to others.
        soften: targets ``[texts, classes]``, probabilities, to others.
        modulate: losses ``[..., texts]`` and the probabilities of the labels, of the same shape, to losses.
        weigh: losses ``[..., texts]`` and the labels ``[texts]``, to losses.
        mix: other losses, each of which takes its share of what there is before it.
        add: outputs to what is added to the losses, ``[..., texts]``.
        count: outputs to what all that is multiplied by, ``[texts]``.
    """

    views: int = 1
    samples: int = 1
    pair: Pairing | None = None
    adjust: tuple[Callable[[Tensor], Tensor], ...] = ()
    soften: tuple[Callable[[Tensor], Tensor], ...] = ()
    modulate: tuple[Callable[[Tensor, Tensor], Tensor], ...] = ()
    weigh: tuple[Callable[[Tensor, Tensor], Tensor], ...] = ()
    mix: tuple[Mixed, ...] = ()
    add: tuple[Callable[[Outputs], Tensor], ...] = ()
    count: tuple[Callable[[Outputs], Tensor], ...] = ()

    def losses(self, outputs: Outputs) -> Tensor:
        """``[..., texts]``, in the type of the logits."""
        own = self._of_labels(outputs)
        if outputs.blend is None:
            return own
        theirs = self._of_labels(outputs.for_partners(outputs.blend))
        return theirs.lerp(own, outputs.blend.share.to(own.dtype))

    def _of_labels(self, outputs: Outputs) -> Tensor:
        logits = [*outputs.logits[: self.views], *(z for more in outputs.more_logits for z in more)]
        losses = [self._of_pass(each, outputs.labels) for each in logits]
        mean = sum(losses[1:], losses[0]) / len(losses) if len(losses) > 1 else losses[0]
        mean = reduce(lambda so_far, mixed: so_far.lerp(mixed.losses(outputs), mixed.share), self.mix, mean)
        added = sum((addition(outputs) for addition in self.add), mean)
        return reduce(lambda so_far, count: so_far * count(outputs), self.count, added)

    def _of_pass(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = reduce(lambda values, adjust: adjust(values), self.adjust, logits)
        log_p = logits.log_softmax(-1)
        index = labels.expand(log_p.shape[:-1]).unsqueeze(-1)
        log_p_label = log_p.gather(-1, index).squeeze(-1)
        if self.soften:
            one_hot = log_p.new_zeros(len(labels), log_p.shape[-1]).scatter(-1, labels.unsqueeze(-1), 1.0)
            targets = reduce(lambda values, soften: soften(values), self.soften, one_hot)
            losses = -(targets * log_p).sum(-1)
        else:
            losses = -log_p_label
        if self.modulate:
            p_label = log_p_label.exp()
            losses = reduce(lambda so_far, modulate: modulate(so_far, p_label), self.modulate, losses)
        return reduce(lambda so_far, weigh: weigh(so_far, labels), self.weigh, losses)


CROSS_ENTROPY = Criterion()  # what a run minimises where no strategy says otherwise
