"""Texts of ``study.toml`` that a stranger, or a broken editor, may have left; and what reading them does.

`mutate` makes the ``n``-th mutation of a text from its number alone, so that a fault can be made again.
`find_faults` reads many of them as the commands do that only read, in this process.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from finegrid.encoders import families
from finegrid.encoders.families import EMBEDDED
from finegrid.errors import InputError, input_error
from finegrid.planning.status import study_status
from finegrid.planning.status_words import plan_lines, status_lines
from finegrid.spelling import LANGS
from finegrid.study.load import load_study, read_study
from support.studies import SMALL_FACTORS, write_word_study

SECONDS = 8.0  # that reading a study may take: one of 4,096 rows, the most, takes three
MOST_CHARACTERS = 20_000  # of a message
DIGITS = "9" * 400
LONG = "x" * 100_000
VALUES = [
    *("0", "-1", "1", "3", "7.5", "1e400", "-inf", "inf", "nan", "true", "false", '""', '"x"', "[]", "{}"),
    *(DIGITS, f"-{DIGITS}", "9" * 5000, "1e-400", "0x7fffffffffffffff", "9223372036854775808", "0.1"),
    *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[1979-05-27, 07:32:00]", '"\\u0000"', '"a\\u0000b"'),
    *(
        f'"{LONG}"',
        f'"{"d/" * 3000}x"',
        '"~nobody-of-this-name/x"',
        '"~"',
        '"/"',
        '"."',
        '".."',
        '"/dev/null"',
    ),
    *(
        '"\\u202e"',
        '"\\u001b[31m"',
        '"\\n"',
        '"é"',
        "'''\n'''",
        "[[]]",
        "[[[1]]]",
        "[0, 0]",
        "[1, 2, 3]",
        "[true, 1]",
    ),
    *(
        "[0, 1]",
        "[0, 1.0]",
        '["a", "b"]',
        "[nan, nan]",
        "[inf, 1]",
        f"[0, {DIGITS}]",
        f"[{DIGITS}, {DIGITS}]",
        "[{}, {}]",
    ),
    *(
        "{ a = {}, b = {} }",
        "{ a = 1 }",
        '{ a = { "optimizer.rate" = 1e-5 }, b = {} }',
        "{ a = { b = { c = {} } }, d = {} }",
    ),
    *(
        '{ "" = {}, b = {} }',
        '{ "\\u0000" = {}, b = { "freeze.layers" = 1 } }',
        "[" * 80 + "]" * 80,
        "[" * 5000 + "]" * 5000,
    ),
    *(
        "{ a = " * 60 + "1" + " }" * 60,
        "[" + ", ".join(map(str, range(3000))) + "]",
        '"mini-zh"',
        '"macro-f1"',
        '"f1:\\u0000"',
    ),
]
KEYS = [
    *(
        '""',
        '"\\u0000"',
        '"a.b"',
        "a.b",
        "a.b.c",
        '"\\u001b"',
        '"é"',
        "data",
        "factors",
        "model.name",
        "run",
        "design",
    ),
    *(
        "reinit.layers",
        '"reinit.layers"',
        '"freeze.layers"',
        '"optimizer.rate"',
        '"training.epochs"',
        "preset",
        "score",
    ),
    *(
        "design.kind",
        "design.seeds",
        "design.resample",
        "factors.reinit",
        '"posthoc.temperature"',
        '"x"',
        f'"{LONG}"',
    ),
    *(
        "seeds",
        "kind",
        "resolution",
        "looks",
        "train",
        "dev",
        "test",
        "text",
        "label",
        "encoding",
        "memory",
        "threads",
    ),
]
TABLES = [
    *(
        "[data]",
        "[design]",
        "[run]",
        "[factors]",
        "[model]",
        "[factors.x]",
        '[factors."\\u0000"]',
        "[[factors]]",
        "[a.b.c]",
    ),
    *(
        "[[data]]",
        '[factors."a.b"]',
        "[factors.reinit]",
        "[optimizer]",
        "[training]",
        '[""]',
        "[factors.x.a]",
        "[factors.x.b]",
    ),
]
MANY = {
    "optimizer.rate": 1e-5,
    "training.epochs": 1,
    "schedule.warmup_ratio": 1e-3,
    "clip.norm": 0.5,
    "training.batch_size": 1,
    "optimizer.weight_decay": 1e-3,
    "training.gradient_accumulation": 1,
}
NUMBER = re.compile(r"(?<![\w.\"])-?\d[\d.e_-]*")
VALUE = re.compile(r"=[ \t]*([^\n]*)")


DATA = "\n".join(f'{part} = "../data/{part}.tsv"' for part in ("train", "dev", "test"))
HALVES: dict[str, Sequence[object]] = {
    "freeze.layers": [0, 6],
    "reinit.layers": [0, 2],
    "schedule.warmup_ratio": [0.0, 0.1],
}
BUNDLE = '[factors.recipe]\nold = {}\nnew = { "optimizer.rate" = 1e-5, "training.epochs" = 3 }\n[design]'


def list_texts(folder: Path) -> list[str]:
    """Valid texts of every kind of study, on the embedded checkpoint; the last lies in the folder."""
    texts = []
    kinds: list[tuple[str, str, str, Mapping[str, Sequence[object]]]] = [
        ("", "", "", SMALL_FACTORS),
        ('kind = "fractional"\nseeds = 3', "", "", HALVES),
        ('kind = "screen"\nresolution = "III"\nlooks = [3, 5]', "memory = 4.0\nthreads = 1", "", HALVES),
        ("", "", 'preset = "thucnews64"\nscore = "accuracy"\nnote = "x"', {"clip.norm": [1.0, 0.5]}),
        ("", "", "", {"posthoc.temperature": ["none", "dev"], "freeze.layers": [0, 6]}),
        ('kind = "one-at-a-time"\nresample = 5\nseeds = [0, 1, 2, 3, 4]', "", "", HALVES),
    ]
    for design, run, top, factors in kinds:
        write_word_study(folder, Path(EMBEDDED), factors, top, DATA, design=design, run=run)
        texts.append((folder / "study.toml").read_text(encoding="utf-8"))
    return [*texts, texts[0].replace("[design]", BUNDLE)]


def mutate(text: str, seed: int) -> str:
    """The text with one to four changes, which the seed decides."""
    draw = random.Random(seed)
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        text = draw.choice(CHANGES)(text, draw)
    return text


def change_value(text: str, draw: random.Random) -> str:
    places = list(VALUE.finditer(text))
    if not places:
        return text
    place = draw.choice(places)
    return text[: place.start(1)] + draw.choice(VALUES) + text[place.end(1) :]


def change_number(text: str, draw: random.Random) -> str:
    places = list(NUMBER.finditer(text))
    if not places:
        return text
    place = draw.choice(places)
    new = draw.choice(
        ("0", "-1", "1", "2", "1e9", "1000000000", DIGITS, "nan", "inf", "1e-300", "0.5", "1e308")
    )
    return text[: place.start()] + new + text[place.end() :]


def change_key(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    places = [index for index, line in enumerate(lines) if "=" in line]
    if places:
        index = draw.choice(places)
        lines[index] = f"{draw.choice(KEYS)} ={lines[index].partition('=')[2]}"
    return "\n".join(lines)


def add_line(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    new = f"{draw.choice(KEYS)} = {draw.choice(VALUES)}" if draw.random() < 0.7 else draw.choice(TABLES)
    lines.insert(draw.randrange(len(lines) + 1), new)
    return "\n".join(lines)


def move_line(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    line = lines.pop(draw.randrange(len(lines)))
    for _ in range(draw.randrange(3)):  # left out, moved, or twice
        lines.insert(draw.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def change_character(text: str, draw: random.Random) -> str:
    place = draw.randrange(len(text) + 1)
    new = draw.choice(
        ('"', "'", "[", "]", "{", "}", "=", ".", ",", "\n", "\x00", "\x1b", "é", "\u202e", "#", "9", "")
    )
    return text[:place] + new + text[place + draw.randrange(3) :]


def cut(text: str, draw: random.Random) -> str:
    return text[: draw.randrange(len(text) + 1)]


def vary_many(text: str, draw: random.Random) -> str:
    """Factors of many levels, of which all combinations would be more than any memory holds."""
    levels, factors = draw.choice((2, 2, 2, 3, 3, 4, 7, 40, 300)), draw.randrange(1, 1 + len(MANY))
    rows = [
        f'"{name}" = [{", ".join(f"{(index + 2) * step:g}" for index in range(levels))}]'
        for name, step in list(MANY.items())[:factors]
    ]
    return (
        text + "\n[factors]\n" + "\n".join(rows)
        if "[factors]" not in text
        else text.replace("[factors]", "[factors]\n" + "\n".join(rows), 1)
    )


CHANGES: Sequence[Callable[[str, random.Random], str]] = (
    *(change_value, change_value, change_value, change_number, change_number, change_key, add_line, add_line),
    *(move_line, change_character, cut, vary_many),
)


@dataclass(frozen=True)
class Fault:
    """A mutation that was not read, nor refused in words."""

    seed: int
    what: str


def find_faults(folder: Path, texts: Sequence[str], seeds: range) -> Iterator[Fault]:
    """Read the mutation of every seed, of the texts in turn, as ``study.toml`` of a folder.

    Args:
        folder: of a study that is otherwise whole; its ``study.toml`` is overwritten.
        texts: valid ones for this folder.
        seeds: which mutations.

    Yields:
        Those that ended in something else than a study or an `InputError`, or took over `SECONDS`.
    """
    with patch.object(families, "download", refuse_download):
        for text in texts:  # what is imported when it is first needed takes seconds
            (folder / "study.toml").write_text(text, encoding="utf-8")
            read_as_commands_do(folder)
        for seed in seeds:
            text = mutate(texts[seed % len(texts)], seed)
            (folder / "study.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
            if (what := read_timed(folder)) is not None:
                yield Fault(seed, what)


def read_timed(folder: Path) -> str | None:
    """What is wrong with how a folder is read; None if nothing."""
    begin = time.perf_counter()
    try:
        read_as_commands_do(folder)
    except InputError as error:
        if len(str(error)) > MOST_CHARACTERS:
            return f"a message of {len(str(error)):,} characters: {str(error)[:200]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - begin
    return f"{seconds:.1f} s" if seconds > SECONDS else None


def refuse_download(hub_id: str) -> Path:
    raise input_error("model.name", hub_id, "no network while mutations are read")


def read_as_commands_do(folder: Path) -> None:
    """What ``plan`` and ``status`` do and say; no data are read."""
    study = load_study(folder)
    assert study.rows, "a design has rows"
    status = study_status(read_study(folder), study.head.run)
    for lang in LANGS:
        plan_lines(status, [], lang)
        status_lines(status, lang)
