"""The lock of a study: who is refused is told by whom, and where a folder cannot be locked, why."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from finegrid.errors import InputError
from finegrid.study.lock import locked, read_holder


def test_who_is_refused_is_told_by_which_process(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(InputError, match=rf"\(process {os.getpid()} on .*, since 2\d.*\)\. Wait for it"),
        locked(tmp_path),
    ):
        raise AssertionError("two hold one study")

    with locked(tmp_path):  # the lock goes with its holder
        found = read_holder(tmp_path)
    assert found is not None and found.process == os.getpid()


def test_a_file_that_has_another_name_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    """As a stranger's folder may have it."""
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".lock").hardlink_to(tmp_path / "mine")
    with locked(tmp_path):
        assert (tmp_path / "mine").read_text() == "precious"


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def acquire(self: Any, **_: object) -> None:
        if isinstance(error, UserWarning):
            warnings.warn(error, stacklevel=1)
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("FileSystem does not appear to support flock"),
        OSError(errno.ENOLCK, "No locks available"),
        OSError(errno.EOPNOTSUPP, "Operation not supported"),
        UserWarning("flock not supported on this filesystem, falling back to SoftFileLock"),
    ],
)
def test_a_file_system_without_locks_is_held_by_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_with(monkeypatch, error)
    with locked(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} on .*Wait for it"):
        locked(tmp_path).__enter__()


def test_the_folder_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(InputError, match=r"by you, since it belongs to .*Permission denied.*only read"):
        locked(tmp_path).__enter__()


def test_a_full_disk_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        locked(tmp_path).__enter__()
