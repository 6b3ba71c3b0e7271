"""What a command asks of a runner, with its progress shown on stderr and in ``progress.json``."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from finegrid.extras import need_to_train
from finegrid.planning.families import Family
from finegrid.planning.status import probed, study_status
from finegrid.recipe.identity import Levels
from finegrid.recipe.recipe import Recipe
from finegrid.running.fitting import Keeping
from finegrid.running.place import Place, ThisMachine
from finegrid.running.runner import Runner
from finegrid.spelling import Lang
from finegrid.study.audit_file import Audit
from finegrid.study.record import Record
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

if TYPE_CHECKING:
    from finegrid.running.progress.show import Show
    from finegrid.running.progress.watcher import Watcher

# Given the study's score and its folder: what tells the progress.
ShowProgress: TypeAlias = "Callable[[str, Path], AbstractContextManager[Watcher]]"


def show_on_terminal(score: str, folder: Path, lang: Lang = "en") -> Show:
    """On stderr, with rich, which takes a tenth of the time of `finegrid status` to import."""
    from finegrid.running.progress.show import Show

    return Show(score, folder, lang=lang)


def show_in(lang: Lang) -> ShowProgress:
    """On stderr, in a language."""
    return partial(show_on_terminal, lang=lang)


def train(
    study: Study,
    settings: RunSettings,
    workers: int | None,
    seeds: int | None = None,
    rows: Collection[int] | None = None,
    mix: bool = False,
    tell_first: Callable[[Study], Sequence[str]] = lambda study: (),
    ends: float = math.inf,
    show: ShowProgress = show_on_terminal,
    place: Place | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Train what is still missing of a study.

    Args:
        study: the study.
        settings: how to execute it.
        workers: how many processes train; None: as many as cores and memory carry.
        seeds: train the first so many; None: those of study.toml.
        rows: train only what these rows of the table need, counted from 1; None: all.
        mix: allow runs of several devices, precisions, threads and stacks.
        tell_first: lines to say once the study is audited, before anything is trained.
        ends: when to stop, by `time.monotonic`.
        show: tells the progress.
        place: where; None: here.
        meanwhile: done while the first worker loads data and model.

    Raises:
        InputError: bad data or model, a folder in use, or settings unlike those of finished runs.
        ClusterLostError: the cluster that trains is gone.
    """
    numbers = range(seeds) if seeds else None
    need_to_train()
    with show(study.head.score, study.folder) as watcher:
        telling = watcher_that_tells(watcher, lambda: tell_first(study))
        where = place or ThisMachine()
        Runner(study, settings, workers, numbers, mix, rows, telling, ends, where, meanwhile).run()


def watcher_that_tells(watcher: Watcher, lines: Callable[[], Sequence[str]]) -> Watcher:
    """A watcher that says some lines as soon as it is known what is to be trained, if anything is."""

    def planned(all_: Sequence[Family], left: Sequence[Family], audit: Audit) -> None:
        watcher.planned(all_, left, audit)
        if left and (told := lines()):
            watcher.said(lambda lang: told)  # in the language of who asked for them

    return replace(watcher, planned=planned)


def audit(
    study: Study,
    settings: RunSettings,
    show: ShowProgress = show_on_terminal,
    others: Sequence[Levels] = (),
    place: Place | None = None,
) -> None:
    """Look at the model and the data, and measure what a step costs.

    Args:
        study: the study.
        settings: how it is executed.
        show: tells the progress.
        others: further recipes to probe, each as the levels that it moves from the defaults.
        place: where; None: here.

    Raises:
        InputError: bad data or model, or a folder in use.
        ClusterLostError: the cluster that probes is gone.
    """
    need_to_train()
    with show(study.head.score, study.folder) as watcher:
        Runner(study, settings, watcher=watcher, place=place or ThisMachine()).audit(others)


def measure_costs(
    study: Study, settings: RunSettings, show: ShowProgress = show_on_terminal, place: Place | None = None
) -> None:
    """Audit a study, unless an audit knows already what its rows cost with these settings.

    Raises:
        InputError: bad data or model, or a folder in use.
    """
    if not probed(study, settings):
        audit(study, settings, show, place=place)


def predict_seconds(
    study: Study, seeds: int, settings: RunSettings, workers: int | None, place: Place
) -> float | None:
    """What the first so many seeds of a study will take there; None where nothing was measured.

    Raises:
        InputError: a place that cannot be asked.
    """
    offer = place.offer(study, settings)
    return study_status(study, settings, seeds, workers, offer).seconds_left()


def fit(
    study: Study,
    settings: RunSettings,
    recipe: Recipe,
    seed: int | None,
    out: Path,
    onnx: bool = False,
    about: str = "",
    show: ShowProgress = show_on_terminal,
    place: Place | None = None,
) -> Record:
    """Train one recipe with one seed (None: the study's first), and keep its model in ``out``.

    Args:
        study: the study.
        settings: how to execute it.
        recipe: what is trained.
        seed: of its run.
        out: the model's folder.
        onnx: whether the model is kept as ONNX, too.
        about: what its card says of the study, in Markdown.
        show: tells the progress.
        place: where; None: here.

    Returns:
        The record of the run, which may have diverged; the ledger does not get it.

    Raises:
        InputError: bad data or model, or a folder in use.
        ClusterLostError: the cluster that trains is gone.
    """
    number = study.head.design.numbers[0] if seed is None else seed
    need_to_train()
    with show(study.head.score, study.folder) as watcher:
        runner = Runner(study, settings, watcher=watcher, place=place or ThisMachine())
        return runner.fit(recipe, number, Keeping(out, onnx, about))
