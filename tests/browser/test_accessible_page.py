"""axe-core (Deque; MPL-2.0) finds nothing: in both languages and themes, at three widths, on sheets too."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from support.browser import Show, chromium, facts, js, page, show, write
from support.compared import write_systems
from support.reported import Facts

from finegrid.report.facts.facts import report_facts
from finegrid.report.page.page import render_page
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example

pytestmark = pytest.mark.browser
OPEN = {
    "page": "document.getElementById('sheet').close()",
    "recipe": "document.querySelector('.open').click()",
    "pair": "document.getElementById('sheet').close(); const b = document.querySelectorAll('.pick');"
    "b[0].click(); b[1].click(); document.querySelector('.compare').click()",
}
RUN = """
const done = arguments[0];
axe.run(document, {resultTypes: ['violations']}).then(
  (told) => done([told.passes.length, told.violations.map((v) => `${v.id}: ${v.nodes[0].html}`)]),
  (problem) => done([0, [String(problem)]]));
"""


@pytest.fixture(scope="session")
def axe() -> str:
    pytest.importorskip("axe_playwright_python", reason="no axe-core here: `make test-browser` installs it")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def imported_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "table"
    save_imported(folder, load_example("thucnews64-published"))
    return write(folder, render_page(report_facts(folder)))


def find_faults(driver: Any, axe: str) -> list[str]:
    driver.set_script_timeout(60)
    driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})  # the page's own policy forbids it
    passed, faults = driver.execute_async_script(RUN)
    assert passed > 20
    return list(faults)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "lang"), [(390, "zh"), (768, "en"), (1440, "en")])
def test_axe_finds_nothing_on_a_report(
    show: Show, page: Path, axe: str, width: int, lang: str, theme: str
) -> None:
    driver = show(page, width=width, query=f"?lang={lang}&theme={theme}")
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")
    for shown, code in OPEN.items():
        js(driver, code)
        assert find_faults(driver, axe) == [], shown


@pytest.mark.parametrize(("width", "lang", "theme"), [(390, "en", "dark"), (1440, "zh", "light")])
def test_axe_finds_nothing_on_an_imported_table(
    show: Show, imported_page: Path, axe: str, width: int, lang: str, theme: str
) -> None:
    driver = show(imported_page, width=width, query=f"?lang={lang}&theme={theme}")
    for shown, code in OPEN.items():
        js(driver, code)
        assert find_faults(driver, axe) == [], shown


def test_axe_finds_nothing_on_a_page_that_fills_as_runs_come_in(
    show: Show, facts: Facts, axe: str, tmp_path: Path
) -> None:
    runs = {**facts["state"]["runs"], "left": 6, "done": 18}
    half: Any = {**facts, "state": {**facts["state"], "runs": runs}}
    driver = show(write(tmp_path, render_page(half, live=True)), width=768)

    assert find_faults(driver, axe) == []


def test_axe_finds_what_cannot_be_read(show: Show, page: Path, axe: str) -> None:
    driver = show(page, width=1440)
    js(driver, "document.querySelectorAll('.level').forEach(c => c.style.color = '#aab2bf')")

    (fault,) = find_faults(driver, axe)
    assert fault.startswith("color-contrast")
