"""Text in both languages at once: the page holds both, a style sheet shows one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from finegrid.errors import visible
from finegrid.report.page.compared_words import COMPARED_WORDS
from finegrid.report.page.words import WORDS
from finegrid.spelling import LANGS, Lang
from finegrid.words import say_singular

HTML_LANG: dict[Lang, str] = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True)
class Both:
    """The same thing in English and in Chinese, safe to put into a page."""

    en: Markup
    zh: Markup

    def __html__(self) -> Markup:
        if self.en == self.zh:
            return self.en
        each = ((lang, self.in_(lang)) for lang in LANGS)
        return Markup("").join(
            Markup('<span class="t" lang="{}">{}</span>').format(HTML_LANG[lang], text) for lang, text in each
        )

    def in_(self, lang: Lang) -> Markup:
        return self.en if lang == "en" else self.zh


Part = Both | Markup | str | int


def say(key: str, **values: Part) -> Both:
    """The words of a key, its fields filled in; what is not `Markup` yet is escaped."""
    return fill_in(key, WORDS, values)


def fill_in(key: str, words: Mapping[Lang, Mapping[str, str]], values: Mapping[str, Part]) -> Both:
    templates = {**words, "en": {key: say_singular(words["en"][key], values)}}
    return Both(*(Markup(templates[lang][key]).format(**only(values, lang)) for lang in LANGS))


def say_compared(key: str, **values: Part) -> Both:
    """The same where systems are compared, which have words of their own."""
    if key not in COMPARED_WORDS["en"]:
        return say(key, **values)
    return fill_in(key, COMPARED_WORDS, values)


def only(values: Mapping[str, Part], lang: Lang) -> dict[str, Any]:
    return {name: value.in_(lang) if isinstance(value, Both) else value for name, value in values.items()}


def same(text: Markup | str | int) -> Both:
    """What reads alike in both languages."""
    return Both(escape(text), escape(text))


def join(parts: Iterable[Part], between: str = "list comma") -> Both:
    """Listed, with the comma (or another separator) of each language."""
    each = [part if isinstance(part, Both) else same(part) for part in parts]
    return Both(*(Markup(WORDS[lang][between]).join(one.in_(lang) for one in each) for lang in LANGS))


def user(text: object) -> Markup:
    """Text of the user's files: escaped, control characters spelled out, its direction kept to itself."""
    return Markup("<bdi>{}</bdi>").format(visible(str(text)))


def code(text: object) -> Markup:
    """The same, as a name or a value."""
    return Markup('<code dir="auto">{}</code>').format(visible(str(text)))


def marked(text: str, mark: str) -> Markup:
    """Escaped, control characters spelled out, with what stands between two marks as code."""
    pieces = visible(text).split(mark)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )
