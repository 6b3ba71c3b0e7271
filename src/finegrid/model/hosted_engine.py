"""An encoder that transformers computes, over finegrid's packed batches: see `finegrid.model.engine`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finegrid.buckets import Cuts, cut_buckets
from finegrid.encoders.tiers import Tier
from finegrid.model.anatomy import Anatomy
from finegrid.model.dropout import Clock, Dropout, skipped_layers
from finegrid.model.hosted_attention import SITE, attention_of, register_attention
from finegrid.model.initial import Initial, find_initials
from finegrid.model.kernels.layout import Bucket
from finegrid.model.mixing import Mixing
from finegrid.model.outline import Outline, SiteOutline, name_linears, outline_of
from finegrid.model.packing.batches import Batch, Packed, fill_up
from finegrid.model.passing import Pass, current_pass, passing
from finegrid.model.sites import HostedDropout

OUTLINE = "finegrid_outline"  # the attribute of an encoder that has what was found of it, for its copies


@dataclass(frozen=True)
class HostedLayer:
    """A layer of an encoder that transformers computes."""

    module: nn.Module
    heads: int
    dropouts: list[Dropout] = field(default_factory=list)
    linears: Mapping[str, nn.Linear] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundEncoder:
    """What is found of a checkpoint's encoder once, and holds for its copies."""

    outline: Outline
    initials: Mapping[str, Initial]


def find_once(encoder: Any, tier: Tier) -> FoundEncoder:
    """The outline of an encoder, which is noted down on it.

    Raises:
        UnknownEncoderError: its parts cannot be told apart.
    """
    known: FoundEncoder | None = getattr(encoder, OUTLINE, None)
    if known is None:
        register_attention()
        known = FoundEncoder(outline_of(encoder, tier), find_initials(encoder))
        object.__setattr__(encoder, OUTLINE, known)
    return known


class HostedEngine:
    """transformers' own modules, with finegrid's dropout and, where they ask for it, its attention."""

    def __init__(self, encoder: Any, tier: Tier, clock: Clock) -> None:
        found = find_once(encoder, tier)
        encoder.set_attn_implementation(attention_of(tier))
        self.encoder, self.tier, self.outline, self.initials = encoder, tier, found.outline, found.initials
        self.heads = int(getattr(encoder.config, "num_attention_heads", 1))
        self.parts = self._put_together(clock)
        self.recompute = False
        self.skips: list[Dropout] = []
        self.mixing: Mixing | None = None
        self.attended = 0  # calls of finegrid's attention in the last pass
        for name in dict.fromkeys(self.outline.layers):
            host_layer_(encoder.get_submodule(name), self.outline.returns, lambda: self.mixing)

    def _put_together(self, clock: Clock) -> Anatomy:
        encoder, outline, config = self.encoder, self.outline, self.encoder.config
        sites = {site.name: place_site_(encoder, site, clock) for site in outline.sites}
        kinds = {
            kind: [sites[site.name] for site in outline.sites if site.kind == kind]
            for kind in ("hidden", "attention", "shared")
        }
        unique = [*dict.fromkeys(outline.layers)]
        layers = {
            name: HostedLayer(
                encoder.get_submodule(name),
                self.heads,
                [sites[site.name] for site in outline.sites if site.layer == index],
                find_linears(encoder, name, outline),
            )
            for index, name in enumerate(unique)
        }
        hidden_rate = max((site.rate for site in outline.sites if site.kind == "hidden"), default=0.0)
        head_rate = getattr(config, "classifier_dropout", None)
        return Anatomy(
            family=config.model_type,
            embeddings=[encoder.get_submodule(name) for name in outline.below],
            embedding_table=encoder.get_input_embeddings(),
            embedding_dropouts=[sites[site.name] for site in outline.sites if site.layer is None],
            layers=[layers[name] for name in outline.layers],
            above=[encoder.get_submodule(name) for name in outline.above],
            pooler=None,
            width=outline.width,
            initializer_range=float(getattr(config, "initializer_range", 0.02) or 0.02),
            head_dropout_rate=hidden_rate if head_rate is None else float(head_rate),
            hidden_dropouts=[*kinds["hidden"], *kinds["shared"]],
            attention_dropouts=kinds["attention"],
        )

    def run(
        self,
        batch: Packed,
        wanted: Collection[int],
        visit: Any,
        start: int = 0,
        end: int | None = None,
        hidden: Tensor | None = None,
        compute: torch.dtype | None = None,
    ) -> Tensor:
        pass_over = self._pass_over_packed if self.tier == "interface" else self._pass_over_buckets
        device = batch.ids.device.type
        read = {level for level in wanted if level != end and (hidden is None or level > start)}
        with torch.autocast(device, compute, enabled=compute is not None, cache_enabled=False):
            return pass_over(batch, read, visit, start, end, hidden)

    def hold_(self, layers: range, compute: torch.dtype | None) -> None:
        """Nothing is gained by it here."""

    def release_(self, layers: range) -> None:
        """As `hold_`."""

    def _pass_over_packed(
        self, batch: Packed, read: set[int], visit: Any, start: int, end: int | None, hidden: Any
    ) -> Tensor:
        top = len(self.outline.layers)
        reached: dict[int, Tensor] = {}

        def see(level: int, vectors: Tensor) -> None:
            if level == end:
                reached[level] = wide(vectors[0])
            elif level in read:
                visit(level, wide(vectors[0]))

        given = None if hidden is None else hidden[None]
        about = batch.layout(self.heads), len(batch.ids), top, start, top if end is None else end
        inputs = {"input_ids": batch.ids[None], "position_ids": batch.positions[None]}
        last = self._pass(Pass(*about, given, see), inputs, batch.types[None])
        return wide(last[0]) if end is None else reached[end]

    def _pass_over_buckets(
        self, batch: Packed, read: set[int], visit: Any, start: int, end: int | None, hidden: Any
    ) -> Tensor:
        assert isinstance(batch, Batch)  # steps of a hosted encoder are not captured
        top = len(self.outline.layers)
        layout = batch.layout_by(cut_padded, self.heads)
        parts: dict[int, list[Tensor]] = defaultdict(list)
        number = None
        for bucket in layout.buckets:

            def see(level: int, vectors: Tensor, bucket: Bucket = bucket) -> None:
                if level == end or level in read:
                    parts[level].append(bucket.unpad(wide(vectors)))

            given = None if hidden is None else bucket.pad(hidden)
            about = layout, len(batch.ids), top, start, top if end is None else end, given, see, bucket
            current = Pass(*about) if number is None else Pass(*about, number)
            number = current.number
            inputs = {"input_ids": pad_ids(batch.ids, bucket, self._padding), "attention_mask": bucket.real}
            last = self._pass(current, inputs, bucket.pad(batch.types) * bucket.real)
            if end is None:
                parts[top + 1].append(bucket.unpad(wide(last)))
        whole = {level: fill_up(torch.cat(some), len(batch.ids)) for level, some in sorted(parts.items())}
        for level, vectors in whole.items():
            if level in read:
                visit(level, vectors)
        return whole[top + 1 if end is None else end]

    def _pass(self, current: Pass, inputs: dict[str, Tensor], types: Tensor) -> Tensor:
        known = self.outline.inputs
        given: dict[str, Any] = {name: value for name, value in inputs.items() if name in known}
        if "token_type_ids" in known and getattr(self.encoder.config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = types
        if "use_cache" in known:
            given["use_cache"] = False
        current.recompute = self.recompute and torch.is_grad_enabled()
        current.skipped = skipped_layers(self.skips, range(current.start, current.end))
        with passing(current):
            last: Tensor = self.encoder(**given)[0]
        self.attended = current.attended
        return last

    @property
    def _padding(self) -> int:
        return int(getattr(self.encoder.config, "pad_token_id", None) or 0)


def find_linears(encoder: Any, layer: str, outline: Outline) -> dict[str, nn.Linear]:
    """The linear layers of a layer, by name."""
    inside = [path.removeprefix(f"{layer}.") for path in outline.linears if path.startswith(f"{layer}.")]
    return {name: encoder.get_submodule(f"{layer}.{path}") for name, path in name_linears(inside).items()}


def cut_padded(lengths: NDArray[np.int64], heads: int) -> Cuts:
    """The groups that texts are padded in, whatever the heads are."""
    return cut_buckets(lengths)


def host_layer_(layer: nn.Module, returns: int, mixing_of: Callable[[], Mixing | None]) -> None:
    """Let a layer ask the pass that it is in whether it is computed, and with which weights."""
    own = layer.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        mixing = mixing_of()
        compute = own if mixing is None else mixing.around(layer, own)
        return current_pass().through_layer(compute, returns, args, kwargs)

    layer.forward = forward


def place_site_(encoder: nn.Module, site: SiteOutline, clock: Clock) -> Dropout:
    """Put one of our sites where the encoder has one of its own."""
    ours = HostedDropout(site.name, site.rate, clock, site.kind)
    if site.of_attention:
        encoder.get_submodule(site.name).add_module(SITE, ours)
    else:
        encoder.set_submodule(site.name, ours)
    return ours


def wide(vectors: Tensor) -> Tensor:
    """At least float32: what heads and poolings compute with."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


def pad_ids(ids: Tensor, bucket: Bucket, padding: int) -> Tensor:
    return torch.where(bucket.real > 0, bucket.pad(ids), padding)
