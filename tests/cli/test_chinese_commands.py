"""What commands say of their work is Chinese where that is asked for; what programs read stays as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.chinese import find_english

import finegrid
from finegrid.cli.app import COMMANDS, app
from finegrid.export import words as export_words
from finegrid.in_chinese import find_chinese
from finegrid.planning import here_words
from finegrid.results import words as table_words

SOURCE = Path(finegrid.__file__).parent
# They say what they have found in English sentences, which are put into Chinese when they are shown.
FINDERS = [
    *sorted((SOURCE / "study" / "importing").glob("*.py")),
    SOURCE / "data" / "unlabelled.py",
    SOURCE / "inference" / "predict.py",
]
FIELD = re.compile(r"{(\w+)[^}]*}")
TABLE = """a,b,c,f1,seconds
x,u,1,80,0
x,u,1,81,
y,v,2,82,3

y,v,2,-,4
x,u,3,84,5
"""


def test_every_command_that_says_something_takes_a_language() -> None:
    finegrid_ = typer.main.get_command(app)
    context = finegrid_.make_context("finegrid", ["plan"], resilient_parsing=True)
    commands = {name: finegrid_.get_command(context, name) for name in COMMANDS}  # type: ignore[attr-defined]
    mute = {
        name
        for name, command in commands.items()
        if "lang" not in {option.name for option in command.get_params(context)}
    }

    assert mute <= {"fit", "demo", "pretrain", "explain"}


@pytest.mark.parametrize("words", [export_words.WORDS, here_words.WORDS, table_words.WORDS])
def test_phrases_hold_the_same_values_in_both_languages(words: dict[str, dict[str, str]]) -> None:
    for key, english in words["en"].items():
        assert sorted(FIELD.findall(words["zh"][key])) == sorted(FIELD.findall(english)), key
        assert not find_english(words["zh"][key])


def found_sentences(path: Path) -> Iterator[str]:
    """What a module appends to warnings, with 3 for every value, and the two of every choice."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            texts = {
                target.id: statement.value
                for statement in ast.walk(node)
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
                    ("warnings.append", "found.append")
                ):
                    (text,) = call.args
                    yield from spell_out(
                        texts.get(text.id, text) if isinstance(text, ast.Name) else text, texts
                    )


def spell_out(node: ast.expr, texts: dict[str, ast.expr]) -> Iterator[str]:
    """A text of the source as it may come out."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        spelled = [""]
        for value in node.values:
            ways = list(spell_out(value.value if isinstance(value, ast.FormattedValue) else value, texts))
            spelled = [before + way for before in spelled for way in ways]
        yield from spelled
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "count_noun":
        yield from (f"{count} {ast.literal_eval(node.args[1])}" for count in ("1", "3"))
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "findings.where":
        yield "file line 3"
    elif isinstance(node, ast.Name) and isinstance(texts.get(node.id), ast.Constant | ast.JoinedStr):
        yield from spell_out(texts[node.id], texts)
    else:
        yield "3"


def test_every_warning_of_a_table_or_of_texts_to_label_has_its_chinese() -> None:
    found = [
        text for path in FINDERS for text in found_sentences(path) if re.search(r"[a-z]{3,} [a-z]", text)
    ]

    # `unfit.what` and `lost` come from elsewhere: see below.
    whole = [text for text in found if not text.endswith(("line 3: 3", ": 3 was cut off"))]
    assert [text for text in whole if find_chinese(text) is None] == []
    assert len(whole) > 10
