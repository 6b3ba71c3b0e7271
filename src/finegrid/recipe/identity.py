"""The names of runs: what makes two runs the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

Level = bool | int | float | str


Levels = dict[str, Level]  # by dotted factor name


# Raised when numerics change, so that old and new runs are never taken for the same.
ENGINE = 4


def key_of(levels: Levels) -> str:
    """The same for equal levels, in whichever order: rows whose reduced levels have one key are one run."""
    return str(sorted(levels.items()))


def run_id(
    levels: Mapping[str, Level],
    seed: int,
    *,
    fingerprints: Mapping[str, str],
    precision: str,
    protocol: str,
    score: str,
) -> str:
    """Short stable name of one run: see `namer_of`."""
    name = namer_of(levels, fingerprints=fingerprints, precision=precision, protocol=protocol, score=score)
    return name(seed)


def namer_of(
    levels: Mapping[str, Level],
    *,
    fingerprints: Mapping[str, str],
    precision: str,
    protocol: str,
    score: str,
    engine: int = ENGINE,
) -> Callable[[int], str]:
    """What gives the runs of a recipe their short stable names, by their seeds.

    Args:
        levels: the factors that are not at their default. Others are left out, so that a strategy added
            next year does not rename the runs of today.
        fingerprints: of data (and its split), tokeniser and model.
        precision: the resolved one, ``fp32`` or ``bf16``.
        protocol: which split chooses the epoch.
        score: by which score it chooses.
        engine: that trained it.
    """
    key = {
        "levels": dict(levels),
        "fingerprints": dict(fingerprints),
        "precision": precision,
        "protocol": protocol,
        "score": score,
        "engine": engine,
    }
    # Of JSON with sorted keys the seed comes last, so that most of it is read once for all seeds.
    begun = hashlib.sha256(f'{json.dumps(key, sort_keys=True)[:-1]}, "seed": '.encode())

    def name(seed: int) -> str:
        whole = begun.copy()
        whole.update(f"{seed}}}".encode())
        return whole.hexdigest()[:12]

    return name
