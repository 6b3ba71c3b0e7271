"""How large an encoder is, as its ``config.json`` says: what rates and prices follow from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid.encoders.families import FAMILIES
from finegrid.encoders.files import read_config

INNER = 4  # times the width, where a config does not say
USUAL_VOCABULARY = 30_522  # BERT's


@dataclass(frozen=True)
class EncoderSize:
    family: str
    layers: int
    width: int
    inner: int  # of the feed-forward part
    vocabulary: int  # word embeddings

    @property
    def name(self) -> str:
        """As messages call it: ``BERT, 384 wide, 6 layers``."""
        plural = "s" * (self.layers != 1)
        return f"{FAMILIES[self.family].split(' ')[0]}, {self.width} wide, {self.layers} layer{plural}"

    @property
    def layer_weights(self) -> int:
        """Numbers in the matrices of one layer: what a token is multiplied with there."""
        return 4 * self.width**2 + 2 * self.width * self.inner

    @property
    def embedding_weights(self) -> int:
        return self.vocabulary * self.width


def measure_size(folder: Path) -> EncoderSize:
    """Of a checkpoint that `inspect` has accepted.

    Raises:
        InputError: a ``config.json`` that cannot be read.
    """
    config = read_config(folder)
    family = str(config["model_type"])
    distilled = family == "distilbert"
    layers = whole(config, "n_layers" if distilled else "num_hidden_layers", 1)
    width = whole(config, "dim" if distilled else "hidden_size", 768)  # as transformers takes it
    inner = whole(config, "hidden_dim" if distilled else "intermediate_size", INNER * width)
    return EncoderSize(family, layers, width, inner, whole(config, "vocab_size", USUAL_VOCABULARY))


def whole(config: dict[str, Any], name: str, otherwise: int) -> int:
    found = config.get(name)
    return found if isinstance(found, int) and found > 0 else otherwise
