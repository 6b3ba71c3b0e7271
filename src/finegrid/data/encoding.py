"""Decodes text files, and never replaces a character silently."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import Encoding

# Python's codecs of each encoding, the first that fits: Windows decodes a superset of the standard's.
CODECS: dict[Encoding, tuple[str, ...]] = {
    "utf-8": ("utf-8-sig",),
    "utf-16": ("utf-16",),
    "utf-32": ("utf-32",),
    "gb18030": ("gb18030",),
    "big5": ("cp950", "big5hkscs"),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "euc-jp": ("euc_jp", "euc_jis_2004"),
    "cp949": ("cp949",),
    "koi8-r": ("koi8_r",),
    "iso-8859-2": ("iso8859_2",),
    "iso-8859-15": ("iso8859_15",),
    "windows-874": ("cp874",),
    "windows-1250": ("cp1250",),
    "windows-1251": ("cp1251",),
    "windows-1252": ("cp1252",),
    "windows-1253": ("cp1253",),
    "windows-1254": ("cp1254",),
    "windows-1255": ("cp1255",),
    "windows-1256": ("cp1256",),
    "windows-1257": ("cp1257",),
    "windows-1258": ("cp1258",),
}
OF_CODEC: dict[str, Encoding] = {
    codecs.lookup(codec).name: encoding for encoding, known in CODECS.items() for codec in known
}
# What the detector may answer. Of these ISO encodings it tells the Windows one that contains it.
CANDIDATES = (
    *("gb18030", "big5hkscs", "cp932", "shift_jis_2004", "euc_jis_2004", "cp949", "euc_kr", "koi8-r"),
    *("cp874", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("iso8859-1", "iso8859-2", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-15"),
)
LEAST_CONFIDENCE = 0.03  # below, the detector's answers for a line or two are as often wrong as right
MOST_DETECTED = 200_000  # bytes of foreign lines that the detector looks at
NO_UNICODE = {encoding for encoding in CODECS if not encoding.startswith("utf")}
MULTIBYTE: tuple[Encoding, ...] = ("gb18030", "big5", "shift_jis", "euc-jp", "cp949")
WIDE: tuple[Encoding, ...] = ("utf-16", "utf-32")
ELSE_AUTO = 'which encoding asks for. Set encoding = "auto", or save the file as UTF-8'
PRIVATE = re.compile(r"[\ue000-\uf8ff]")  # characters that no standard gives a meaning
MARK = "\ufeff"
CHINESE_PAIR = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")  # punctuation and the 3,755 common characters


@dataclass(frozen=True)
class Decoded:
    """The characters of a file, and how they were read."""

    text: str  # without byte order marks
    encoding: Encoding
    sample: str  # the first line that is not ASCII; empty where all are


def decode(raw: bytes, encoding: Encoding, findings: FileFindings) -> Decoded | None:
    """The characters of the file without byte order marks, or None and a problem."""
    found = _find_mark(raw)
    if found in WIDE and encoding not in ("auto", found):
        findings.add_problem("encoding", f'{found.upper()} text. Set encoding = "{found}" or "auto"')
        return None
    if found not in WIDE and encoding not in WIDE and b"\0" in raw:
        _report_nul_bytes(raw, findings)
        return None
    if encoding != "auto":
        found = encoding
    elif found is None:
        found = "utf-8" if _try_codec(raw, "utf-8") is not None else _guess_encoding(raw, findings)
    if found is None:
        return None
    text = _decode_as(raw, found, findings)
    if text is None:
        return None
    if found in NO_UNICODE and (seen := PRIVATE.search(text)):
        _refuse_private(raw, text, seen, found, findings)
        return None
    decoded = Decoded(_strip_marks(text, findings), found, find_sample(text))
    if found in NO_UNICODE:
        _tell_guess(raw, decoded, encoding, findings)
    return decoded


def find_sample(text: str) -> str:
    """The first line that is not ASCII."""
    if text.isascii():
        return ""
    return next((line.strip() for line in text.split("\n") if not line.isascii()), "")


def _find_mark(raw: bytes) -> Encoding | None:
    """What a byte order mark says. That of UTF-32 in little-endian order starts with the UTF-16 one."""
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8" if raw.startswith(codecs.BOM_UTF8) else None


def _guess_encoding(raw: bytes, findings: FileFindings) -> Encoding | None:
    """What the detector finds; but a UTF-8 file with some bytes damaged must not pass as another."""
    foreign = [line for _, _, line in _split_lines(raw) if not line.isascii()]
    # A line of another encoding is hardly ever valid UTF-8, so valid lines mean UTF-8 with bytes damaged.
    if 2 * sum(_try_codec(line, "utf-8") is not None for line in foreign) > len(foreign):
        _refuse_lines(raw, "utf-8", "while most lines are: it is damaged. Repair it", findings)
        return None
    found = detect(foreign)
    if found not in MULTIBYTE and (meant := _find_damaged(foreign)) is not None:
        _refuse_lines(raw, meant, "while most lines are: it is damaged. Repair it", findings)
        return None
    if found not in MULTIBYTE and _is_common_chinese(foreign):
        return "gb18030"
    if found is None:
        advice = "and no other encoding fits well. Set encoding, or save the file as UTF-8"
        _refuse_lines(raw, "utf-8", advice, findings)
    return found


def _find_damaged(foreign: list[bytes]) -> Encoding | None:
    """The encoding of most lines where others have bytes that do not fit it, so that no detector takes it."""
    for encoding in MULTIBYTE:
        fit = [line for line in foreign if _try_codec(line, CODECS[encoding][0]) is not None]
        if len(foreign) / 2 < len(fit) < len(foreign) and detect(fit) == encoding:
            return encoding
    return None


def _is_common_chinese(foreign: list[bytes]) -> bool:
    """Whether lines are nearly all of GB 2312's common characters, which are too few for the detector.

    Letters of one byte hardly ever come in pairs throughout.
    """
    raw = b"\n".join(foreign)
    if _try_codec(raw, "gb18030") is None:
        return False
    pairs = CHINESE_PAIR.findall(raw)
    return 2 * len(pairs) >= 0.9 * sum(byte > 127 for byte in raw)


def detect(foreign: list[bytes]) -> Encoding | None:
    """The encoding of some lines that are neither ASCII nor UTF-8, by their statistics."""
    import chardet

    size, kept = 0, []
    for line in foreign:
        kept.append(line)
        size += len(line)
        if size > MOST_DETECTED:
            break
    answer = chardet.detect(
        b"\n".join(kept),
        include_encodings=CANDIDATES,
        prefer_superset=True,
        compat_names=False,
        max_bytes=MOST_DETECTED,
    )
    codec = answer["encoding"]
    if codec is None or answer["confidence"] < LEAST_CONFIDENCE:
        return None
    return OF_CODEC.get(codecs.lookup(codec).name)


def _decode_as(raw: bytes, encoding: Encoding, findings: FileFindings) -> str | None:
    for codec in CODECS[encoding]:
        if (text := _try_codec(raw, codec)) is not None:
            return text
    if encoding in WIDE:
        findings.add_problem("encoding", f"not {encoding.upper()} throughout. Save the file as UTF-8")
    else:
        _refuse_lines(raw, encoding, ELSE_AUTO, findings)
    return None


def _tell_guess(raw: bytes, decoded: Decoded, asked: Encoding, findings: FileFindings) -> None:
    name = decoded.encoding.upper()
    if asked == "auto":
        findings.warnings.append(
            f"{findings.file} is not UTF-8 and was read as {name}, e.g. {quote(decoded.sample)}. "
            f'If that reads well, set encoding = "{decoded.encoding}"; if not, save the file as UTF-8'
        )
    elif not raw.isascii() and _try_codec(raw, "utf-8") is not None:
        findings.warnings.append(
            f'{findings.file} was read as {name} because encoding = "{asked}", but it is valid UTF-8 too. '
            'If its texts look wrong, set encoding = "auto"'
        )


def _strip_marks(text: str, findings: FileFindings) -> str:
    """Files that were put one after the other leave their marks in the middle, as part of a text."""
    text = text.removeprefix(MARK)
    if count := text.count(MARK):
        line = text.count("\n", 0, text.index(MARK)) + 1
        what = (
            f"{count:,} byte order mark{'s' * (count > 1)} (U+FEFF) inside the file, the first in line {line}"
        )
        findings.warnings.append(f"{findings.file}: {what}: taken off")
    return text.replace(MARK, "")


def _refuse_private(
    raw: bytes, text: str, seen: re.Match[str], encoding: Encoding, findings: FileFindings
) -> None:
    count = len(PRIVATE.findall(text))
    line = text.count("\n", 0, seen.start()) + 1
    what = (
        f"read as {encoding.upper()}, the file has {count:,} character{'s' * (count > 1)} that stand for "
        f"nothing (U+E000 to U+F8FF), the first {quote(seen[0])}: that is not its encoding. "
    )
    valid = _try_codec(raw, "utf-8") is not None
    advice = 'It is valid UTF-8: set encoding = "auto"' if valid else "Save the file as UTF-8"
    findings.add_problem("encoding", what + advice, line)


def _try_codec(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _split_lines(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Line number from 1, offset of its first byte, bytes."""
    offset = 0
    for number, line in enumerate(raw.split(b"\n" if b"\n" in raw else b"\r"), start=1):
        yield number, offset, line
        offset += len(line) + 1


def _report_nul_bytes(raw: bytes, findings: FileFindings) -> None:
    if 3 * raw.count(b"\0") > len(raw):
        what = 'NUL bytes throughout: UTF-16 without a mark? Set encoding = "utf-16", or save it as UTF-8'
        findings.add_problem("NUL byte", what)
        return
    for number, offset, line in _split_lines(raw):
        if (column := line.find(b"\0")) >= 0:
            what = (
                f"a NUL byte at offset {offset + column} of the file; text has none. "
                "Save the file as UTF-8 text, or take the byte out"
            )
            findings.add_problem("NUL byte", what, number)


def _refuse_lines(raw: bytes, encoding: Encoding, advice: str, findings: FileFindings) -> None:
    """A problem for each line that does not decode."""
    for number, offset, line in _split_lines(raw):
        try:
            line.decode(CODECS[encoding][0])
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x} at offset {offset + error.start} of the file"
            name = encoding.upper()
            findings.add_problem(f"not {name}", f"{byte} is not {name}, {advice}", number)
