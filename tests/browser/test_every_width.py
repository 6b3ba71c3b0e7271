"""On a telephone, a tablet, a desk and on paper: words are whole, verdicts in view, heads repeated."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from support.browser import Show, chromium, drawn, facts, js, one, page, show, sideways

pytestmark = pytest.mark.browser
WIDTHS = [390, 768, 1440]
# What is cut off by an edge of its own, or of what it scrolls in before anybody scrolls.
CUT = """
const seen = (e) => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 1;
const told = [];
for (const e of document.querySelectorAll(arguments[0])) {
  if (!seen(e) || e.closest('.unseen, #sheet:not([open])')) continue;
  const box = e.getBoundingClientRect(), scroll = e.closest('.scroll');
  const right = Math.min(innerWidth, scroll ? scroll.getBoundingClientRect().right : Infinity);
  const clips = getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1;
  if (clips || (arguments[1] && box.right > right + 1)) told.push(e.textContent.trim().slice(0, 60));
}
return told;
"""
# Words of the first heading that stand on two lines: between their pieces they may break.
BROKEN = """
const broken = [];
const walk = document.createTreeWalker(document.querySelector('h1'), NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const range = document.createRange();
  range.selectNodeContents(walk.currentNode);
  const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
  if (tops.size > 1 && !/\\s/.test(walk.currentNode.data.trim())) broken.push(walk.currentNode.data);
}
return broken;
"""


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", WIDTHS)
def test_words_are_whole_and_verdicts_in_view(show: Show, page: Path, width: int, lang: str) -> None:
    driver = show(page, width=width, query=f"?lang={lang}")
    drawn(driver, "forest", lang=lang)
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")

    assert js(driver, CUT, ".badge, .pill", True) == []
    assert (
        js(driver, CUT, "h1, h2, h3, h1 .choice, button, thead th, tbody th, .level, summary, dt", False)
        == []
    )
    assert js(driver, BROKEN) == []
    assert sideways(driver) <= 0
    texts = "return [...document.querySelectorAll('[data-chart=forest] .live text')].map(t => t.textContent)"
    said = js(driver, texts)
    assert len(said) > 10 and not [text for text in said if "…" in text]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_that_goes_on_sideways_says_so(show: Show, page: Path, width: int) -> None:
    driver = show(page, width=width)
    told = js(
        driver,
        "return [...document.querySelectorAll('main .scroll')].filter(s => s.checkVisibility())"
        ".map(s => [s.scrollWidth > s.clientWidth + 1, s.dataset.more ?? ''])",
    )
    assert [more for goes_on, more in told if goes_on] == ["right"] * sum(goes_on for goes_on, _ in told)
    assert [more for goes_on, more in told if not goes_on] == [""] * sum(not goes_on for goes_on, _ in told)
    if width == 390:
        wide = one(driver, "#recipes .scroll")
        assert wide.get_attribute("data-more") == "right"
        js(driver, "arguments[0].scrollLeft = 9999", wide)
        js(driver, "return new Promise(requestAnimationFrame)")
        assert wide.get_attribute("data-more") == "left"


def test_heads_of_tables_are_on_every_printed_page(show: Show, page: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    driver = show(page)
    drawn(driver, "forest")
    js(driver, "window.dispatchEvent(new Event('beforeprint'))")
    # Many rows, so that the table goes over pages.
    js(
        driver,
        "const body = document.querySelector('#recipe-table tbody'); const rows = [...body.rows];"
        "for (let i = 0; i < 12; i++) body.append(...rows.map(r => r.cloneNode(true)))",
    )
    made = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    sheets = [
        sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(base64.b64decode(made["data"]))).pages
    ]
    with_rows = [text for text in sheets if text.count("best set") > 3]

    assert len(with_rows) > 1
    for text in with_rows:
        assert all(head in text for head in ("row", "test", "all together", "reinit"))
    headings = js(driver, "return [...document.querySelectorAll('main h2')].map(h => h.innerText.trim())")
    for text in sheets:
        last = text.strip().splitlines()[-1].strip() if text.strip() else ""
        assert last not in headings
