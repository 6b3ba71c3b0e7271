"""What the files hold that levels name: part of the identity of the runs that read them, and of no other."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from finegrid.errors import InputError, Problem
from finegrid.recipe.identity import Level, key_of
from finegrid.recipe.recipe import FILES, TAUGHT_BY_BASELINE
from finegrid.spelling import expand_user
from finegrid.strategies.part import COLUMNS
from finegrid.study.kept_files import check_kept, find_kept
from finegrid.study.study import Study

# How the study's files are read, since a level's file is read like them.
READING = {"text", "label", "group", "header", "format", "separator", "quoting", "encoding"}
MOST_BYTES = 32 * 2**30  # of a table, or of a kept model: a hundred times those of a large one


def name_files(levels: Mapping[str, Level]) -> dict[str, str]:
    """The files that a recipe reads, by what they are called: ``texts.extra=more.tsv``.

    Args:
        levels: those that differ from the defaults.
    """
    return {f"{factor}={level}": str(level) for factor, level in levels.items() if factor in FILES and level}


def fingerprint_contents(study: Study, recipes: Iterable[Mapping[str, Level]]) -> dict[str, str]:
    """16 hex digits for all files that recipes read, by what they are called.

    Args:
        study: in whose folder their paths start.
        recipes: their levels that differ from the defaults.

    Raises:
        InputError: a file that is not there.
    """
    recipes = [*recipes]
    named = {name: path for levels in recipes for name, path in name_files(levels).items()}
    found, problems = {}, []
    for name, path in named.items():
        try:
            found[name] = fingerprint_named(study, path)
            if name.partition("=")[0] in TAUGHT_BY_BASELINE:
                found[name] = digest_lesson(study, found[name])
        except (OSError, ValueError) as error:  # such as a name with a NUL in it
            why = getattr(error, "strerror", None) or error
            what = f"found {path!r}, which cannot be read from {study.folder}: {why}."
            problems.append(Problem(f'"{name.partition("=")[0]}"', f"{what} Correct the path, or the file."))
    if problems:
        raise InputError(str(study.files.settings), problems)
    for levels in recipes:
        found |= study.own.fingerprint(levels)
    return dict(sorted(found.items()))


def digest_lesson(study: Study, content: str) -> str:
    """What a file of texts becomes once the baseline's run has labelled them: other runs would not do so."""
    moved = study.first_recipe.moved().items()
    own = {name: level for name, level in moved if name not in TAUGHT_BY_BASELINE}
    files = {**fingerprint_contents(study, [own]), **study.own.fingerprint(own)}
    return hashlib.sha256(f"{content} {key_of(own)} {files}".encode()).hexdigest()[:16]


def fingerprint_named(study: Study, level: str) -> str:
    """Of what a level names: a file or a folder; `COLUMNS` are the study's own files, with all they hold.

    Raises:
        OSError: it cannot be read.
    """
    if level != COLUMNS:
        return fingerprint_file(study, study.folder / expand_user(level))
    data = study.head.data
    own = [study.folder / path for path in (data.train, data.dev, data.test) if path is not None]
    return hashlib.sha256("".join(fingerprint_file(study, path) for path in own).encode()).hexdigest()[:16]


def fingerprint_file(study: Study, path: Path) -> str:
    """Of a table's bytes and how they are read; of a folder, of the kept model in it.

    Raises:
        OSError: it cannot be read, is no kept model, or is larger than any table or model.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not an ordinary file")
    digest = hashlib.sha256()
    files = [path]
    if path.is_dir():
        check_kept(path)
        files = [*find_kept(path)]
    else:
        digest.update(study.head.data.model_dump_json(include=READING).encode())
    if (size := sum(file.stat().st_size for file in files)) > MOST_BYTES:
        what = f"{size / 2**30:,.0f} GiB, expected {MOST_BYTES / 2**30:,.0f} GiB at most"
        raise OSError(errno.EFBIG, what)
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]
