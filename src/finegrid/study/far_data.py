"""Texts that a study takes from outside its folder: who has it from somebody else is told."""

from __future__ import annotations

import os
from pathlib import Path

from finegrid.spelling import Lang
from finegrid.strategies.part import COLUMNS
from finegrid.study.contents import name_files
from finegrid.study.study import Study
from finegrid.words import SHARED

WORDS: dict[Lang, str] = {
    "en": "study.toml reads files outside its folder: {files}",
    "zh": "study.toml 会读取其文件夹以外的文件：{files}",
}


def describe_far(study: Study, lang: Lang = "en") -> str | None:
    """Which texts study.toml takes from outside its folder, in words; None if from nowhere else.

    Who has a study from somebody else is told before they are read: it may name any file of this machine.
    """
    home = study.folder.resolve()
    named = [str(path) for path in study.head.data.files.values()]
    recipes = [row.recipe.moved() for row in study.rows]
    named += [path for levels in recipes for path in name_files(levels).values() if path != COLUMNS]
    far = []
    for name in dict.fromkeys(named):
        written = study.folder / Path(name).expanduser()
        leads = written.resolve()
        if not leads.is_relative_to(home):
            linked = Path(os.path.normpath(written)).absolute().is_relative_to(study.folder.absolute())
            far.append(f"{name} ({leads})" if linked else name)
    return WORDS[lang].format(files=SHARED[lang]["list comma"].join(far)) if far else None
