"""Files to be labelled are read as the study's were, and nothing is taken for a text in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.unlabelled import UnlabelledTexts, open_texts, read_texts
from finegrid.errors import InputError

USUAL = StudyReading(("text", "label"))


def read(
    folder: Path, name: str, content: str | bytes, study: StudyReading = USUAL, parts: int = 1, **asked: Any
) -> UnlabelledTexts:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_texts(path, parts, ColumnOptions(of_study=study, **asked))


def texts(found: UnlabelledTexts) -> list[str]:
    return [" | ".join(row) for row in found.texts]


def refused(*arguments: Any, **asked: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(*arguments, **asked)
    return str(caught.value)


def test_quotation_marks_are_what_they_were_in_the_study(tmp_path: Path) -> None:
    lines = 'text\tlabel\n"now" is the time\ta\n"then"\tb\n'
    plain = StudyReading(("text", "label"), quoting="none")

    assert texts(read(tmp_path, "a.tsv", lines, plain)) == ['"now" is the time', '"then"']
    assert texts(read(tmp_path, "a.tsv", 'text\tlabel\n"then"\tb\n')) == ["then"]
    assert texts(read(tmp_path, "a.tsv", 'text\tlabel\n"then"\tb\n', quoting="none")) == ['"then"']


def test_a_file_that_needs_quotes_is_read_though_the_study_had_none(tmp_path: Path) -> None:
    plain = StudyReading(("text", "label"), quoting="none")

    assert texts(read(tmp_path, "a.csv", 'text,label\n"one, two",a\nthree,b\n', plain)) == [
        "one, two",
        "three",
    ]


def test_rows_swallowed_by_quotation_marks_are_found_without_labels(tmp_path: Path) -> None:
    lines = 'text\tid\n"tomato\t1\nan oven\t2\nthe rake"\t3\nsnow\t4\n'

    assert texts(read(tmp_path, "a.tsv", lines)) == ['"tomato', "an oven", 'the rake"', "snow"]


def test_encoding_and_separator_are_those_of_the_study_where_they_fit(tmp_path: Path) -> None:
    korean = StudyReading(("text", "label"), separator=";", encoding="cp949")

    assert texts(read(tmp_path, "a.csv", "text;n\n삽;1\n".encode("cp949"), korean)) == ["삽"]
    assert texts(read(tmp_path, "a.csv", "text;n\n삽;1\n", korean)) == ["삽"]
    assert texts(read(tmp_path, "a.csv", "text,n\na; b,1\n", korean)) == ["a; b"]
    assert texts(read(tmp_path, "a.csv", "text|n\na, b|1\n")) == ["a, b"]
    found = read(
        tmp_path, "a.csv", "text\n이 영화 정말 재미있게 봤습니다\n서비스가 너무 나빴어요\n".encode("cp949")
    )
    assert "was read as CP949" in found.warnings[0] and "--encoding" in found.warnings[0]


def test_what_the_user_says_goes_first(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "a.data", "text;n\na, b;1\n", format="csv", separator=";")) == ["a, b"]
    german = "text\nÄpfel\n".encode("cp1252")
    assert texts(read(tmp_path, "a.csv", german, encoding="windows-1252")) == ["Äpfel"]
    assert "--encoding" not in str(read(tmp_path, "a.csv", german, encoding="windows-1252").warnings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.csv", "id,utterance,url\n1,tomato,https://example.org/1\n2,oven,https://example.org/2\n"),
        ("new.jsonl", '{"id": "row-0001", "utterance": "tomato"}\n{"id": "row-0002", "utterance": "oven"}\n'),
    ],
)
def test_a_file_without_the_text_column_is_asked_about(name: str, content: str, tmp_path: Path) -> None:
    message = refused(tmp_path, name, content)

    assert "there is no 'text', as in the study" in message and "'utterance'" in message
    assert "Pass --text" in message
    assert texts(read(tmp_path, name, content, texts=("utterance",))) == ["tomato", "oven"]


def test_the_only_column_of_words_is_taken_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, "a.tsv", "1\tba be\n2\tdu, ba\n")

    assert texts(found) == ["ba be", "du, ba"] and "taken from column '2'" in found.warnings[0]
    assert read(tmp_path, "a.txt", "ba be\ndu, ba\n").warnings == []


def test_pairs_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    rows = "a,b,c\nx y,z y,u w\n"

    assert "Pass --text twice" in refused(tmp_path, "a.csv", rows, parts=2)
    assert texts(read(tmp_path, "a.csv", "sentence1,sentence2\nx,y\n", parts=2)) == ["x | y"]


def test_rows_of_json_keep_all_they_have(tmp_path: Path) -> None:
    rows = [{"text": "a", "more": {"deep": [1]}}, {"text": "b"}]

    found = read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))

    assert next(open_texts(tmp_path / "a.jsonl", 1).parts(9)).rows.objects == rows
    assert texts(found) == ["a", "b"]
