"""`finegrid report`: files of each format, and what is said where one cannot be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from support.reported import HOSTILE_LABELS, HOSTILE_NAME, Facts, audited_study, fill

from finegrid.cli import app as cli
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import markdown
from finegrid.spelling import LANGS, Lang
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    study = audited_study(tmp_path_factory.mktemp("finished") / "study", bert)
    fill(study)
    return study.folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "study")


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["finegrid", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


def test_the_page_is_written_with_its_facts_beside_it(report: Any, folder: Path) -> None:
    said = report(folder)

    assert said.code == 0
    assert said.out.startswith(f"wrote {folder / 'report.json'}\nwrote {folder / 'report.html'}\nnext: ")
    assert (folder / "report.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {**facts, "made": ""} == {**report_facts(folder), "made": ""}
    assert not list(folder.glob("*.tmp"))


def test_the_margin_is_that_of_the_option(report: Any, folder: Path) -> None:
    said = report(folder, "--format", "md", "--margin", "30")

    assert said.out.count("no difference beyond 30") == 3


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_figure_is_an_svg_in_the_language(report: Any, folder: Path, tmp_path: Path, lang: str) -> None:
    out = tmp_path / "figure.svg"
    said = report(folder, "--format", "svg", "--figure", "forest", "--out", out, "--lang", lang)
    words = "".join(ET.fromstring(out.read_text(encoding="utf-8")).itertext())

    assert said.code == 0 and ("不要使用" in words) == (lang == "zh")
    assert "reinit.layers = 2" in words


def test_a_figure_goes_into_the_study_if_nothing_is_said(report: Any, folder: Path) -> None:
    said = report(folder, "--format", "png", "--figure", "classes")

    assert said.out == f"wrote {folder / 'classes.png'}\n"
    assert (folder / "classes.png").read_bytes().startswith(PNG)


def test_tables_go_to_the_terminal_or_a_file(report: Any, folder: Path, tmp_path: Path) -> None:
    printed = report(folder, "--format", "md").out
    report(folder, "--format", "md", "--out", tmp_path / "tables.md")

    assert printed == (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| reinit.layers = 2 | +10." in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "pdf"], 'found "pdf", expected html, md, svg, png'),
        (["--format", "svg"], "Name it: --figure forest, levels"),
        (["--format", "svg", "--figure", "frost"], 'found "frost", expected one of forest, levels'),
        (["--figure", "forest"], "--format svg or png"),
        (["--format", "md", "--figure", "forest"], "--format svg or png"),
        (["--out", "facts.json"], "Give the page another ending"),
        (["--lang", "de"], "expected en or zh"),
    ],
)
def test_wrong_wishes_are_told_and_nothing_is_written(
    report: Any, folder: Path, options: list[str], message: str
) -> None:
    before = sorted(folder.iterdir())
    said = report(folder, *options)

    assert said.code == 2 and message in said.err
    assert sorted(folder.iterdir()) == before


def test_a_figure_without_facts_names_those_there_are(report: Any, tmp_path: Path) -> None:
    save_imported(tmp_path, load_example("thucnews64-published"))
    said = report(tmp_path, "--format", "svg", "--figure", "curves")

    assert said.code == 2
    assert "this study has no facts for curves. It has forest, frontier, interactions, seeds." in said.err


@pytest.mark.parametrize("lang", LANGS)
def test_tables_have_as_many_cells_as_heads_whatever_names_hold(finished: Path, lang: Lang) -> None:
    facts: Facts = report_facts(finished)
    facts["name"] = f"<b>{HOSTILE_LABELS[0]} $x$ ~~a~~ @me http://a.b"
    facts["verdict"]["factors"][0] |= {"factor": f"a|b\n{HOSTILE_NAME}", "notes": [f"|{HOSTILE_LABELS[1]}"]}
    facts["recipes"][1]["moved"] = {f"a|{HOSTILE_NAME}": HOSTILE_LABELS[2]}
    text = markdown(facts, lang)
    tables = [block.replace("\\|", "").splitlines() for block in text.split("\n\n") if block.startswith("|")]

    assert [{line.count("|") for line in lines} for lines in tables] == [{9}, {9}]
    assert "<" not in text and "\x1b" not in text and "\u202e" not in text
    assert not re.search(r"(?<!\\)\$|(?<!\\)~|@\w|\w://", text)


def test_tables_say_where_no_interval_is_known(finished: Path) -> None:
    facts: Facts = report_facts(finished)
    one = facts["verdict"]["factors"][0]
    one |= {"effect": 1.23, "low": None, "high": None, "adjusted": [None, None]}
    one["decision"]["kind"] = "open"
    (line,) = [row for row in markdown(facts).splitlines() if row.startswith(f"| {one['factor']} = ")]

    assert "1.23" not in line and "| no interval |" in line and line.endswith("| cannot tell yet |")


def test_drawing_waits_until_it_is_asked_for() -> None:
    program = "import sys, finegrid.cli.results; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert not {"altair", "vl_convert", "finegrid.report.chart.charts"} & set(done.stdout.split())


@pytest.mark.slow
def test_figures_do_not_import_torch(finished: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from finegrid.report.write import write_report\n"
        f"write_report(Path({str(finished)!r}), 'svg', 'seeds', None, 'en', 0.2)\n"
        "print(*({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
