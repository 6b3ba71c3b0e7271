"""Bytes of a file, damaged as by bad disks, bad transfers and bad programs, and a study.toml by hands."""

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
# What hands write in the place of a value of study.toml; some of it long, some deep.
VALUES = (
    *("true", "false", "0", "-1", "1", "2", "0.1", "0.5", "-0.0", "1e-320", "1e400", "inf", "-inf", "nan"),
    *("9" * 20, "9" * 5_000, "-" + "9" * 400, "0x" + "f" * 2_000, "1979-05-27", "07:32:00"),
    *('""', '"x"', '"0"', '"macro-f1"', '"f1:x"', '"../.."', '"/etc/passwd"', '"/dev/zero"', '"=cmd()"'),
    *('"a\\u0000b"', '"\\u202ex"', '"' + "x" * 100_000 + '"'),
    *("[]", "{}", "[[]]", "[1, 2]", '["x", 1]', "[nan, inf]", "[0, 0]", "[true, false]", "[0, 1, 2, 1e9]"),
    *("{x = 1}", '[{x = "y"}]', "[" * 150 + "]" * 150, "[" * 3_000 + "]" * 3_000),
    "{a = " * 100 + "1" + "}" * 100,
)
TABLES = ("data", "x", "model.x", "bundles.b.c", "[run]", "design")
KEYS = ("of the future", "", "__class__", "x.y.z", "seeds")


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


def mutate_settings(text: str, chance: random.Random) -> bytes:
    """One to three lines of a study.toml changed: another value, called otherwise, lost, doubled, moved."""
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        key, equals, _ = lines[at].partition(" = ")
        match chance.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(chance.randrange(len(lines) + 1), lines[at])
            case 2:
                lines[at] = f"{chance.choice(KEYS)!r}{lines[at]}"
            case 3:
                lines.insert(at, f"[{chance.choice(TABLES)}]")
            case _ if equals:
                lines[at] = f"{key} = {chance.choice(VALUES)}"
            case _:
                lines[at] = chance.choice(VALUES)
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogatepass")
