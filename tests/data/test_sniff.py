"""Finding out how files are read: right where it can be told, and a question where it cannot."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.data_samples import HEADER, rows

from finegrid.data.settings import DataSettings
from finegrid.data.sniff import Reading, Said, sniff
from finegrid.data.table import DataTable, load_table
from finegrid.errors import InputError

WORDS = ["compost", "shovel", "hedge", "lawn", "seedling", "tomato"]


def write(folder: Path, **contents: str | bytes) -> list[Path]:
    """Files called by part, ``train_tsv=...``, in the order in which they are given."""
    paths = []
    for name, content in contents.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path)
    return paths


def load_sniffed(paths: list[Path], **said: Any) -> tuple[Reading, DataTable]:
    reading = sniff(paths, Said(**said))
    files = dict(zip(("train", "dev", "test"), paths, strict=False))
    settings = DataSettings.model_validate({**files, **reading.settings()})
    return reading, load_table(settings, paths[0].parent)


def refused(paths: list[Path], **said: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_sniffed(paths, **said)
    return str(caught.value)


def spam(first: str = "utterance\tpolarity\n", size: int = 40, start: str = "") -> str:
    kinds = ("spam", "ham")
    return first + "".join(f"{start}{WORDS[i % 6]} {WORDS[i % 5]} {i}\t{kinds[i % 2]}\n" for i in range(size))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.tsv", HEADER + rows("x"), {"header": True, "text": "text", "label": "label"}),
        ("x.tsv", rows("x"), {"header": False, "text": 1, "label": 2}),
        ("x.txt", rows("x").replace("\t", ","), {"header": False, "text": 1, "label": 2, "format": "csv"}),
        ("x", "类别,标题\n体育,夺冠\n财经,利率\n", {"text": "标题", "label": "类别", "format": "csv"}),
        ("x.csv", "id,Class,title\n1,a,x\n2,b,y\n", {"text": "title", "label": "Class"}),
        (
            "x.csv",
            "Premise,Hypothesis,gold\na,b,x\nc,d,y\ne,f,x\ng,h,y\n",
            {"text": ["Premise", "Hypothesis"], "label": "gold"},
        ),
        ("x.tsv", rows("x") + '"open\ta\n', {"quoting": "none"}),
        ("x.tsv", rows("新闻").encode("gb18030"), {"encoding": "gb18030"}),
        ("x.csv", HEADER.replace("\t", ";") + rows("a, b,").replace("\t", ";"), {"separator": ";"}),
        ("x.csv", rows("a, b").replace(" 0", ",").replace("\t", "|"), {"separator": "|", "header": False}),
    ],
)
def test_files_are_read_as_they_are_meant(
    name: str, content: str | bytes, expected: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = sniff([path]).settings()
    DataSettings.model_validate({"train": path, **found})

    assert found | expected == found, found


def test_json_lines_and_parquet_are_told_by_keys_and_types(tmp_path: Path) -> None:
    table = [{"id": i, "body": f"some text {i}", "kind": i % 3} for i in range(30)]
    lines = "".join(json.dumps(row) + "\n" for row in table)
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "x.parquet")
    (path,) = write(tmp_path, x_jsonl=lines)
    unnamed = tmp_path / "unnamed"
    unnamed.write_text(lines)

    for found in (sniff([path]), sniff([tmp_path / "x.parquet"])):
        assert (found.columns.text, found.columns.label, found.format) == ("body", "kind", "auto")
    assert sniff([unnamed]).format == "jsonl"


def test_a_missing_text_does_not_make_the_id_the_text(tmp_path: Path) -> None:
    table: list[dict[str, Any]] = [
        {"id": f"document-number-{i:04}", "text": f"{WORDS[i % 6]} {i}", "label": "xy"[i % 2]}
        for i in range(30)
    ]
    table[7]["text"] = None
    (path,) = write(tmp_path, train_jsonl="".join(json.dumps(row) + "\n" for row in table))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "train.parquet")

    assert sniff([path]).columns.text == "text" == sniff([tmp_path / "train.parquet"]).columns.text
    assert "line 8" in refused([path]) and "the text is missing" in refused([path])


def test_a_column_of_which_most_texts_are_missing_is_still_the_text(tmp_path: Path) -> None:
    table = [{"body": f"{WORDS[i % 6]} {i}" if i % 3 == 0 else None, "kind": "xy"[i % 2]} for i in range(40)]
    (path,) = write(tmp_path, train_jsonl="".join(json.dumps(row) + "\n" for row in table))

    assert (sniff([path]).columns.text, sniff([path]).columns.label) == ("body", "kind")
    assert "line 2" in refused([path]) and "the text is missing" in refused([path])


def test_a_column_beside_ratings_as_pandas_writes_them_is_not_taken_for_the_label(tmp_path: Path) -> None:
    table = [{"text": f"{WORDS[i % 6]} {i}", "checked": i % 3 == 0, "stars": float(i % 5)} for i in range(40)]
    (path,) = write(tmp_path, train_jsonl="".join(json.dumps(row) + "\n" for row in table))

    message = refused([path])

    assert "'checked', 'stars' have few values" in message and "Pass --label" in message
    assert load_sniffed([path], label="stars")[1].labels == ("0", "1", "2", "3", "4")


def test_a_column_of_hundreds_of_classes_counts_beside_one_of_two(tmp_path: Path) -> None:
    lines = "".join(f"{WORDS[i % 6]} {i},intent {i % 300},{'ab'[i % 2]}\n" for i in range(900))
    (path,) = write(tmp_path, train_csv="body,kind,part\n" + lines)

    assert "'kind', 'part' have few values" in refused([path])


def test_only_what_was_not_said_is_guessed(tmp_path: Path) -> None:
    table = [{"sentence": f"{WORDS[i % 6]} {i}", "y": float(i % 2)} for i in range(40)]
    (path,) = write(tmp_path, train_jsonl="".join(json.dumps(row) + "\n" for row in table))
    two = "".join(f"{WORDS[i % 6]} {i}\t{'ab'[i % 2]}\t{['in', 'out'][i % 2]}\n" for i in range(40))
    (path_of_two,) = write(tmp_path, two_tsv=two)

    assert sniff([path], Said(label="y")).columns.text == "sentence"
    for said in (Said(label=2), Said(text=1, label=2)):
        found = sniff([path_of_two], said)
        assert (found.header, found.columns.text, found.columns.label) == (False, 1, 2)
    assert len(load_sniffed([path_of_two], text=1, label=2)[1].train) == 28


def test_quoting_and_separator_are_looked_at_where_all_columns_are_said(tmp_path: Path) -> None:
    said = {"text": "text", "label": "label", "header": True}
    (quotes, tabs) = write(
        tmp_path, quotes_tsv=HEADER + rows("x") + '"said it\ta\n', tabs_csv=HEADER + rows("y")
    )

    assert load_sniffed([quotes], **said)[0].quoting == "none"
    assert load_sniffed([tabs], **said)[0].format == "tsv"


def test_all_files_are_looked_at_for_quotation_marks(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        train_tsv=HEADER + rows("t"),
        dev_tsv=HEADER + rows("d") + '"now" is the time\ta\n',
        test_tsv=HEADER + rows("e"),
    )

    reading, table = load_sniffed(paths)

    assert reading.quoting == "none" and ('"now" is the time',) in table.dev.texts


def test_files_that_need_quotes_in_two_ways_are_refused(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        train_csv='text,label\n"one, two",a\n"three, four",b\nfive,a\n',
        dev_csv='text,label\n"now" is the time,a\nx,b\n',
    )

    assert "train.csv" in refused(paths) and "quoted as in RFC 4180" in refused(paths)


def test_rows_swallowed_by_quotation_marks_are_found(tmp_path: Path) -> None:
    content = HEADER + rows("x") + '"so he said\ta\nand so on\tb\nand on"\ta\n' + rows("y")
    (path,) = write(tmp_path, train_tsv=content)

    reading, table = load_sniffed([path])

    assert reading.quoting == "none" and table.rows_of_file["train"] == 51
    _, asked = load_sniffed([path], quoting="rfc4180")
    assert asked.rows_of_file["train"] == 49
    assert any("line 26" in warning and 'quoting = "none"' in warning for warning in asked.warnings)


def test_texts_of_several_lines_with_commas_stay_texts(tmp_path: Path) -> None:
    letters = "".join(f'"Dear {name}, hello\nbye {name}",{i % 2}\n' for i, name in enumerate(WORDS * 4))
    (path,) = write(tmp_path, train_csv="text,label\n" + letters)

    reading, table = load_sniffed([path])

    assert reading.quoting == "rfc4180" and table.rows_of_file["train"] == 24
    assert not any("quoted text" in warning for warning in table.warnings)


def test_a_header_with_unusual_names_is_a_header(tmp_path: Path) -> None:
    three = write(tmp_path, train_tsv=spam(), dev_tsv=spam(start="d "), test_tsv=spam(start="e "))

    for paths in (three, three[:1]):
        reading, table = load_sniffed(paths)
        assert reading.header and table.labels == ("ham", "spam")
        assert (reading.columns.text, reading.columns.label) == ("utterance", "polarity")


def test_a_first_row_of_data_is_no_header(tmp_path: Path) -> None:
    (path, dev) = write(tmp_path, train_tsv=spam(first=""), dev_tsv=spam(first="", start="d "))

    assert not sniff([path]).header and not sniff([path, dev]).header
    (sentences,) = write(tmp_path, more_tsv=spam(first="Is that so? I doubt it, really.\tirony\n"))
    assert not sniff([sentences]).header


def test_a_header_that_comes_again_is_told_by_line(tmp_path: Path) -> None:
    (path,) = write(tmp_path, train_tsv=HEADER + rows("x", 5) + HEADER + rows("y", 5) + HEADER + rows("z"))

    assert "the header comes again in lines 12 and 23. Take them out" in refused([path])
    assert "lines 12 and 23" in refused([path], header=True)


def test_a_separator_at_the_end_of_each_line_is_named(tmp_path: Path) -> None:
    (path,) = write(tmp_path, train_csv="text,label\n" + "".join(f"{w} {w},a,\n" for w in WORDS))

    assert "6 rows have 3 fields, the last one empty; expected 2: a separator at the end" in refused([path])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"__label__a some words\n__label__b other words\n", "lines of fastText"),
        (b"some words __label__a\nother words __label__b\n", "lines of fastText"),
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "an HTML page"),
        (b"\n <!-- moved -->\n<HTML>", "an HTML page"),
        (b'[\n {\n  "text": "x",\n  "label": "a"\n }\n]\n', "a JSON list"),
        (b'{\n  "text": "x",\n  "label": "a"\n}\n', "JSON over many lines"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "git lfs pull"),
        (b"PK\x03\x04\x14\0\x06\0", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 ", "an Excel workbook"),
        (b"\x80\x04\x95\x10", "a pickle"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"SQLite format 3\0 ", "an SQLite database"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd -d"),
        (b"\x1f\x8b\x08 not really", "cannot be unpacked"),
    ],
)
def test_what_is_no_table_is_named_as_what_it_is(content: bytes, expected: str, tmp_path: Path) -> None:
    (path,) = write(tmp_path, train_csv=content)

    assert expected in refused([path])
    assert expected in refused([path], text=1, label=2, header=False)
    with pytest.raises(InputError, match=expected):
        load_table(DataSettings(train=path, text=1, label=2, header=False), tmp_path)


def test_a_row_of_csv_may_begin_like_json_or_markup(tmp_path: Path) -> None:
    lines = "".join(
        f"[sic] {word} {i},{i % 2}\n<b>{word}</b> {i},{i % 2}\n" for i, word in enumerate(WORDS * 3)
    )
    (path,) = write(tmp_path, train_csv=lines)

    assert load_sniffed([path])[1].rows_of_file["train"] == 36


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz"])
def test_packed_files_are_read_as_what_they_hold(packed: str, tmp_path: Path) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    pack = packers[packed]
    path, named = tmp_path / f"train.tsv.{packed}", tmp_path / "train.csv"
    path.write_bytes(pack((HEADER + rows("x")).encode()))
    named.write_bytes(pack((HEADER + rows("x")).replace("\t", ",").encode()))

    assert load_sniffed([path])[1].fingerprint() == load_sniffed([named])[1].fingerprint()


def test_parquet_under_another_ending_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    pq.write_table(pa.table({"text": [f"x {i}" for i in range(40)], "label": ["a", "b"] * 20}), path)

    assert load_sniffed([path])[0].format == "parquet"
    with pytest.raises(InputError, match='format = "parquet"'):
        load_table(DataSettings(train=path), tmp_path)


def test_files_of_different_separators_are_refused(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        train_csv=(HEADER + rows("x")).replace("\t", ";"),
        dev_csv=(HEADER + rows("y")).replace("\t", ","),
    )

    assert "separator" in refused(paths) and "train.csv: ';'" in refused(paths)


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
    assert expected in refused(write(tmp_path, x_csv=content))


def test_a_column_without_a_name_or_with_one_that_stands_twice_has_its_number(tmp_path: Path) -> None:
    lines = "".join(f"{word} {i},{i % 2},{i % 3}\n" for i, word in enumerate(WORDS * 3))
    (path,) = write(tmp_path, train_csv="text,,\n" + lines)

    assert load_sniffed([path], label=2)[1].labels == ("0", "1")
    assert "Found: 'text', '2', '3'" in refused([path])


def test_columns_found_are_listed(tmp_path: Path) -> None:
    message = refused(write(tmp_path, x_jsonl='{"id": 1, "wording": "x", "sense": "y"}\n'))

    assert "Found: 'id', 'wording', 'sense'. Pass --label" in message


def test_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    message = refused(write(tmp_path, train_csv="", dev_csv="<html>", test_csv=b"PK\x03\x04"))

    assert message.startswith("data: 3 problems")


def test_what_was_found_out_loads(tmp_path: Path) -> None:
    (path,) = write(tmp_path, data_txt=rows("x", 30) + 'a " quote\ta\n"quotes\tb\n')

    assert load_sniffed([path])[1].labels == ("a", "b")
