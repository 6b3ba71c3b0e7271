"""A study whose every string would like to be more than text: the browser shows it, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium, drawn, facts, hostile, hostile_page, js, one, show, sideways
from support.reported import HOSTILE_LABELS, HOSTILE_NAME, Facts

from finegrid.errors import visible
from finegrid.report.page.page import render_page

pytestmark = pytest.mark.browser
Show = Callable[..., Any]
# Elements that no page of ours has. An alert would make every further command fail.
FOREIGN = "h1[id], img[src=x], svg[onload], [onerror], [onfocus], a[href^=javascript], i, u, iframe, base"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hostile_strings_are_shown_as_they_are_written(
    show: Show, hostile_page: Path, hostile: Facts, lang: str
) -> None:
    driver = show(hostile_page, query=f"?lang={lang}")
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")
    for name in js(driver, "return [...document.querySelectorAll('[data-chart]')].map(f => f.dataset.chart)"):
        drawn(driver, name, lang=lang)
    said = js(driver, "return document.querySelector('main').textContent")

    assert js(driver, "return window.hacked ?? null") is None
    assert driver.find_elements("css selector", FOREIGN) == []
    assert js(driver, "return document.scripts.length") == 4
    for one_ in hostile["texts"]["wrong"] + hostile["texts"]["disputed"]:
        assert visible(one_["text"][0]) in said
    for label in HOSTILE_LABELS:
        assert visible(label) in said
    assert visible(HOSTILE_NAME) in said
    assert "<b>model" in said and "<u>train.jsonl" in said
    assert "49" not in js(driver, "return document.title")


def test_no_control_or_bidi_character_reaches_the_page(show: Show, hostile_page: Path) -> None:
    driver = show(hostile_page)
    shown = js(driver, "return document.querySelector('main').textContent + document.title")

    assert visible("".join(shown.split("\n"))) == "".join(shown.split("\n"))


def test_hostile_strings_do_not_move_a_phone_sideways(show: Show, hostile_page: Path) -> None:
    driver = show(hostile_page, width=360)
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")
    drawn(driver, "classes")
    drawn(driver, "confusion")

    assert sideways(driver) <= 0


def test_tooltips_show_hostile_strings_as_text(show: Show, hostile_page: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    driver = show(hostile_page)
    drawn(driver, "confusion")
    marks = driver.find_elements("css selector", "[data-chart=confusion] .live svg g.mark-rect path")
    for mark in marks[:9]:
        ActionChains(driver).move_to_element(mark).perform()
        assert driver.find_elements("css selector", FOREIGN) == []
    said = js(driver, "return document.getElementById('vg-tooltip-element').textContent")

    assert "<img" in said or "{{7*7}}" in said or "\\x1b" in said
    assert js(driver, "return window.hacked ?? null") is None


def test_the_policy_alone_would_stop_a_script(show: Show, facts: Facts, tmp_path: Path) -> None:
    """Should a string ever get through, it still cannot run."""
    broken = tmp_path / "broken.html"
    page = render_page(facts).replace("<main", "<script>window.hacked = 1</script><main", 1)
    broken.write_text(page, encoding="utf-8")
    driver = show(broken)

    assert js(driver, "return window.hacked ?? null") is None
    assert one(driver, "h1").is_displayed()
    refused = [entry for entry in driver.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert len(refused) == 1
