"""What a machine refuses is told as that, with what is missing and what helps; no run is to blame for it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from finegrid.errors import refusal
from finegrid.export.csv_file import write_csv
from finegrid.refusals import (
    LESS_MEMORY,
    MIB,
    MemoryNeeds,
    check_writable,
    describe_failure,
    find_refusal,
    saving,
    writing,
)
from finegrid.report.write import put

FULL = "Error while serializing: I/O error: No space left on device (os error 28)"


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), errno.EDQUOT),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "state"), errno.ENOENT),
        (Exception(FULL), errno.ENOSPC),
        (OSError("Too many open files (os error 24)"), errno.EMFILE),
        (RuntimeError("can't start new thread"), errno.EAGAIN),
        (ValueError("no space left in this sentence"), None),
        (MemoryError(), None),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), None),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_known_whoever_says_it(error: Exception, number: int | None) -> None:
    found = find_refusal(error)

    assert (found and found.errno) == number


def fill_disk(path: Path) -> OSError:
    try:
        with saving(path, 12 * MIB) as draft:
            draft.write_bytes(b"half")
            raise RuntimeError(FULL)  # safetensors' own is no OSError either
    except OSError as error:
        return error


def test_a_full_disk_tells_the_file_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4 * MIB))
    caught = fill_disk(tmp_path / "state")

    assert refusal(caught) == (
        f"cannot read or write {tmp_path / 'state'}: No space left on device: it takes 12.0 MiB and 4.0 MiB "
        "are free, so 8.0 MiB are missing. Make room; the same command goes on."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["report.md", "runs.csv"])
def test_reports_and_exports_name_the_file_that_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))

    def write() -> object:
        if name == "runs.csv":
            return write_csv(tmp_path / name, [])
        return put(tmp_path / name, b"a" * MIB, "en")

    with pytest.raises(OSError, match="No space left") as caught:
        write()

    assert caught.value.filename == str(tmp_path / name)
    assert ("so 1.0 MiB are missing" in str(caught.value)) == (name == "report.md")


def test_what_another_file_refused_while_one_is_written_names_the_other(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, saving(tmp_path / "out"):
        (tmp_path / "predictions").read_bytes()

    assert caught.value.filename == str(tmp_path / "predictions")


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path / "state"):
        raise KeyError("a bug")


@pytest.mark.parametrize(
    ("error", "amount"),
    [
        (MemoryError("Unable to allocate 3.64 TiB for an array"), "3.64 TiB"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: tried to allocate 4 bytes."),
            "4 bytes",
        ),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), ""),
        (RuntimeError("could not create a primitive"), ""),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), "2.00 GiB"),
    ],
)
def test_too_little_memory_is_told_with_the_settings_that_help(error: Exception, amount: str) -> None:
    tried = f" (tried to allocate {amount})" if amount else ""
    assert describe_failure(error) == f"out of memory{tried}: {LESS_MEMORY}"


def test_too_little_memory_is_told_with_numbers_of_the_run() -> None:
    error = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    others = "fewer --workers, less --memory or a smaller run.family_size need less"

    assert describe_failure(error, MemoryNeeds(33, recompute=False)) == (
        "out of memory (tried to allocate 2.00 GiB): run.recompute = true (the results stay the same), "
        f"training.micro_batch = 17 (now 33 texts at once), {others}"
    )
    assert describe_failure(error, MemoryNeeds(2, recompute=True)) == (
        "out of memory (tried to allocate 2.00 GiB): training.micro_batch = 1 (now 2 texts at once), "
        f"{others}"
    )
    assert MemoryNeeds(1, recompute=True).less() == others


def test_what_cannot_be_written_is_refused_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    check_writable(tmp_path / "not there yet")
    with pytest.raises(PermissionError, match="Permission denied"):
        check_writable(tmp_path)
