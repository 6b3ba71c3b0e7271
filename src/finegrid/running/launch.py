"""What a command asks of a runner, with its progress shown on stderr and in ``progress.json``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from finegrid.planning.status import probed
from finegrid.recipe.recipe import Recipe
from finegrid.running.progress.show import Show
from finegrid.running.progress.watcher import Watcher
from finegrid.running.runner import Runner
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

# Given the study's score and its folder: what tells the progress. `Show` does so on the terminal.
ShowProgress = Callable[[str, Path], AbstractContextManager[Watcher]]


def train(
    study: Study,
    settings: RunSettings,
    workers: int | None,
    seeds: int | None = None,
    rows: Collection[int] | None = None,
    mix: bool = False,
    show: ShowProgress = Show,
) -> None:
    """Train what is still missing of a study.

    Args:
        study: the study.
        settings: how to execute it.
        workers: how many processes train; None: as many as cores and memory carry.
        seeds: train the first so many; None: those of study.toml.
        rows: train only what these rows of the table need, counted from 1; None: all.
        mix: allow runs of several devices, precisions, threads and stacks.
        show: tells the progress.

    Raises:
        InputError: bad data or model, a folder in use, or settings unlike those of finished runs.
    """
    numbers = range(seeds) if seeds else None
    with show(study.head.score, study.folder) as watcher:
        Runner(study, settings, workers, numbers, mix, rows, watcher).run()


def audit(study: Study, settings: RunSettings, show: ShowProgress = Show) -> None:
    """Look at the model and the data, and measure what a step costs.

    Raises:
        InputError: bad data or model, or a folder in use.
    """
    with show(study.head.score, study.folder) as watcher:
        Runner(study, settings, watcher=watcher).audit()


def measure_costs(study: Study, settings: RunSettings, show: ShowProgress = Show) -> None:
    """Audit a study, unless an audit knows already what its rows cost with these settings.

    Raises:
        InputError: bad data or model, or a folder in use.
    """
    if not probed(study, settings):
        audit(study, settings, show)


def fit(
    study: Study,
    settings: RunSettings,
    recipe: Recipe,
    seed: int | None,
    out: Path,
    show: ShowProgress = Show,
) -> Record:
    """Train one recipe with one seed (None: the study's first), and keep its model in ``out``.

    Returns:
        The record of the run, which may have diverged; the ledger does not get it.

    Raises:
        InputError: bad data or model, or a folder in use.
    """
    number = study.head.design.numbers[0] if seed is None else seed
    with show(study.head.score, study.folder) as watcher:
        return Runner(study, settings, watcher=watcher).fit(recipe, number, out)
