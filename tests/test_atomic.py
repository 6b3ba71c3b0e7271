"""What is written takes its place whole, and never goes through a link."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from finegrid.atomic import (
    find_others,
    make_draft,
    open_to_append,
    recover,
    remove_drafts,
    replacing,
    replacing_folder,
)
from finegrid.errors import InputError

Make = Callable[[Path], object]
GONE = 999_999_999  # a process that is not there


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, Make] = {
    "a symbolic link to": lambda path: path.symlink_to("other"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": make_socket,
}


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder under a name that the address of a socket can hold."""
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.mark.parametrize("kind", NO_FILES)
def test_only_plain_files_are_replaced_or_appended_to(short: Path, kind: str) -> None:
    (short / "other").write_text("mine")
    NO_FILES[kind](short / "out")
    before = os.lstat("out")

    with pytest.raises(InputError, match=f"found {kind}.*, expected a plain file"), replacing(short / "out"):
        pytest.fail("nothing is to be written")
    with pytest.raises(InputError, match=f"found {kind}.*, expected a plain file"):
        open_to_append(short / "out")

    assert os.lstat("out") == before and (short / "other").read_text() == "mine"
    assert {path.name for path in short.iterdir()} == {"other", "out"}


def test_a_device_is_refused_by_name_and_stays() -> None:
    with pytest.raises(InputError, match=r"/dev/null +found a device"), replacing(Path("/dev/null")):
        pytest.fail("nothing is to be written")

    assert Path("/dev/null").is_char_device()


def test_a_link_that_leads_nowhere_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "new")
    with pytest.raises(InputError, match="symbolic link"), replacing(tmp_path / "out") as draft:
        draft.write_text("a")
    with pytest.raises(InputError, match="symbolic link"):
        open_to_append(tmp_path / "out")

    assert not (tmp_path / "new").exists()


def test_drafts_have_names_that_nobody_knows_and_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    for name in ("out.tmp", ".out.tmp"):
        (tmp_path / name).symlink_to("victim")
    drafts = []
    (tmp_path / "plain").touch()
    for _ in range(2):
        with replacing(tmp_path / "out") as draft:
            drafts.append(draft.name)
            draft.write_text("new")

    assert len({*drafts}) == 2 and all(name.startswith(f".out.{os.getpid()}-") for name in drafts)
    assert (tmp_path / "victim").read_text() == "mine" and (tmp_path / "out").read_text() == "new"
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_draft_is_never_one_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    (tmp_path / f".out.{os.getpid()}-{'0' * 16}.tmp").symlink_to(tmp_path / "new")

    with pytest.raises(FileExistsError):
        make_draft(tmp_path / "out")
    assert not (tmp_path / "new").exists()


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    other = tmp_path / f".other.{GONE}-{'2' * 16}.tmp"
    other.touch()
    (tmp_path / f".out.{GONE}-{'0' * 16}.tmp").mkdir()
    (tmp_path / f".out.{GONE}-{'1' * 16}.tmp").symlink_to(other)
    (tmp_path / ".out.mine.tmp").touch()
    with replacing(tmp_path / "out") as draft:
        draft.write_text("new")

    assert {path.name for path in tmp_path.iterdir()} == {"out", other.name, ".out.mine.tmp"}
    remove_drafts(tmp_path, "other")
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".out.mine.tmp"}


@pytest.mark.parametrize("name", ["model", ".model.old"])
def test_no_folder_is_replaced_or_put_back_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("mine")
    (tmp_path / name).symlink_to("mine")
    with (
        pytest.raises(InputError, match="symbolic link to mine, expected a folder"),
        replacing_folder(tmp_path / "model"),
    ):
        pytest.fail("nothing is to be written")

    assert {path.name for path in tmp_path.iterdir()} == {"mine", name}
    assert (tmp_path / "mine" / "a").read_text() == "mine"


def test_a_folder_that_was_put_aside_comes_back_and_the_draft_goes(tmp_path: Path) -> None:
    (tmp_path / ".model.old").mkdir()
    (tmp_path / f".model.{GONE}-{'0' * 16}.tmp").mkdir()
    recover(tmp_path / "model")
    with replacing_folder(tmp_path / "model") as draft:
        (draft / "a").write_text("new")

    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_all_links_and_devices_in_a_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "link").symlink_to("/")
    (tmp_path / "a" / "file").touch()
    os.mkfifo(tmp_path / "a" / "pipe")

    assert [problem.where for problem in find_others(tmp_path / "a", "a")] == ["a/b/link", "a/pipe"]
    assert [*find_others(tmp_path / "none", "none")] == []


def test_writers_at_once_leave_each_others_drafts_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "out") as mine:
        mine.write_text("mine")
        with replacing(tmp_path / "out") as other:
            other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "mine"
