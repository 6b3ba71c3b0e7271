"""The demo's study: preset thucnews64 on the embedded headlines with the embedded checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from finegrid import ASSETS
from finegrid.atomic import draft_of, replacing
from finegrid.encoders.families import EMBEDDED
from finegrid.errors import input_error
from finegrid.machine import AUTO
from finegrid.study.drafting import InitOptions, draft_study_toml
from finegrid.study.folder import SETTINGS_FILE, StudyFolder

HEADLINES = ASSETS / "headlines"


def prepare_demo(folder: Path, seeds: int = 1) -> None:
    """Make the demo's study folder, or recognise one that was made before with as many seeds.

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
    text = draft_study_toml(folder, options, {"text": "text", "label": "label", "header": True}).text
    path = files.settings
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            what = (
                "is not the demo's study (with as many seeds). Use `finegrid run` for it, or another folder."
            )
            raise input_error(str(folder), SETTINGS_FILE, what)
        return
    if folder.exists() and {entry.name for entry in folder.iterdir()} - {data.name, draft_of(path).name}:
        raise input_error(str(folder), "demo", "the folder is not empty. Choose another one.")
    shutil.copytree(HEADLINES, data, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md"))
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
