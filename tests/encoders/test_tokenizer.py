"""Tokenisers that cannot be used, or do not belong to the weights; and that of the embedded checkpoint."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import POINTER, refusal, set_config
from support.studies import BERT_SPECIALS, SYLLABLES

from finegrid.encoders import tokenizer as tokenizer_module
from finegrid.encoders.families import embedded_checkpoint
from finegrid.encoders.tokenizer import check_pair, load_any, load_tokenizer

CheckpointOf = Callable[[str], Path]
CASED = ["Ba", "Be", "Bi", "##Ba", "BO"]


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "checkpoint"))


def only_vocabulary(folder: Path, pieces: list[str], lowercase: bool | None = None) -> Path:
    """Leave ``vocab.txt`` as the only file of the tokeniser but its settings, if there are any."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    if lowercase is not None:
        about = {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}
        (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder


def said_of(folder: Path) -> str:
    return refusal(lambda: load_tokenizer(folder))


def warnings_of(folder: Path, rows: int) -> list[str]:
    tokenizer = load_tokenizer(folder)
    return check_pair(
        folder, tokenizer, rows, [tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")]
    )


def test_that_of_the_embedded_checkpoint_is_the_one_that_transformers_makes() -> None:
    folder = embedded_checkpoint()

    assert load_tokenizer(folder).to_str() == load_any(folder).to_str()


def test_that_of_the_embedded_checkpoint_needs_neither_transformers_nor_torch() -> None:
    code = (
        "import sys; from finegrid.encoders.tokenizer import load_tokenizer; "
        "from finegrid.encoders.weights import check_weights; "
        "from finegrid.encoders.families import embedded_checkpoint, inspect; "
        "load_tokenizer(embedded_checkpoint()); check_weights(inspect(embedded_checkpoint())); "
        "sys.exit(bool({'torch', 'transformers'} & {*sys.modules}))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_roberta_with_a_vocabulary_of_word_pieces_is_refused(
    checkpoint_of: CheckpointOf, tmp_path: Path
) -> None:
    """transformers makes one without a vocabulary of it, for which every text is empty."""
    folder = only_vocabulary(
        Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "roberta")), [*BERT_SPECIALS, *SYLLABLES]
    )

    said = said_of(folder)

    assert "gives no token for any text: none of tokenizer.json, vocab.json and merges.txt" in said
    assert "Found vocab.txt, which a RobertaTokenizer does not read" in said


def test_a_roberta_whose_tokenizer_is_called_bert_reads_word_pieces(
    checkpoint_of: CheckpointOf, tmp_path: Path
) -> None:
    """As Chinese and Korean ones come."""
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "roberta"))
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES], lowercase=True)

    assert load_tokenizer(folder).encode("ba be").ids == [2, 5, 6, 3]


def test_byte_pairs_without_merges_are_refused(checkpoint_of: CheckpointOf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "roberta"))
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text('{"a": 0}')

    assert "vocab.json and merges.txt" in said_of(folder)


def test_a_vocabulary_of_special_tokens_only_is_refused(folder: Path) -> None:
    only_vocabulary(folder, BERT_SPECIALS)

    assert "gives no token for any text: its vocabulary has special tokens only" in said_of(folder)


def test_a_vocabulary_without_its_unknown_token_is_refused(folder: Path) -> None:
    only_vocabulary(folder, ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *SYLLABLES])

    assert "its vocabulary has no '[UNK]', the token for unknown words" in said_of(folder)


def test_a_tokenizer_in_python_whose_package_is_missing_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES])
    about = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    monkeypatch.setitem(sys.modules, "fugashi", None)  # as where it is not installed

    said = said_of(folder)

    assert "BertJapaneseTokenizer needs the package fugashi. finegrid reads those of the" in said
    assert len(said.splitlines()) == 2


def test_a_tokenizer_in_python_is_refused_where_nothing_is_missing(folder: Path) -> None:
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES])
    about = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))

    assert "BertJapaneseTokenizer is written in Python" in said_of(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "vocab.txt"])
def test_pointers_in_place_of_the_files_are_named(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER)

    said = said_of(folder)

    assert f"{name}    is a Git LFS pointer, not the file itself" in said and "1 problem" in said


def test_a_cased_vocabulary_that_is_lowercased_is_told_with_counts(folder: Path) -> None:
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES, *CASED])

    (warning,) = warnings_of(folder, 50)

    assert "5 of 50 pieces have capitals, such as 'BO', 'Ba', 'Be'" in warning
    assert "do_lower_case = false" in warning


@pytest.mark.parametrize(("pieces", "lowercase"), [(CASED, False), ([], None), ([], False)])
def test_vocabularies_that_are_used_as_they_are_bring_no_warning(
    folder: Path, pieces: list[str], lowercase: bool | None
) -> None:
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES, *pieces], lowercase)

    assert warnings_of(folder, 50) == []


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(folder: Path) -> None:
    said = refusal(lambda: warnings_of(folder, 30))

    assert "gives numbers up to 46, but the encoder has embeddings for 30 tokens" in said
    assert "copy the tokenizer from where the weights came from" in said


def test_a_few_tokens_without_an_embedding_are_warned_of(folder: Path) -> None:
    only_vocabulary(folder, [*BERT_SPECIALS, *(f"piece{number}" for number in range(400))])

    (warning,) = warnings_of(folder, 404)

    assert "1 token without an embedding ('piece399')" in warning


def test_a_tokenizer_with_far_fewer_tokens_than_embeddings_is_warned_of(folder: Path) -> None:
    (warning,) = warnings_of(folder, 30_522)

    assert "it has 47 tokens, but the encoder has embeddings for 30,522" in warning


def test_rows_that_only_round_up_a_vocabulary_bring_no_warning(folder: Path) -> None:
    assert warnings_of(folder, 47 + 128) == []


def test_special_tokens_that_the_vocabulary_lacks_are_named(folder: Path) -> None:
    only_vocabulary(folder, ["[PAD]", "[UNK]", *SYLLABLES])

    said = refusal(lambda: warnings_of(folder, 42))
    (warning,) = warnings_of(folder, 50)

    assert "its vocabulary has no [CLS], [SEP], which go around every text" in said
    assert "its vocabulary has no [CLS], [SEP]" in warning


def test_a_tokenizer_without_special_tokens_around_a_text_is_warned_of(folder: Path) -> None:
    (warning,) = check_pair(folder, load_tokenizer(folder), 47, [])

    assert "puts no special tokens around a text" in warning


def test_the_class_of_a_config_counts_too(checkpoint_of: CheckpointOf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "roberta"))
    only_vocabulary(folder, [*BERT_SPECIALS, *SYLLABLES])
    set_config(folder, tokenizer_class="BertTokenizer")

    assert load_tokenizer(folder).encode("ba be").ids == [2, 5, 6, 3]


def test_a_tokenizer_that_transformers_has_made_is_recalled(
    bert: Path, user_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was made, for as long as the files and the libraries are the same."""
    made: list[Path] = []
    read = tokenizer_module.read_by_transformers

    def note(folder: Path) -> Any:
        made.append(folder)
        return read(folder)

    monkeypatch.setattr(tokenizer_module, "read_by_transformers", note)
    folder = shutil.copytree(bert, tmp_path / "copy")
    found = [load_tokenizer(one).to_str() for one in (bert, bert, folder)]
    assert made == [bert] and found[0] == found[1] == found[2]

    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 7}))
    load_tokenizer(folder)
    assert made == [bert, folder]

    monkeypatch.setattr(tokenizer_module, "versions", lambda: {"transformers": "0.1"})
    load_tokenizer(folder)
    assert made == [bert, folder, folder]


@pytest.mark.parametrize("kept", ["", "{}", "no json"])
def test_a_kept_tokenizer_that_is_none_is_made_anew(bert: Path, user_cache: Path, kept: str) -> None:
    expected = load_tokenizer(bert).to_str()
    for path in user_cache.glob("tokenizers-*"):
        content = json.loads(path.read_text())
        for entry in content["entries"].values():
            entry["value"] = kept
        path.write_text(json.dumps(content))

    assert load_tokenizer(bert).to_str() == expected
