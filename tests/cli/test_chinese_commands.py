"""What commands say of their work is Chinese where that is asked for; what programs read stays as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.chinese import HAN, find_english
from support.command_line import Call

import finegrid
from finegrid.cli.app import COMMANDS, app
from finegrid.data.cells import UnfitCell, as_label
from finegrid.export import words as export_words
from finegrid.in_chinese import find_chinese
from finegrid.inference.predict import LOST
from finegrid.planning import here, here_words
from finegrid.planning.here import Gpu, Torch, look_around
from finegrid.report.write import put
from finegrid.results import words as table_words
from finegrid.watch.words import say_shown

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

    assert mute == set()


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


def test_what_else_such_warnings_hold_is_chinese_too() -> None:
    for kept in LOST.values():
        assert HAN.search(str(find_chinese(f"3 texts longer than 5 tokens: {kept} was cut off")))
    for label in (None, "", ["x"], "a\ud800"):
        with pytest.raises(UnfitCell) as unfit:
            as_label(label)
        assert HAN.search(str(find_chinese(f"no scores: a.tsv line 3: {unfit.value.what}")))
    told = find_chinese("no scores: the model does not know the label 'a', 'b' and 3 more of the file")
    assert told == "没有得分：模型不认识文件中的标签 'a'、'b' 等（另有 3 个）"


def test_an_import_says_in_chinese_what_it_found(call: Call, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    done = call("import", tmp_path / "table.csv", "--out", tmp_path / "study", "--lang", "zh")

    assert done.returncode == 0 and find_english(done.stdout + done.stderr) == []
    assert "警告：1 行没有结果（第 6 行：'-'）" in done.stderr and "跳过了 1 个空行" in done.stderr
    assert "'a' 和 'b' 在每一行都同时变化（'b'：u 对应 x、v 对应 y），无法区分。因此不用 'b'" in done.stderr
    assert done.stdout.startswith("table：5 行，3 个不同的配方，得分 f1\n  a：x、y\n")
    assert f"已写入 {tmp_path / 'study' / 'imported.json'}" in done.stdout
    kept = (tmp_path / "study" / "imported.json").read_text(encoding="utf-8")
    assert not HAN.search(kept)


def test_export_and_report_say_in_chinese_what_they_wrote(call: Call, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    study = tmp_path / "study"
    call("import", tmp_path / "table.csv", "--out", study)
    told = [
        call("export", study, "--to", "csv", "--lang", "zh").stdout,
        call("export", study, "--to", "tensorboard", "--lang", "zh").stdout,
        put(tmp_path / "page.html", b"", "zh"),
    ]
    content = (study / "export" / "runs.csv").read_bytes()
    call("export", study, "--to", "csv")

    assert "runs.csv：5 次运行（完成 4、无结果 1）" in told[0] and "各次运行的共同信息" in told[0]
    assert "5 次运行中有 1 次尚未结束，或没有结果\n已写入 4 次运行\n" in told[1]
    assert told[2] == f"已写入 {tmp_path / 'page.html'}"
    assert find_english("".join(told)) == []
    assert (study / "export" / "runs.csv").read_bytes() == content


def test_machine_says_all_it_knows_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpu("Large", 80.0, "9.0", bf16=True), Gpu("Old", 16.0, "7.5", bf16=False)
    for torch in (
        Torch("2.13.0", None, gpus),
        Torch("2.13.0", None),
        Torch(None, "torch is not installed"),
        Torch("2.13.0", "torch 2.13.0 cannot be used (OSError)"),
    ):
        monkeypatch.setattr(here, "ask_torch", lambda torch=torch: torch)
        found = look_around(Path())
        chinese, english = list(found.lines("zh")), list(found.lines())

        assert [line for line in chinese if find_english(line.replace(found.machine["processor"], ""))] == []
        assert [re.findall(r"\d[\d.]*", line) for line in chinese] == [
            re.findall(r"\d[\d.]*", line) for line in english
        ]
        assert all(HAN.search(line) for line in chinese)


def test_watch_says_in_chinese_where_it_shows_a_study() -> None:
    told = say_shown(Path("my-study"), "http://127.0.0.1:1/", "zh")

    assert told == "my-study 显示在 http://127.0.0.1:1/（仅限本机；按 Ctrl-C 结束）"
