"""Clean files: what looks wrong is gone, what stays is whole, and the list says what was done."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_samples import HEADER, rows

from finegrid.data.clean import clean_rows
from finegrid.data.clean_files import REMOVED_FILE, clean_files, making_folder
from finegrid.data.doctor import find_warnings
from finegrid.data.findings import FileFindings
from finegrid.data.read import read_rows
from finegrid.data.settings import DataSettings
from finegrid.data.table import load_table
from finegrid.errors import InputError

STORY = "watering the lawn and raking the blossom of the hedge"
SPELLINGS = [
    STORY,
    STORY.upper(),
    STORY.replace(" ", "  "),
    f"{STORY}s",
    STORY.replace("lawn", "lawns"),
    "rain",
    "Rain ",
    "snow",
    "关于二〇一九年高考录取结果查询系统开通的通知",
    "关于二〇二九年高考录取结果查询系统开通的通知",
]
ROW = st.tuples(st.sampled_from(SPELLINGS), st.sampled_from(["a", "A", "b", "1", "1.0"]))
PART = st.lists(ROW, min_size=1, max_size=12)


def write(folder: Path, **files: str) -> dict[str, Path]:
    for part, content in files.items():
        (folder / f"{part}.tsv").write_text(content, encoding="utf-8", newline="")
    return {part: folder / f"{part}.tsv" for part in files}


def clean(folder: Path, paths: dict[str, Path], near_twins: bool = True, **more: Any) -> dict[str, Path]:
    out = folder / "out"
    out.mkdir()
    data = DataSettings.model_validate({**paths, **more})
    return dict(clean_files(data, folder, out, near_twins).files)


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / REMOVED_FILE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def tell(folder: Path) -> list[tuple[str, str, str, str]]:
    return [(row["file"], row["line"], row["done"], row["why"]) for row in listed(folder)]


@given(train=PART, dev=PART, test=PART, alone=st.booleans())
@settings(deadline=None)
def test_clean_rows_have_no_findings(
    train: list[Any], dev: list[Any], test: list[Any], alone: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("clean")
    parts = {"train": train} if alone else {"train": train, "dev": dev, "test": test}
    files = {
        part: HEADER + "".join(f"{t}\t{label}\n" for t, label in part_rows)
        for part, part_rows in parts.items()
    }
    data = DataSettings.model_validate(write(folder, **files))
    read = {part: read_rows(path, folder, data, FileFindings(part)) for part, path in data.files.items()}
    cleaned = clean_rows(read, alone, near_twins=True)
    kept = {part: cleaned.parts[part].take(np.array(cleaned.keep(part), dtype=np.int64)) for part in parts}
    about_rows = [said for said in find_warnings(kept) if "class" not in said]

    assert about_rows == []
    again = clean_rows(kept, alone, near_twins=True)
    assert not any(again.removed.values()) and not any(again.changed.values())
    if not alone:  # test loses repeats and what has two labels, and nothing to other splits
        whys = {reason.why for reason in cleaned.removed["test"].values()}
        assert whys <= {"repeated row", "text with more than one label"}


def test_every_kind_is_taken_out_and_listed_with_its_reason(tmp_path: Path) -> None:
    train = HEADER + (
        f"{STORY}\ta\nrain\ta\nRAIN  today\tb\nsnow\ta\nsnow\ta\nfog\ta\nfog\tb\nhail\tA\n" + rows("train", 3)
    )
    dev = HEADER + "rain\tb\n" + rows("dev", 3) + "mist\ta\n"
    test = HEADER + f"{STORY}s\ta\nrain today\tb\nmist\ta\nFog\ta\n" + rows("test", 3)
    files = clean(tmp_path, write(tmp_path, train=train, dev=dev, test=test))

    assert tell(tmp_path) == [
        ("train.tsv", "2", "removed", "text nearly like one of test"),
        ("train.tsv", "3", "removed", "text also in dev"),
        ("train.tsv", "4", "removed", "text also in test, but for case and blanks"),
        ("train.tsv", "6", "removed", "repeated row"),
        ("train.tsv", "7", "removed", "text with more than one label"),
        ("train.tsv", "8", "removed", "text with more than one label"),
        ("train.tsv", "9", "changed", "label 'A' set to 'a'"),
        ("dev.tsv", "9", "removed", "text also in test"),
        ("test.tsv", "5", "removed", "text with more than one label"),
    ]
    first = listed(tmp_path)[0]
    assert (first["text"], first["like"]) == (STORY, f"test.tsv line 2: {STORY}s")
    assert files["train"].read_text() == HEADER + "snow\ta\nhail\ta\n" + rows("train", 3)
    table = load_table(DataSettings.model_validate(files), tmp_path)
    assert not any("also in" in said or "alike" in said or "nearly" in said for said in table.warnings)


def test_near_twins_stay_where_they_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = (HEADER + f"{story}\ta\n" + rows(story[-1]) for story in (STORY, f"{STORY}s"))
    monkeypatch.setattr("finegrid.data.clean_files.MOST_TEXTS", 10)
    clean(tmp_path, write(tmp_path, train=train, dev=dev), near_twins=False)

    assert tell(tmp_path) == []


def test_of_nearly_equal_texts_that_a_split_could_part_the_first_stays(tmp_path: Path) -> None:
    train = HEADER + f"{STORY}\ta\n{STORY}s\ta\n{STORY.upper()}\ta\n" + rows("x")
    clean(tmp_path, write(tmp_path, train=train))

    assert tell(tmp_path) == [("train.tsv", "3", "removed", "text nearly like an earlier one")]


def test_rows_that_cannot_be_read_are_taken_out(tmp_path: Path) -> None:
    odd = "\ta\nno label\t\nthree\tfields\there\none field\n\ntext\tlabel\n"
    train = HEADER + odd + rows("x", 40)
    files = clean(tmp_path, write(tmp_path, train=train))

    assert files["train"].read_text() == HEADER + rows("x", 40)
    assert tell(tmp_path) == [
        ("train.tsv", "2", "removed", "no text"),
        ("train.tsv", "3", "removed", "no label"),
        ("train.tsv", "4", "removed", "too many fields"),
        ("train.tsv", "5", "removed", "too few fields"),
        ("train.tsv", "6", "removed", "empty line"),
        ("train.tsv", "7", "removed", "the header again"),
    ]
    assert listed(tmp_path)[2]["text"] == "three\tfields\there"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEADER + "\ta\n" * 5 + rows("x", 10), "line 2    the text is empty"),
        (HEADER + rows("x", 40) + '"never closed\ta\n', "is never closed"),
        ("words\tlabel\n" + rows("x", 10), "no column 'text'"),
    ],
)
def test_files_that_are_read_wrongly_are_not_cleaned(content: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        clean(tmp_path, write(tmp_path, train=content))

    assert told in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_all_columns_are_kept_and_quoted(tmp_path: Path) -> None:
    lines = [["id", "text", "note", "label"], ["1", 'say "so"', "a\nb", "x"], ["2", "a;b", ' "', "y"]]
    lines += [[str(number), f"text {number}", "", "XY"[number % 2]] for number in range(3, 9)]
    path = tmp_path / "train.csv"
    with path.open("w", encoding="utf-16", newline="") as file:
        csv.writer(file, delimiter=";").writerows([*lines, lines[3]])
    files = clean(tmp_path, {"train": path}, separator=";", encoding="utf-16")
    spelled = [[*row[:3], {"x": "X", "y": "Y"}.get(row[3], row[3])] for row in lines]

    with files["train"].open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == spelled
    assert tell(tmp_path)[-1][2:] == ("removed", "repeated row")


def test_quotation_marks_that_are_ordinary_text_are_quoted(tmp_path: Path) -> None:
    train = HEADER + '"quoted\ta\nsaid "so" he\tb\n' + rows("x")
    files = clean(tmp_path, write(tmp_path, train=train), quoting="none")
    table = load_table(DataSettings.model_validate(files), tmp_path)
    texts = {text for split in (table.train, table.dev, table.test) for (text,) in split.texts}

    assert {'"quoted', 'said "so" he'} <= texts


def test_columns_by_number_and_pairs_are_rewritten(tmp_path: Path) -> None:
    pairs = "".join(f"q{i}\tanswer {i}\t{'ab'[i % 2]}\n" for i in range(20))
    train = pairs + "Q0\tanswer  0\ta\nq0\tother\tA\n"
    paths = write(tmp_path, train=train, test="q1\tanswer 1\tb\n")
    files = clean(tmp_path, paths, text=[1, 2], label=3, header=False)

    assert files["train"].read_text().endswith("q19\tanswer 19\tb\nQ0\tanswer  0\ta\nq0\tother\ta\n")
    assert tell(tmp_path) == [
        ("train.tsv", "2", "removed", "text also in test"),
        ("train.tsv", "22", "changed", "label 'A' set to 'a'"),
    ]


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    objects: list[dict[str, Any]] = [
        {"id": 1.50, "text": "one", "label": "Yes", "tags": ["x"]},
        {"text": "two", "label": "no"},
    ]
    objects += [{"text": f"text {number}", "label": "yes"} for number in range(3)]
    lines = [json.dumps(one) for one in objects]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    files = clean(tmp_path, {"train": path})

    changed = json.dumps({**objects[0], "label": "yes"})
    assert files["train"].read_text().splitlines() == [changed, *lines[1:]]


@pytest.mark.parametrize("dictionary", [False, True])
def test_parquet_keeps_its_columns(dictionary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: Any = pa.array(["Yes", "no", "yes", "no", "yes", "yes"])
    columns = {
        "text": ["one", "two", "three", "two", None, "four"],
        "label": labels.dictionary_encode() if dictionary else labels,
        "when": [1, 2, 3, 4, 5, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    (tmp_path / "dev.csv").write_text("text,label\nthree,no\nfive,yes\n")
    monkeypatch.setattr("finegrid.data.clean_files.MOST_UNFIT", 0.5)
    files = clean(tmp_path, {"train": tmp_path / "train.parquet", "dev": tmp_path / "dev.csv"})

    assert pq.read_table(files["train"]).to_pydict() == {
        "text": ["one", "two", "four"],
        "label": ["yes", "no", "yes"],
        "when": [1, 2, None],
    }
    assert [row[1:] for row in tell(tmp_path)] == [
        ("1", "changed", "label 'Yes' set to 'yes'"),
        ("3", "removed", "text also in dev"),
        ("4", "removed", "repeated row"),
        ("5", "removed", "no text"),
    ]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for part in ("train", "dev"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "data.tsv").write_text(HEADER + rows(part))
    files = clean(tmp_path, {part: tmp_path / part / "data.tsv" for part in ("train", "dev")})

    assert sorted(path.name for path in files.values()) == ["dev-data.tsv", "train-data.tsv"]


def test_packed_files_are_written_unpacked(tmp_path: Path) -> None:
    import gzip

    with gzip.open(tmp_path / "train.tsv.gz", "wt") as file:
        file.write(HEADER + rows("x"))
    files = clean(tmp_path, {"train": tmp_path / "train.tsv.gz"})

    assert files["train"].name == "train.tsv" and files["train"].read_text() == HEADER + rows("x")


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(InputError, match="not an empty folder"), making_folder(tmp_path):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_no_folder_that_was_not_there(there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    if there:
        folder.mkdir(parents=True)

    def write_half() -> None:
        with making_folder(folder):
            (folder / "half").write_text("half a file")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert folder.exists() == there == (tmp_path / "new").exists()
    assert not there or list(folder.iterdir()) == []
