"""The command that says where it runs: machine."""

from __future__ import annotations

from pathlib import Path

from finegrid.cli.options import Json, Language
from finegrid.cli.say import say, say_json
from finegrid.planning.here import look_around
from finegrid.spelling import parse_lang


def machine(lang: Language = None, as_json: Json = False) -> None:
    """Say what this machine and this installation can do."""
    language, here = parse_lang(lang), look_around(Path())
    if as_json:
        say_json(here.as_json())
    else:
        say(*here.lines(language))
