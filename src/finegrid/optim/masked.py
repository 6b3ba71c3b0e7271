"""An update rule of which only some numbers of some parameters take part in an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from finegrid.optim.updater import Around, Update, as_tensor, in_pieces


@dataclass(frozen=True)
class Masked(Around):
    """Another rule, which sees gradients of 0 where a mask is 0, and decays nothing there.

    Attributes:
        inner: the other rule: one whose update of a number is 0 as long as all its gradients were.
        masks: what they are, for the key.
        inside: the parameters that have masks.
        mask: of one of them, in this step: 1 where it takes part, and what its gradients are multiplied by.
    """

    masks: str
    inside: frozenset[Tensor]
    mask: Callable[[Tensor], tuple[Tensor, float]]

    @property
    def own_key(self) -> str:
        return self.masks

    def update_(self, update: Update) -> None:
        places = range(len(update.params))
        if outside := [at for at in places if update.params[at] not in self.inside]:
            self.inner.update_(part_of(update, outside))
        if inside := [at for at in places if update.params[at] in self.inside]:
            for piece in in_pieces(part_of(update, inside)):
                self._update_masked_(piece)

    def _update_masked_(self, update: Update) -> None:
        masks = [self.mask(p) for p in update.params]
        if update.decay:
            for p, (keep, _) in zip(update.params, masks, strict=True):
                p.addcmul_(p, keep.to(p.dtype).mul_(as_tensor(update.rate * update.decay, p)), value=-1)
        grads = [g * keep.to(g.dtype).mul_(by) for g, (keep, by) in zip(update.grads, masks, strict=True)]
        self.inner.update_(replace(update, grads=grads, decay=0.0))


def part_of(update: Update, places: list[int]) -> Update:
    """The same of some of its parameters."""
    return replace(
        update,
        params=[update.params[at] for at in places],
        grads=[update.grads[at] for at in places],
        state=[update.state[at] for at in places],
    )
