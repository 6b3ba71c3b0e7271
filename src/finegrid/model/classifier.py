"""An encoder with pooling and a classification head, over packed batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from finegrid.encoders.poolings import huggingface_pooling
from finegrid.encoders.tiers import Tier
from finegrid.model.dropout import CapturedKeys, Clock, Dropout, MaskBook, Passes
from finegrid.model.engine import holding, make_engine
from finegrid.model.head import finegrid_head, huggingface_head
from finegrid.model.initial import Initial
from finegrid.model.packing.batches import Batch, Packed, Prefix
from finegrid.model.pooling import Pool
from finegrid.model.shift import Shift, hiding_words
from finegrid.streams import Streams

if TYPE_CHECKING:
    from finegrid.encoders.poolings import HeadKind, Pooling


class Classifier(nn.Module):
    """Encoder, pooling and head."""

    def __init__(
        self, encoder: nn.Module, classes: int, pooling: Pooling, streams: Streams, tier: Tier = "hand"
    ) -> None:
        """Put a fresh head on an encoder. The head comes from the streams ``head/<tensor>`` of the run.

        Args:
            encoder: a loaded Hugging Face encoder; it is changed in place and belongs to this model now.
            classes: number of classes.
            pooling: how token vectors become one vector.
            streams: the run's random numbers.
            tier: how the encoder is run.
        """
        super().__init__()
        self.clock = Clock(streams)
        self.pooling = pooling
        self.classes = classes
        self.encoder = encoder
        self.engine = make_engine(encoder, tier, self.clock)
        self.parts = self.engine.parts
        self.fresh: set[nn.Module] = set()  # what was drawn, and is not the checkpoint's: roots of modules
        self.frozen_layers = 0
        self.compute: torch.dtype | None = None  # of the encoder's products; None: that of its weights
        self.shift: Shift | None = None  # of the batch that is read now, where a strategy asks for it
        self.draws: list[str] = []  # what is drawn once a step beside dropout, by names of streams
        self.partial: Mapping[Tensor, Tensor] = {}  # of parameters of which some numbers train: which
        self.more_sites = nn.ModuleList()  # of what is dropped as a whole, or of weights
        self.head = finegrid_head(self._pool(), self.parts, classes, 0, self.clock)
        self.redraw_(self.head, "head")

    def replace_head_(self, kind: HeadKind, hidden: int) -> None:
        """Put another fresh head on, from the same streams.

        Args:
            kind: ours, or that of transformers for the family, which decides the pooling too.
            hidden: width of a layer between, of ours; 0 for none.
        """
        old = self.head.get_submodule("linear").get_parameter("weight")
        if kind == "huggingface":
            self.pooling = huggingface_pooling(self.parts.family)
            head = huggingface_head(self._pool(), self.parts, self.classes, self.clock)
        else:
            head = finegrid_head(self._pool(), self.parts, self.classes, hidden, self.clock)
        self.head = head.train(self.training)
        self.redraw_(self.head, "head")
        self.head.to(device=old.device, dtype=old.dtype)

    def _pool(self) -> Pool:
        layers = self.parts.layers
        return Pool(self.pooling, len(layers), self.parts.width, layers[0].heads)

    @property
    def dropouts(self) -> dict[str, Dropout]:
        """All dropout sites by name."""
        return {module.site: module for module in self.modules() if isinstance(module, Dropout)}

    def add_site_(self, site: str, rate: float) -> Dropout:
        """A dropout site of none of the modules."""
        added = Dropout(site, rate, self.clock).train(self.training)
        self.more_sites.append(added)
        return added

    @property
    def passes(self) -> dict[str, Passes]:
        """Those that every dropout site has seen."""
        return {name: site.passes for name, site in self.dropouts.items()}

    def draw_again_(self, since: Mapping[str, Passes] | None = None) -> None:
        """Let the passes that follow have the dropout masks of those that came before.

        Args:
            since: the passes after these; None: those from the step's first on.
        """
        for name, site in self.dropouts.items():
            site.forget_(None if since is None else since[name])

    @contextmanager
    def holding_weights(self, asked: bool = True) -> Iterator[None]:
        """If asked, passes inside leave no gradients in weights, but in `shift`: they take less time."""
        trained = [p for p in self.parameters() if asked and p.requires_grad]
        for p in trained:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in trained:
                p.requires_grad_(True)

    @torch.no_grad()
    def redraw_(self, root: nn.Module, stream: str) -> None:
        """Draw a part afresh, as the family draws it before pre-training.

        Of finegrid's own encoders and of heads: weights from N(0, initializer_range), biases 0, LayerNorm 1
        and 0. Each tensor has a stream of its own, ``<stream>/<tensor>``, so redrawing one moves no other.

        Raises:
            NotImplementedError: the family draws a tensor in a way that is not known.
        """
        self.fresh.add(root)
        # Not model._init_weights: since transformers 5 it skips every weight that from_pretrained loaded.
        inside = {id(module) for module in root.modules()}
        for name, module in self.named_modules():
            if id(module) in inside:
                for key, p in module.named_parameters(recurse=False):
                    initial = self._initial(f"{name}.{key}", module, key)
                    values = initial.draw(self.clock.streams, f"{stream}/{name}.{key}", tuple(p.shape))
                    p.copy_(torch.from_numpy(values))

    def _initial(self, name: str, module: nn.Module, key: str) -> Initial:
        """The distribution of a tensor."""
        initials = self.engine.initials
        if initials and (own := name.removeprefix("encoder.")) != name:
            if own not in initials:
                raise NotImplementedError(f"it is not known how {self.parts.family} draws {own}")
            return initials[own]
        if isinstance(module, nn.LayerNorm):
            return Initial("constant", 1.0 if key == "weight" else 0.0)
        if isinstance(module, nn.Linear) and key == "weight":
            return Initial("normal", 0.0, self.parts.initializer_range)
        return Initial("constant", 0.0)

    @torch.no_grad()
    def load_encoder_(self, weights: Mapping[str, Tensor]) -> None:
        """Give the encoder other values.

        Args:
            weights: of every parameter of the encoder, by its name there.
        """
        for name, p in self.encoder.named_parameters():
            p.copy_(weights[name])
        self.fresh -= set(self.encoder.modules())

    def share_(self, other: Classifier) -> None:
        """Take from another run of the family what both have: dropout masks, and frozen weights."""
        other.clock.book = self.clock.book = other.clock.book or MaskBook()
        theirs = dict(other.named_modules())
        for name, module in self.named_modules():
            for key, p in module.named_parameters(recurse=False):
                twin = getattr(theirs[name], key)
                if not p.requires_grad and not twin.requires_grad and torch.equal(p, twin):
                    setattr(module, key, twin)

    def forward(self, batch: Packed, step: int | CapturedKeys | None = None) -> Tensor:
        """Logits ``[texts, classes]``, in the batch's own (packed) order.

        Args:
            batch: the texts, with what the frozen bottom makes of them if that is known.
            step: whose dropout masks are drawn, from 0; None where nothing is dropped.

        Raises:
            ValueError: a dropout site is active, and there is no step.
        """
        logits: Tensor = self.head(self.features(batch, step))
        return logits

    def features(self, batch: Packed, step: int | CapturedKeys | None = None) -> Tensor:
        """One vector a text, ``[texts, width]``: what the head reads. Arguments as of `forward`."""
        self.clock.turn_to_(step, batch.portion)
        prefix = batch.prefix or (self.prefix(batch, step) if self.frozen_layers else None)
        below = [] if prefix is None else [*prefix.below]
        with hiding_words(self.parts.embedding_table, batch.visible):
            last = self.engine.run(
                batch,
                self.head.pool.levels,
                lambda level, hidden: below.extend(self.read(level, hidden, batch)),
                start=self.frozen_layers,
                hidden=None if prefix is None else prefix.hidden,
                compute=self.compute,
            )
        return self.pool(below, last, batch)

    def read(self, level: int, hidden: Tensor, batch: Packed) -> list[Tensor]:
        """What the pooling keeps of a level (0: the embeddings' output): one tensor ``[texts, width]``, or
        none.
        """
        return [self.head.pool.read(hidden, batch)] if level in self.head.pool.levels else []

    def shared(self, batch: Batch, step: int | None = None, micro_batch: int = 0) -> Batch:
        """The batch for all runs of this one's family: with the frozen bottom computed, if there is one.

        So many texts at once; 0: all.
        """
        if not self.frozen_layers:
            return batch
        portions = batch.portions(micro_batch)
        prefixes = [self.prefix(portion, step) for portion in portions]
        only = len(portions) == 1
        return batch.with_prefix(prefixes[0] if only else Prefix.joined(prefixes, portions, len(batch.ids)))

    def prefix(self, batch: Packed, step: int | CapturedKeys | None = None) -> Prefix:
        """Run the frozen bottom: nothing but embeddings where nothing is frozen."""
        self.clock.turn_to_(step, batch.portion)
        frozen, below = self.frozen_layers, list[Tensor]()

        def keep(level: int, hidden: Tensor) -> None:
            below.extend(self.read(level, hidden, batch))

        graded = frozen == 0 or (self.shift is not None and self.shift.values.requires_grad)
        graded = torch.is_grad_enabled() and graded
        with torch.set_grad_enabled(graded), hiding_words(self.parts.embedding_table, batch.visible):
            self.engine.hold_(range(frozen), self.compute)
            levels = {level for level in self.head.pool.levels if level <= frozen}
            hidden = self.engine.run(batch, levels, keep, end=frozen, compute=self.compute)
            if frozen in levels:
                keep(frozen, hidden)
        return Prefix(hidden, tuple(below))

    @property
    def prefix_is_constant(self) -> bool:
        """Whether the frozen bottom makes the same of a text in every step: nothing in it is dropped."""
        frozen = self.parts.layers[: self.frozen_layers]
        sites = [*self.parts.embedding_dropouts, *(site for layer in frozen for site in layer.dropouts)]
        sites += self.engine.skips[: self.frozen_layers]
        return self.frozen_layers > 0 and not any(site.active for site in sites)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode, with the weights as they are on entering, and training mode again."""
        self.eval()
        try:
            with self.hold_still():
                yield
        finally:
            self.train()

    @contextmanager
    def hold_still(self, asked: bool = True) -> Iterator[None]:
        """If asked, take it that the weights of layers that train stay as they are, until the end."""
        if not asked:
            yield
            return
        with holding(self.engine, range(self.frozen_layers, len(self.parts.layers)), self.compute):
            yield

    @contextmanager
    def shifting(self, batch: Packed, asked: bool = True) -> Iterator[None]:
        """If asked, add `shift` to the embedded words of a batch, until the end: nothing at first."""
        if not asked:
            yield
            return
        table = self.parts.embedding_table
        self.shift = Shift(table, batch, self.clock)
        hook = table.register_forward_hook(self.shift)
        try:
            yield
        finally:
            hook.remove()
            self.shift = None

    def pool(self, below: Sequence[Tensor], last: Tensor, batch: Packed) -> Tensor:
        """One vector a text, ``[texts, width]``.

        Args:
            below: what the pooling has kept of lower levels (`read`), bottom up.
            last: ``[tokens, width]``, the last layer's output.
            batch: where the texts lie.
        """
        pooled: Tensor = self.head.pool(below, last, batch, self.compute or last.dtype)
        if self.pooling == "pooler":
            assert self.parts.pooler is not None  # settings refuse pooling="pooler" without one
            pooled = self.parts.pooler(pooled[:, None])
        return pooled
