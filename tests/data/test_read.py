"""Files of every format to rows, and everything that may be wrong with one file."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.data_samples import HEADER, Files, load, refused, rows, three

from finegrid.data.settings import DataSettings
from finegrid.data.sniff import sniff
from finegrid.data.table import load_table, name_files
from finegrid.errors import InputError


def jsonl(*objects: object) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


GOOD = [{"text": f"第{i}条\n\u2028消息", "label": i % 2} for i in range(40)]


def write_parquet(path: Path, **columns: object) -> None:
    pq.write_table(pa.table(columns), path)


def test_all_formats_give_the_same_table(tmp_path: Path) -> None:
    table = load(tmp_path, {"train.jsonl": jsonl(*GOOD)})
    quoted = "text,label\r\n" + "".join(f'"{row["text"]}",{row["label"]}\r\n' for row in GOOD)
    write_parquet(
        tmp_path / "train.parquet", text=[r["text"] for r in GOOD], label=[r["label"] for r in GOOD]
    )

    assert load(tmp_path, {"train.csv": quoted}).fingerprint() == table.fingerprint()
    assert load(tmp_path, {"train.tsv": quoted.replace(",", "\t")}).fingerprint() == table.fingerprint()
    assert load(tmp_path, {}, train="train.parquet").fingerprint() == table.fingerprint()
    assert load(tmp_path, {}, train="train.parquet", text=1, label=2).fingerprint() == table.fingerprint()


def test_the_format_may_be_named(tmp_path: Path) -> None:
    assert len(load(tmp_path, {"train.data": HEADER + rows("x")}, format="tsv").train)


def test_an_unknown_ending_is_refused_with_those_known(tmp_path: Path) -> None:
    message = refused(tmp_path, {"train.xlsx": "x"})

    assert "'.xlsx'" in message and ".parquet" in message and "format" in message


def test_labels_are_the_same_class_as_words_and_as_numbers(tmp_path: Path) -> None:
    labels: list[object] = [3, "3", " 3 ", 3.0, 10, "10", "-1", -1]
    train = jsonl(*[{"text": str(i), "label": label} for i, label in enumerate(labels)])

    table = load(tmp_path, {"train.jsonl": train, "dev.jsonl": train, "test.jsonl": train})

    assert table.labels == ("-1", "3", "10")
    assert table.train.labels.tolist() == [1, 1, 1, 1, 2, 2, 0, 0]


def test_words_are_sorted_as_text_and_truth_values_are_words(tmp_path: Path) -> None:
    train = jsonl({"text": "x", "label": True}, {"text": "y", "label": "10"}, {"text": "z", "label": 9})

    assert load(tmp_path, {"train.jsonl": train, "dev.jsonl": train, "test.jsonl": train}).labels == (
        "10",
        "9",
        "true",
    )


def test_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    train = HEADER + '" a\u3000 "\tx\n b \ty\n'

    assert load(tmp_path, {"train.tsv": train, "dev.tsv": train, "test.tsv": train}).train.texts == [
        (" a\u3000 ",),
        (" b ",),
    ]


def test_ids_count_data_rows_even_when_rows_span_lines(tmp_path: Path) -> None:
    train = HEADER + '"a\nb\nc"\tx\nd\ty\n'

    assert load(tmp_path, {"train.tsv": train, "dev.tsv": train, "test.tsv": train}).train.ids.tolist() == [
        1,
        2,
    ]


def test_two_columns_make_a_text_pair(tmp_path: Path) -> None:
    train = "q,a,label\nq1,a1,x\nq2,a2,y\n"
    table = load(tmp_path, {"train.csv": train, "dev.csv": train, "test.csv": train}, text=["q", "a"])

    assert table.train.texts == [("q1", "a1"), ("q2", "a2")]


def test_columns_may_be_given_by_number_without_header(tmp_path: Path) -> None:
    files: Files = {f"{part}.tsv": f"{part}\tx\nx\ty\n" for part in ("train", "dev", "test")}

    assert load(tmp_path, files, header=False, text=1, label=2).train.texts == [("train",), ("x",)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"label": "labl"}, ["no column 'labl'", "Did you mean 'label'?", "'text'"]),
        ({"text": 3}, ["no column 3", "2 columns"]),
        ({"header": False}, ["header = false", "'text'", "'label'", "number"]),
        ({"header": False, "text": 1, "label": 2}, ["train.tsv line 1", "header = true"]),
        ({"text": "label"}, ["not all different"]),
        ({"text": ["text", 1]}, ["not all different"]),
        ({"format": "csv"}, ["no column 'text'", 'format = "tsv"']),
    ],
)
def test_wrong_columns_are_refused(settings: dict[str, Any], expected: list[str], tmp_path: Path) -> None:
    message = refused(tmp_path, three(), **settings)

    assert all(part in message for part in expected), message


def test_a_missing_column_over_data_points_to_header_false(tmp_path: Path) -> None:
    assert "header = false" in refused(tmp_path, three(train=rows("x")))


def test_a_header_that_is_a_label_is_doubted(tmp_path: Path) -> None:
    table = load(tmp_path, {"train.tsv": rows("x")}, text=1, label=2)

    assert any("label 'a' is also that of 11 rows" in warning for warning in table.warnings)


def test_two_columns_of_the_wanted_name_are_refused(tmp_path: Path) -> None:
    assert "2 columns are called 'text'" in refused(tmp_path, {"train.csv": "text,text,label\na,b,c\n"})


def test_separator_semicolon_is_explained(tmp_path: Path) -> None:
    assert "semicolon" in refused(tmp_path, {"train.csv": "text;label\na;b\n"})


def test_missing_files_folders_and_empty_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.tsv").mkdir()
    (tmp_path / "blank.tsv").write_text(" \n\n")
    (tmp_path / "training.tsv").write_text("x")

    message = refused(tmp_path, {}, train="trainin.tsv", dev="folder.tsv", test="blank.tsv")

    assert "no such file" in message and "Did you mean 'training.tsv'?" in message
    assert "a folder" in message and "empty" in message and message.startswith("data: 3 problems")
    assert "no rows" in refused(tmp_path, {"train.tsv": HEADER})
    assert "no such file" in refused(tmp_path, {}, train="nul\0.tsv")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("only one", "1 field, expected 2"),
        ("one\ttwo\tthree", "3 fields, expected 2"),
        ("", "an empty line"),
        (" \u3000\tb", "the text is empty"),
        ("\u200b\ufeff\tb", "the text is empty"),
        ("x\t ", "the label is empty"),
        ('"x"y\tb', "after its closing quote"),
        ('"x\tb', "never closed"),
    ],
)
def test_a_bad_row_is_named_by_its_line(line: str, expected: str, tmp_path: Path) -> None:
    message = refused(tmp_path, three(dev=f'{HEADER}"a\nb"\ta\n{line}\nc\tb\n'))

    assert "dev.tsv line 4" in message and expected in message, message


def test_repeated_problems_are_counted_not_listed(tmp_path: Path) -> None:
    message = refused(tmp_path, three(train=HEADER + "x\n" * 142 + "\tb\n"))

    assert message.count("1 field, expected 2") == 5
    assert "... and 137 more rows like this" in message and "the text is empty" in message


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    message = refused(
        tmp_path, three(train=HEADER + "x\ta\ny\tb\n\tb\n", dev=HEADER + "z\t\n", test="txt\tlabel\nx\ta\n")
    )

    assert message.startswith("data: 3 problems")
    assert all(part in message for part in ("train.tsv line 4", "dev.tsv line 2", "Did you mean 'txt'?"))


def test_problems_between_files_are_told_with_those_inside_files(tmp_path: Path) -> None:
    message = refused(
        tmp_path, three(dev=HEADER + "x\tnew\ny\tnew\n", test=HEADER + "\ta\n"), train_size=1000
    )

    assert message.startswith("data: 3 problems")
    assert "2 dev rows with labels that no training row has: 'new'" in message and "dev.tsv line 2" in message
    assert "the text is empty" in message and "train_size = 1000" in message


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    assert "one class only, 'a'" in refused(tmp_path, {"train.tsv": HEADER + rows("x", classes=("a",))})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "x", "label": "a"', "no JSON from column"),
        ('{"text": NaN, "label": "a"}', "the text is nan, expected a string"),
        ('{"text": 5, "label": "a"}', "the text is 5, expected a string"),
        ('{"text": null, "label": "a"}', "the text is missing"),
        ('{"text": "x", "label": null}', "the label is missing"),
        ('{"text": "x", "label": NaN}', "the label is missing"),
        ('{"text": "x", "label": Infinity}', "the label is inf"),
        ('{"text": "x", "label": 0.5}', "the label is 0.5"),
        ('{"text": "x", "label": ["a"]}', "the label is ['a']"),
        ('{"text": "x", "label": ""}', "the label is empty"),
        ('{"txt": "x", "label": "a"}', "Did you mean 'txt'?"),
        ('{"text": "\\u0000x", "label": "a"}', "no character of text"),
        ('{"text": "\\ud800", "label": "a"}', "no character of text"),
        ('{"text": "x", "label": "\\udfff"}', "no character of text"),
        ('"text"', "expected an object"),
        ("", "an empty line"),
        ("[" * 100_000, "too big or too deep"),
        ('{"text": "x", "label": ' + "9" * 5000 + "}", "too big or too deep"),
        ('{"text": "x", "label": ' + "[" * 500 + "]" * 500 + "}", "the label is [["),
    ],
)
def test_a_bad_json_line_is_named_by_its_line(line: str, expected: str, tmp_path: Path) -> None:
    message = refused(tmp_path, {"train.jsonl": jsonl(GOOD[0]) + line + "\n" + jsonl(*GOOD[1:])})

    assert "train.jsonl line 2" in message and expected in message, message


def test_a_json_list_and_column_numbers_are_refused(tmp_path: Path) -> None:
    assert "a JSON list" in refused(tmp_path, {"train.json": json.dumps(GOOD, indent=1)})
    assert "Give the key by name" in refused(tmp_path, {"train.json": jsonl(*GOOD)}, text=1)


def test_parquet_takes_words_numbers_and_dictionaries_as_labels(tmp_path: Path) -> None:
    texts = [f"t{i}" for i in range(24)]
    labels: list[pa.Array] = [
        pa.array(["1", "2"] * 12),
        pa.array([1, 2] * 12, pa.int8()),
        pa.array([1.0, 2.0] * 12),
        pa.array(["1", "2"] * 12).dictionary_encode(),
        pa.array(["1", "2"] * 12, pa.large_string()),
    ]
    prints = set()
    for label in labels:
        write_parquet(tmp_path / "train.pq", **{"a.text": texts, "label": label})
        prints.add(load(tmp_path, {}, train="train.pq", text="a.text").fingerprint())

    assert len(prints) == 1


def test_faults_in_parquet_are_named_by_row(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", text=["x", None, ""], label=[1.5, 2.0, math.nan])

    message = refused(tmp_path, {}, train="train.parquet")

    assert "train.parquet row 1" in message and "1.5" in message
    assert "train.parquet row 2" in message and "the text is missing" in message
    assert "train.parquet row 3" in message and "the label is missing" in message


def test_parquet_columns_of_other_types_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", text=[1, 2], label=[["a"], ["b"]])

    message = refused(tmp_path, {}, train="train.parquet")

    assert "'text' is of type 'int64', expected text" in message and "'label' is of type" in message


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "good.parquet", text=["x" * 50] * 40, label=[1, 2] * 20)
    whole = (tmp_path / "good.parquet").read_bytes()
    for cut in range(1, len(whole) - 1, 97):
        assert "not readable as Parquet" in refused(tmp_path, {"train.parquet": whole[:cut]})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.binary(max_size=60)
    | st.lists(
        st.sampled_from([b"text", b"label", b"\t", b",", b"\n", b"\r", b'"', b"a", b"{", b"}", b":", b"\xe4"])
    ).map(b"".join),
    ending=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    more=st.sampled_from(
        [{}, {"header": False, "text": 1, "label": 2}, {"quoting": "none"}, {"encoding": "gb18030"}]
    ),
)
def test_any_bytes_either_load_or_raise_input_error(
    raw: bytes, ending: str, more: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / f"train.{ending}"
    path.write_bytes(raw)
    split_file = tmp_path / "split.tsv"
    for attempt in (
        lambda: load_table(DataSettings.model_validate({"train": path, **more}), tmp_path, split_file),
        lambda: sniff([path]),
    ):
        try:
            attempt()
        except InputError as error:
            message = str(error)
            message.encode()
            if split_file.exists():
                pytest.fail(f"a split was written in spite of {message}")
    split_file.unlink(missing_ok=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_parquet_file_with_a_flipped_byte_loads_or_raises_input_error(
    at: int, byte: int, tmp_path: Path
) -> None:
    path = tmp_path / "train.parquet"
    write_parquet(path, text=[f"消息 {i}" for i in range(40)], label=["a", "b"] * 20)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        load_table(DataSettings(train=path), tmp_path)
    except InputError as error:
        str(error).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"dev_share": 0.5, "test_share": 0.5},
        {"dev_share": 0},
        {"test_share": 1},
        {"train_size": 0},
        {"text": 0},
        {"text": True},
        {"label": ""},
        {"text": ["a", "b", "c"]},
        {"folder": "x"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"train": "t.tsv", **wrong})


def test_shares_of_parts_with_files_do_not_count() -> None:
    assert DataSettings.model_validate(
        {"train": "t", "dev": "d", "dev_share": 0.9, "test_share": 0.9}
    ).shares == {"test": 0.9}


def test_messages_call_a_file_by_its_own_name_and_by_its_path_where_two_are_alike() -> None:
    """Paths of study.toml are relative to the study, and nobody has typed them."""
    one = {"train": Path("../../data/train.tsv"), "test": Path("../../data/test.tsv")}
    alike = {"train": Path("../a/texts.tsv"), "test": Path("../b/texts.tsv")}

    assert name_files(one) == {"train": "train.tsv", "test": "test.tsv"}
    assert name_files(alike) == {"train": "../a/texts.tsv", "test": "../b/texts.tsv"}
