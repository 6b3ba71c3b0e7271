"""Decodes text files as UTF-8 or GB18030, and never replaces a character silently."""

from collections.abc import Iterator
from typing import Literal

from finegrid.data.findings import FileFindings, quote
from finegrid.data.settings import Encoding

Codec = Literal["utf-8", "gb18030"]
ELSE_AUTO = 'which encoding asks for. Set encoding = "auto", or save the file as UTF-8'
# The UTF-32 mark in little-endian order starts with the UTF-16 one.
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def decode(raw: bytes, encoding: Encoding, findings: FileFindings) -> str | None:
    """The characters of the file without a byte order mark, or None and a problem."""
    if raw.startswith(WIDE_MARKS):
        findings.add_problem(
            "encoding", "UTF-16 or UTF-32 text; expected UTF-8 or GB18030. Save the file as UTF-8"
        )
        return None
    if b"\0" in raw:
        _report_nul_bytes(raw, findings)
        return None
    if encoding == "gb18030":
        return _decode_gb18030(raw, findings)
    if _can_decode(raw, "utf-8"):
        return raw.decode("utf-8-sig")
    if encoding == "auto":
        return _guess_encoding(raw, findings)
    _refuse_lines(raw, "utf-8", ELSE_AUTO, findings)
    return None


def _guess_encoding(raw: bytes, findings: FileFindings) -> str | None:
    """GB18030 if it fits; but a UTF-8 file with some bytes damaged must not pass as GB18030."""
    if _is_mostly_utf8(raw):
        _refuse_lines(raw, "utf-8", "while most lines are: it is damaged. Repair it", findings)
        return None
    if not _can_decode(raw, "gb18030"):
        _refuse_lines(raw, "utf-8", "and the file is not GB18030 either. Save it as UTF-8", findings)
        return None
    text = raw.decode("gb18030").removeprefix("\ufeff")
    sample = next((line for line in text.split("\n") if not line.isascii()), "")
    findings.warnings.append(
        f"{findings.file} is not UTF-8 and was read as GB18030, e.g. {quote(sample)}. "
        'If that reads well, set encoding = "gb18030"; if not, save the file as UTF-8'
    )
    return text


def _decode_gb18030(raw: bytes, findings: FileFindings) -> str | None:
    if not _can_decode(raw, "gb18030"):
        _refuse_lines(raw, "gb18030", ELSE_AUTO, findings)
        return None
    if not raw.isascii() and _can_decode(raw, "utf-8"):
        findings.warnings.append(
            f'{findings.file} was read as GB18030 because encoding = "gb18030", but it is valid UTF-8 too. '
            'If its texts look wrong, set encoding = "auto"'
        )
    return raw.decode("gb18030").removeprefix("\ufeff")


def _can_decode(raw: bytes, codec: Codec) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(raw: bytes) -> bool:
    # A line of GB18030 Chinese is hardly ever valid UTF-8, so valid lines mean UTF-8 with some bytes damaged.
    foreign = [line for _, _, line in _split_lines(raw) if not line.isascii()]
    return 2 * sum(_can_decode(line, "utf-8") for line in foreign) > len(foreign)


def _split_lines(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Line number from 1, offset of its first byte, bytes."""
    offset = 0
    for number, line in enumerate(raw.split(b"\n" if b"\n" in raw else b"\r"), start=1):
        yield number, offset, line
        offset += len(line) + 1


def _report_nul_bytes(raw: bytes, findings: FileFindings) -> None:
    for number, offset, line in _split_lines(raw):
        if (column := line.find(b"\0")) >= 0:
            what = (
                f"a NUL byte at offset {offset + column} of the file; text has none. "
                "Save the file as UTF-8 text, or take the byte out"
            )
            findings.add_problem("NUL byte", what, number)


def _refuse_lines(raw: bytes, codec: Codec, advice: str, findings: FileFindings) -> None:
    """A problem for each line that does not decode."""
    for number, offset, line in _split_lines(raw):
        try:
            line.decode(codec)
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x} at offset {offset + error.start} of the file"
            findings.add_problem(f"not {codec.upper()}", f"{byte} is not {codec.upper()}, {advice}", number)
