"""Bytes of a file, damaged as by bad disks, bad transfers and bad programs."""

from __future__ import annotations

import random

PIECES = (
    *(
        b'"',
        b'""',
        b",",
        b";",
        b"|",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"-",
        b"=",
        b"#",
        b"'",
        b"/",
        b"..",
    ),
    *(b"label", b"text", b"__label__", b"null", b"NaN", b"inf", b"true", b"1e999", b"\\ud800", b"[factors]"),
    *(b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xe4", b"\xff", b"\x80", b"9" * 400, b"[" * 400),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PAR1", b"PK\x03\x04"),  # how files begin
    *(b"\xe2\x80\xa8", b"\xee\x80\x80", b"\xef\xbf\xbd"),  # line separator, private use, replacement
)


def mutate_bytes(raw: bytes, chance: random.Random) -> bytes:
    """One to four changes: a piece put in, or in place of another; a part lost or doubled; a bit turned."""
    content = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(content) + 1), chance.randint(0, 12)
        kind = chance.randrange(6)
        if kind == 0:
            content[at:at] = chance.choice(PIECES)
        elif kind == 1:
            content[at : at + size] = chance.choice(PIECES)
        elif kind == 2:
            del content[at : at + chance.choice((1, size, 200))]
        elif kind == 3:
            other = chance.randrange(len(content) + 1)
            content[at:at] = content[other : other + chance.choice((size, 200))]
        elif kind == 4 and content:
            content[min(at, len(content) - 1)] ^= 1 << chance.randrange(8)
        else:
            del content[at if chance.random() < 0.1 else len(content) :]
    return bytes(content)
