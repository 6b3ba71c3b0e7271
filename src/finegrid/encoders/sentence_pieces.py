"""Sentencepiece models: what checkpoints without a tokenizer.json have for a tokeniser."""

from __future__ import annotations

from pathlib import Path

from finegrid.errors import first_line, input_error
from finegrid.extras import needing

# As families call them: XLM-R and CamemBERT; ALBERT and T5; DeBERTa; Llama and Gemma.
SENTENCE_PIECES = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")
MOST_BYTES = 20_000_000  # XLM-R's 250,000 pieces have five million
LONGEST_PIECE = 200  # characters; sentencepiece itself makes 16 at most. Merges take the square of it.


def find_sentence_pieces(folder: Path) -> Path | None:
    """The model that transformers converts; None where the folder has a tokenizer.json, which needs none."""
    if (folder / "tokenizer.json").exists():
        return None
    return next((folder / name for name in SENTENCE_PIECES if (folder / name).exists()), None)


def check_sentence_pieces(path: Path) -> None:
    """Refuse what is no sentencepiece model, or would take transformers very long to convert.

    Raises:
        InputError: it is such a file, or what reads it is not installed.
    """
    source, name = str(path.parent), path.name
    with needing("sentencepiece", source, name):
        import google.protobuf  # noqa: F401  which transformers asks for as well
        from sentencepiece import sentencepiece_model_pb2
    if (size := path.stat().st_size) > MOST_BYTES:
        what = f"has {size:,} bytes, expected {MOST_BYTES:,} at most. Is it a tokeniser's?"
        raise input_error(source, name, what)
    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's kinds differ between its implementations
        what = f"is no sentencepiece model: {first_line(error)}. Copy it from where the weights came from."
        raise input_error(source, name, what) from None
    longest = max((len(piece.piece) for piece in model.pieces), default=0)
    if not longest or longest > LONGEST_PIECE:
        found = f"pieces of {longest:,} characters" if longest else "no pieces"
        raise input_error(source, name, f"has {found}, expected 1 to {LONGEST_PIECE}. Copy it anew.")
