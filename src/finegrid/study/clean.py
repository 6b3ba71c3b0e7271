"""Clean files for a new study: where they are written, and how the study then reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid.data.clean_files import REMOVED_FILE, clean_files, making_folder
from finegrid.data.reading_phrases import say
from finegrid.data.settings import DataSettings
from finegrid.spelling import Lang, expand_user


@dataclass(frozen=True)
class StudyFiles:
    """The files of a study by part, how they are read (fields of `DataSettings`), what was done to them."""

    files: Mapping[str, Path]
    fields: Mapping[str, Any]
    done: tuple[str, ...] = ()


@contextmanager
def cleaning(
    asked: StudyFiles, clean: Path | None, near_twins: bool, folder: Path, draft: Path, lang: Lang = "en"
) -> Iterator[StudyFiles]:
    """The files as they are; or, where a folder for clean ones is given, those. They go if anything fails.

    Args:
        asked: the user's files.
        clean: the folder, or None.
        near_twins: whether to look for near-twins among very many texts too.
        folder: of the study.
        draft: what becomes that folder. Clean files that are to lie in the study are written there.
        lang: en or zh, of what was done.

    Raises:
        InputError: a folder that holds something, or files that cannot be read.
    """
    if clean is None:
        yield asked
        return
    target = expand_user(clean).resolve()
    if target.is_relative_to(folder):
        target = draft / target.relative_to(folder)
    with making_folder(target):
        files = {part: expand_user(path).resolve() for part, path in asked.files.items()}
        data = DataSettings.model_validate({**files, **asked.fields})
        cleaned = clean_files(data, Path(), target, near_twins, lang)
        fields = {name: value for name, value in asked.fields.items() if name != "encoding"}  # UTF-8 now
        done = (*cleaned.done, say("listed", lang, file=clean / REMOVED_FILE))
        yield StudyFiles(cleaned.files, {**fields, "quoting": "rfc4180"}, done)
