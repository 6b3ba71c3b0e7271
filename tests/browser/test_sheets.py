"""A recipe's own sheet, and two recipes beside each other: by mouse and keys, from facts, as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from support.browser import (
    Show,
    chromium,
    facts,
    hostile,
    hostile_page,
    js,
    one,
    page,
    show,
    until,
)
from support.reported import Facts

from finegrid.report.chart.style import format_signed, plain

pytestmark = pytest.mark.browser


def open_row(driver: Any, row: int) -> None:
    js(driver, f"document.querySelector('#recipe-table tr[data-row=\"{row}\"] .open').click()")


def compare(driver: Any, one_: int, other: int) -> None:
    for row in (one_, other):
        js(driver, f"document.querySelector('#recipe-table tr[data-row=\"{row}\"] .pick').click()")
    js(driver, "document.querySelector('.compare').click()")


def cells(driver: Any, part: str) -> list[list[str]]:
    """Of a part of the sheet, row by row, what is seen."""
    return list(
        js(
            driver,
            f"return [...document.querySelectorAll('#sheet [data-part=\"{part}\"] tr')]"
            ".map(r => [...r.cells].map(c => c.innerText.trim()))",
        )
    )


def written(value: float | None, sign: bool = False) -> str:
    return (format_signed if sign else plain)(value, 2, "–")


def test_a_recipe_tells_its_settings_runs_curves_and_confusions(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    recipe = next(each for each in facts["recipes"] if len(each["moved"]) > 1)
    open_row(driver, recipe["rows"][0])
    runs = recipe["runs"]

    assert one(driver, "#sheet h2").text == f"Row {', '.join(map(str, recipe['rows']))}"
    settings = {line[0]: line[1] for line in cells(driver, "settings")}
    assert settings["reinit.layers"] == str(recipe["levels"]["reinit.layers"])
    assert settings["optimizer.bias_correction"] == str(recipe["levels"]["optimizer.bias_correction"]).lower()
    assert [line[:2] for line in cells(driver, "runs")] == [
        [str(r["seed"]), written(r["test"])] for r in runs
    ]
    at = facts["details"]["rows"].index(recipe["rows"][0])
    counts = facts["details"]["confusion"][at]
    table = cells(driver, "confusion")
    assert [line[0] for line in table] == facts["details"]["labels"]
    for line, row in zip(table, counts, strict=True):
        assert [float(cell) for cell in line[1:]] == pytest.approx([n / len(runs) for n in row], abs=0.051)
    until(driver, "return document.querySelector('#sheet .chart').dataset.drawn")
    lines = "#sheet .chart .mark-line path"
    assert js(driver, f"return document.querySelectorAll('{lines}').length") >= len(runs)


def test_a_sheet_opens_and_closes_by_keys_and_gives_the_focus_back(show: Show, page: Path) -> None:
    driver = show(page)
    button = one(driver, "#recipe-table tbody tr .open")
    js(driver, "arguments[0].focus()", button)
    button.send_keys("\ue007")  # Enter
    assert js(driver, "return document.getElementById('sheet').open")
    assert js(driver, "return document.activeElement.id") == "sheet-title"
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys("\ue00c").perform()  # Escape
    until(driver, "return !document.getElementById('sheet').open")
    assert js(driver, "return document.activeElement.classList.contains('open')")
    button = one(driver, "#recipe-table tbody tr .open")
    assert button.accessible_name == f"{button.text.split()[0]} details"
    box = one(driver, "#recipe-table tbody tr .pick")
    assert box.accessible_name == f"Compare row {box.get_attribute('value')}"


def test_a_click_anywhere_in_a_row_opens_it(show: Show, page: Path) -> None:
    driver = show(page)
    js(driver, "document.querySelector('#recipe-table tbody tr').cells[3].click()")
    assert js(driver, "return document.getElementById('sheet').open")


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 1), (2, 5), (6, 4)])
def test_two_recipes_have_the_difference_that_python_found(
    show: Show, page: Path, facts: Facts, first: int, second: int
) -> None:
    driver = show(page)
    details = facts["details"]
    rows, count = details["rows"], len(details["rows"])
    compare(driver, rows[first], rows[second])
    low_at, high_at = sorted((first, second))
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    at = pairs.index((low_at, high_at))
    sign = 1 if first < second else -1
    difference = sign * details["pairs"]["difference"][at]
    ends = sorted(sign * details["pairs"][end][at] for end in ("low", "high"))

    told = one(driver, "#sheet .figures").text
    assert one(driver, "#sheet h2").text == f"Row {rows[first]} against row {rows[second]}"
    assert one(driver, "#sheet [data-slot=difference]").text == written(difference, sign=True)
    assert f"{written(ends[0], sign=True)} to {written(ends[1], sign=True)}" in told
    assert "not adjusted for that choice" in one(driver, "#sheet").text
    by_row = {each["rows"][0]: each for each in facts["recipes"]}
    one_, other = by_row[rows[first]]["levels"], by_row[rows[second]]["levels"]
    assert {line[0] for line in cells(driver, "settings")} == {
        name for name in facts["state"]["factors"] if one_.get(name) != other.get(name)
    }


def test_texts_that_differ_are_those_that_the_two_answer_unlike(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    details = facts["details"]
    i, j = 0, len(details["rows"]) - 1
    compare(driver, details["rows"][i], details["rows"][j])
    told = cells(driver, "texts")
    by_row = {str(text["row"]): text for text in details["texts"]}

    assert 0 < len(told) <= 30
    for row, words, gold, said, other in told:
        text = by_row[row]
        assert words == " ".join(text["text"]) and gold == text["gold"]
        assert said == f"{details['answers'][text['said'][i]]} {text['right'][i]} %"
        assert other == f"{details['answers'][text['said'][j]]} {text['right'][j]} %"
        assert said != other


def test_only_two_are_ticked_and_a_third_takes_the_place_of_the_first(show: Show, page: Path) -> None:
    driver = show(page)
    assert not one(driver, ".compare").is_enabled()
    rows = js(
        driver,
        "const b = [...document.querySelectorAll('.pick')]; b.slice(0, 3).forEach(x => x.click());"
        "return [b.slice(0, 3).map(x => x.value), b.filter(x => x.checked).map(x => x.value)]",
    )
    assert rows[1] == rows[0][1:]
    assert one(driver, ".compare").is_enabled()
    assert one(driver, ".picked output").text == f"Rows {rows[0][1]} and {rows[0][2]} are ticked."


def test_what_the_user_wrote_is_text_on_a_sheet(show: Show, hostile_page: Path, hostile: Facts) -> None:
    driver = show(hostile_page)
    rows = hostile["details"]["rows"]
    open_row(driver, rows[0])
    assert cells(driver, "confusion")
    js(driver, "document.getElementById('sheet').close()")
    compare(driver, rows[0], rows[-1])
    assert any("<script>" in line[1] or "<" in line[1] for line in cells(driver, "texts"))
    assert js(driver, "return window.hacked") is None
    assert js(driver, "return document.querySelectorAll('#sheet img, #sheet script, #sheet a').length") == 0


def test_effects_are_a_file_with_every_number(show: Show, page: Path, facts: Facts) -> None:
    driver = show(page)
    js(
        driver,
        "const make = URL.createObjectURL; URL.createObjectURL = (blob) => {"
        "  blob.text().then((text) => { window.made = text; }); return make(blob); };"
        "const link = document.querySelector('.effects-file');"
        "link.addEventListener('click', (event) => event.preventDefault()); link.click();",
    )
    table = list(csv.DictReader(io.StringIO(until(driver, "return window.made").lstrip("\ufeff"))))
    factors = facts["verdict"]["factors"]

    assert [line["factor"] for line in table] == [one_["factor"] for one_ in factors]
    for line, told in zip(table, factors, strict=True):
        assert float(line["effect"]) == told["effect"] and line["verdict"] == told["verdict"]
        assert [float(line["adjusted_low"]), float(line["adjusted_high"])] == told["adjusted"]
