"""What `Runner` tells whoever watches, and what is left in the folder of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command_line import InlineWorker, records, torch_put_back
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.planning.families import Family
from finegrid.running import place
from finegrid.running.progress import heartbeat
from finegrid.running.progress.heartbeat import Heartbeat
from finegrid.running.progress.show import Show
from finegrid.running.progress.watcher import Watcher
from finegrid.running.runner import Runner
from finegrid.study.folder import PROGRESS_FILE
from finegrid.study.load import load_study
from finegrid.study.record import Record


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(place, "LocalWorker", InlineWorker)
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    return write_word_study(tmp_path / "study", Path("../model"))


@pytest.mark.slow
def test_a_watcher_hears_who_begins_what_and_what_was_finished_before(study: Path) -> None:
    began: list[tuple[int, tuple[int, ...]]] = []
    found: list[list[Record]] = []

    def begins(family: Family, worker: int) -> None:
        began.append((worker, tuple(row for run in family.left for row in run.stands_for)))

    def finds(records: Sequence[Record]) -> None:
        found.append(list(records))

    loaded = load_study(study)
    watcher = Watcher(began=begins, found=finds)
    with torch_put_back():
        for rows in ([1, 2], None):
            Runner(loaded, loaded.head.run, workers=1, rows=rows, watcher=watcher).run()

    assert began[0] == (0, (1, 2))
    assert sorted(began[1:]) == [(0, (3, 4)), (0, (5, 6, 7, 8))]
    assert found[0] == [] and [record.stands_for for record in found[1]] == [(1, 2)]


def test_progress_is_written_while_a_study_trains_and_removed(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(Heartbeat, "_write", lambda self, content: written.append(content))
    loaded = load_study(study)
    show = Show("macro-f1", study)
    with torch_put_back(), show as watcher:
        Runner(loaded, loaded.head.run, workers=1, watcher=watcher).run()

    assert len(records(study)) == show.progress.ended == 4
    assert show.progress.share == 1.0
    assert any(content["at_work"] for content in written)
    assert not (study / PROGRESS_FILE).exists()
