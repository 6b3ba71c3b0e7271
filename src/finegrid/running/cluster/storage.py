"""States of families in a folder or bucket that all nodes reach, so that one goes on where another died.

Whatever pyarrow opens: a path on a shared disk, ``file://``, ``s3://``, ``gs://``, ``hdfs://``. A state is
named after its family, which stands for data, model, recipes and seed. What else decides on last digits is in
the file, and `StateFile` checks it.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from finegrid.errors import InputError, first_line, input_error
from finegrid.extras import needing
from finegrid.refusals import saving

COPIED = 2**22  # bytes at once
OPTION = "--storage"


@dataclass(frozen=True)
class Storage:
    """``url`` of a folder or bucket, which every node understands."""

    url: str

    @classmethod
    def of(cls, given: str) -> Storage:
        """What ``--storage`` names. A folder is one of the place where the command stands, on every node."""
        return cls(given if "://" in given else str(Path(given).expanduser().absolute()))

    @cached_property
    def _place(self) -> tuple[Any, str]:
        with needing("ray", "command line", OPTION):
            from pyarrow.fs import FileSystem, LocalFileSystem
        if "://" not in self.url:
            return LocalFileSystem(), self.url
        filesystem, path = FileSystem.from_uri(self.url)
        return filesystem, path.rstrip("/")

    def check(self) -> None:
        """See whether it can be written to.

        Raises:
            InputError: it cannot.
        """
        try:
            filesystem, path = self._place
            filesystem.create_dir(path, recursive=True)
            probe = f"{path}/.finegrid"
            with filesystem.open_output_stream(probe) as out:
                out.write(b"")
            filesystem.delete_file(probe)
        except InputError:
            raise
        except Exception as error:  # each file system has errors of its own
            what = (
                f"found {self.url!r}, which cannot be written: {first_line(error)}. Expected a folder that "
            )
            raise input_error("command line", OPTION, f"{what}all nodes reach, or a bucket's URL.") from None

    def save(self, path: Path) -> None:
        """Keep a state, in the place of an earlier one of its family.

        Raises:
            Exception: whatever the file system has.
        """
        filesystem, folder = self._place
        target = f"{folder}/{path.name}"
        if filesystem.type_name == "local":
            with saving(Path(target)) as draft:
                shutil.copyfile(path, draft)
            return
        with (
            path.open("rb") as source,
            filesystem.open_output_stream(target) as out,
        ):  # seen once it is closed
            shutil.copyfileobj(source, out, COPIED)

    def fetch(self, path: Path) -> bool:
        """Bring the state of a family to where it goes on from. Whether there was one.

        Raises:
            OSError: the local disk is full or broken.
        """
        filesystem, folder = self._place
        try:
            source = filesystem.open_input_stream(f"{folder}/{path.name}")
        except Exception:  # absent, or not for us now: the family starts again, to the same bits
            return False
        with source, saving(path) as draft, draft.open("wb") as out:
            shutil.copyfileobj(source, out, COPIED)
        return True

    def remove(self, name: str) -> None:
        """Remove a state; what fails is left for who comes later."""
        filesystem, folder = self._place
        with suppress(Exception):
            filesystem.delete_file(f"{folder}/{name}")
