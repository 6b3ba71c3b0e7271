"""Encodings: UTF-8 and GB18030 are read, and nothing is replaced in silence."""

from pathlib import Path

import pytest
from support.data_samples import HEADER, load, refused, rows, three

CHINESE = HEADER + "央行净回笼资金\ta\n球队夺冠归来\tb\n" + rows("新闻")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    marked = load(tmp_path, three(train="\ufeff" + CHINESE))

    assert marked.train.texts[0] == ("央行净回笼资金",)


def test_gb18030_is_recognised_with_a_sample_and_advice(tmp_path: Path) -> None:
    files = three(train=CHINESE)
    files["train.tsv"] = CHINESE.encode("gb18030")

    table = load(tmp_path, files)

    assert table.train.texts[0] == ("央行净回笼资金",)
    assert "央行净回笼资金" in table.warnings[0] and 'encoding = "gb18030"' in table.warnings[0]
    assert table.fingerprint() == load(tmp_path, three(train=CHINESE)).fingerprint()


def test_named_gb18030_is_read_without_a_warning(tmp_path: Path) -> None:
    files = {name: CHINESE.replace("新闻", name).encode("gb18030") for name in three()}

    assert not any("GB18030" in warning for warning in load(tmp_path, files, encoding="gb18030").warnings)


def test_utf8_read_as_gb18030_is_doubted(tmp_path: Path) -> None:
    # An even number of bytes above 0x7f on each line, so that GB18030 accepts them.
    text = HEADER + "中国\ta\n体育\tb\n" + rows("x")

    assert any(
        "valid UTF-8 too" in warning
        for warning in load(tmp_path, three(train=text), encoding="gb18030").warnings
    )


def test_a_damaged_utf8_file_does_not_pass_as_gb18030(tmp_path: Path) -> None:
    raw = CHINESE.encode().replace("冠".encode(), "冠".encode()[:2])

    message = refused(tmp_path, three() | {"train.tsv": raw})

    offset = CHINESE.encode().index("冠".encode())
    assert (
        "train.tsv line 3" in message and f"byte 0xe5 at offset {offset}" in message and "Repair" in message
    )


def test_bytes_of_no_known_encoding_are_named_by_line_and_offset(tmp_path: Path) -> None:
    message = refused(tmp_path, three() | {"train.tsv": b"text\tlabel\nok\ta\ncaf\xe9\ta\n\xff\tb\n"})

    assert "train.tsv line 3" in message and "0xe9 at offset 19" in message and "GB18030" in message
    assert "train.tsv line 4" in message


def test_a_named_encoding_is_not_guessed_around(tmp_path: Path) -> None:
    files = three() | {"train.tsv": CHINESE.encode("gb18030")}

    assert "line 2" in refused(tmp_path, files, encoding="utf-8") and 'encoding = "auto"' in refused(
        tmp_path, files, encoding="utf-8"
    )
    assert "is not GB18030" in refused(
        tmp_path, three() | {"train.tsv": b"text\tlabel\n\xff\ta\n"}, encoding="gb18030"
    )


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_wide_encodings_are_refused(codec: str, tmp_path: Path) -> None:
    message = refused(tmp_path, three() | {"train.tsv": CHINESE.encode(codec)})

    assert "UTF-16" in message or "NUL" in message
    assert "UTF-8" in message


def test_nul_bytes_are_named_by_line(tmp_path: Path) -> None:
    message = refused(tmp_path, three(train=HEADER + "a\ta\nb\0\tb\n"))

    assert "train.tsv line 3" in message and "NUL byte at offset 16" in message
