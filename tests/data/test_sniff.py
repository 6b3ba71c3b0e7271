"""Guessing how to read a file: right where it can be told, and a question where it cannot."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.data_samples import HEADER, rows

from finegrid.data.settings import DataSettings
from finegrid.data.sniff import Sniffed, sniff
from finegrid.data.table import load_table
from finegrid.errors import InputError


def sniffed(folder: Path, name: str, content: str | bytes) -> Sniffed:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = sniff(path)
    DataSettings.model_validate({"train": path, **vars(found)})
    return found


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.tsv", HEADER + rows("x"), ("tsv", True, "text", "label", "auto", "rfc4180")),
        ("x.tsv", rows("x"), ("tsv", False, 1, 2, "auto", "rfc4180")),
        ("x.txt", rows("x").replace("\t", ","), ("csv", False, 1, 2, "auto", "rfc4180")),
        ("x", "类别,标题\n" + "体育,夺冠\n财经,利率\n", ("csv", True, "标题", "类别", "auto", "rfc4180")),
        ("x.csv", "id,Class,title\n1,a,x\n2,b,y\n", ("csv", True, "title", "Class", "auto", "rfc4180")),
        (
            "x.csv",
            "Premise,Hypothesis,gold\na,b,x\nc,d,y\ne,f,x\ng,h,y\n",
            ("csv", True, ("Premise", "Hypothesis"), "gold", "auto", "rfc4180"),
        ),
        ("x.tsv", rows("x") + '"open\ta\n', ("tsv", False, 1, 2, "auto", "none")),
        ("x.tsv", rows("新闻").encode("gb18030"), ("tsv", False, 1, 2, "gb18030", "rfc4180")),
    ],
)
def test_files_are_read_as_they_are_meant(
    name: str, content: str | bytes, expected: tuple[object, ...], tmp_path: Path
) -> None:
    assert tuple(vars(sniffed(tmp_path, name, content)).values()) == expected


def test_json_lines_and_parquet_are_told_by_keys_and_types(tmp_path: Path) -> None:
    table = [{"id": i, "body": f"some text {i}", "kind": i % 3} for i in range(30)]
    lines = "".join(json.dumps(row) + "\n" for row in table)
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "x.parquet")

    assert sniffed(tmp_path, "x.jsonl", lines) == Sniffed("jsonl", True, "body", "kind", "auto", "rfc4180")
    assert sniff(tmp_path / "x.parquet") == Sniffed("parquet", True, "body", "kind", "auto", "rfc4180")
    assert sniffed(tmp_path, "unnamed", lines).format == "jsonl"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b,c\n" * 9, "Pass --label"),
        ("x,1\ny,2\nz,3\n", "Pass --label"),
        ("", "empty"),
        ("one column\n", "--label"),
        ('"open,a\nb\nc,d,e\n', "never closed"),
    ],
)
def test_what_cannot_be_told_is_asked_for(content: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        sniffed(tmp_path, "x.csv", content)


def test_columns_found_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Found: 'id', 'wording', 'sense'\. Pass --label"):
        sniffed(tmp_path, "x.jsonl", '{"id": 1, "wording": "x", "sense": "y"}\n')


def test_what_was_sniffed_loads(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text(rows("x", 30) + 'a " quote\ta\n"quotes\tb\n')

    settings = DataSettings.model_validate({"train": path, **vars(sniff(path))})

    assert load_table(settings, tmp_path).labels == ("a", "b")
