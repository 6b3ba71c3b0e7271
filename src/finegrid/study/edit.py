"""Changes settings in ``study.toml`` and leaves everything else of it as its author wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from finegrid.atomic import replacing
from finegrid.errors import InputError
from finegrid.study.folder import StudyFolder
from finegrid.study.load import load_study
from finegrid.study.lock import locked
from finegrid.study.study import Study

Change = int | str | None  # None: the setting is taken out


def change_design(folder: Path, changes: Mapping[str, Change]) -> Study:
    """Write settings into the ``[design]`` table of a study, and load it anew.

    Comments, order and blanks stay. A file that would not load is not kept.

    Raises:
        InputError: another finegrid works in the folder, or the study could not be loaded with the changes.
    """
    import tomlkit  # takes 50 ms, and few commands write

    path = StudyFolder(folder).settings
    with locked(folder):
        before = path.read_bytes()
        document = tomlkit.parse(before.decode("utf-8-sig"))
        design = document.setdefault("design", tomlkit.table())
        for name, value in changes.items():
            if value is None:
                design.pop(name, None)
            else:
                design[name] = value
        write(path, tomlkit.dumps(document).encode())
        try:
            return load_study(folder)
        except InputError:
            write(path, before)
            raise


def write(path: Path, content: bytes) -> None:
    with replacing(path) as draft:
        draft.write_bytes(content)


def keep_asked_seeds(study: Study, seeds: int | None) -> Study:
    """Before the first run, the seeds that it is asked for become those of the study.

    Who asks for more seeds before any result is there has not looked: they are no seeds "added later". Fewer
    seeds than study.toml says stay a part of the plan.

    Args:
        study: as it is.
        seeds: the first so many; None: nothing was asked for.

    Returns:
        The study, with these seeds in study.toml if nothing has run.
    """
    if seeds is None or not set(study.head.design.numbers) < set(range(seeds)):
        return study
    if any(record.status != "failed" for record in study.ledger):
        return study
    return change_design(study.folder, {"seeds": seeds})
