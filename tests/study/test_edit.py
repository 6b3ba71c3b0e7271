"""study.toml changed by a command: what its author wrote stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.studies import write_study

from finegrid.errors import InputError
from finegrid.study.edit import change_design, keep_asked_seeds
from finegrid.study.load import load_study
from finegrid.study.record import Record

FACTOR = '[factors]\n"reinit.layers" = [0, 2]'
DESIGN = f"# my notes\n[design]  # how\nseeds = 1 # as many as time allows\n{FACTOR}"


@pytest.fixture
def folder(tmp_path: Path, bert: Path) -> Path:
    return write_study(tmp_path / "study", bert, settings=DESIGN)


def test_a_changed_setting_leaves_every_comment_where_it_was(folder: Path) -> None:
    before = (folder / "study.toml").read_text()
    study = change_design(folder, {"seeds": 5, "kind": "fractional"})

    assert study.head.design.numbers == tuple(range(5))
    after = (folder / "study.toml").read_text()
    assert after.replace('seeds = 5 # as many as time allows\nkind = "fractional"', "") == before.replace(
        "seeds = 1 # as many as time allows", ""
    )


@pytest.mark.parametrize(
    "design", ["design = { seeds = 1 }\n[factors]", "[factors]", "[design] # none\n\n[factors]"]
)
def test_a_design_is_changed_however_it_is_written(tmp_path: Path, bert: Path, design: str) -> None:
    head = design.rpartition("[factors]")[0]
    top, tables = (head, "") if head.startswith("design") else ("", head)
    folder = write_study(tmp_path, bert, f"{tables}{FACTOR}", top)

    assert change_design(folder, {"seeds": 4}).head.design.numbers == (0, 1, 2, 3)
    assert load_study(folder).head.design.numbers == (0, 1, 2, 3)


def test_windows_line_ends_stay(folder: Path) -> None:
    path = folder / "study.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    change_design(folder, {"seeds": 2})

    assert b"seeds = 2 # as many as time allows\r\n" in path.read_bytes()


def test_a_change_that_cannot_be_loaded_is_not_kept(folder: Path) -> None:
    before = (folder / "study.toml").read_bytes()
    with pytest.raises(InputError, match="resolution"):
        change_design(folder, {"resolution": 4})

    assert (folder / "study.toml").read_bytes() == before


@pytest.mark.parametrize(("asked", "kept"), [(None, 1), (1, 1), (3, 3)])
def test_seeds_asked_for_before_the_first_run_are_the_studys(
    folder: Path, asked: int | None, kept: int
) -> None:
    assert keep_asked_seeds(load_study(folder), asked).head.design.numbers == tuple(range(kept))
    assert load_study(folder).head.design.numbers == tuple(range(kept))


@pytest.mark.parametrize(("status", "kept"), [("done", 1), ("diverged", 1), ("failed", 3)])
def test_seeds_asked_for_after_a_result_are_added_later(folder: Path, status: str, kept: int) -> None:
    study = load_study(folder)
    study.ledger.append(Record(run_id="a", seed=0, status=status))  # type: ignore[arg-type]

    assert len(keep_asked_seeds(study, 3).head.design.numbers) == kept


def test_fewer_seeds_than_planned_leave_the_plan_alone(folder: Path) -> None:
    study = change_design(folder, {"seeds": 3})

    assert len(keep_asked_seeds(study, 2).head.design.numbers) == 3
