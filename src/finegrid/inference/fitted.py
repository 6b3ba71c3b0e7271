"""``finegrid.json`` of a kept model: what transformers does not keep, and where the model comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from finegrid.data.settings import Encoding, Quoting, Separator
from finegrid.data.tokens import Keep
from finegrid.encoders.files import describe_stand_in
from finegrid.encoders.poolings import HeadKind, Pooling
from finegrid.errors import input_error
from finegrid.machine import Precision
from finegrid.metrics import find_scores_problem
from finegrid.recipe.identity import Levels
from finegrid.study.kept_files import FILE
from finegrid.study.parsing import parse_strictly

LONGEST = 2**20  # tokens, or units of a layer: more than any model has


class FileReading(BaseModel):
    """How the study's files were read, where that is not told by what they hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    separator: Literal["auto"] | Separator = "auto"
    quoting: Quoting = "rfc4180"
    encoding: Encoding = "auto"


class Fitted(BaseModel):
    """A fine-tuned classifier. Encoder and tokeniser lie beside this file, as transformers wants them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    schema_number: Annotated[Literal[1], Field(alias="schema")] = 1
    labels: Annotated[list[str], Field(min_length=2)]  # in the order of the logits
    pooling: Pooling  # as the recipe says; a head of another kind than ours decides it itself
    head_kind: HeadKind = "finegrid"
    head_hidden: Annotated[int, Field(ge=0, le=100_000)] = 0
    max_length: Annotated[int, Field(ge=3, le=1_000_000)]  # tokens, special ones counted
    keep: Keep = "head"  # which tokens of a longer text stay
    texts: Literal[1, 2]  # 2: text pairs
    columns: list[str | int]  # of the study's files: the text columns, then the label column
    reading: FileReading = FileReading()  # models that were kept before it was noted have the usual one
    recipe: Levels  # the levels that differ from the defaults
    seed: int
    run_id: str
    stands_for: list[int]  # rows of the study's table that are this run
    best_epoch: int
    score: str  # which score chose the epoch
    protocol: str
    dev: dict[str, Any]  # scores at the best epoch
    test: dict[str, Any]
    precision: Precision
    threads: int
    device: str
    fingerprints: dict[str, str]
    versions: dict[str, str]


def load_fitted(folder: Path, command: str = "predict") -> Fitted:
    """Read ``finegrid.json`` for a command, whose name messages begin with.

    Raises:
        InputError: not a model that `finegrid fit` wrote.
    """
    path = folder / FILE
    if (instead := describe_stand_in(path)) is not None:
        raise input_error(command, str(folder), f"{FILE} {instead}")
    try:
        fitted = parse_strictly(Fitted, path.read_bytes())
        if why := next(find_contradictions(fitted), ""):
            raise ValueError(why)
        return fitted
    except OSError:
        what = f"no {FILE} in it, so not a model that finegrid kept. Make one with finegrid fit."
    except ValueError as error:
        what = f"{FILE}: {error}. Fit the model again."
    raise input_error(command, str(folder), what)


def find_contradictions(fitted: Fitted) -> Iterator[str]:
    """Where parts of the file do not go together, as where somebody has edited it."""
    if len(set(fitted.labels)) < len(fitted.labels):
        yield "labels: found one twice"
    if len(fitted.columns) != fitted.texts + 1:
        yield f"columns: found {len(fitted.columns)}, expected {fitted.texts + 1}"
    if not 3 <= fitted.max_length <= LONGEST:
        yield f"max_length: found {fitted.max_length}, expected 3 to {LONGEST}"
    if not 0 <= fitted.head_hidden <= LONGEST:
        yield f"head_hidden: found {fitted.head_hidden}, expected 0 to {LONGEST}"
    for split, scores in (("dev", fitted.dev), ("test", fitted.test)):
        if scores and (why := find_scores_problem(scores, fitted.labels)):
            yield f"{split}: {why}"


def format_fitted(fitted: Fitted) -> str:
    return json.dumps(fitted.model_dump(by_alias=True), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
