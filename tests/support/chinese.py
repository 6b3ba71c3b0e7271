"""What tests of Chinese texts ask of them."""

from __future__ import annotations

import re

HAN = re.compile("[\u4e00-\u9fff]")
# Two words one after the other, no paths and no options; the second as it stands inside a sentence.
SENTENCE = re.compile(r"(?<![\w.\-/<\"|=])[A-Za-z]{2,} [a-z]{2,}\b")
# What is typed as it stands, or is the name of something.
NAMES = re.compile(r"`[^`]*`|pip install[ \w]*|finegrid [\w-]+|Hugging Face hub|int range|float range")


def find_english(text: str) -> list[str]:
    """Beginnings of English sentences in a Chinese text."""
    return SENTENCE.findall(NAMES.sub("", text))
