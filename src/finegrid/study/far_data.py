"""What a study reads from outside its folder: who has it from somebody else is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from finegrid.spelling import Lang, expand_user
from finegrid.strategies.part import COLUMNS
from finegrid.study.contents import name_files
from finegrid.study.kept_files import find_kept
from finegrid.study.study import Study
from finegrid.words import SHARED

WORDS: dict[Lang, str] = {
    "en": "study.toml reads files outside its folder: {files}",
    "zh": "study.toml 会读取其文件夹以外的文件：{files}",
}


def describe_far(study: Study, lang: Lang = "en") -> str | None:
    """What study.toml takes from outside its folder, in words; None if nothing of it is there.

    Who has a study from somebody else is told before it is read: it may name any file of this machine.
    """
    home = study.folder.resolve()
    far: list[str] = []
    for name in dict.fromkeys(name_all(study)):
        try:
            far += find_far(name, study.folder, home)
        except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, links in a circle: not there
            continue
    return WORDS[lang].format(files=SHARED[lang]["list comma"].join(far)) if far else None


def name_all(study: Study) -> Iterator[str]:
    """Texts, what levels name, and the model: as study.toml spells them."""
    yield from (str(path) for path in study.head.data.files.values())
    for row in study.rows:
        yield from (path for path in name_files(row.recipe.moved()).values() if path != COLUMNS)
    yield from study.head.strategies.files
    yield study.model


def find_far(name: str, folder: Path, home: Path) -> Iterator[str]:
    """A file or folder, if it lies outside; of a model's folder inside, the files that are links to outside.

    Args:
        name: relative to the study's folder, or absolute. A hub id is neither.
        folder: of the study.
        home: the same, without links.
    """
    written = folder / expand_user(name)
    if not written.exists():
        return
    if not (leads := written.resolve()).is_relative_to(home):
        linked = Path(os.path.normpath(written)).absolute().is_relative_to(folder.absolute())
        yield f"{name} ({leads})" if linked else name
    elif written.is_dir():
        for path in find_kept(written):
            if not (leads := path.resolve()).is_relative_to(home):
                yield f"{name}/{path.name} ({leads})"
