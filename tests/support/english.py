"""Finds English that is left in Chinese text."""

from __future__ import annotations

import re

# What has no Chinese: what users type, and what has a name.
NO_WORDS = re.compile(
    r"`[^`]*`"  # a command
    r"|'[^']*'|“[^”]*”|\"[^\"]*\""  # quoted
    r"|finegrid [a-z]+(?: [\w/.-]*[/.-][\w/.-]*| \d+| FILE| OUT| STUDY)*|plan --probe"  # without quotes
    r"|[\w.]+ = [\w.-]*"  # a setting and its level
    r"|(?<=[a-z]: )[\w., -]+$"  # a factor's levels
    r"|\[(?:design|factors|CLS|SEP)\]|\b[IVX]+\b|\b(?:true|false)\b"
    r"|[\w./-]*[._/][\w./-]*"  # a factor, a file, a folder
    r"|--[a-z-]+"  # an option
    r"|U\+[0-9A-F]{4}"
    r"|\w*\d\w*"  # a number, an id
    r"|one-at-a-time|best-test"
)
NAMES = frozenset(("Ctrl", "GiB", "MiB", "UTF", "accuracy", "cpu", "dropout", "finegrid", "full", "macro"))
NAMES |= {"BERT", "Brier", "Lenth", "Ray", "RoBERTa", "XLM", "pooler", "torch"}


def english_words(text: str) -> list[str]:
    """The lines of a text that hold words of English, each behind these words."""
    found = []
    for line in text.splitlines():
        words = re.findall(r"(?<![\w-])[A-Za-z]{2,}(?!\w)", NO_WORDS.sub(" ", line))
        if left := [word for word in words if word not in NAMES]:
            found.append(f"{', '.join(left)}: {line}")
    return found
