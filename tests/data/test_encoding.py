"""Encodings are found out and told, and nothing is replaced in silence."""

from pathlib import Path

import pytest
from support.data_samples import HEADER, load, refused, rows, three

from finegrid.data.encoding import CODECS
from finegrid.errors import InputError

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
    for words, more in (("中国", "set encoding"), ("天气", "If its texts look wrong, set encoding")):
        text = HEADER + f"{words}\ta\n体育\tb\n" + rows("x")
        try:
            told = "; ".join(load(tmp_path, three(train=text), encoding="gb18030").warnings)
        except InputError as error:  # what it would be read as has characters that stand for nothing
            told = str(error)
        assert "valid UTF-8" in told and f'{more} = "auto"' in told


def test_a_damaged_utf8_file_does_not_pass_as_gb18030(tmp_path: Path) -> None:
    raw = CHINESE.encode().replace("冠".encode(), "冠".encode()[:2])

    message = refused(tmp_path, three() | {"train.tsv": raw})

    offset = CHINESE.encode().index("冠".encode())
    assert (
        "train.tsv line 3" in message and f"byte 0xe5 at offset {offset}" in message and "Repair" in message
    )


def test_bytes_of_no_known_encoding_are_named_by_line_and_offset(tmp_path: Path) -> None:
    message = refused(
        tmp_path, three() | {"train.tsv": b"text\tlabel\nok\ta\n\x81\x8d\x8f\x90\ta\n\x9d\tb\n"}
    )

    assert "train.tsv line 3" in message and "0x81 at offset 16" in message
    assert "train.tsv line 4" in message and "no other encoding" in message


def test_a_named_encoding_is_not_guessed_around(tmp_path: Path) -> None:
    files = three() | {"train.tsv": CHINESE.encode("gb18030")}

    assert "line 2" in refused(tmp_path, files, encoding="utf-8") and 'encoding = "auto"' in refused(
        tmp_path, files, encoding="utf-8"
    )
    assert "is not GB18030" in refused(
        tmp_path, three() | {"train.tsv": b"text\tlabel\n\xff\ta\n"}, encoding="gb18030"
    )


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_wide_encodings_are_read_by_their_mark(codec: str, tmp_path: Path) -> None:
    plain = load(tmp_path, three(train=CHINESE))
    files = three() | {"train.tsv": CHINESE.encode(codec)}

    assert load(tmp_path, files).fingerprint() == plain.fingerprint() and not load(tmp_path, files).warnings
    assert f'encoding = "{codec}"' in refused(tmp_path, files, encoding="utf-8")


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le", "utf-32-le"])
def test_wide_encodings_without_a_mark_are_named(codec: str, tmp_path: Path) -> None:
    latin = HEADER + rows("some words")

    assert "UTF-16 without a mark" in refused(tmp_path, three() | {"train.tsv": latin.encode(codec)})


SENTENCES = {
    "cp949": ("이 영화 정말 재미있게 봤습니다", "서비스가 너무 나빴어요"),
    "big5": ("這部電影真的非常好看", "服務態度很差，不推薦"),
    "shift_jis": ("この映画はとても面白かったです", "サービスが悪くて残念でした"),
    "euc-jp": ("この映画はとても面白かったです", "サービスが悪くて残念でした"),
    "gb18030": ("这部电影真的非常好看", "服务态度很差，不推荐"),
    "koi8-r": ("Этот фильм мне очень понравился", "Ужасное обслуживание в ресторане"),
    "windows-1250": ("Film był świetny i bardzo śmieszny", "Zła obsługa, długo czekałem"),
    "windows-1251": ("Этот фильм мне очень понравился", "Ужасное обслуживание в ресторане"),
    "windows-1252": ("Das Essen war überhaupt nicht gut", "Größe passt, Qualität mäßig"),
    "windows-1253": ("Η ταινία ήταν πολύ καλή", "Η εξυπηρέτηση ήταν άθλια"),
    "windows-1255": ("הסרט היה ממש טוב", "השירות היה גרוע"),
    "windows-1256": ("كان الفيلم رائعا جدا", "الخدمة كانت سيئة"),
    "windows-874": ("หนังเรื่องนี้สนุกมาก", "บริการแย่มาก"),
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_encodings_are_found_out_and_told_with_a_sample(encoding: str, tmp_path: Path) -> None:
    lines = "".join(
        f"{text} {i}\t{label}\n"
        for i in range(6)
        for label, text in zip("ab", SENTENCES[encoding], strict=True)
    )
    raw = (HEADER + lines).encode(CODECS[encoding][0])  # type: ignore[index]

    table = load(tmp_path, three() | {"train.tsv": raw})

    assert table.train.texts[0][0] == SENTENCES[encoding][0] + " 0"
    assert encoding.upper() in table.warnings[0] and SENTENCES[encoding][0][:20] in table.warnings[0]
    named = load(tmp_path, three() | {"train.tsv": raw}, encoding=encoding)
    assert named.fingerprint() == table.fingerprint()


def test_characters_that_stand_for_nothing_are_refused(tmp_path: Path) -> None:
    raw = (HEADER + "點高油燉壺壺水煎椒\ta\n高鍋勺煎煮\tb\n").encode("big5")

    message = refused(tmp_path, three() | {"train.tsv": raw}, encoding="gb18030")

    assert "stand for nothing" in message and "train.tsv line 2" in message


def test_a_damaged_file_does_not_pass_as_letters_of_the_west(tmp_path: Path) -> None:
    lines = "".join(f"第{i}部电影真的非常好看\ta\n" for i in range(10)).encode("gb18030")
    raw = HEADER.encode() + lines + "服务".encode("gb18030")[:3] + b"\tb\n" + rows("x").encode()

    message = refused(tmp_path, three() | {"train.tsv": raw})

    assert "train.tsv line 12" in message and "is not GB18030" in message and "Repair it" in message


def test_byte_order_marks_inside_a_file_are_taken_off_and_told(tmp_path: Path) -> None:
    text = HEADER + rows("x", 3) + "\ufeffanother file\ta\n" + rows("y")

    table = load(tmp_path, three(train=text))

    assert ("another file",) in table.train.texts
    assert any("1 byte order mark (U+FEFF) inside the file, the first in line 8" in w for w in table.warnings)


def test_nul_bytes_are_named_by_line(tmp_path: Path) -> None:
    message = refused(tmp_path, three(train=HEADER + "a\ta\nb\0\tb\n"))

    assert "train.tsv line 3" in message and "NUL byte at offset 16" in message
