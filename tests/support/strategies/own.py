"""Strategies of a user's own as files: one that keeps every promise, and what breaks one."""

from __future__ import annotations

from pathlib import Path

# It imports torch at its top, as anybody would.
CENTRE = '''"""Centred gradients: every row of a matrix's gradient has its mean taken off.

Paper   Yong et al., Gradient Centralization, ECCV 2020 (2004.01461).
Idea    g = g - share * mean(g), row by row, for parameters of two dimensions.
Off     ``share=0.0``.
Reduces Every row by itself.
Evidence C: one paper, on images.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from finegrid.strategies.part import STRICT
from finegrid.strategies.seams import Strategy


@dataclass(frozen=True, config=STRICT)
class Centre(Strategy):
    touches: ClassVar[Any] = {"share": {"gradients": "all"}}

    share: Annotated[float, Field(ge=0, le=1, description="how much of a row's mean is taken off")] = 0.0

    def change_gradients_(self, gradients: list[torch.Tensor]) -> None:
        for gradient in gradients if self.share else ():
            if gradient.ndim == 2:
                gradient.sub_(self.share * gradient.mean(dim=1, keepdim=True))
'''


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
