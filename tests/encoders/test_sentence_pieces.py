"""Checkpoints whose tokeniser is a sentencepiece model alone, and what is said of those that are damaged."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from support.checkpoints import refusal
from support.tiny import KINDS, make_tiny, read_lines

from finegrid.encoders import sentence_pieces, unusual
from finegrid.encoders.tokenizer import load_tokenizer, try_texts

WITH_MODEL = ("xlm-roberta", "camembert", "albert", "deberta-v2", "gte-multilingual", "jina_embeddings_v3")
NAMES = {"albert": "spiece.model", "deberta-v2": "spm.model"}  # of the others: that of XLM-R
TEXTS = (*read_lines()[::9], "Ⅸ ＡＢ①  ça\tva?\n¿Qué? 😀", "  the goal ", "unseen ☂ 龘")


def model_of(kind: str) -> str:
    return NAMES.get(kind, "sentencepiece.bpe.model")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints whose only file of the tokeniser is the model, as they came in 2019."""
    folders = {}
    for kind in WITH_MODEL:
        folder = folders[kind] = make_tiny(kind, tmp_path_factory.mktemp(kind))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    return folders


@pytest.fixture
def folder(alone: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(alone["xlm-roberta"], tmp_path / "xlm"))


def test_the_kinds_are_all_that_have_such_a_model(tmp_path: Path) -> None:
    assert {kind for kind in KINDS if list(make_tiny(kind, tmp_path / kind).glob("*.model"))} == {*WITH_MODEL}


@pytest.mark.parametrize("kind", WITH_MODEL)
def test_the_tokeniser_is_that_of_the_same_models_tokenizer_json(
    alone: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    whole, found = load_tokenizer(make_tiny(kind, tmp_path)), load_tokenizer(alone[kind])

    assert (alone[kind] / model_of(kind)).exists() and not (alone[kind] / "tokenizer.json").exists()
    assert found.get_vocab() == whole.get_vocab()
    assert [found.encode(text).ids for text in TEXTS] == [whole.encode(text).ids for text in TEXTS]
    assert found.encode("ba be", "bi").ids == whole.encode("ba be", "bi").ids


def test_xlm_robertas_tokens_are_those_of_sentencepiece_one_further_on(alone: dict[str, Path]) -> None:
    """As fairseq numbers them: <s>, <pad>, </s> and <unk> first, and then the pieces from the third on."""
    pieces = sentencepiece.SentencePieceProcessor()
    pieces.LoadFromFile(str(alone["xlm-roberta"] / "sentencepiece.bpe.model"))
    expected = [[0, *(number + 1 if number else 3 for number in pieces.encode(text)), 2] for text in TEXTS]

    found = load_tokenizer(alone["xlm-roberta"])
    assert [found.encode(text).ids for text in TEXTS] == expected


@pytest.mark.parametrize("missing", ["sentencepiece", "google.protobuf"])
def test_without_its_extra_the_command_that_installs_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # as where it is not installed

    said = refusal(lambda: load_tokenizer(folder))

    assert "sentencepiece.bpe.model    needs sentencepiece, which cannot be imported here" in said
    assert "Install it: pip install 'finegrid[sentencepiece]'" in said


def test_a_tokenizer_json_beside_the_model_needs_no_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny("xlm-roberta", tmp_path)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)

    assert load_tokenizer(folder).encode("ba").ids[0] == 0


def test_what_is_no_model_is_refused(folder: Path) -> None:
    (folder / "sentencepiece.bpe.model").write_bytes(b"\xff" * 100)
    assert "sentencepiece.bpe.model    is no sentencepiece model" in refusal(lambda: load_tokenizer(folder))

    (folder / "sentencepiece.bpe.model").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid\n")
    assert "is a Git LFS pointer" in refusal(lambda: load_tokenizer(folder))


def change_pieces(folder: Path, pieces: list[str]) -> None:
    model, path = sentencepiece_model_pb2.ModelProto(), folder / "sentencepiece.bpe.model"
    model.ParseFromString(path.read_bytes())
    del model.pieces[:]
    for piece in pieces:
        model.pieces.add(piece=piece, score=-1.0)
    path.write_bytes(model.SerializeToString())


def test_models_that_would_take_very_long_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_pieces(folder, ["<unk>", "<s>", "</s>", "a" * 300])
    assert "has pieces of 300 characters, expected 1 to 200" in refusal(lambda: load_tokenizer(folder))

    change_pieces(folder, [])
    assert "has no pieces" in refusal(lambda: load_tokenizer(folder))

    monkeypatch.setattr(sentence_pieces, "MOST_BYTES", 10)
    assert "expected 10 at most" in refusal(lambda: load_tokenizer(folder))


def test_what_is_made_of_a_model_is_tried_out_like_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that makes a page of each letter, as no model of sentencepiece has."""
    path = folder / "sentencepiece.bpe.model"
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    table = model.normalizer_spec.precompiled_charsmap
    model.normalizer_spec.precompiled_charsmap = table[:-1] + b"a" * 100 + b"\0"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(unusual, "MOST_SECONDS", 0.001)  # the process that tries it is given up
    monkeypatch.setattr(unusual, "LEAST_SPEED", 1e9)

    said = refusal(lambda: load_tokenizer(folder))
    assert "sentencepiece.bpe.model    did not tokenise 8 short texts" in said and "'Precompiled'" in said

    monkeypatch.undo()
    load_tokenizer(folder)
    monkeypatch.setattr(unusual, "MOST_SECONDS", 0.001)
    assert "did not tokenise 1 texts" in refusal(lambda: try_texts(folder, [("a",)]))


def test_a_class_that_is_named_finds_its_own_file_alone(folder: Path) -> None:
    (folder / "sentencepiece.bpe.model").rename(folder / "spiece.model")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "XLMRobertaTokenizer"}))

    assert "none of tokenizer.json, sentencepiece.bpe.model" in refusal(lambda: load_tokenizer(folder))
