"""Tokenisers of strangers: what may take any time or memory is tried out in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import refusal
from support.studies import KINDS
from support.tiny import KINDS as KINDS_OF_OTHERS
from support.tiny import make_tiny

from finegrid.data.tokens import read_template
from finegrid.encoders import tokenise_sample, unusual
from finegrid.encoders.tokenizer import load_tokenizer, try_texts
from finegrid.encoders.unusual import MOST_ADDED, has_unusual

DOUBLES = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
EXPLODES = {"type": "Sequence", "normalizers": [DOUBLES] * 40}
BACKTRACKS = {"type": "Replace", "pattern": {"Regex": "^(([a-z ])+.)+[A-Z]([a-z])+$"}, "content": ""}
PANICS = {"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="}
HARMLESS = {"type": "Replace", "pattern": {"Regex": "``"}, "content": '"'}
SHORTENS = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
PLAIN = {"tokenizer_class": "PreTrainedTokenizerFast"}  # which takes all that tokenizer.json has


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    (folder / "tokenizer_config.json").write_text(json.dumps(PLAIN))
    return folder


def change(folder: Path, **parts: Any) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))
    return folder


def said_of(folder: Path) -> str:
    said = refusal(lambda: load_tokenizer(folder))
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokenisers_of_usual_checkpoints_cost_no_process(
    checkpoint_of: Callable[[str], Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))

    assert load_tokenizer(checkpoint_of(kind)).encode("ba").ids


@pytest.mark.parametrize("kind", [*KINDS_OF_OTHERS])
def test_only_regular_expressions_of_real_tokenisers_cost_a_process(kind: str, tmp_path: Path) -> None:
    by_expressions = {"deberta-v2", "qwen2", "qwen3", "qwen3-embedding"}
    folder = make_tiny(kind, tmp_path)

    assert has_unusual(folder / "tokenizer.json") == (kind in by_expressions)


def test_pieces_that_are_very_long_and_replacements_that_are_longer_are_unusual(folder: Path) -> None:
    path = folder / "tokenizer.json"
    assert not has_unusual(change(folder, normalizer=SHORTENS) / path.name)
    assert has_unusual(change(folder, normalizer=SHORTENS | {"content": '"""'}) / path.name)
    assert has_unusual(
        change(folder, normalizer={"type": "Sequence", "normalizers": [SHORTENS] * 13}) / path.name
    )
    for pieces, expected in (([["a", -1.0]], False), ([["a" * 300, -1.0]], True), ({"a": 1}, True)):
        change(folder, normalizer=None, model={"type": "Unigram", "unk_id": 0, "vocab": pieces})
        assert has_unusual(path) == expected, pieces


def test_a_normaliser_that_explodes_is_given_up_in_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unusual, "MOST_SECONDS", 0.5)

    said = said_of(change(folder, normalizer=EXPLODES))

    assert "did not tokenise 8 short texts within 0.5 s: its normaliser is 'Replace'" in said


@pytest.mark.parametrize("normalizer", [BACKTRACKS, PANICS], ids=["regex", "panic"])
def test_a_normaliser_that_fails_is_refused_in_a_line(folder: Path, normalizer: object) -> None:
    assert "cannot be used (its normaliser is " in said_of(change(folder, normalizer=normalizer))


def test_an_unusual_tokeniser_that_works_is_used(folder: Path) -> None:
    load_tokenizer(change(folder, normalizer=HARMLESS))


def test_the_process_that_tries_imports_neither_torch_nor_finegrid(folder: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['', sys.argv[2], '4']; "
        f"runpy.run_path({tokenise_sample.__file__!r}, run_name='__main__'); "
        "print({'torch', 'transformers', 'finegrid', 'numpy'} & {*sys.modules})"
    )
    command = [sys.executable, "-P", "-c", code, "", str(folder / "tokenizer.json")]

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said == "ok\nset()\n"


def test_a_tokeniser_of_another_version_is_tried_out_as_well(folder: Path) -> None:
    """transformers loads it in the place of tokenizer.json, where the settings name it."""
    (folder / "tokenizer.4.0.json").write_text("[" * 5000)

    assert "tokenizer.4.0.json    cannot be loaded" in said_of(folder)


def test_a_key_that_stands_twice_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("{", f'{{"normalizer": {json.dumps(EXPLODES)},', 1))

    assert "the key 'normalizer' stands twice" in said_of(folder)


def test_what_is_slow_on_rare_texts_alone_is_given_up_before_they_are_read_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our sample has no such sign."""
    doubles = {"type": "Replace", "pattern": {"String": "§"}, "content": "§§"}
    load_tokenizer(change(folder, normalizer={"type": "Sequence", "normalizers": [doubles] * 40}))
    try_texts(folder, [("an ordinary text", "and another")])
    monkeypatch.setattr(unusual, "MOST_SECONDS", 0.5)

    said = refusal(lambda: try_texts(folder, [("an ordinary text",), ("§ 3",)]))
    assert "did not tokenise 2 texts within 0.5" in said and "'Replace'" in said


def test_usual_tokenisers_read_texts_without_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    try_texts(folder, [("a text",)])


def test_a_panic_while_texts_are_tokenised_is_refused(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    second = [{"Sequence": {"id": "B", "type_id": 0}}]
    post = {"type": "TemplateProcessing", "single": second, "pair": [], "special_tokens": {}}
    tokenizer = load_tokenizer(change(folder, post_processor=post))

    assert "the tokenizers library fails with it" in refusal(lambda: read_template(tokenizer, 1))
    assert "panicked" not in capfd.readouterr().err


def test_more_special_tokens_than_any_encoder_knows_are_refused(folder: Path) -> None:
    special = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    post = {
        "type": "TemplateProcessing",
        "single": [special] * 100 + [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}},
    }
    tokenizer = load_tokenizer(change(folder, post_processor=post))

    assert "puts 100 special tokens around 1 of 1 text" in refusal(lambda: read_template(tokenizer, 1))


def test_settings_that_ask_for_code_or_for_ever_are_refused(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(PLAIN | {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}))
    assert "asks for code of its own (auto_map)" in said_of(folder)

    path.write_text(json.dumps(PLAIN | {"extra_special_tokens": [*map(str, range(MOST_ADDED + 1))]}))
    assert "has 20,001 tokens, expected 20,000 at most" in said_of(folder)


def test_byte_pairs_that_are_dropped_at_random_are_not(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "checkpoint"))
    (folder / "tokenizer_config.json").write_text(json.dumps(PLAIN))
    model = json.loads((folder / "tokenizer.json").read_text())["model"]

    tokenizer = load_tokenizer(change(folder, model=model | {"dropout": 0.9}))

    assert tokenizer.encode("bababebi").ids == load_tokenizer(checkpoint_of("roberta")).encode("bababebi").ids
