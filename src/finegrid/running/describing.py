"""A process that imports a study's own strategies, checks the study with them, and writes what they are.

The command that asks for it imports none of them: it stays without torch, whatever a strategy imports.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

from finegrid.errors import InputError, Problem
from finegrid.recipe.described import Description
from finegrid.recipe.own_code import OwnCode, describe_strategy, factor_names
from finegrid.recipe.recipe import move_part
from finegrid.study.load import load_study, read_study
from finegrid.study.own_strategies import import_own, read_codes
from finegrid.study.study import Study

MOST_SETTINGS = 4096  # of a strategy in one study
READ, TRAIN = "read", "train"  # whether the model may be elsewhere


def main() -> None:
    """Arguments: the study's folder, ``read`` or ``train``, and the hashes of the code that may run."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a strategy prints goes to stderr
    folder, purpose, *allowed = sys.argv[1:]
    with answer:
        json.dump(tell(Path(folder), purpose, allowed), answer)


def tell(folder: Path, purpose: str, allowed: list[str]) -> dict[str, Any]:
    """The strategies of a study, or what is wrong with them or with the study."""
    load = load_study if purpose == TRAIN else read_study
    try:
        study = load(folder, partial(import_own, allowed=allowed))
        return {"strategies": [one.model_dump() for one in describe_all(study)]}
    except InputError as error:
        problems = [[problem.where, problem.what] for problem in error.problems]
        return {"source": error.source, "problems": problems}


def describe_all(study: Study) -> list[Description]:
    """What there is to know of them at all levels that a study has.

    Raises:
        InputError: too many.
    """
    return [
        describe_strategy(code, type(getattr(study.blank, code.name)), settings_of_part(study, code))
        for code in read_codes(study.folder, study.head.strategies)
    ]


def settings_of_part(study: Study, code: OwnCode) -> list[Any]:
    """Every combination of the levels that any row, or the default, has of each of its factors.

    Raises:
        InputError: too many.
    """
    blank = getattr(study.blank, code.name)
    each = [blank, *(getattr(row.recipe, code.name) for row in study.rows)]
    names = factor_names(type(blank))
    levels = [dict.fromkeys(getattr(part, name) for part in each) for name in names]
    combinations = [*islice(product(*levels), MOST_SETTINGS + 1)]
    if len(combinations) > MOST_SETTINGS:
        what = f"its levels have more than {MOST_SETTINGS:,} combinations. Take fewer of them."
        raise InputError(code.source, [Problem(code.name, what)])
    return [
        move_part(blank, tuple(zip(names, own, strict=True)), tuple(map(type, own))) for own in combinations
    ]


if __name__ == "__main__":
    main()
