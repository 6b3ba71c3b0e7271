"""WordPiece vocabularies: a checkpoint's, or one trained on the corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finegrid.errors import input_error
from finegrid.pretraining.corpus import Corpus

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # in BERT's order: [PAD] is number 0
RAREST = 5  # occurrences of a piece in the corpus
MOST_CHARACTERS = 100_000_000  # to count pieces in: more text moves none of them much


def train_vocabulary(corpus: Corpus, size: int, positions: int, folder: Path) -> None:
    """Train a lower-casing WordPiece vocabulary, each Chinese character by itself, and write its files.

    Args:
        corpus: what to count pieces in.
        size: pieces at most, special ones counted.
        positions: of the model; goes into ``tokenizer_config.json``.
        folder: gets ``tokenizer.json``, ``tokenizer_config.json`` and ``vocab.txt``.
    """
    from tokenizers import BertWordPieceTokenizer

    tokenizer: Any = BertWordPieceTokenizer(lowercase=True, strip_accents=None, handle_chinese_chars=True)
    tokenizer.train_from_iterator(
        lines(corpus),
        vocab_size=size,
        min_frequency=RAREST,
        limit_alphabet=size * 7 // 8,  # the rarest characters make room for pieces of words
        special_tokens=SPECIALS,
        show_progress=False,
    )
    # Trained without [CLS] and [SEP], the tokeniser does not add them: built anew from what it learned.
    numbers: dict[str, int] = tokenizer.get_vocab()
    whole: Any = BertWordPieceTokenizer(vocab=numbers, lowercase=True, handle_chinese_chars=True)
    folder.mkdir(parents=True, exist_ok=True)
    whole.save(str(folder / "tokenizer.json"))
    vocabulary = "".join(f"{piece}\n" for piece in sorted(numbers, key=lambda piece: numbers[piece]))
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8", newline="")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": positions,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("cls", "mask", "pad", "sep", "unk")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def lines(corpus: Corpus) -> Iterator[str]:
    left = MOST_CHARACTERS
    for document in corpus.documents:
        for line in document:
            yield line
            left -= len(line)
        if left <= 0:
            return


def check_specials(tokenizer: Any, folder: Path) -> None:
    """Raise an `InputError` where BERT's special tokens are missing."""
    missing = [piece for piece in SPECIALS if tokenizer.token_to_id(piece) is None]
    if missing:
        what = f"no {', '.join(missing)}; pre-training needs BERT's special tokens. Take a BERT checkpoint."
        raise input_error(str(folder), "tokenizer", what)
