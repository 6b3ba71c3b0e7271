"""Checkpoints with damaged files are read, or refused in a sentence; nothing else is raised."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from support.checkpoints import as_bin, as_shards
from support.studies import BERT_SPECIALS, SYLLABLES, save_checkpoint

from finegrid.encoders.families import inspect
from finegrid.encoders.tokenizer import check_pair, load_tokenizer
from finegrid.encoders.weights import check_weights
from finegrid.errors import InputError

VALUES = [b"null", b"-1", b"1e99", b'"x"', b"[]", b"{}", b"true", b"9" * 20, b'"\xff"', b"", b"{", b"NaN"]
HEAD = 3000  # bytes, in which damage is done: headers, configs, opcodes


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of every kind of files."""
    home = tmp_path_factory.mktemp("whole")
    made = [save_checkpoint(home / kind, kind) for kind in ("bert", "roberta", "distilbert")]
    pickled, shards, pieces = (Path(shutil.copytree(home / "bert", home / name)) for name in ("a", "b", "c"))
    as_bin(pickled)
    as_shards(shards)
    (pieces / "tokenizer.json").unlink()
    (pieces / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*BERT_SPECIALS, *SYLLABLES]))
    return [*made, pickled, shards, pieces]


def damage(draw: random.Random, content: bytes) -> bytes:
    """Change a byte, cut, take some out, put some in, or put another value after a colon."""
    place = draw.randrange(min(len(content), HEAD) or 1)
    head, tail = content[:place], content[place:]
    match draw.randrange(5):
        case 0:
            return head + bytes([draw.randrange(256)]) + tail[1:]
        case 1:
            return head
        case 2:
            return head + tail[draw.randrange(1, 20) :]
        case 3:
            return head + draw.choice(VALUES) + tail
    before, colon, after = tail.partition(b":")
    rest = after[min((end for mark in b",}" if (end := after.find(mark)) >= 0), default=len(after)) :]
    return head + before + colon + draw.choice(VALUES) + rest


def open_all(folder: Path) -> None:
    weights = check_weights(inspect(folder))
    tokenizer = load_tokenizer(folder)
    check_pair(folder, tokenizer, weights.rows, [])
    tokenizer.encode("ba be цы")


def open_damaged(checkpoints: list[Path], work: Path, seed: int) -> str:
    """What is said; empty where the damage does not matter."""
    draw = random.Random(seed)
    folder = Path(shutil.copytree(draw.choice(checkpoints), work / str(seed)))
    path = draw.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    path.write_bytes(damage(draw, path.read_bytes()))
    try:
        open_all(folder)
    except InputError as error:
        return str(error)
    finally:
        shutil.rmtree(folder)
    return ""


@pytest.mark.parametrize(
    "seeds", [range(200), pytest.param(range(200, 10_000), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_damage_is_refused_in_words_or_does_not_matter(
    checkpoints: list[Path], tmp_path: Path, seeds: range
) -> None:
    said = [open_damaged(checkpoints, tmp_path, seed) for seed in seeds]

    assert "" in said and len({*said}) > 20
    assert all("Traceback" not in one and "\x1b" not in one and one.count("\n") < 6 for one in said)
