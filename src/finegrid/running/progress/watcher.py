"""What the runner tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finegrid.planning.families import Family
from finegrid.spelling import Telling
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record


@dataclass
class Watcher:
    """What the runner tells whoever watches. The command line draws progress from it."""

    said: Callable[[Telling], None] = lambda telling: None
    found: Callable[[Sequence[Record]], None] = lambda records: None  # of planned runs that need no training
    planned: Callable[[Sequence[Family], Sequence[Family], Audit], None] = lambda all_, left, audit: None
    began: Callable[[Family, int], None] = lambda family, worker: None
    stepped: Callable[[Family, int], None] = lambda family, steps: None
    # A run of a family, its epoch, the mean loss of that, and the study's score on dev after it.
    scored: Callable[[Family, str, int, float | None, float], None] = lambda *told: None
    returned: Callable[[Family], None] = lambda family: None  # it waits again: who trained it is gone
    recorded: Callable[[Record], None] = lambda record: None
    finished: Callable[[Family], None] = lambda family: None
