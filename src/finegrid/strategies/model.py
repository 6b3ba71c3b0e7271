"""How texts become one vector: pooling, and the longest text that is read whole.

Pooling ``first-last-mean`` (Su et al. 2021, BERT-whitening; also in the THUCNews study): mean over the real
        tokens of the first and the last layer. ``last-mean``: of the last layer only. ``cls``: the last
        layer at the first token. ``pooler``: the checkpoint's own pooler (a linear layer and tanh on
        ``cls``); ELECTRA and DistilBERT have none.
Length  Texts are cut to ``max_length`` tokens, special tokens counted.
Note    ``pooler`` is the only pooling through which the pooler reaches the loss; under the others
        ``reinit.pooler`` is inert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.encoders.poolings import Pooling
from finegrid.errors import Problem
from finegrid.strategies.part import STRICT, Claim, Listing, Part, UsualLevels

if TYPE_CHECKING:
    from finegrid.encoders.families import CheckpointInfo


@dataclass(frozen=True, config=STRICT)
class ModelSettings(Part):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing("pooling", ("pooling",), "architecture", "B/D", synonyms=("cls", "mean pooling")),
        Listing(
            "length",
            ("max_length",),
            "texts",
            "A",
            step="in proportion to tokens",
            synonyms=("max_seq_length", "truncation"),
        ),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"pooling": (), "max_length": (128, 64)}
    touches: ClassVar[Mapping[str, Claim]] = {
        "pooling": {"pooling": "all"},
        "max_length": {"data": "all"},
    }

    pooling: Annotated[Pooling, Field(description="how token vectors become one")] = "first-last-mean"
    max_length: Annotated[int, Field(ge=3, description="tokens; longer texts are cut")] = 128

    def problems(self, checkpoint: CheckpointInfo) -> list[Problem]:
        found = []
        if self.pooling == "pooler" and not checkpoint.has_pooler:
            found.append(Problem('"model.pooling"', f'"pooler", but {checkpoint.family} has no pooler.'))
        if self.max_length > checkpoint.positions:
            what = f"level {self.max_length}, but the encoder has {checkpoint.positions} positions."
            found.append(Problem('"model.max_length"', what))
        return found
