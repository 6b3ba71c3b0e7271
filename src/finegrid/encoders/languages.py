"""Which language texts are in, as far as their letters tell, and checkpoints of the hub that know it.

The names are proposals, all of families that finegrid fine-tunes and with tokenizers that it reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

MOST_LETTERS = 200_000  # that are looked at
KANA_SHARE = 0.05  # of the letters of a Japanese text, at least: Chinese has none
MAIN_SHARE = 0.5  # of the letters; below, no script is the texts' own
LEAST_WORDS = 0.02  # of all words are those of `COMMON`, or no Latin language is named

# First words of Unicode's names of letters -> language, where a script has one that most texts are in.
SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "CYRILLIC": "Russian",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "GREEK": "Greek",
    "DEVANAGARI": "Hindi",
}
# Words that only one of these languages has, or has far more often.
COMMON = {
    "English": "the of and is that for with was this are you what how not it's",
    "German": "der die und das ist nicht mit ein eine den auf für auch sich zu",
    "French": "les des est une dans pour pas qui sur vous avec ce sont du et",
    "Spanish": "el los las una por para con es del como más pero muy está y",
    "Italian": "il della che di per sono non più gli nel anche è le alla con",
    "Portuguese": "não uma os para com mais do da em são você também ao pelo e",
    "Dutch": "het een van niet zijn dat ook voor maar bij naar wordt is en de",
    "Turkish": "bir ve bu için çok ile da daha ama gibi ne kadar değil var mi",
}
MULTILINGUAL = (
    *("google-bert/bert-base-multilingual-cased", "distilbert/distilbert-base-multilingual-cased"),
    "FacebookAI/xlm-roberta-base",
)
HUB = {
    "Chinese": (
        "google-bert/bert-base-chinese",
        "hfl/chinese-roberta-wwm-ext",
        "hfl/chinese-macbert-base",
        "hfl/rbt3",
    ),
    "English": (
        "google-bert/bert-base-uncased",
        "FacebookAI/roberta-base",
        "distilbert/distilbert-base-uncased",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "German": ("google-bert/bert-base-german-cased", "deepset/gbert-base"),
    "French": ("almanach/camembert-base",),
    "Spanish": ("dccuchile/bert-base-spanish-wwm-cased",),
    "Italian": ("dbmdz/bert-base-italian-cased",),
    "Portuguese": ("neuralmind/bert-base-portuguese-cased",),
    "Dutch": ("GroNLP/bert-base-dutch-cased",),
    "Turkish": ("dbmdz/bert-base-turkish-cased",),
    "Korean": ("klue/bert-base", "monologg/koelectra-base-v3-discriminator"),
    "Russian": ("DeepPavlov/rubert-base-cased", "cointegrated/rubert-tiny2"),
    "Arabic": ("aubmindlab/bert-base-arabertv02", "asafaya/bert-base-arabic"),
    "Hebrew": ("onlplab/alephbert-base",),
    "Greek": ("nlpaueb/bert-base-greek-uncased-v1",),
    "Hindi": ("google/muril-base-cased",),
}
WORD = re.compile(r"[^\W\d_]+(?:'s)?")


def find_language(texts: Sequence[str]) -> str | None:
    """The language of most of the texts; None where letters and frequent words do not tell."""
    letters: Counter[str] = Counter()
    looked_at = 0
    for text in texts:
        for letter, count in Counter(text).items():
            if letter.isalpha():
                letters[script_of(letter)] += count
                looked_at += count
        if looked_at > MOST_LETTERS:
            break
    if not looked_at:
        return None
    if (letters["HIRAGANA"] + letters["KATAKANA"]) / looked_at >= KANA_SHARE:
        return "Japanese"
    script, count = letters.most_common(1)[0]
    if count / looked_at < MAIN_SHARE:
        return None
    return find_latin(texts) if script == "LATIN" else SCRIPTS.get(script)


def script_of(letter: str) -> str:
    return unicodedata.name(letter, "?").partition(" ")[0]


def find_latin(texts: Sequence[str]) -> str | None:
    """By its most frequent words; None where these are of none of `COMMON`."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(WORD.findall(text.lower()))
        if words.total() > MOST_LETTERS:
            break
    counts = {language: sum(words[word] for word in known.split()) for language, known in COMMON.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= LEAST_WORDS * words.total() and counts[best] else None


def propose_checkpoints(language: str | None) -> tuple[str, ...]:
    """Hub ids for texts in this language: its own ones first."""
    return (*HUB.get(language or "", ()), *(() if language in ("English", "Chinese") else MULTILINGUAL))
