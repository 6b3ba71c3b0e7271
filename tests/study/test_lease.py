"""The lease of a study: two hosts on one disk whose locks nobody else sees, and clocks that differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.waiting import wait_until

from finegrid.errors import InputError
from finegrid.study import lease, origin
from finegrid.study.folder import StudyFolder
from finegrid.study.lease import Claim, HeldError, Lease, Pace, Seen, look, take
from finegrid.study.lock import HELD, check_held, check_there, locked, read_holder
from finegrid.study.lock_words import tell_watching
from finegrid.study.origin import Origin, find_origin, is_running, seconds_up

HERE = find_origin()
FRODO = Origin("frodo", "machine of frodo", "boot of frodo", 4711, "12345")
LONG, SHORT = 301.0, 299.0  # seconds of silence


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PACE", Pace(beat=60.0, watch=0.02, settle=0.0))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "study.toml").touch()
    return StudyFolder(tmp_path).lease


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lock is granted, as on a network disk that is mounted without any."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


def be(monkeypatch: pytest.MonkeyPatch, who: Origin) -> None:
    """Go on as a process of another host."""
    monkeypatch.setattr(lease, "find_origin", lambda: who)
    monkeypatch.setattr(origin, "find_origin", lambda: who)


def leave(file: Path, who: Origin, silent: float) -> Claim:
    """A lease as a process left it that was killed so many seconds ago, by the clock of the disk."""
    made = Claim.make(file)
    claim = replace(made, origin=who, holder=replace(made.holder, host=who.host, process=who.process))
    file.write_bytes(claim.spell(7))
    now = file.stat().st_mtime
    os.utime(file, (now - silent, now - silent))
    return claim


@pytest.fixture
def held(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """A lease of a live process of another host."""
    be(monkeypatch, FRODO)
    theirs = take(file)
    be(monkeypatch, HERE)
    yield theirs
    theirs.release()


def takes_over(file: Path) -> bool:
    try:
        take(file).release()
    except HeldError:
        return False
    return True


def test_a_second_host_is_refused_and_told_which_one_works_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_locks: None
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/finegrid", "run", "my study"])
    be(monkeypatch, FRODO)
    theirs = take(StudyFolder(tmp_path).lease)
    be(monkeypatch, HERE)
    told = r"\(process 4711 on frodo, since 2\d.*: finegrid run 'my study'; last sign of life 0 s ago\)"
    with pytest.raises(InputError, match=f"{told}.*no sign of life for 5 min: that then takes"):
        locked(tmp_path).__enter__()
    theirs.release()


def test_locks_that_hold_tell_the_other_host_too(tmp_path: Path, held: Lease) -> None:
    from filelock import FileLock

    with (
        FileLock(StudyFolder(tmp_path).lock),
        pytest.raises(InputError, match=r"on frodo, since .*; last sign of life \d.* s ago\)\. Wait for it"),
    ):
        locked(tmp_path).__enter__()


def test_of_two_processes_on_one_host_one_works_though_every_lock_is_granted(
    tmp_path: Path, without_locks: None
) -> None:
    with locked(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} on"):
        locked(tmp_path).__enter__()
    with locked(tmp_path):
        assert (tmp_path / ".lease").exists()
    assert not (tmp_path / ".lease").exists()


@pytest.mark.parametrize(("silent", "taken"), [(0.0, False), (SHORT, False), (LONG, True), (1e6, True)])
@pytest.mark.parametrize("off", [-86400.0, 0.0, 86400.0])
def test_a_lock_of_another_host_is_taken_after_long_silence_whatever_the_clocks_say(
    file: Path, monkeypatch: pytest.MonkeyPatch, silent: float, taken: bool, off: float
) -> None:
    leave(file, FRODO, silent)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + off)

    assert takes_over(file) is taken


def test_who_is_taken_over_from_is_told_first_in_both_languages(file: Path) -> None:
    leave(file, FRODO, 7200.0)
    told: list[tuple[Seen, float, float]] = []
    take(file, lambda *seen: told.append(seen)).release()
    (seen,) = told
    english, chinese = (tell_watching(*seen)(lang)[0] for lang in ("en", "zh"))

    assert "frodo (4711)" in english and "no sign of life for 2 h 0 min" in english
    assert "frodo (4711)" in chinese and "2 小时" in chinese


def test_one_sign_of_life_while_it_is_looked_at_is_enough(file: Path, held: Lease) -> None:
    os.utime(file, (0, 0))
    with pytest.raises(HeldError) as refused:
        take(file, lambda *_: held.beat())

    assert refused.value.surely and held.is_ours()


def test_times_ahead_of_the_disk_make_the_look_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where clients date the files themselves."""
    leave(file, FRODO, -3600.0)
    monkeypatch.setattr(lease, "PACE", Pace(silence=0.03, watch=1000.0, settle=0.0))
    waits: list[float] = []
    take(file, lambda seen, silent, seconds: waits.append(seconds)).release()

    assert waits == [0.03]


@pytest.mark.parametrize(
    ("who", "silent", "taken"),
    [
        (HERE, 1e6, False),  # it was stopped, and is there
        (replace(HERE, started="1"), 0.0, True),  # the number was given anew
        (replace(HERE, process=2**22 + 1), 0.0, True),  # more than Linux gives
        (replace(HERE, host="renamed", process=2**22 + 1), 0.0, True),
        (replace(HERE, boot="before"), seconds_up() + 86_400.0, True),  # the machine was started anew
        (replace(HERE, boot="another container"), SHORT, False),
        (replace(HERE, boot="before", host="a clone"), seconds_up() + 86_400.0, False),
        (replace(HERE, boot="", machine=""), SHORT, False),
        (replace(HERE, boot="", machine="", process=2**22 + 1), SHORT, False),
    ],
    ids=range(9),  # the times differ from process to process
)
def test_what_is_known_of_a_process_of_this_machine_decides(
    file: Path, monkeypatch: pytest.MonkeyPatch, who: Origin, silent: float, taken: bool
) -> None:
    monkeypatch.setattr(lease, "PACE", Pace(silence=1e9, watch=0.0, settle=0.0))
    leave(file, who, silent)

    assert takes_over(file) is taken


def test_a_process_that_has_ended_and_is_not_yet_collected_is_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started = origin.start_of(child.pid)
        assert started and is_running(child.pid, started)
        child.kill()
        wait_until(lambda: not is_running(child.pid, started))
        assert child.returncode is None


def test_where_a_machine_does_not_tell_itself_apart_only_silence_counts(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = replace(HERE, machine="", boot="")
    be(monkeypatch, nobody)
    leave(file, replace(nobody, process=2**22 + 1), SHORT)
    assert not takes_over(file)
    leave(file, replace(nobody, process=2**22 + 1), LONG)
    assert takes_over(file)


def test_a_lease_that_another_one_has_just_taken_over_stays_its(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(file, replace(HERE, started="1"), 0.0)
    other, write = Claim.make(file), lease.write_new

    def write_later(path: Path, claim: Claim) -> int:
        if path != file:
            file.write_bytes(other.spell(0))
        return write(path, claim)

    monkeypatch.setattr(lease, "write_new", write_later)
    with pytest.raises(HeldError):
        take(file)

    assert look(file).claim == other and {*file.parent.iterdir()} == {file, file.parent / "study.toml"}


def test_of_two_that_take_over_at_once_one_gets_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(file, replace(HERE, started="1"), 0.0)
    other = Claim.make(file)
    monkeypatch.setattr("time.sleep", lambda _: file.write_bytes(other.spell(0)))
    with pytest.raises(HeldError):
        take(file)

    assert look(file).claim == other and {*file.parent.iterdir()} == {file, file.parent / "study.toml"}


def test_whoever_sleeps_through_a_take_over_writes_nothing_more(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, without_locks: None
) -> None:
    files = StudyFolder(tmp_path)
    with locked(tmp_path):
        check_there(files)
        os.utime(file, (0, 0))
        be(monkeypatch, FRODO)
        theirs = take(file)
        be(monkeypatch, HERE)
        with pytest.raises(InputError, match=r"now that of process 4711 on frodo.*the same command goes on"):
            check_there(files)
        check_held(files)  # nobody has looked yet
    assert theirs.is_ours()
    theirs.release()


def test_the_thread_renews_the_lease_and_notices_its_loss(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PACE", Pace(beat=0.002))
    with locked(tmp_path):
        first = look(file)
        wait_until(lambda: look(file) != first)
        now = look(file)
        assert now.claim == first.claim and now.modified >= first.modified
        check_held(StudyFolder(tmp_path))
        file.unlink()
        wait_until(lambda: HELD[tmp_path].lost)
        with pytest.raises(InputError, match="is gone: somebody has removed it"):
            check_held(StudyFolder(tmp_path))


def test_a_disk_that_is_away_for_a_while_is_no_loss(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail(self: Lease) -> None:
        tried.append(self.beats)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(lease, "PACE", Pace(beat=0.001))
    monkeypatch.setattr(Lease, "beat", fail)
    with locked(tmp_path):
        wait_until(lambda: len(tried) >= 3)
        check_held(StudyFolder(tmp_path))
        check_there(StudyFolder(tmp_path))


def test_a_copy_of_a_folder_at_work_is_not_held(tmp_path: Path, file: Path) -> None:
    copy = tmp_path.with_name("copy")
    with locked(tmp_path):
        shutil.copytree(tmp_path, copy)
        with locked(copy):
            assert read_holder(copy) == look(copy / file.name).claim.holder  # type: ignore[union-attr]
        with pytest.raises(InputError, match="another finegrid run"):
            locked(tmp_path).__enter__()


BAD = [b"", b"[]", b"\xff", b'{"token": "a"}', b"9" * 5000, b"[" * 70000]
BAD += [
    json.dumps({**json.loads(Claim.make(Path("x")).spell(0)), key: value}).encode()
    for key, value in [
        ("token", 1),
        ("place", None),
        ("holder", {"process": 1, "host": "a", "since": 1e300}),
        ("holder", {"process": 1, "host": ["a"], "since": 1}),
        ("holder", {"process": 1, "host": "a", "since": 1, "more": 1}),
        ("origin", {"host": "a", "machine": "", "boot": 7, "process": 1, "started": ""}),
        ("origin", {"host": "a", "machine": "", "boot": "", "process": -1, "started": ""}),
    ]
]


@pytest.mark.parametrize("content", BAD)
def test_what_is_in_a_lease_is_not_trusted(tmp_path: Path, file: Path, content: bytes) -> None:
    """It may be a stranger's, or one that is just being written."""
    file.write_bytes(content)

    assert read_holder(tmp_path) is None
    with pytest.raises(InputError, match=r"another finegrid run is working in this folder\. Wait"):
        locked(tmp_path).__enter__()
    os.utime(file, (0, 0))
    with locked(tmp_path):
        assert read_holder(tmp_path) is not None


def test_a_file_that_has_another_name_elsewhere_is_not_written_to(tmp_path: Path, file: Path) -> None:
    """As a stranger's folder may have it."""
    (tmp_path / "mine").write_text("precious")
    file.hardlink_to(tmp_path / "mine")
    os.utime(file, (0, 0))
    with locked(tmp_path):
        assert (tmp_path / "mine").read_text() == "precious"
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_full_disk_leaves_no_lease(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        take(file)
    assert not file.exists()
