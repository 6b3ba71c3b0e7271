"""Tiny checkpoints with the kinds of tokenizer that real ones have, read as transformers reads them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support.tiny import KINDS, make_tiny
from transformers import AutoModel, AutoTokenizer

from finegrid.encoders.tokenizer import load_tokenizer

TEXTS = ("高三班主任 手记：ba be", "goal, the 2024 new\u3000market  ⅨＡ①", "bo", "ça va? 😀")
AROUND = {  # what stands around a text
    "bert": ("[CLS]", "[SEP]"),
    "roberta": ("<s>", "</s>"),
    "xlm-roberta": ("<s>", "</s>"),
    "camembert": ("<s>", "</s>"),
    "mpnet": ("<s>", "</s>"),
    "deberta-v2": ("[CLS]", "[SEP]"),
    "albert": ("[CLS]", "[SEP]"),
    "modernbert": ("[CLS]", "[SEP]"),
    "mmbert": ("<bos>", "<eos>"),
    "eurobert": ("<|begin_of_text|>", "<|end_of_text|>"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_checkpoint_is_read_as_transformers_reads_it(tmp_path: Path, kind: str) -> None:
    folder = make_tiny(kind, tmp_path)

    theirs = AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder)

    assert [ours.encode(text).ids for text in TEXTS] == [theirs(text).input_ids for text in TEXTS]
    pairs = list(pairwise(TEXTS))
    assert [ours.encode(*pair).ids for pair in pairs] == [theirs(*pair).input_ids for pair in pairs]
    rows = AutoModel.from_pretrained(folder).get_input_embeddings().num_embeddings
    assert rows == 1 + max(ours.get_vocab().values())


@pytest.mark.parametrize("kind", AROUND)
def test_a_text_has_the_familys_special_tokens_around_it(tmp_path: Path, kind: str) -> None:
    tokens = load_tokenizer(make_tiny(kind, tmp_path)).encode("ba").tokens

    assert (tokens[0], tokens[-1]) == AROUND[kind] and len(tokens) > 2
