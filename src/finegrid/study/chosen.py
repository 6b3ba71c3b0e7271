"""Factors that `finegrid init --factors` names: each with the levels that are usually tried."""

from __future__ import annotations

from collections.abc import Sequence

from finegrid.encoders.families import CheckpointInfo
from finegrid.errors import InputError, Problem, input_error
from finegrid.recipe.catalogue import chosen_factors, find, usual_levels
from finegrid.recipe.identity import Level, Levels
from finegrid.study.design import DesignKind, count_rows
from finegrid.study.presets import Preset, fit_to

OPTION = "--factors"
MOST_NAMES = 200  # each that is wrong costs a search for the right one
MOST_FULL = 64  # rows of every combination; of more factors, one at a time


def choose_factors(names: Sequence[str], baseline: Levels, checkpoint: CheckpointInfo) -> Preset:
    """The factors that these names stand for, as far as the checkpoint can do them.

    Args:
        names: factors, parts, strategies or their synonyms.
        baseline: all its levels.
        checkpoint: of the study.

    Raises:
        InputError: names that stand for nothing or for several things, factors whose levels must be said.
    """
    factors: dict[str, list[Level]] = {}
    problems: list[Problem] = []
    if len(names) > MOST_NAMES:
        what = f"found {len(names):,} names, expected {MOST_NAMES} at most. `finegrid explain` lists all."
        raise input_error("command line", OPTION, what)
    for name in names:
        try:
            chosen = chosen_factors(find(name))
        except InputError as error:
            problems += [Problem(f"{OPTION} {problem.where}", problem.what) for problem in error.problems]
            continue
        for factor in chosen:
            factors[factor] = usual_levels(factor, checkpoint.layers)
            if not factors[factor]:
                what = f"no levels of {factor} are usual. Write it into [factors] of study.toml, with levels."
                problems.append(Problem(f'{OPTION} "{name}"', what))
    if problems:
        raise InputError("command line", problems)
    return fit_to(Preset(baseline, factors).around(baseline), checkpoint)


def suitable_design(preset: Preset) -> DesignKind:
    """Every combination where these are few, else one factor at a time."""
    return "full" if count_rows("full", 4, preset.factors) <= MOST_FULL else "one-at-a-time"
