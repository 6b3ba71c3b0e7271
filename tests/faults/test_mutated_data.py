"""100,000 mutated data files are read or refused: no traceback, nothing takes long, memory does not grow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.attack import chance_of, held_by, share_of
from support.compared import IDS, LABELS, TRUTH, write_gold, write_labels, write_rows
from support.damage import mutate_bytes

from finegrid.comparing.files import compare_files
from finegrid.data.cells_of_file import ColumnOptions
from finegrid.data.settings import DataSettings
from finegrid.data.sniff import sniff
from finegrid.data.table import load_table
from finegrid.data.unlabelled import read_texts
from finegrid.errors import InputError

CHUNKS = 4  # of each of four kinds
PER_CHUNK = share_of(6_250)
SETTLED = PER_CHUNK // 5  # files after which memory must not grow
LONGEST = 0.25  # seconds of a core: a busy machine makes nobody slow
LONGEST_COMPARED = 2.0  # seconds: with the judgement
GROWTH = 16.0  # MiB
TEXTS = [f"第{i}条 shovel, \\ {'hedge' * (i % 3)}; né | {i}" for i in range(30)]


def make_delimited(separator: str) -> bytes:
    rows = [
        f'"{text}"{separator}{"ab"[i % 2]}' if i % 4 else f"plain {i}{separator}a"
        for i, text in enumerate(TEXTS)
    ]
    return (f"text{separator}label\n" + "\n".join(rows) + "\n").encode()


def make_parquet(folder: Path) -> bytes:
    pq.write_table(pa.table({"text": TEXTS, "label": ["a", "b"] * 15}), folder / "base.parquet")
    return (folder / "base.parquet").read_bytes()


BASES: dict[str, Callable[[Path], bytes]] = {
    "csv": lambda _: make_delimited(","),
    "tsv": lambda _: make_delimited("\t"),
    "jsonl": lambda _: "\n".join(
        json.dumps({"text": text, "label": i % 2}, ensure_ascii=i % 3 > 0) for i, text in enumerate(TEXTS)
    ).encode(),
    "parquet": make_parquet,
}


def read_everywhere(path: Path, folder: Path) -> None:
    """As `init`, `run` and `predict` read a file."""
    for attempt in (
        lambda: load_table(DataSettings.model_validate({"train": path, **sniff([path]).settings()}), folder),
        lambda: load_table(DataSettings(train=path), folder),
        lambda: read_texts(path, 1, ColumnOptions()),
    ):
        try:
            attempt()
        except InputError as error:
            str(error).encode()


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", BASES)
def test_mutated_files_are_read_or_refused_at_once_and_memory_does_not_grow(
    kind: str, chunk: int, tmp_path: Path
) -> None:
    base, path = BASES[kind](tmp_path), tmp_path / f"train.{kind}"
    if kind != "parquet":  # who guesses encodings is loaded, 26 MiB, for the first file that is no UTF-8
        path.write_bytes(base.decode().encode("gb18030"))
        read_everywhere(path, tmp_path)
    start, slowest, settled = time.monotonic(), 0.0, 0.0
    for number in range(PER_CHUNK):
        content = mutate_bytes(base, chance_of(kind, chunk, number))
        path.write_bytes(content)
        before = time.process_time()
        try:
            read_everywhere(path, tmp_path)
        except Exception as error:
            raise AssertionError(f"{kind}, chunk {chunk}, file {number}: {content!r}") from error
        seconds = time.process_time() - before
        assert seconds < LONGEST, f"{kind}, chunk {chunk}, file {number}: {seconds:.2f} s"
        slowest = max(slowest, seconds)
        if number == SETTLED:
            settled = held_by().memory
    growth = held_by().memory - settled
    print(
        f"{PER_CHUNK} files of {kind} in {time.monotonic() - start:.0f} s, the slowest in {slowest:.3f} s; "
        f"memory grew by {growth:.1f} MiB after the first {SETTLED}"
    )
    assert growth < GROWTH


COMPARED = share_of(1_000)  # of each of three kinds


def write_answers(path: Path, kind: str, said: Sequence[int]) -> bytes:
    """Ids, labels and probabilities, as other programs write them."""
    rows = [
        {
            "id": name,
            "predicted": LABELS[label],
            **{f"p_{each}": 1.0 * (each == LABELS[label]) for each in LABELS},
        }
        for name, label in zip(IDS, said, strict=True)
    ]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        write_rows(path, list(rows[0]), [list(row.values()) for row in rows])
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_mutated_predictions_are_compared_or_refused(kind: str, tmp_path: Path) -> None:
    path, gold = tmp_path / f"new.{kind}", write_gold(tmp_path / "gold.csv")
    base, true = write_answers(path, kind, TRUTH.tolist()), gold.read_bytes()
    systems = [f"old={write_labels(tmp_path / 'old.csv', TRUTH.tolist())}", f"new={path}"]
    for number in range(COMPARED):
        chance = chance_of("compare", kind, number)
        changed, content = (path, base) if number % 4 else (gold, true)
        path.write_bytes(base)
        gold.write_bytes(true)
        changed.write_bytes(mutated := mutate_bytes(content, chance))
        before = time.process_time()
        try:
            compare_files(systems, gold, (None, None, None), "macro-f1", None, False, None)
        except InputError as error:
            str(error).encode()
        except Exception as error:
            raise AssertionError(f"{changed.name}, file {number}: {mutated!r}") from error
        seconds = time.process_time() - before
        assert seconds < LONGEST_COMPARED, f"{changed.name}, file {number}: {seconds:.2f} s"
