"""The three ways in which finegrid runs an encoder. Torch-free."""

from __future__ import annotations

from typing import Literal

# hand: layers that finegrid computes itself. interface: transformers' own modules over packed texts, with
# finegrid's attention. padded: transformers' own forward pass with a mask.
Tier = Literal["hand", "interface", "padded"]
