"""Small corpora, and examples of random tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from finegrid.pretraining.examples import Documents, Examples, Vocabulary, cut_examples
from finegrid.pretraining.pairs import PairedEpoch, draw_epoch
from finegrid.pretraining.settings import PretrainSettings
from finegrid.streams import Streams
from support.studies import HEADS, SYLLABLES, WIDTH, word_pieces

VOCABULARY = Vocabulary.of(word_pieces(SYLLABLES))


def random_examples(seed: int = 0, longest: int = 29, documents: int = 60, files: int = 2) -> Examples:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, 60, size=documents)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = generator.integers(5, VOCABULARY.size, size=int(bounds[-1])).astype(np.int32)
    some = Documents(tokens, bounds, np.sort(generator.integers(0, files, size=documents)), 0)
    return cut_examples(some, np.ones(documents, dtype=bool), longest, VOCABULARY)


def epoch_of(
    examples: Examples, batch_tokens: int = 200, pair_share: float = 0.5, name: str = "0"
) -> PairedEpoch:
    return draw_epoch(
        examples,
        Streams(0),
        name,
        weights=(1.0, 1.0),
        pair_share=pair_share,
        max_length=32,
        batch_tokens=batch_tokens,
    )


def text_of(seed: int, lines: int = 80) -> list[str]:
    """Lines of syllables that follow one another by a rule, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(lines):
        start, step = (int(x) for x in generator.integers(0, len(SYLLABLES), size=2))
        words = int(generator.integers(6, 20))
        found.append(" ".join(SYLLABLES[(start + i * step) % len(SYLLABLES)] for i in range(words)))
    return found


def write_lines(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_config(path: Path, **changed: Any) -> Path:
    """A tiny BERT's shape."""
    shape = {
        "model_type": "bert",
        "vocab_size": 60,
        "hidden_size": WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * WIDTH,
        "max_position_embeddings": 64,
    }
    path.write_text(json.dumps(shape | changed))
    return path


def settings_of(path: Path, **changed: Any) -> PretrainSettings:
    about: dict[str, Any] = {
        "corpus": (path,),
        "tokens": 4000,
        "length": 32,
        "batch_tokens": 256,
        "rate": 3e-3,
        "held_out": 0.05,
        "dtype": "float32",
    }
    return PretrainSettings(**about | changed)
