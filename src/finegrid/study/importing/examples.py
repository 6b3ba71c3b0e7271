"""Published tables that come with finegrid, for `finegrid example`."""

from __future__ import annotations

from collections.abc import Callable

from finegrid import ASSETS
from finegrid.errors import input_error
from finegrid.spelling import find_near
from finegrid.study.imported import Imported
from finegrid.study.importing.importing import ImportOptions, import_table

FOLDER = ASSETS / "examples"
# Of the text that goes with the table (assets/examples/README.md): averages, so the same in every row.
FULL_SECONDS, FROZEN_SECONDS = 65.4266, 41.4246


def thucnews64_published() -> Imported:
    """The 64 recipes of the public study that preset ``thucnews64`` repeats."""
    inert = {"reinit_pooler": "first-last pooling never reads the pooler, so it gets no gradient"}
    imported = import_table(FOLDER / "thucnews64-published.csv", ImportOptions(inert=inert))
    rows = [
        row.model_copy(update={"seconds": FROZEN_SECONDS if row.levels["freeze.layers"] else FULL_SECONDS})
        for row in imported.rows
    ]
    return imported.model_copy(
        update={
            "title": "THUCNews titles, 64 recipes",
            "score": "macro-f1",
            "seconds_per": "epoch",
            "rows": rows,
            "notes": [
                *imported.notes,
                "a public study of THUCNews titles with bert-base-chinese on one RTX 3090 Ti: "
                "54,000 / 10,000 / 10,000 titles of 10 classes, batch 256, rate 5e-5, 32 epochs",
                "one run of each row, and no seed was set",
                "the best epoch was chosen on test (best-test), so results are a little too high",
                "seconds per epoch are averages that the study's text tells, with and without frozen layers; "
                "they were not measured row by row",
                "as that study wrote it, weight_decay also moved Adam's eps (1e-8 against 1e-6)",
            ],
        }
    )


EXAMPLES: dict[str, Callable[[], Imported]] = {"thucnews64-published": thucnews64_published}


def load_example(name: str) -> Imported:
    """An example by name.

    Raises:
        InputError: no such example; tells which there are.
    """
    if name not in EXAMPLES:
        close = find_near(name, EXAMPLES)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise input_error("example", f'"{name}"', f"no such example.{hint} Known: {', '.join(EXAMPLES)}.")
    return EXAMPLES[name]()
