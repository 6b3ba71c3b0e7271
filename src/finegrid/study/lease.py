"""The lease of a study folder: a file that its holder keeps renewing, for disks whose locks do not hold.

filelock has such a lease, too. But it takes over from a dead holder only where two names can be exchanged in
one step. NFS and SMB, for which a lease is made, refuse that (as of filelock 4.3.1): what a killed run leaves
there would lock its folder for ever.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

from finegrid.atomic import SAFELY, name_draft
from finegrid.study.origin import Origin, find_origin

LARGEST = 2**16  # bytes of a lease; a path may have 4096, each spelled as six
LONGEST = 300  # characters of a command
SLACK = 5.0  # seconds that two clocks, or a file system's coarse times, may differ

Told: TypeAlias = "Callable[[Seen, float, float], None]"


@dataclass(frozen=True)
class Pace:
    """How often a lease is renewed, and when one that is not may be taken over; in seconds."""

    beat: float = 10.0
    silence: float = 300.0  # without a beat, by the clock of the file server
    watch: float = 60.0  # for which it is looked at then, and nothing in it may change
    settle: float = 0.1  # after which of several that took it over at once the last one has it


PACE = Pace()


@dataclass(frozen=True)
class Holder:
    """The process that holds a study."""

    process: int
    host: str
    since: float  # seconds since 1970, by its own clock: to be told, and never to be judged by
    command: str = ""

    def describe(self) -> str:
        """``process 4711 on frodo, since 2026-11-27 23:30: finegrid run DIR``, by the reader's clock."""
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        command = f": {self.command}" if self.command else ""
        return f"process {self.process} on {self.host}, since {since}{command}"


@dataclass(frozen=True)
class Claim:
    """What a lease says of who holds it.

    Attributes:
        token: Nobody else's.
        holder: To be told.
        origin: To be judged by.
        place: Of the lease, as this holder calls it: a copied folder has a copy of the lease.
    """

    token: str
    holder: Holder
    origin: Origin
    place: str

    @classmethod
    def make(cls, path: Path) -> Claim:
        """A new one of this process."""
        origin = find_origin()
        holder = Holder(origin.process, origin.host, time.time(), find_command())
        return cls(secrets.token_hex(16), holder, origin, str(path.absolute()))

    def spell(self, beats: int) -> bytes:
        """As the file has it; as long, however often it was renewed."""
        return json.dumps({**asdict(self), "beats": f"{beats:012d}"}).encode()

    @classmethod
    def parse(cls, content: bytes) -> Claim | None:
        """None of what is none: it is being written, or somebody else's."""
        try:
            said = json.loads(content)
            holder = {**said["holder"], "since": float(said["holder"]["since"])}
            claim = cls(said["token"], Holder(**holder), Origin(**said["origin"]), said["place"])
            time.localtime(claim.holder.since)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            return None
        return claim if _has_types(claim) else None

    def is_copied_to(self, path: Path) -> bool:
        """Whether what a lease says was said of another file, which still says it."""
        original = Path(self.place)
        try:
            found = look(original)
            return found.claim is not None and found.claim.token == self.token and not path.samefile(original)
        except OSError:
            return False


def find_command() -> str:
    """``finegrid run DIR``, as this process was called."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])[:LONGEST]


def _has_types(claim: Claim) -> bool:
    texts = (claim.token, claim.place, claim.holder.host, claim.holder.command)
    origin = asdict(claim.origin)
    numbers = (claim.holder.process, origin.pop("process"))
    whole = all(isinstance(number, int) and 0 < number < 2**31 for number in numbers)
    return whole and all(isinstance(text, str) for text in (*texts, *origin.values()))


@dataclass(frozen=True)
class Seen:
    """A lease at one moment. Whatever its holder does to it makes it another one."""

    claim: Claim | None
    content: bytes
    modified: float  # seconds since 1970, by the clock of the file server


class HeldError(Exception):
    """Somebody else has the lease.

    Attributes:
        seen: as it was looked at.
        silent: seconds since it was last renewed.
        surely: whether its holder is known to be there; else nobody can tell from here.
    """

    def __init__(self, seen: Seen, silent: float, surely: bool) -> None:
        self.seen, self.silent, self.surely = seen, silent, surely
        super().__init__(seen, silent, surely)


@dataclass
class Lease:
    """A lease that this process holds, and the thread that renews it."""

    path: Path
    claim: Claim
    descriptor: int
    beats: int = 0
    lost: bool = False  # as far as the thread has noticed
    _end: threading.Event = field(default_factory=threading.Event)

    def keep(self) -> None:
        """Begin to renew it."""
        self._thread = threading.Thread(target=self._renew, name="finegrid-lease", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._end.wait(PACE.beat):
            with suppress(OSError):  # the disk may be back at the next one
                self.lost = not self.is_ours()
                if self.lost:
                    return
                self.beat()

    def beat(self) -> None:
        """Renew it: through the file that was opened when it was taken, and never another one's.

        Raises:
            OSError: the disk refuses.
        """
        self.beats += 1
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.write(self.descriptor, self.claim.spell(self.beats))
        os.fsync(self.descriptor)  # NFS would keep it to itself for a while

    def is_ours(self) -> bool:
        """Whether the folder's lease is still this one.

        Raises:
            OSError: it cannot be read.
        """
        try:
            seen = look(self.path)
        except FileNotFoundError:
            return False
        return seen.claim is not None and seen.claim.token == self.claim.token

    def release(self) -> None:
        """End the thread, and remove the file, unless it is somebody else's by now."""
        self._end.set()
        self._thread.join(timeout=PACE.beat)
        with suppress(OSError):
            if self.is_ours():
                self.path.unlink()
        if not self._thread.is_alive():  # else it hangs with the disk, and would write to what is opened next
            os.close(self.descriptor)


def look(path: Path) -> Seen:
    """What a lease says now. It is opened anew: NFS then asks its server, and answers `stat` from memory.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | SAFELY | getattr(os, "O_NONBLOCK", 0))
    try:
        content = os.read(descriptor, LARGEST)
        return Seen(Claim.parse(content), content, os.fstat(descriptor).st_mtime)
    finally:
        os.close(descriptor)


def take(path: Path, tell: Told = lambda seen, silent, seconds: None) -> Lease:
    """Take the lease of a folder, also from a holder that is surely gone, and begin to renew it.

    Args:
        path: of the lease.
        tell: called before a lease is looked at for a while: with it, the seconds that it has been silent,
            and those for which it will be looked at.

    Raises:
        HeldError: somebody else has it, or may have it.
        OSError: it cannot be written or read.
    """
    claim = Claim.make(path)
    while True:
        with suppress(FileExistsError):
            descriptor = write_new(path, claim)
            break
        with suppress(FileNotFoundError):  # it was given back meanwhile: begin again
            descriptor = take_over(path, claim, look(path), tell)
            break
    lease = Lease(path, claim, descriptor)
    lease.keep()
    return lease


def write_new(path: Path, claim: Claim) -> int:
    """Write a file that is not there yet. Returns it opened.

    Raises:
        OSError: it is there, or cannot be written; then nothing is left of it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFELY, 0o666)
    try:
        os.write(descriptor, claim.spell(0))
        os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def measure_silence(path: Path, seen: Seen) -> float:
    """Seconds since a lease was renewed, by the clock of the file server, which dates a new file beside it.

    Raises:
        OSError: none can be written.
    """
    draft = name_draft(path)
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFELY, 0o666)
        try:
            os.write(descriptor, b"{}")
            os.fsync(descriptor)
            return os.fstat(descriptor).st_mtime - seen.modified
        finally:
            os.close(descriptor)
    finally:
        draft.unlink(missing_ok=True)


def take_over(path: Path, claim: Claim, seen: Seen, tell: Told) -> int:
    """Put one's own lease into the place of another one, whose holder is surely gone. Returns it opened.

    Raises:
        HeldError: somebody else has it, or may have it.
        FileNotFoundError: it was given back meanwhile.
    """
    draft = name_draft(path)
    wait_until_gone(path, seen, measure_silence(path, seen), tell)
    try:
        os.close(write_new(draft, claim))
        if look(path) != seen:
            raise HeldError(look(path), 0.0, surely=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    time.sleep(PACE.settle)
    descriptor = os.open(path, os.O_RDWR | SAFELY)
    now = Claim.parse(os.read(descriptor, LARGEST))
    if now is None or now.token != claim.token:  # another one has taken it over in the same moment
        os.close(descriptor)
        raise HeldError(look(path), 0.0, surely=True)
    return descriptor


def wait_until_gone(path: Path, seen: Seen, silent: float, tell: Told) -> None:
    """Return as soon as the holder of a lease is surely gone.

    Where its process cannot be asked for, that takes a long silence by the clock of the file server, and then
    a while in which nothing of the lease changes. The clocks of the two hosts do not matter, and no age is
    enough.

    Raises:
        HeldError: it is not gone, or may not be.
        FileNotFoundError: it has given the lease back meanwhile.
    """
    gone = None if seen.claim is None else seen.claim.origin.is_gone(silent)
    if gone is False and seen.claim is not None and not seen.claim.is_copied_to(path):
        raise HeldError(seen, max(0.0, silent), surely=True)
    if gone is None:
        told = silent >= -SLACK  # else times come from hosts whose clocks differ, and tell nothing
        if told and silent < PACE.silence:
            raise HeldError(seen, max(0.0, silent), surely=False)
        seconds = PACE.watch if told else PACE.silence
        tell(seen, silent, seconds)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(min(1.0, seconds / 5))
            if look(path) != seen:
                raise HeldError(look(path), 0.0, surely=True)
