"""The files of a model that `finegrid fit` has kept, by name."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from finegrid.encoders.files import WEIGHT_FILES
from finegrid.encoders.tokenizer import TOKENIZER

FILE = "finegrid.json"
HEAD = "head.safetensors"
ONNX = "model.onnx"
CARD = "README.md"
NAMES = (FILE, HEAD, ONNX, CARD, "config.json", *TOKENIZER, *WEIGHT_FILES)


def find_kept(folder: Path) -> Iterator[Path]:
    """The files of a model in its folder, in their order; whatever else lies there is nobody's to read.

    Raises:
        OSError: the folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if any(fnmatchcase(path.name, name) for name in NAMES) and path.is_file():
            yield path


def check_kept(folder: Path) -> None:
    """Refuse a folder that is no kept model before anything in it is read: it may be the whole disk.

    Raises:
        OSError: it has no ``finegrid.json``.
    """
    if not (folder / FILE).is_file():
        raise OSError(errno.EINVAL, f"no {FILE} in it, so not a model that finegrid kept")
