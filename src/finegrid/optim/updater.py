"""The second half of a step: gradients are spent by an update rule, group by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NotRequired, Protocol, TypedDict

import torch
from torch import Tensor, nn

Number = float | Tensor  # a tensor without dimensions where a step is captured, since it then changes
State = dict[str, Tensor]  # of one parameter, by name


class ParamGroup(TypedDict):
    """Parameters that are updated alike: torch.optim's own format, and a schedule of the group's own."""

    params: list[nn.Parameter]
    lr: float
    weight_decay: float
    # What the rate is multiplied by beside the run's schedule, at a step (from 0) of so many. At 0 the group
    # is left alone: its moments do not age, and its updates are not counted.
    factor: NotRequired[Callable[[int, int], float]]


@dataclass(frozen=True)
class Update:
    """One update of parameters that are updated alike.

    Attributes:
        params: that have a gradient.
        grads: theirs.
        state: theirs.
        rate: of this step, with every schedule in it.
        decay: decoupled weight decay.
        number: of this update, from 1; a tensor holds `UpdateRule.number_for_graphs` of it.
    """

    params: list[Tensor]
    grads: list[Tensor]
    state: list[State]
    rate: Number
    decay: float
    number: Number


class UpdateRule(Protocol):
    """How one update turns gradients into new values: a pure function of tensors, in place.

    No tensor's update depends on another's; they come as lists, since one call for many is faster.

    Attributes:
        names: of all tensors that make up a parameter's state; see `new_state`.
        evaluated: of those the one that a run is evaluated with in the place of its parameters, or "".
        key: what the rule is, with all that tells it from others; equal keys update alike.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def evaluated(self) -> str: ...

    @property
    def key(self) -> str: ...

    def new_state(self, p: Tensor) -> State:
        """What is kept of a parameter before its first update, all of it in the parameter's type."""
        ...

    def number_for_graphs(self, updates: int) -> float:
        """What stands for the number of the update where it lies in a tensor."""
        ...

    def update_(self, update: Update) -> None:
        """Update parameters and their state."""
        ...

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> UpdateRule:
        """The same rule for another parameter in the place of one. ``anchor``: of it, where p is pulled."""
        ...


@dataclass(frozen=True)
class Around:
    """The base of rules that do something of their own around another rule, whose state is theirs.

    Attributes:
        inner: the other rule.
    """

    inner: UpdateRule

    @property
    def own_key(self) -> str:
        """What it does, for the key."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @property
    def evaluated(self) -> str:
        return self.inner.evaluated

    @property
    def key(self) -> str:
        return f"{self.inner.key}, {self.own_key}"

    def new_state(self, p: Tensor) -> State:
        return self.inner.new_state(p)

    def number_for_graphs(self, updates: int) -> float:
        return self.inner.number_for_graphs(updates)

    def for_stand_in(self, p: Tensor, stand_in: Tensor, anchor: Tensor) -> UpdateRule:
        return self.inner.for_stand_in(p, stand_in, anchor)


def zeros_like_each(p: Tensor, names: Iterable[str]) -> State:
    """The state of most rules: tensors like the parameter."""
    return {name: torch.zeros_like(p) for name in names}


def as_tensor(number: Number, p: Tensor) -> Tensor:
    """A number as a tensor without dimensions beside a parameter: it rounds alike, captured or not."""
    if isinstance(number, Tensor):
        return number.to(p.dtype)
    return torch.full((), number, dtype=p.dtype, device=p.device)  # torch.tensor would wait for a GPU


def in_pieces(update: Update) -> Iterator[Update]:
    """One tensor after the other on a CPU, where calls for many are loops, too; all at once on a GPU.

    What an update makes in between is then as large as one tensor.
    """
    if update.params[0].device.type != "cpu":
        yield update
        return
    for p, grad, state in zip(update.params, update.grads, update.state, strict=True):
        yield replace(update, params=[p], grads=[grad], state=[state])


class Updater:
    """Parameter groups, a rule, and the state it keeps. Parameters that get no gradient are left alone."""

    def __init__(self, groups: Iterable[ParamGroup], rule: UpdateRule) -> None:
        self.groups = list(groups)
        self.rule = rule
        self.updates = [0] * len(self.groups)  # so far, of each group
        self.state: dict[Tensor, State] = {}

    def step(self, rates: Sequence[float | None]) -> None:
        """Update once.

        Args:
            rates: of every group; None leaves a group alone.
        """
        self.count_(rates)
        self.update_(rates, self.updates)

    def count_(self, rates: Sequence[float | None]) -> None:
        """Count an update of every group that has a rate."""
        for index, rate in enumerate(rates):
            self.updates[index] += rate is not None

    @torch.no_grad()
    def update_(self, rates: Sequence[Number | None] | Tensor, updates: Sequence[Number] | Tensor) -> None:
        """Update by rates and numbers, ``[groups]`` each; as tensors they may change between replays."""
        for group, rate, count in zip(self.groups, rates, updates, strict=True):
            params: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if rate is None or not params:
                continue
            grads = [p.grad for p in params if p.grad is not None]
            state = [self._state_of(p) for p in params]
            self.rule.update_(Update(params, grads, state, rate, group["weight_decay"], count))

    def numbers_for_graphs(self) -> list[float]:
        """``[groups]``: what stands for the numbers of the update that `count_` has counted."""
        return [self.rule.number_for_graphs(count) for count in self.updates]

    def _state_of(self, p: Tensor) -> State:
        if p not in self.state:
            self.state[p] = self.rule.new_state(p)
        return self.state[p]

    def gradients(self) -> list[Tensor]:
        """Of all parameters that have one, in the order of the groups."""
        return [p.grad for group in self.groups for p in group["params"] if p.grad is not None]

    def zero_grad(self) -> None:
        for group in self.groups:
            for p in group["params"]:
                p.grad = None
