"""How long and in what portions a run trains.

Epochs  Every epoch sees all training texts once, in an order of its own. Dev chooses the best epoch.
Batch   The last batch of an epoch may be smaller; nothing is dropped.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT, Claim, Listing, Part, UsualLevels


@dataclass(frozen=True, config=STRICT)
class Training(Part):
    listings: ClassVar[tuple[Listing, ...]] = (
        Listing("epochs", ("epochs",), "schedules", "A", synonyms=("longer training", "num_train_epochs")),
        Listing("batch size", ("batch_size",), "texts", "B/D", synonyms=("per_device_train_batch_size",)),
    )
    usual: ClassVar[Mapping[str, UsualLevels]] = {"epochs": (3, 6), "batch_size": (32, 16)}
    touches: ClassVar[Mapping[str, Claim]] = {
        "epochs": {"rates": "all"},  # the schedule ends later
        "batch_size": {"data": "all", "rates": "all"},
    }

    epochs: Annotated[int, Field(ge=1, le=10_000, description="passes over the training texts")] = 3
    batch_size: Annotated[int, Field(ge=1, description="texts per step")] = 32
