"""The code of docs/python.md runs, and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from python_page import PAGE, CallFinegrid, run_page
from support.command_line import Call

TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def finegrid_here(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CallFinegrid:
    monkeypatch.chdir(tmp_path)

    def call_here(words: list[str]) -> None:
        done = call(*words)
        assert done.returncode == 0, done.stderr

    return call_here


def test_the_page_prints_what_it_shows(finegrid_here: CallFinegrid) -> None:
    printed = list(run_page(TEXT, finegrid_here, training=False))

    assert len(printed) >= 8
    for block, output in printed:
        shown = block["shown"] or ""
        assert output == shown, f"run scripts/python_page.py; it is about:\n{block['code']}"


@pytest.mark.slow
def test_what_the_page_trains_is_trained(finegrid_here: CallFinegrid) -> None:
    printed = [each for each in run_page(TEXT, finegrid_here, training=True) if each[0]["trains"]]

    (run, told), (_, said) = printed
    assert told == run["shown"]
    assert re.fullmatch(r"\['\w+', '\w+'\] \(2, 10\)\n", said)  # which labels is the processor's affair
