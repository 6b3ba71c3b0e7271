"""How a family of models draws a tensor before pre-training: so that layers can be drawn afresh alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finegrid.streams import Streams

Kind = Literal["normal", "truncated", "uniform", "constant"]


@dataclass(frozen=True)
class Initial:
    """A distribution of independent values.

    Attributes:
        kind: of what follows.
        low: mean of a normal one; the lower end of a uniform one; the value of a constant.
        high: standard deviation of a normal one; the upper end of a uniform one.
        cuts: of a truncated normal one, both ends, in values.
    """

    kind: Kind
    low: float
    high: float = 0.0
    cuts: tuple[float, float] = (0.0, 0.0)

    def draw(self, streams: Streams, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Values of a tensor from the stream of that name."""
        if self.kind == "constant":
            return np.full(shape, self.low, dtype=np.float32)
        normal = streams.normal(name, shape)
        if self.kind == "normal":
            scaled = normal * np.float32(self.high)
            return scaled + np.float32(self.low) if self.low else scaled
        # By the normal's distribution function a value says which quantile of another it stands for.
        share = torch.special.ndtr(torch.from_numpy(normal).double())
        if self.kind == "uniform":
            drawn = self.low + share * (self.high - self.low)
        else:
            ends = torch.tensor([(cut - self.low) / self.high for cut in self.cuts]).double()
            below, above = torch.special.ndtr(ends)
            drawn = self.low + self.high * torch.special.ndtri(below + share * (above - below))
        values: NDArray[np.float32] = drawn.float().numpy()
        return values


def find_initials(encoder: Any) -> dict[str, Initial]:
    """How transformers draws each tensor of an encoder, by name; without those that it draws otherwise.

    Asks the family's own ``_init_weights``, with functions that note down what they are asked for, on a twin
    that has shapes and no values.
    """
    with torch.device("meta"):
        twin = type(encoder)(encoder.config)
    names = {p: name for name, p in twin.named_parameters()}
    found: dict[str, Initial] = {}
    with noting_down(names, found):
        for module in reversed([*twin.modules()]):  # what is inside comes first, as transformers does it
            twin._init_weights(module)
    return found


@contextmanager
def noting_down(names: dict[nn.Parameter, str], found: dict[str, Initial]) -> Iterator[None]:
    """The functions that transformers draws with do nothing, but tell."""
    from transformers import initialization

    def note(tensor: Tensor, initial: Initial | None) -> Tensor:
        name = names.get(tensor)  # type: ignore[call-overload]  # of a slice there is none
        if name is not None and initial is not None:
            found[name] = initial
        elif name is not None:
            found.pop(name, None)
        return tensor

    def normal(tensor: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
        return note(tensor, Initial("normal", mean, std))

    def truncated(
        tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, **_: Any
    ) -> Tensor:
        return note(tensor, Initial("truncated", mean, std, (a, b)))

    def uniform(tensor: Tensor, a: float = 0.0, b: float = 1.0, **_: Any) -> Tensor:
        return note(tensor, Initial("uniform", a, b))

    def constant(tensor: Tensor, val: float, **_: Any) -> Tensor:
        return note(tensor, Initial("constant", val))

    def unknown(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return note(tensor, None)

    given = {
        "normal_": normal,
        "trunc_normal_": truncated,
        "uniform_": uniform,
        "constant_": constant,
        "ones_": lambda tensor, **_: note(tensor, Initial("constant", 1.0)),
        "zeros_": lambda tensor, **_: note(tensor, Initial("constant", 0.0)),
    }
    own = {name: getattr(initialization, name) for name in dir(initialization) if name.endswith("_")}
    own = {name: function for name, function in own.items() if callable(function) and name[0] != "_"}
    try:
        for name in own:
            setattr(initialization, name, given.get(name, unknown))
        yield
    finally:
        for name, function in own.items():
            setattr(initialization, name, function)
