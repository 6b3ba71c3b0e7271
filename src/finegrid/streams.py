"""Named, stateless random streams: the same seed and name give the same numbers, whatever was drawn before.

Names in use. Of the study: ``split``, ``token facts/<part>``, ``split/train_size``, ``resample/<split>``,
``resample/<split>/train_size``. Of a run: ``head/<tensor>``, ``missing/<tensor>``, ``reinit/<tensor>``,
``noise/<tensor>``, ``lora/<linear layer>``, ``order/<epoch>``, ``probe/order/<epoch>``,
``dropout/<step>/<site>``, ``dropout/<step>/child/<tensor>``, ``child/texts``, ``mixup/<epoch>/<batch>``,
``augment/<epoch>/<text id>``, ``freelb/<step>``, ``smart/<step>``. Of pre-training:
``pretrain/<tensor>``, ``pretrain/held-out``, ``pretrain/order/<epoch>``,
``pretrain/example/<epoch>``, ``pretrain/some/<epoch>/<file>``. Because no stream
depends on another, two recipes with one seed share head, data order and, site by site, dropout masks, and
switching one site off moves no other.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PHILOX_WORDS = 4  # that numpy's Philox makes of one count


@dataclass(frozen=True)
class Streams:
    """All random numbers of one seed."""

    seed: int

    def bits(self, name: str, count: int, first: int = 0) -> NDArray[np.uint64]:
        """``count`` words of 64 random bits, from word ``first`` of the stream on."""
        generator, skipped = self._philox(name), first % PHILOX_WORDS
        generator.advance(first // PHILOX_WORDS)
        return np.asarray(generator.random_raw(skipped + count)[skipped:], dtype=np.uint64)

    def key(self, name: str) -> int:
        """64 bits that stand for a stream, for generators that run elsewhere. Signed, as torch wants them."""
        return int.from_bytes(self._digest(name)[:8], "little", signed=True)

    def permutation(self, name: str, count: int) -> NDArray[np.int64]:
        """A random order of ``range(count)``."""
        # Sorting raw words, not Generator.permutation: numpy may change how the latter consumes its stream.
        return np.argsort(self.bits(name, count), kind="stable").astype(np.int64)

    def normal(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal numbers."""
        return np.random.Generator(self._philox(name)).standard_normal(shape, dtype=np.float32)

    def uniform(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Numbers from 0 to 1, without 1."""
        return np.random.Generator(self._philox(name)).random(shape, dtype=np.float32)

    def _philox(self, name: str) -> np.random.Philox:
        return np.random.Philox(key=int.from_bytes(self._digest(name)[:16], "little"))

    def _digest(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
