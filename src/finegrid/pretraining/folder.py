"""The folder of a run: its settings, its tokenised corpus and state, and at the end the checkpoint."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from finegrid.atomic import find_others, recover, replacing_folder
from finegrid.data.tokens import load_arrays, save_arrays_
from finegrid.encoders.tokenizer import TOKENIZER
from finegrid.errors import InputError, Problem, input_error
from finegrid.pretraining.card import write_card
from finegrid.pretraining.corpus import FileCount
from finegrid.pretraining.examples import Documents
from finegrid.pretraining.settings import PretrainSettings, find_differences
from finegrid.pretraining.state import PretrainProgress
from finegrid.refusals import saving

ABOUT = "pretraining.json"
ARRAYS = ("tokens", "bounds", "sources")


class PretrainFolder:
    """``pretraining.json`` from the first moment; ``work/`` until the checkpoint takes the folder's place."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / "work"
        self.state = self.work / "state.safetensors"
        self.tokenizer = self.work / "tokenizer"

    def is_finished(self, settings: PretrainSettings) -> bool:
        """Whether there is nothing left to do.

        Raises:
            InputError: something else is in the folder, or a run with other settings or files.
        """
        path = self.out / ABOUT
        if not path.exists():
            if self.out.exists() and any(self.out.iterdir()):
                what = f"holds other files. Give an empty or new folder, or one that has {ABOUT}."
                raise input_error(str(self.out), "--out", what)
            return False
        try:
            about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            before, finished = dict(about["asked"]), bool(about["finished"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise input_error(str(path), ABOUT, f"cannot be read ({error}). Give a new folder.") from error
        if different := find_differences(describe_settings(settings), before):
            advice = Problem("", "Give the settings it was begun with, or another --out.")
            raise InputError(str(self.out), [*different, advice])
        return finished

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder, and find it as it was before a kill.

        Raises:
            InputError: one is at work in it, or something in it leads elsewhere.
        """
        if others := [*find_others(self.out, self.out.name)]:
            raise InputError(str(self.out), [*others, Problem("", "Remove it, or choose another --out.")])
        # Beside the folder: what is in it changes its place at the end.
        self.out.parent.mkdir(parents=True, exist_ok=True)
        path = self.out.with_name(f".{self.out.name}.lock")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            what = "another `finegrid pretrain` is at work in it. Wait for it, or give another folder."
            raise input_error(str(self.out), "--out", what) from None
        try:
            recover(self.out)
            yield
        finally:
            with suppress(OSError):  # Windows keeps files that are open
                path.unlink()
            lock.release()

    def forget(self) -> None:
        """Leave nothing behind where nothing was learned yet."""
        if self.state.exists():
            return
        (self.out / ABOUT).unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        with suppress(OSError):  # something else is in it
            self.out.rmdir()

    def begin(self, settings: PretrainSettings) -> None:
        """Write down the settings: from here on the folder is this run's."""
        with saving(self.out / ABOUT) as draft:
            draft.write_text(
                format_about({"asked": describe_settings(settings), "finished": False}), encoding="utf-8"
            )

    def save_documents(self, documents: Documents, files: list[FileCount]) -> None:
        arrays = {name: getattr(documents, name) for name in ARRAYS}
        about = json.dumps({"files": [asdict(count) for count in files], "unknown": documents.unknown})
        arrays["about"] = np.frombuffer(about.encode(), dtype=np.uint8)
        save_arrays_(self.work / "corpus.npz", arrays)

    def load_documents(self) -> tuple[Documents, list[FileCount]] | None:
        """The tokenised corpus that an earlier start kept, if there is one."""
        arrays = load_arrays(self.work / "corpus.npz")
        if arrays is None or arrays.keys() != {*ARRAYS, "about"}:
            return None
        about = json.loads(arrays["about"].tobytes())
        files = [FileCount(**count) for count in about["files"]]
        tokens, bounds, sources = (arrays[name] for name in ARRAYS)
        return Documents(tokens, bounds, sources, about["unknown"]), files

    def finish(
        self,
        model: Any,
        tokenizer: Path,
        settings: PretrainSettings,
        progress: PretrainProgress,
        files: list[FileCount],
        command: str,
    ) -> None:
        """Put the checkpoint, with its card, in the folder's place."""
        model.to(torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32)
        from transformers.utils import logging

        logging.disable_progress_bar()
        with replacing_folder(self.out) as draft:
            model.save_pretrained(draft)
            for name in TOKENIZER:
                if (tokenizer / name).exists():
                    shutil.copyfile(tokenizer / name, draft / name)
            weights = draft / "model.safetensors"
            about = {
                "asked": describe_settings(settings),
                "finished": True,
                "command": command,
                "files": [asdict(count) for count in files],
                "weights": list(settings.file_weights),
                "progress": asdict(progress),
                "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
                "bytes": weights.stat().st_size,
                "parameters": sum(p.numel() for p in model.parameters()),
                "shape": {
                    name: getattr(model.config, name)
                    for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
                },
            }
            (draft / ABOUT).write_text(format_about(about), encoding="utf-8")
            (draft / "README.md").write_text(write_card(self.out.name, about), encoding="utf-8")
            for path in draft.iterdir():
                path.chmod((draft / ABOUT).stat().st_mode)  # safetensors lets only its owner read a file


def describe_settings(settings: PretrainSettings) -> dict[str, Any]:
    return {**settings.as_json(), "files": hash_files(settings)}


def hash_files(settings: PretrainSettings) -> dict[str, str]:
    """Short hashes of the files: a run goes on with the very same ones."""
    hashes = {}
    shape = () if settings.config is None else (settings.config,)
    for path in (*settings.corpus, *settings.without, *shape):
        if path.is_file():  # a missing file is reported where it is read
            with path.open("rb") as file:
                hashes[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return hashes


def format_about(about: dict[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, indent=1) + "\n"
