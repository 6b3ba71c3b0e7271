"""`--help` in Chinese: all of it, folded as Chinese is folded, and only where it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len
from support.chinese import HAN, find_english
from support.command_line import Call

from finegrid.cli.app import COMMANDS, app
from finegrid.cli.help_words import CHINESE, translate

FULL_WIDTH = ("，", "。", "、", "；", "：", "）", "”")


def all_texts() -> Iterator[str]:
    """What finegrid, every command and every option say of themselves in help."""
    finegrid = typer.main.get_command(app)
    context = finegrid.make_context("finegrid", ["plan"], resilient_parsing=True)
    commands = [finegrid.get_command(context, name) for name in COMMANDS]  # type: ignore[attr-defined]
    for command in (finegrid, *commands):
        yield command.help or ""
        shown = (option for option in command.get_params(context) if not getattr(option, "hidden", False))
        yield from (
            getattr(option, "help", None) or f"{command.name} {option.name}: no help" for option in shown
        )


def test_every_command_and_option_has_its_chinese_and_nothing_else_has() -> None:
    texts = set(all_texts())
    chinese = {text: translate(text) for text in texts}
    used = {translate(text) for text in texts}

    assert [text for text, told in chinese.items() if not HAN.search(told) and told == text] == []
    assert [told for told in chinese.values() if find_english(told)] == []
    assert [key for key, told in CHINESE.items() if told not in used and "{}" not in key] == []
    assert len(texts) > 100


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_in_chinese_has_no_english_sentence_and_is_folded_well(
    command: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    told = call(*command, "--help").stdout
    cells = [cell.strip() for line in told.splitlines() for cell in re.split("[│╭╰]|  +", line)]

    assert told.lstrip().startswith(f"用法：{' '.join(('finegrid', *command))} [选项]")
    assert find_english(told) == []
    assert [
        word for word in ("[required]", "[default", "Options", "Arguments", "Commands", "…") if word in told
    ] == []
    assert [cell for cell in cells if cell[:1] in FULL_WIDTH] == []
    assert {cell_len(line) for line in told.splitlines() if "│" in line} == {80}


def test_help_is_in_the_language_of_the_command_line_else_of_the_locale(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    english = call("plan", "--help").stdout
    chinese = call("plan", "--help", "--lang", "zh").stdout
    assert "Usage: finegrid plan [OPTIONS]" in english and "研究文件夹" in chinese
    assert call("plan", "--lang=zh_CN.UTF-8", "--help").stdout == chinese
    assert call("plan", "--help").stdout == english  # the Chinese one has left nothing behind
    for told in (call("--lang", "zh", "--help").stdout, call("--help", "--lang", "zh").stdout):
        assert "查看研究将运行什么" in told

    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert call("plan", "--help").stdout == chinese and "用法：" in call().stdout
    assert call("plan", "--help", "--lang", "en").stdout == english


def test_a_language_before_a_command_is_the_commands(call: Call, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,f1\n1,0.5\n2,0.6\n", encoding="utf-8")
    told = call("--lang", "zh", "import", tmp_path / "table.csv", "--out", tmp_path / "study")

    assert told.returncode == 0 and "下一步：" in told.stdout
    assert "--lang" in call("--lang", "fr", "verdict", tmp_path / "study").stderr
