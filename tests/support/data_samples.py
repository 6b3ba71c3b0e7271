"""Small data sets for the tests of this folder, and a short way to load them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from finegrid.data.settings import DataSettings
from finegrid.data.table import DataTable, load_table
from finegrid.errors import InputError

HEADER = "text\tlabel\n"
Files = dict[str, bytes | str]


def rows(prefix: str, per_class: int = 12, classes: tuple[str, ...] = ("a", "b")) -> str:
    """TSV rows without header: ``per_class`` different texts of each class, classes taking turns."""
    return "".join(f"{prefix} {label} {i}\t{label}\n" for i in range(per_class) for label in classes)


def three(**changed: str) -> Files:
    """Faultless train, dev and test files, of which the named ones are replaced."""
    parts = {part: HEADER + rows(part) for part in ("train", "dev", "test")}
    return {f"{part}.tsv": content for part, content in (parts | changed).items()}


def load(
    folder: Path, files: Mapping[str, bytes | str], split_file: Path | None = None, **settings: object
) -> DataTable:
    """Write the files, whose names start with train, dev or test, and load the table from them."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    named = {part: name for name in files for part in ("train", "dev", "test") if name.startswith(part)}
    return load_table(DataSettings.model_validate({**named, **settings}), folder, split_file)


def refused(
    folder: Path, files: Mapping[str, bytes | str], split_file: Path | None = None, **settings: object
) -> str:
    """The same for files that must be refused: what the user is told."""
    with pytest.raises(InputError) as caught:
        load(folder, files, split_file, **settings)
    return str(caught.value)
