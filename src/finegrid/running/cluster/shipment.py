"""What a node needs of a study: sent once to a node, by content, and laid out in a folder there.

The folder is like the study's own, so that the ordinary worker works in it. Files that ``study.toml`` names
by relative paths lie where these lead, as far up as they lead; others and the checkpoint are named anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from finegrid.encoders.files import MOST_JSON, weight_files
from finegrid.refusals import saving
from finegrid.spelling import expand_user
from finegrid.strategies.part import COLUMNS
from finegrid.study.contents import name_files
from finegrid.study.folder import StudyFolder
from finegrid.study.study import Study

PART = 64 * 2**20  # bytes of a file that are one object, which Ray's client sends as a whole
PART_SECONDS = 300.0  # in which a part must come
UP, HOME, MODEL, DATA = "up", "study", "model", "data"  # names of folders
MANIFEST = ".shipped.json"
Bytes = NDArray[np.uint8]
Put = Callable[[Bytes], Any]  # gives what stands for an object in the store
Get = Callable[[Any], Bytes]


@dataclass(frozen=True)
class ShippedFile:
    """A file in the object store."""

    digest: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Shipment:
    """All files of a study that a node needs.

    Attributes:
        home: The study's folder in the folder that they are laid out in.
        files: By path in that folder.
    """

    home: str
    files: Mapping[str, ShippedFile]


@dataclass
class Packer:
    """Puts files into the object store, each content once."""

    put: Put
    _known: dict[str, ShippedFile] = field(default_factory=dict)  # by digest
    _digests: dict[tuple[str, int, int], str] = field(default_factory=dict)  # by path, size and time

    def pack(self, study: Study) -> Shipment:
        """Everything that trains a study, as it is now.

        Raises:
            OSError: a file cannot be read.
        """
        layout = StudyLayout.of(study)
        files = {name: self._pack_file(path) for name, path in layout.files()}
        files[layout.at(study.files.settings.name)] = self._pack_bytes(layout.settings())
        return Shipment(layout.home, files)

    def _pack_file(self, path: Path) -> ShippedFile:
        about = path.stat()
        key = str(path), about.st_size, about.st_mtime_ns
        if key not in self._digests:
            with path.open("rb") as file:
                self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        digest = self._digests[key]
        if digest not in self._known:
            parts = tuple(self.put(part) for part in parts_of(path))
            self._known[digest] = ShippedFile(digest, parts)
        return self._known[digest]

    def _pack_bytes(self, content: bytes) -> ShippedFile:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._known:
            self._known[digest] = ShippedFile(digest, (self.put(np.frombuffer(content, np.uint8)),))
        return self._known[digest]


@dataclass(frozen=True)
class StudyLayout:
    """Where the files of a study lie on a node.

    Attributes:
        study: Of the files.
        home: The study's folder, as deep as its relative paths lead up.
    """

    study: Study
    home: str

    @classmethod
    def of(cls, study: Study) -> StudyLayout:
        named = [
            *map(str, study.head.data.files.values()),
            *named_by_levels(study),
            *study.head.strategies.files,
        ]
        inside = [os.path.normpath(name) for name in named if is_relative(name)]
        depth = max((Path(name).parts.count("..") for name in inside), default=0)
        return cls(study, PurePosixPath(*[UP] * depth, HOME).as_posix())

    def at(self, name: str) -> str:
        """A path of the study's folder, as one of the folder that all is laid out in."""
        return os.path.normpath(f"{self.home}/{name}")

    def files(self) -> Iterator[tuple[str, Path]]:
        """By path on the node, all files that are sent as they are."""
        study, files = self.study, self.study.files
        for path in (files.split, files.strategies, files.audit, files.screen):
            if path.is_file():
                yield self.at(path.name), path
        for part, path in study.head.data.files.items():
            yield self.at(self._data_name(part, path)), study.folder / expand_user(path)
        for name in (*named_by_levels(study), *study.head.strategies.files):
            if is_relative(name):  # others are looked for on the node: disks may be shared
                yield from self._tree(name, study.folder / name)
        folder = study.checkpoint.folder
        for path in checkpoint_files(folder):
            yield f"{MODEL}/{folder.name}/{path.name}", path
        for pattern in ("tokens-*.npz", "teacher-*.npz", "pretrained-*.safetensors"):
            for path in sorted(files.cache.glob(pattern)):
                yield self.at(files.relative(path)), path

    def _tree(self, name: str, path: Path) -> Iterator[tuple[str, Path]]:
        if path.is_file():
            yield self.at(name), path
        for inside in sorted(path.rglob("*")) if path.is_dir() else ():
            if inside.is_file():
                yield self.at(f"{name}/{inside.relative_to(path).as_posix()}"), inside

    def _data_name(self, part: str, path: Path) -> str:
        """Relative paths stay: messages name them."""
        return str(path) if is_relative(str(path)) else f"{DATA}/{part}/{path.name}"

    def settings(self) -> bytes:
        """``study.toml`` with the names that its files have on the node."""
        import tomlkit  # takes 50 ms, and few commands write

        document: Any = tomlkit.parse(self.study.files.settings.read_bytes().decode("utf-8-sig"))
        for part, path in self.study.head.data.files.items():
            if not is_relative(str(path)):
                document["data"][part] = self._data_name(part, path)
        up = "../" * (self.home.count("/") + 1)
        document["model"]["name"] = f"{up}{MODEL}/{self.study.checkpoint.folder.name}"
        return tomlkit.dumps(document).encode()


def named_by_levels(study: Study) -> list[str]:
    """The files that levels of the study's rows name, as study.toml has them."""
    recipes = [row.recipe.moved() for row in study.rows]
    named = [path for levels in recipes for path in name_files(levels).values()]
    return [name for name in dict.fromkeys(named) if name != COLUMNS]


def is_relative(name: str) -> bool:
    """Whether a path starts in the study's folder."""
    return not (name.startswith("~") or Path(name).is_absolute())


def checkpoint_files(folder: Path) -> list[Path]:
    """The weights that are loaded, and everything small beside them: settings, tokeniser."""
    small = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stat().st_size <= MOST_JSON]
    return list(dict.fromkeys([*small, *weight_files(folder)]))


class NotSentError(Exception):
    """A part of a file did not come."""


def take(part: Any) -> Bytes:
    """What stands for a part of a file, from wherever it is.

    Raises:
        NotSentError: it took too long.
    """
    import ray

    try:
        content: Bytes = ray.get(part, timeout=PART_SECONDS)
    except ray.exceptions.GetTimeoutError:  # an OSError, but no disk's
        raise NotSentError(f"no part of a file has come for {PART_SECONDS:.0f} s") from None
    return content


def parts_of(path: Path) -> Iterator[Bytes]:
    """The bytes of a file, in parts."""
    with path.open("rb") as file:
        while True:
            part = file.read(PART)
            if part or file.tell() == 0:
                yield np.frombuffer(part, np.uint8)
            if len(part) < PART:
                return


def unpack(shipment: Shipment, root: Path, get: Get) -> Path:
    """Lay a shipment out in a folder, but for what is there already. Returns the study's folder.

    Several workers of one node may do so at once: one does, the others wait.

    Raises:
        OSError: the disk is full or broken.
        ValueError: what came is not what was sent.
    """
    home = root / shipment.home
    with FileLock(root / f"{MANIFEST}.lock"):
        there = read_manifest(root)
        for name, file in shipment.files.items():
            if there.get(name) != file.digest:
                receive(root / name, file, get)
                there[name] = file.digest
        (root / MANIFEST).write_text(json.dumps(there), encoding="utf-8")
    files = StudyFolder(home)
    for folder in (files.predictions, files.states, files.cache, files.logs):
        folder.mkdir(exist_ok=True)
    return home


def receive(path: Path, file: ShippedFile, get: Get) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: the disk is full or broken.
        ValueError: it is not what was sent.
    """
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with saving(path) as draft, draft.open("wb") as out:
        for part in file.parts:
            content = get(part).data
            digest.update(content)
            out.write(content)
    if digest.hexdigest() != file.digest:
        path.unlink()
        raise ValueError(f"{path.name} is not what was sent")


def read_manifest(root: Path) -> dict[str, str]:
    """By path, the digests of what was laid out."""
    try:
        content = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in content.items()} if isinstance(content, dict) else {}
