"""What killed processes leave is known, and what nobody needs is removed: nothing else, and no links."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from finegrid.study.folder import StudyFolder
from finegrid.study.leftovers import find_leftovers, remove_ended_states, remove_half_written
from finegrid.study.lock import locked


@pytest.fixture
def files(tmp_path: Path) -> StudyFolder:
    files = StudyFolder(tmp_path / "study")
    for folder in (files.states, files.predictions, files.cache):
        folder.mkdir(parents=True)
    return files


def save(path: Path, *runs: str) -> Path:
    save_file({"a": np.zeros(3)}, path, {"runs": json.dumps({run: {} for run in runs})})
    return path


def test_saved_states_are_counted_by_what_they_hold(files: StudyFolder) -> None:
    save(files.state_of("f1"), "1a", "1b")
    files.state_of("f2").write_bytes(b"cut")
    (files.states / "f3.safetensors.unfit").write_bytes(b"12345")

    assert find_leftovers(files).as_json() == {
        "states": 2,
        "runs": 2,
        "bytes": files.state_of("f1").stat().st_size + 3,
        "other_files": 1,
        "other_bytes": 5,
    }


def test_who_takes_the_lock_removes_what_was_half_written(files: StudyFolder) -> None:
    confirmation = files.confirmation("reinit")
    confirmation.mkdir()
    drafts = (
        files.states / "f1.safetensors.tmp",
        files.states / ".tmpAb12Cd",  # safetensors' own
        files.predictions / ".1a.npz.x7f3.tmp",
        files.cache / "tokens-1.npz.tmp",
        confirmation / f".train.jsonl.999999999-{'0' * 16}.tmp",
    )
    for draft in drafts:
        draft.write_text("half")
    (mine := confirmation / "notes.tmp").write_text("mine")
    with locked(files.path):
        assert not any(map(Path.exists, drafts)) and mine.exists()


def test_states_of_finished_runs_are_removed(files: StudyFolder) -> None:
    kept = [save(files.state_of("f1"), "1a", "1b"), save(files.state_of("fit-1a"), "9z")]
    ended = save(files.state_of("f2"), "2a")
    remove_ended_states(files, {"1a", "2a"})

    assert not ended.exists() and all(map(Path.exists, kept))


def test_users_files_and_links_stay(files: StudyFolder, tmp_path: Path) -> None:
    """At the top of a study users have files, and `report` writes there without the lock."""
    outside = tmp_path / "outside.tmp"
    names = ("notes.tmp", "audit.json.tmp", ".report.html.x1.tmp")
    notes, fresh, stale = (files.path / name for name in names)
    for path in (outside, notes, fresh, stale):
        path.write_text("mine")
    os.utime(notes, (0, 0))
    os.utime(stale, (0, 0))
    (files.states / "link.tmp").symlink_to(outside)
    files.cache.rmdir()
    files.cache.symlink_to(tmp_path)
    remove_half_written(files)

    assert all(map(Path.exists, (outside, notes, fresh, files.states / "link.tmp"))) and not stale.exists()
