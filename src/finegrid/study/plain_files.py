"""What finegrid reads and writes of a study are plain files and folders: no link leads elsewhere."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from finegrid.atomic import ONE_NAME, describe_names, describe_other, find_others
from finegrid.errors import InputError, Problem
from finegrid.study.folder import StudyFolder


def check_written(folder: Path) -> None:
    """Refuse to work in a folder where finegrid would write to somewhere else.

    Raises:
        InputError: with all links, devices and the like in the places where a study is written.
    """
    files = StudyFolder(folder)
    found = [(path, describe_other(path, "plain file"), "plain file") for path in files.written_files]
    models = files.best_model.parent
    found.append((models, describe_other(models, "folder"), "folder"))
    problems = [
        Problem(files.relative(path), f"found {other}, expected a {kind} or nothing.")
        for path, other, kind in found
        if other is not None
    ]
    for path in (files.ledger, files.looks):  # added to, where all others are replaced
        if path.is_file() and (names := describe_names(path)) is not None:
            problems.append(Problem(files.relative(path), f"{names} {ONE_NAME}"))
    for inside in files.written_folders:
        problems += find_others(inside, files.relative(inside))
    if problems:
        advice = "Remove it. A study writes into its own folder alone: to keep it elsewhere, move all of it."
        raise InputError(str(folder), [*problems, Problem("", advice)])


def check_read(folder: Path) -> None:
    """Refuse to read what has no end, or waits for ever. Links to plain files are read.

    Raises:
        InputError: with all devices, pipes and the like in the places of a study's files.
    """
    files = StudyFolder(folder)
    read = [files.settings, *files.written_files]
    with suppress(OSError), os.scandir(files.predictions) as entries:  # who reads them says why it cannot
        read += [Path(entry.path) for entry in entries if not entry.is_file()]
    problems = []
    for path in read:
        if path.exists() and not path.is_file() and not path.is_dir():
            found = describe_other(path.resolve(), "plain file")
            problems.append(
                Problem(files.relative(path), f"found {found}, expected a plain file. Remove it.")
            )
    if problems:
        raise InputError(str(folder), problems)
