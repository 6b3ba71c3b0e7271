"""What is kept on a machine is found again where all it depends on is the same, and never breaks anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finegrid import user_cache as module
from finegrid.user_cache import OFF, VARIABLE, Shelf, find_cache

ABOUT = {"versions": {"torch": "2.13"}, "threads": 1}


def keep(value: object = 1.5, key: object = "a", about: dict[str, object] | None = None) -> Path:
    shelf = Shelf("costs", ABOUT if about is None else about)
    shelf.put(key, value)
    shelf.save()
    assert shelf.path is not None
    return shelf.path


def value_of(key: object = "a") -> object:
    entry = Shelf("costs", ABOUT).get(key)
    return entry and entry.value


def test_what_is_kept_is_found_by_the_next_process(user_cache: Path) -> None:
    path = keep({"seconds": 0.25}, ["step", 1])

    assert path.parent == user_cache
    assert value_of(["step", 1]) == {"seconds": 0.25}
    assert value_of(["step", 2]) is None


@pytest.mark.parametrize(
    "about", [{**ABOUT, "threads": 2}, {"threads": 1}, {**ABOUT, "versions": {"torch": "2.14"}}]
)
def test_nothing_is_found_under_another_condition(user_cache: Path, about: dict[str, object]) -> None:
    path = keep(about=about)
    other = Shelf("costs", ABOUT).path
    assert value_of() is None and other is not None

    path.rename(other)  # a file that says of itself what it is about is not believed by its name
    assert value_of() is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(os.urandom(300)),
        lambda path: path.write_text('{"version": 2, "about": {}, "entries": {}}'),
        lambda path: path.write_text(path.read_text().replace('"made":"2', '"made":"x')),
        lambda path: path.write_text("[" * 100_000),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_file_that_is_damaged_counts_as_none_and_is_written_anew(user_cache: Path, damage: object) -> None:
    path = keep()
    assert callable(damage)
    damage(path)
    assert value_of() is None

    keep(2.5)
    assert path.is_dir() or value_of() == 2.5


def test_a_folder_that_cannot_be_written_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "below"))

    keep()
    assert value_of() is None


def test_writers_at_once_leave_a_whole_file_and_nothing_else(user_cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keep(number, number), range(40)))
    kept = [number for number in range(40) if value_of(number) == number]

    assert kept and [path.suffix for path in user_cache.iterdir()] == [".json"]


def test_processes_that_began_together_add_to_each_other(user_cache: Path) -> None:
    first, second = Shelf("costs", ABOUT), Shelf("costs", ABOUT)
    for shelf, key in ((first, "a"), (second, "b")):
        shelf.put(key, key)
        shelf.save()

    assert (value_of("a"), value_of("b")) == ("a", "b")


def test_files_and_entries_do_not_grow_without_end(user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finegrid.user_cache.MOST_ENTRIES", 3)
    monkeypatch.setattr("finegrid.user_cache.MOST_FILES", 2)
    for number in range(5):
        path = keep(number, number)
    assert [*map(value_of, range(5))] == [None, None, 2, 3, 4]

    for threads in range(2, 6):
        keep(about={"threads": threads})
    assert len([*user_cache.iterdir()]) == 2 and not path.exists()


def test_off_keeps_nothing_and_finds_nothing(user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    monkeypatch.setenv(VARIABLE, OFF)
    assert find_cache() is None and value_of() is None

    shelf = Shelf("costs", ABOUT)
    shelf.put("b", 1)
    shelf.save()
    monkeypatch.setenv(VARIABLE, str(user_cache))
    assert value_of("b") is None


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="where the XDG specification counts")
def test_it_lies_among_the_users_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache() == tmp_path / "finegrid"

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert find_cache() == tmp_path / "home" / ".cache" / "finegrid"


def test_who_has_no_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(module, "find_caches", fail)

    assert find_cache() is None


def test_no_test_finds_the_users_own() -> None:
    assert os.environ[VARIABLE] == OFF
    told = subprocess.run(
        [sys.executable, "-c", "from finegrid.user_cache import find_cache; print(find_cache())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "None"


def test_the_file_says_what_it_is_about(user_cache: Path) -> None:
    content = json.loads(keep().read_text(encoding="utf-8"))

    assert content["about"] == ABOUT and content["version"] == 1
