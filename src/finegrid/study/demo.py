"""The demo's study: preset thucnews64 on the embedded headlines with the embedded checkpoint."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

from finegrid import ASSETS
from finegrid.atomic import find_others, remove_drafts
from finegrid.encoders.families import EMBEDDED
from finegrid.errors import InputError, input_error
from finegrid.machine import AUTO
from finegrid.recipe.recipe import BLANK, DEFAULTS
from finegrid.refusals import saving
from finegrid.spelling import Lang
from finegrid.study.drafting import InitOptions, draft_study_toml
from finegrid.study.folder import SETTINGS_FILE, StudyFolder
from finegrid.study.load import levels_in

HEADLINES = ASSETS / "headlines"


def prepare_demo(folder: Path, seeds: int = 1, lang: Lang = "en") -> None:
    """Make the demo's study folder, or recognise one that was made before with as many seeds.

    Args:
        folder: to make.
        seeds: replicates of every recipe.
        lang: en or zh, of study.toml's comments.

    Raises:
        InputError: the folder holds something else.
    """
    files = StudyFolder(folder)
    data = files.data
    options = InitOptions(
        train=data / "train.tsv",
        dev=data / "dev.tsv",
        test=data / "test.tsv",
        model=EMBEDDED,
        precision=AUTO,
        seeds=seeds,
        as_published=True,
    )
    reading = {"text": "text", "label": "label", "header": True}
    text = draft_study_toml(folder, options, reading, lang=lang).text
    path = files.settings
    if path.exists():
        if not says_the_same(path.read_text(encoding="utf-8"), text):
            what = (
                "is not the demo's study (with as many seeds). Use `finegrid run` for it, or another folder."
            )
            raise input_error(str(folder), SETTINGS_FILE, what)
        return
    remove_drafts(folder, path.name)
    if folder.exists() and {entry.name for entry in folder.iterdir()} - {data.name}:
        raise input_error(str(folder), "demo", "the folder is not empty. Choose another one.")
    if others := [*find_others(data, files.relative(data))]:
        raise InputError(str(folder), others)
    shutil.copytree(HEADLINES, data, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md"))
    with saving(path) as draft:
        draft.write_text(text, encoding="utf-8")


def says_the_same(file: str, text: str) -> bool:
    """Whether two files of settings mean the same, as those that two versions of finegrid write may."""
    try:
        return read_meaning(file) == read_meaning(text)
    except tomllib.TOMLDecodeError:
        return False


def read_meaning(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The levels that are not at their default, and all other settings."""
    content = tomllib.loads(text)
    levels, _ = levels_in(content)
    moved = {name: level for name, level in levels.items() if DEFAULTS.get(name) != level}
    return moved, {name: value for name, value in content.items() if name not in BLANK.parts}
