"""Where the parts of an encoder of transformers lie, found by watching one pass over a few tokens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from finegrid.encoders.tiers import Tier
from finegrid.model.hosted_attention import (
    PACKED,
    PADDED,
    attend_packed,
    attend_padded,
    attention_of,
    refuse_unknown,
)
from finegrid.model.sites import SiteKind, kind_of

TEXTS, LENGTH = 2, 3  # of the pass that is watched
# What families call the linear layers of attention, inside of modules whose paths have one of these words.
ATTENTION = ("attn", "attention")
ROLES = {
    "query": {"query", "query_proj", "q_proj", "q_lin", "q"},
    "key": {"key", "key_proj", "k_proj", "k_lin", "k"},
    "value": {"value", "value_proj", "v_proj", "v_lin", "v"},
    "attention_out": {"dense", "o_proj", "out_proj", "out_lin", "Wo", "o"},
}


class UnknownEncoderError(Exception):
    """An encoder whose parts cannot be told apart."""


@dataclass(frozen=True)
class SiteOutline:
    """A place where an encoder drops something."""

    name: str  # the path of its module
    rate: float
    kind: SiteKind
    layer: int | None  # from 0; None: it belongs to none
    of_attention: bool = False  # whether it is a module of attention, which leaves dropping to ours


@dataclass(frozen=True)
class Outline:
    """An encoder's parts, by the paths of their modules. The same for all copies of a checkpoint."""

    layers: tuple[str, ...]  # in order; layers that share their weights stand as often as they are called
    returns: int  # how many things a layer returns, its vectors first; 0: only them, by themselves
    below: tuple[str, ...]  # modules of parameters that are read before the last layer
    above: tuple[str, ...]  # and after it
    sites: tuple[SiteOutline, ...]
    linears: tuple[str, ...]  # linear layers that are called as modules
    attentions: int  # calls of finegrid's attention in a pass
    width: int
    inputs: tuple[str, ...]  # names of what a pass takes


@dataclass
class Watched:
    """What was seen of a pass."""

    calls: list[str]  # paths of modules, in the order in which they were called
    shapes: dict[str, torch.Size]  # of what went into modules of dropout
    rates: dict[str, float]  # by the module of attention, where ours was called
    kinds: dict[str, int]  # by module, how many things it returned; 0: a tensor
    attended: int = 0
    width: int = 0


def outline_of(encoder: Any, tier: Tier) -> Outline:
    """Find the parts.

    Raises:
        UnknownEncoderError: they cannot be told apart, with what is missing.
    """
    config = encoder.config
    inputs = tuple(inspect.signature(encoder.forward).parameters)
    encoder.set_attn_implementation(attention_of(tier))
    watched = watch(encoder, tier, inputs)
    layers = find_layers(encoder, int(config.num_hidden_layers), watched.calls)
    unique = [*dict.fromkeys(layers)]
    last = max(index for index, name in enumerate(watched.calls) if name == layers[-1])
    late = {name for name in watched.calls if name not in watched.calls[:last]}
    return Outline(
        layers=layers,
        returns=watched.kinds[layers[0]],
        below=tuple(find_outside(encoder, unique, lambda name: name not in late)),
        above=tuple(find_outside(encoder, unique, lambda name: name in late)),
        sites=tuple(find_sites(encoder, unique, watched)),
        linears=tuple(
            name
            for name in dict.fromkeys(watched.calls)
            if isinstance(encoder.get_submodule(name), nn.Linear)
        ),
        attentions=watched.attended,
        width=watched.width,
        inputs=inputs,
    )


def find_layers(encoder: nn.Module, number: int, calls: list[str]) -> tuple[str, ...]:
    """The layers in the order of their calls: the largest list whose members are called so often."""
    found: list[tuple[int, tuple[str, ...]]] = []
    for path, module in encoder.named_modules():
        if not isinstance(module, nn.ModuleList):
            continue
        own = {f"{path}.{name}" if path else name for name, _ in module.named_children()}
        called = tuple(name for name in calls if name in own)
        if len(called) == number:
            found.append((sum(p.numel() for p in module.parameters()), called))
    if not found:
        raise UnknownEncoderError(f"no list of modules is called {number} times, as its config says")
    return max(found, key=lambda pair: pair[0])[1]


def find_outside(encoder: nn.Module, layers: list[str], wanted: Callable[[str], bool]) -> Iterator[str]:
    """The largest modules with parameters outside of the layers, of those that are wanted."""

    def search(path: str, module: nn.Module) -> Iterator[str]:
        for name, child in module.named_children():
            here = f"{path}.{name}" if path else name
            if here in layers or not any(True for _ in child.parameters()):
                continue
            if any(layer.startswith(f"{here}.") for layer in layers):
                yield from search(here, child)
            elif wanted(here):
                yield here

    yield from search("", encoder)


def name_linears(paths: Sequence[str]) -> dict[str, str]:
    """What the linear layers of a layer are called: those of attention by what they do, if that is clear.

    Args:
        paths: of the linear layers, within the layer.

    Returns:
        Paths by name.
    """
    found: dict[str, list[str]] = {name: [] for name in ROLES}
    for path in paths:
        inside, _, last = path.rpartition(".")
        for name, spellings in ROLES.items():
            if last in spellings and any(word in inside for word in ATTENTION):
                found[name].append(path)
    roles = {own[0]: name for name, own in found.items() if len(own) == 1}
    return {roles.get(path, path): path for path in paths}


def find_sites(encoder: nn.Module, layers: list[str], watched: Watched) -> Iterator[SiteOutline]:
    def layer_of(name: str) -> int | None:
        return next((i for i, layer in enumerate(layers) if name.startswith(f"{layer}.")), None)

    for name, module in encoder.named_modules():
        if name in watched.shapes:
            kind = kind_of(watched.shapes[name], TEXTS, LENGTH)
            yield SiteOutline(name, float(getattr(module, "p", 0.0)), kind, layer_of(name))
        if name in watched.rates:
            yield SiteOutline(name, watched.rates[name], "attention", layer_of(name), of_attention=True)


def is_site(name: str, module: nn.Module) -> bool:
    """Whether a module drops, or stands where one would if its rate were not 0."""
    return isinstance(module, nn.Dropout) or (
        isinstance(module, nn.Identity) and "drop" in name.rpartition(".")[2]
    )


@torch.no_grad()
def watch(encoder: Any, tier: Tier, inputs: tuple[str, ...]) -> Watched:
    """What a pass over a few tokens calls, in training mode."""
    seen = Watched([], {}, {}, {})
    names = {module: name for name, module in encoder.named_modules()}
    with ExitStack() as stack:
        for name, module in encoder.named_modules():
            stack.callback(module.register_forward_pre_hook(noting_call(seen, name, module)).remove)
            stack.callback(module.register_forward_hook(noting_kind(seen, name)).remove)
        stack.enter_context(standing_in(seen, names))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        training = encoder.training
        encoder.train()
        ids = torch.arange(TEXTS * LENGTH).view(TEXTS, LENGTH) % encoder.config.vocab_size
        given: dict[str, Any] = {"input_ids": ids}
        if tier == "padded" and "attention_mask" in inputs:
            given["attention_mask"] = torch.ones_like(ids)
        if "use_cache" in inputs:
            given["use_cache"] = False
        try:
            last = encoder(**given)[0]
        except Exception as error:  # of whatever kind, the pass is beyond us
            raise UnknownEncoderError(f"a pass over a few tokens failed: {error}") from error
        finally:
            encoder.train(training)
    if not isinstance(last, Tensor) or last.shape[:2] != (TEXTS, LENGTH):
        raise UnknownEncoderError("its first output is not a vector for each token")
    seen.width = last.shape[2]
    return seen


def noting_call(seen: Watched, name: str, module: nn.Module) -> Callable[..., None]:
    def note(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.calls.append(name)
        if is_site(name, module) and args:
            seen.shapes[name] = args[0].shape

    return note


def noting_kind(seen: Watched, name: str) -> Callable[..., None]:
    def note(_: nn.Module, __: tuple[Any, ...], returned: Any) -> None:
        seen.kinds[name] = len(returned) if isinstance(returned, tuple) else 0

    return note


@contextmanager
def standing_in(seen: Watched, names: dict[nn.Module, str]) -> Iterator[None]:
    """In the place of finegrid's attention: notes who calls it, and with which rate of dropout."""
    from transformers import AttentionInterface

    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _: Any,
        dropout: float = 0.0,
        **others: Any,
    ) -> tuple[Tensor, None]:
        refuse_unknown(others, None)
        seen.attended += 1
        seen.rates[names[module]] = float(dropout)
        repeats = query.shape[1] // key.shape[1]
        return value.repeat_interleave(repeats, 1).transpose(1, 2).contiguous(), None

    for name in (PACKED, PADDED):
        AttentionInterface.register(name, attend)
    try:
        yield
    finally:
        AttentionInterface.register(PACKED, attend_packed)
        AttentionInterface.register(PADDED, attend_padded)
