"""Reads a tokeniser from its file and tokenises texts, in a process of its own that may be ended.

``python tokenise_sample.py tokenizer.json GIB`` says "ok", or in one line why it cannot. After its
sample come the texts on stdin, a list of JSON. It knows nothing of finegrid, so that it starts at once.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from time import perf_counter

AT_ONCE = 1000  # texts, whose offsets are held in memory
MOST_SECONDS = 3  # to tokenise the sample: tokenisers take a thousandth

# Several scripts, capitals and accents, digits, white space, and a word that is longer than any.
SAMPLE = (
    "a",
    "The quick brown fox jumps over the lazy dog, 1234567890 times (and more!).",
    "这部电影真的很好看，我非常喜欢。",
    "Größe, naïveté, Ünïcödé; ÇA VA?",
    "  spaces \t and\nlines \r\n ",
    "http://www.example.com/a?b=c&d=e #tag @name 😀😀",
    "Быстрая лисица. こんにちは、世界。 안녕하세요. مرحبا بالعالم",
    "ab" * 2000,
)


def limit_memory(gibibytes: int) -> None:
    """As far as the system has such a limit, in the address space of this process."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (gibibytes * 2**30, gibibytes * 2**30))


def main(path: str, gibibytes: str) -> str:
    limit_memory(int(gibibytes))
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        begin = perf_counter()
        tokenizer.encode_batch(list(SAMPLE), add_special_tokens=False)  # keeps offsets: the slower way
        if (seconds := perf_counter() - begin) > MOST_SECONDS:
            return f"takes {seconds:.0f} s for {len(SAMPLE)} short texts, expected {MOST_SECONDS} s at most"
        texts = json.loads(sys.stdin.read() or "[]")
        for start in range(0, len(texts), AT_ONCE):
            tokenizer.encode_batch(texts[start : start + AT_ONCE], add_special_tokens=False)
    except BaseException as error:  # a panic of Rust is no Exception
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "ok"


if __name__ == "__main__":
    print(main(*sys.argv[1:]).encode("ascii", "backslashreplace").decode())
