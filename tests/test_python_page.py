"""The code of docs/python.md runs, and prints what the page shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from notebook import run_cell
from support.command_line import Call

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
BLOCK = re.compile(r"^(?P<trains><!-- trains -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    trains: bool  # then the page's numbers are those of one machine
    shown: str | None  # what the page says that it prints


def read_blocks(page: Path) -> list[Block]:
    found = list(BLOCK.finditer(page.read_text(encoding="utf-8")))
    blocks = []
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block["language"] != "text":
            shown = after["text"] if after is not None and after["language"] == "text" else None
            blocks.append(Block(block["language"], block["text"], bool(block["trains"]), shown))
    return blocks


def run_page(call: Call, training: bool) -> list[tuple[Block, str]]:
    """The blocks in order, with what they print."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = []
    for number, block in enumerate(read_blocks(PAGE)):
        if block.language == "sh":
            for line in block.text.splitlines():
                done = call(*line.split()[1:])
                assert done.returncode == 0, done.stderr
        elif training or not block.trains:
            outputs = run_cell(block.text, names, number)
            printed.append((block, "".join(line for output in outputs for line in output["text"])))
    return printed


def test_the_page_prints_what_it_shows(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = run_page(call, training=False)

    assert len(printed) >= 7
    for block, output in printed:
        assert output == (block.shown or ""), block.text


@pytest.mark.slow
def test_what_the_page_trains_is_trained(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = [(block, output) for block, output in run_page(call, training=True) if block.trains]

    assert len(printed) == 2
    assert printed[0][1] == printed[0][0].shown
    assert re.fullmatch(r"\['\w+', '\w+'\] \(2, \d+\)\n", printed[1][1])
