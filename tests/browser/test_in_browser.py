"""The report in a real browser, as a file: nothing is fetched, the console stays empty (see `show`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium, drawn, facts, js, one, page, show, sideways, until, without_scripts
from support.reported import Facts
from support.waiting import wait_until

from finegrid.report.page.page import render_page

pytestmark = pytest.mark.browser
Show = Callable[..., Any]
PHONE = 360


def press(driver: Any, selector: str) -> None:
    """A real click, as soon as the page does not move any more."""
    from selenium.common.exceptions import ElementClickInterceptedException

    def click() -> bool:
        js(
            driver,
            "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})",
            one(driver, selector),
        )
        try:
            one(driver, selector).click()
        except ElementClickInterceptedException:
            return False
        return True

    wait_until(click, 10, f"a click on {selector}")


def shown_rows(driver: Any) -> list[str]:
    return list(
        js(
            driver,
            "return [...document.querySelectorAll('#recipe-table tbody tr')].filter(r => !r.hidden)"
            ".map(r => r.querySelector('.open').firstChild.textContent.trim())",
        )
    )


def header(driver: Any, words: str) -> Any:
    (found,) = [
        cell
        for cell in driver.find_elements("css selector", "#recipe-table th")
        if cell.text.strip().rstrip("↑↓").strip() == words
    ]
    return found


def text_of(recipe: dict[str, Any]) -> str:
    return ", ".join(map(str, recipe["rows"]))


def ordered(facts: Facts, key: str, down: bool) -> list[str]:
    return [text_of(one) for one in sorted(facts["recipes"], key=lambda recipe: recipe[key], reverse=down)]


def test_every_chart_is_drawn_and_replaces_its_picture(show: Show, page: Path) -> None:
    driver = show(page)
    names = js(driver, "return [...document.querySelectorAll('[data-chart]')].map(f => f.dataset.chart)")
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")
    for name in names:
        drawn(driver, name)

    assert {"forest", "frontier", "interactions", "seeds", "classes", "confusion"} <= set(names)
    assert js(driver, "return document.querySelectorAll('.live svg').length") == len(names)
    assert js(driver, "return [...document.querySelectorAll('.still')].every(s => s.hidden)")


def test_the_first_screen_names_the_recommended_recipe_and_the_command(
    show: Show, page: Path, facts: Facts
) -> None:
    driver = show(page)
    (recommended,) = [recipe for recipe in facts["recipes"] if recipe["recommended"]]

    assert "reinit.layers = 2" in one(driver, "h1").text
    assert all(f"{name} = " in one(driver, "h1").text for name in recommended["moved"])
    command = one(driver, ".hero .command code")
    assert command.text == facts["commands"]["fit"]
    assert command.rect["y"] + command.rect["height"] < 800
    assert f"{recommended['test']:.2f}" in one(driver, ".figures").text


def test_the_table_sorts_by_mouse_and_keyboard_and_says_so(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    assert shown_rows(driver) == ordered(facts, "test", down=True)
    assert header(driver, "test").get_attribute("aria-sort") == "descending"

    press(driver, "#recipe-table th:first-child button")
    assert shown_rows(driver) == ordered(facts, "rows", down=False)
    header(driver, "row").find_element("css selector", "button").send_keys("\ue007")  # Enter
    assert shown_rows(driver) == ordered(facts, "rows", down=True)
    assert header(driver, "row").get_attribute("aria-sort") == "descending"
    assert header(driver, "test").get_attribute("aria-sort") is None


def test_the_table_filters_by_words_and_by_levels(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    from selenium.webdriver.support.select import Select

    Select(one(driver, "[data-factor='1']")).select_by_visible_text("2")
    wanted = {text_of(recipe) for recipe in facts["recipes"] if recipe["levels"].get("reinit.layers") == 2}
    assert set(shown_rows(driver)) == wanted
    one(driver, "#find").send_keys("baseline")
    assert shown_rows(driver) == []
    assert one(driver, ".count").text == "0"
    press(driver, ".reset")
    assert len(shown_rows(driver)) == len(facts["recipes"])
    one(driver, "#find").send_keys("BASELINE")
    assert shown_rows(driver) == [text_of(recipe) for recipe in facts["recipes"] if recipe["baseline"]]


def test_a_point_of_the_frontier_tells_its_recipe(show: Show, page: Path) -> None:
    driver = show(page)
    drawn(driver, "frontier")
    from selenium.webdriver.common.action_chains import ActionChains

    marks = driver.find_elements("css selector", "[data-chart=frontier] .live svg g.mark-symbol path")

    def tooltips() -> str:
        texts = ""
        for mark in marks:
            ActionChains(driver).move_to_element(mark).perform()
            texts += js(driver, "return document.getElementById('vg-tooltip-element')?.textContent ?? ''")
        return texts

    wait_until(lambda: "reinit.layers = 2" in tooltips(), 10, "the tooltip of a recipe")


def test_the_language_changes_everywhere_and_is_remembered(show: Show, page: Path) -> None:
    driver = show(page)
    drawn(driver, "forest")
    press(driver, "#language")
    drawn(driver, "forest", lang="zh")

    assert "推荐方案" in one(driver, "main").text
    assert "What should I use?" not in one(driver, "body").text
    assert js(driver, "return document.documentElement.lang") == "zh-Hans"
    assert "点，95 % 区间" in js(
        driver, "return document.querySelector('[data-chart=forest] .live').textContent"
    )
    driver.refresh()
    assert "推荐方案" in one(driver, "main").text
    press(driver, "#language")
    assert "What should I use?" in one(driver, "main").text


def test_the_theme_follows_the_system_until_it_is_chosen(show: Show, page: Path) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    light = js(show(page, prefers_color_scheme="light"), background)
    driver = show(page, prefers_color_scheme="dark")
    dark = js(driver, background)
    drawn(driver, "forest", theme="dark")
    assert light != dark

    press(driver, "#theme")
    assert js(driver, background) == light
    drawn(driver, "forest")
    driver.refresh()
    assert js(driver, background) == light
    press(driver, "#theme")
    assert js(driver, background) == dark
    js(driver, "localStorage.clear()")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_phone_shows_everything_without_moving_sideways(show: Show, page: Path, lang: str) -> None:
    driver = show(page, width=PHONE, query=f"?lang={lang}")
    drawn(driver, "forest", lang=lang)
    drawn(driver, "frontier", lang=lang)
    js(driver, "document.querySelectorAll('details').forEach(d => d.open = true)")

    assert sideways(driver) <= 0
    assert js(driver, "const t = document.querySelector('#recipe-table'); return t.scrollWidth > 360")
    assert (
        js(driver, "return document.querySelector('[data-chart=forest] svg').getBoundingClientRect().width")
        <= 360
    )


def test_without_scripts_everything_is_there(without_scripts: Any, page: Path, facts: Facts) -> None:
    driver = without_scripts
    driver.get(page.as_uri())
    said = one(driver, "main").text

    assert "reinit.layers = 2" in said and facts["commands"]["fit"] in said
    assert len(driver.find_elements("css selector", "#recipe-table tbody tr")) == len(facts["recipes"])
    pictures = driver.find_elements("css selector", ".chart .still img[lang=en]")
    assert len(pictures) == len(driver.find_elements("css selector", "[data-chart]")) >= 6
    assert [p.get_attribute("naturalWidth") for p in pictures if p.get_attribute("naturalWidth") == "0"] == []
    assert one(driver, "[data-chart=forest] img[lang=en]").is_displayed()
    assert not [b for b in driver.find_elements("css selector", "button, form, input") if b.is_displayed()]


def test_print_unfolds_everything_and_drops_what_can_only_be_pressed(show: Show, page: Path) -> None:
    driver = show(page, query="?theme=dark")
    drawn(driver, "forest", theme="dark")
    js(driver, "window.dispatchEvent(new Event('beforeprint'))")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})

    assert js(driver, "return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert js(driver, "return [...document.querySelectorAll('main details')].every(d => d.open)")
    assert not [b for b in driver.find_elements("css selector", ".copy, .top, form") if b.is_displayed()]
    assert one(driver, "#recipe-table th button").is_displayed()  # the head of a column
    assert one(driver, "[data-chart=forest] .still").is_displayed()
    assert not one(driver, "[data-chart=forest] .live").is_displayed()
    made = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert len(made["data"]) > 50_000


def test_the_command_is_copied(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    js(driver, "navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    press(driver, ".hero .copy")

    assert until(driver, "return window.copied") == facts["commands"]["fit"]
    assert one(driver, ".hero .copy").text == "Copied"


def test_the_reader_stays_where_they_are_when_news_comes(
    show: Show, facts: Facts, page: Path, tmp_path: Path
) -> None:
    live = tmp_path / "live.html"
    live.write_text(render_page(facts, live=True), encoding="utf-8")
    driver = show(live, query="?lang=zh&theme=dark")
    drawn(driver, "interactions", lang="zh", theme="dark")
    press(driver, "#recipe-table th:first-child button")
    one(driver, "#find").send_keys("基线")
    js(driver, "document.querySelector('#interactions details').open = true")
    place = "return document.querySelector('#recipes h2').getBoundingClientRect().top"
    before = js(driver, place)

    best = max(facts["recipes"], key=lambda recipe: recipe["test"])
    better = {**best, "test": best["test"] + 0.01}
    news: Any = {**facts, "recipes": [better if recipe is best else recipe for recipe in facts["recipes"]]}
    js(
        driver,
        "const fresh = new DOMParser().parseFromString(arguments[0], 'text/html'); window.done = false;"
        "window.finegrid.refresh(fresh).then(() => { window.done = true; })",
        render_page(news, live=True),
    )
    until(driver, "return window.done")

    told = js(driver, "return document.querySelector('#recipe-table').textContent")
    assert f"{better['test']:.2f}" in told and f"{better['test']:.2f}" != f"{best['test']:.2f}"
    assert abs(js(driver, place) - before) < 3
    assert shown_rows(driver) == [text_of(recipe) for recipe in facts["recipes"] if recipe["baseline"]]
    assert js(driver, "return document.activeElement.id") == "find"
    assert one(driver, "#find").get_attribute("value") == "基线"
    assert one(driver, "#recipe-table th:first-child").get_attribute("aria-sort") == "ascending"
    assert js(driver, "return document.querySelector('#interactions details').open")
    assert (
        js(driver, "return document.documentElement.dataset.lang + document.documentElement.dataset.theme")
        == "zhdark"
    )
    drawn(driver, "interactions", lang="zh", theme="dark")
