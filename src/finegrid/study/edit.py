"""Changes settings in ``study.toml`` and leaves everything else of it as its author wrote it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from finegrid.errors import InputError
from finegrid.refusals import saving
from finegrid.study.folder import StudyFolder
from finegrid.study.load import load_study
from finegrid.study.lock import locked
from finegrid.study.study import Study
from finegrid.study.toml import by_part

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Change = int | str | None  # None: the setting is taken out


def change_design(
    folder: Path,
    changes: Mapping[str, Change],
    without: Collection[str] = (),
    load: Callable[[Path], Study] = load_study,
) -> Study:
    """Write settings into the ``[design]`` table of a study, and load it anew.

    Comments, order and blanks stay. A file that would not load is not kept.

    Args:
        folder: of the study.
        changes: by setting, what it is to be.
        without: factors that are to be varied no more; they stay at their first level.
        load: reads the study: with its checkpoint, or where that may not be on this machine.

    Raises:
        InputError: another finegrid works in the folder, or the study could not be loaded with the changes.
    """
    import tomlkit  # takes 50 ms, and few commands write

    path = StudyFolder(folder).settings
    with locked(folder):
        before = path.read_bytes()
        document = tomlkit.parse(before.decode("utf-8-sig"))
        if without:
            take_out_factors(document, load(folder), without)
        design = document.setdefault("design", tomlkit.table())
        for name, value in changes.items():
            if value is None:
                design.pop(name, None)
            else:
                design[name] = value
        write(path, tomlkit.dumps(document).encode())
        try:
            return load(folder)
        except InputError:
            write(path, before)
            raise


def take_out_factors(document: TOMLDocument, study: Study, names: Collection[str]) -> None:
    """Take factors out of ``[factors]``. A preset that brings one gives way to what it stands for.

    Args:
        document: of the study's study.toml.
        study: as that says.
        names: of the factors.
    """
    had = study.baseline.levels()
    first = study.recipe_at({name: study.factors[name][0] for name in names}).levels()
    levels = {factor: level for factor, level in first.items() if level != had[factor]}
    preset = study.preset
    if preset is not None and any(name in preset.factors for name in names):
        levels = {factor: had[factor] for factor in preset.baseline} | levels
        del document["preset"]
        document["factors"] = {
            name: study.bundles[name].levels if name in study.bundles else list(its_levels)
            for name, its_levels in {**study.factors, **study.free_factors}.items()
        }
    for part, fields in by_part(levels).items():
        document.setdefault(part, {}).update(fields)
    factors = document["factors"]
    for name in names:
        part, _, field = name.partition(".")
        if name in factors:
            del factors[name]
        else:
            del factors[part][field]


def write(path: Path, content: bytes) -> None:
    with saving(path, len(content)) as draft:
        draft.write_bytes(content)


def keep_asked_seeds(
    study: Study, seeds: int | None, tells_nothing: Callable[[], bool] = lambda: False
) -> Study:
    """While no result could decide anything, the seeds that a run is asked for become those of the study.

    Who asks for more seeds before any result is there has not looked: they are no seeds "added later". Nor
    are they where the results of the planned seeds tell nothing of how far runs differ, as those of one seed
    mostly do: there is no interval that could have been liked or not. Fewer seeds than study.toml says stay
    a part of the plan.

    Args:
        study: as it is.
        seeds: the first so many; None: nothing was asked for.
        tells_nothing: whether the results that there are decide nothing; asked only where there are some.

    Returns:
        The study, with these seeds in study.toml if nothing could have been decided.
    """
    planned = set(study.head.design.numbers)
    if seeds is None or not planned < set(range(seeds)):
        return study
    ran = {record.seed for record in study.ledger if record.status != "failed"}
    if ran and not (ran <= planned and tells_nothing()):
        return study
    return change_design(study.folder, {"seeds": seeds})
