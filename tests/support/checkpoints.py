"""Checkpoints on disk that a test breaks, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from finegrid.errors import InputError

WEIGHTS = "model.safetensors"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'cd' * 32}\nsize 411577189\n"
Tensors = dict[str, torch.Tensor]


def set_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def unset_config(folder: Path, *names: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    kept = {name: value for name, value in config.items() if name not in names}
    (folder / "config.json").write_text(json.dumps(kept))


def change_weights(folder: Path, change: Callable[[Tensors], object]) -> None:
    """``change`` changes the tensors in place."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def rename_weights(folder: Path, rename: Callable[[str], str]) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({rename(name): t for name, t in tensors.items()}, folder / WEIGHTS, {"format": "pt"})


def drop(tensors: Tensors, part: str) -> None:
    for name in [name for name in tensors if part in name]:
        del tensors[name]


def as_bin(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def as_shards(folder: Path, count: int = 2) -> list[Path]:
    """The weights in several files, as transformers writes large models. Returns the files."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    where = {name: names[index % count] for index, name in enumerate(tensors)}
    for file in names:
        save_file({n: t for n, t in tensors.items() if where[n] == file}, folder / file, {"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return [folder / file for file in names]


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        load()
    return str(caught.value)
