"""Reading text: every way it may be packed, what is dropped, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from finegrid.errors import InputError
from finegrid.pretraining.corpus import read_corpus

TEXT = "拜登宣布名单\n\n酒店  回应\n珠峰顶部\n拜登宣布名单\n"


def zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstd,
}


@pytest.mark.parametrize("ending", WAYS)
def test_text_is_the_same_however_it_is_compressed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"text.txt{ending}"
    path.write_bytes(WAYS[ending]("\ufeff".encode() + TEXT.encode()))
    corpus = read_corpus([path])

    assert corpus.documents == [("拜登宣布名单",), ("酒店 回应", "珠峰顶部")]
    (count,) = corpus.files
    assert (count.lines, count.repeated, count.documents, count.characters) == (4, 1, 2, 15)


@pytest.mark.parametrize("ending", WAYS)
def test_a_damaged_file_is_told_by_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"text.txt{ending}"
    path.write_bytes(WAYS[ending](TEXT.encode() * 50)[:-12] if ending else b"\xff\xfe\x00")

    with pytest.raises(InputError, match=r"text\.txt"):
        read_corpus([path])


def test_without_blank_lines_every_line_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\r\nthree")

    assert read_corpus([tmp_path / "a.txt"]).documents == [("one",), ("two",), ("three",)]


def test_every_object_of_json_lines_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    rows = [{"body": "one\n\ntwo"}, {"body": "three", "other": 1}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))

    assert read_corpus([path], "body").documents == [("one", "two"), ("three",)]


@pytest.mark.parametrize("line", ['{"text": 3}', "[1]", "3", "not JSON", '{"other": "x"}'])
def test_json_lines_without_the_text_are_refused_with_their_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")

    with pytest.raises(InputError, match=r'line 2 .*"text".*--field'):
        read_corpus([path])


def test_lines_repeated_across_files_and_those_to_do_without_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("two\nsecret  words\nthree\n")
    (tmp_path / "test.txt").write_text("secret words\n")
    corpus = read_corpus([tmp_path / "a.txt", tmp_path / "b.txt"], without=[tmp_path / "test.txt"])

    assert corpus.documents == [("one",), ("two",), ("three",)]
    assert corpus.sources == [0, 0, 1]
    assert [(count.repeated, count.excluded) for count in corpus.files] == [(0, 0), (1, 1)]
    assert "1 repeated lines dropped; 1 dropped that --without names" in corpus.files[1].describe("en")[0]


def test_all_bad_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes("good\nna\xefve\n".encode("latin-1"))
    paths = [tmp_path / name for name in ("none.txt", "empty.txt", "latin.txt")]

    with pytest.raises(InputError) as caught:
        read_corpus(paths)

    told = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "no such file" in told and "no text in it" in told and "line 2 is not UTF-8 (byte 3" in told
