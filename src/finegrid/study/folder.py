"""Every path of a study folder."""

from __future__ import annotations

from pathlib import Path


def state_path(folder: Path, family: str) -> Path:
    return folder / "state" / f"{family}.safetensors"
