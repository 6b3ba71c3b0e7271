"""The ways in which an encoder's token vectors become one vector."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["cls", "pooler", "last-mean", "first-last-mean"]
