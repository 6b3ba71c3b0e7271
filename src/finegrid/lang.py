"""The languages that verdicts and reports are written in."""

from typing import Literal, get_args

from finegrid.errors import input_error

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, ...] = get_args(Lang)


def as_lang(name: str) -> Lang:
    """A language of ours.

    Raises:
        InputError: any other.
    """
    for lang in LANGS:
        if lang == name:
            return lang
    raise input_error("command line", "--lang", f'found "{name}", expected {" or ".join(LANGS)}.')
