"""How large an encoder is, as its ``config.json`` says: what rates and prices follow from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finegrid.encoders.config import read_settings
from finegrid.encoders.families import FAMILIES
from finegrid.encoders.files import read_config
from finegrid.encoders.hosted import title_of


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
        title = FAMILIES.get(self.family) or title_of(self.family)
        return f"{title.partition(' (')[0]}, {self.width} wide, {self.layers} layer{plural}"

    @property
    def layer_weights(self) -> int:
        """Numbers in the matrices of one layer: what a token is multiplied with there."""
        return 4 * self.width**2 + 2 * self.width * self.inner


def measure_size(folder: Path) -> EncoderSize:
    """Of a checkpoint that `inspect` has accepted.

    Raises:
        InputError: a ``config.json`` that cannot be read.
    """
    family = str(read_config(folder)["model_type"])
    settings = read_settings(folder, family)
    if family == "distilbert":
        sizes = settings.n_layers, settings.dim, settings.hidden_dim
    else:
        sizes = settings.num_hidden_layers, settings.hidden_size, settings.intermediate_size
    return EncoderSize(family, *sizes, settings.vocab_size)
