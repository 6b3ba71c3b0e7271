"""Runs that take less than a second: their seconds are told with their digits, wherever they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.command_line import Call
from support.reported import audited_study, fill

from finegrid.report.chart.recipes import recipe_row
from finegrid.report.chart.style import Look
from finegrid.report.facts.facts import report_facts


@pytest.fixture
def quick(tmp_path: Path, bert: Path) -> Path:
    """A study whose runs take 0.22 s, those that freeze a layer 0.14 s, an epoch 0.10 s."""
    study = audited_study(tmp_path / "study", bert)
    fill(study)
    records = [json.loads(line) for line in study.files.ledger.read_text().splitlines()]
    for record in records:
        record["seconds"] = {part: value and value / 100 for part, value in record["seconds"].items()}
    study.files.ledger.write_text("".join(json.dumps(record) + "\n" for record in records))
    return study.folder


def test_the_terminal_tells_them(quick: Path, call: Call) -> None:
    told = call("verdict", quick).stdout
    assert re.search(r"\nfreeze.layers = 1 *[^=]* -0\.080 ", told)
    assert ", 0.22 s" in told and " 0 s" not in told
    assert "0.22 秒" in call("verdict", quick, "--lang", "zh").stdout


def test_tables_tell_them(quick: Path, call: Call) -> None:
    told = call("report", quick, "--format", "md").stdout
    assert "| −0.080 |" in told
    assert "| 0.22 |" in told


@pytest.mark.slow
def test_the_page_tells_them(quick: Path, call: Call, tmp_path: Path) -> None:
    call("report", quick, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "0.22&nbsp;s" in page and "0.22&nbsp;秒" in page
    assert ">−0.080" in page and "0.0&nbsp;s" not in page


@pytest.mark.slow
def test_figures_tell_them(quick: Path) -> None:
    facts, look = report_facts(quick), Look("en", "light")
    assert {recipe_row(recipe, look, 2)["seconds_text"] for recipe in facts["recipes"]} == {"0.14", "0.22"}
