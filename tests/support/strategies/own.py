"""Strategies of a user's own as files: one that keeps every promise, and what breaks one."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "your-own-strategy.md"
# The guide's. It imports torch at its top, as anybody would.
CENTRE = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]


def write_own(folder: Path, name: str = "centre.py", changed: dict[str, str] | None = None) -> Path:
    """Write that file.

    Args:
        folder: where to.
        name: of the file.
        changed: passages of it, and what stands in their place.
    """
    text = CENTRE
    for passage, instead in (changed or {}).items():
        assert passage in text, passage
        text = text.replace(passage, instead)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def name_own(folder: Path, *names: str) -> None:
    """Name such files in the study.toml of a folder."""
    settings = folder / "study.toml"
    named = ", ".join(f'"{name}"' for name in names)
    settings.write_text(f"{settings.read_text()}\n[strategies]\nfiles = [{named}]\n", encoding="utf-8")
