"""`finegrid watch` in a real browser: the page follows the study, and the reader stays where they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import chromium
from support.pretend import pretend
from support.reported import HOSTILE_NAME, audited_study, hits
from support.served import served
from support.waiting import wait_until

from finegrid.report.facts.facts import report_facts
from finegrid.report.page.page import render_page
from finegrid.study.audit_file import load_audit
from finegrid.study.folder import PROGRESS_FILE
from finegrid.study.study import Study
from finegrid.watch.view import PageMaker

pytestmark = pytest.mark.browser
MAKE = PageMaker(report_facts, render_page)


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    """Of four distinct recipes and three seeds, the first of which has run."""
    made = audited_study(tmp_path / "study", bert)
    run(made, 1)
    return made


def run(study: Study, seeds: int) -> None:
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, hits, range(seeds))


@pytest.fixture
def watch(chromium: Any) -> Iterator[Callable[[str], Any]]:
    """Open an address; afterwards the console must hold no error but what a test took out of it."""

    def open_(address: str) -> Any:
        chromium.get("about:blank")
        chromium.get_log("browser")
        chromium.get(address)
        return chromium

    yield open_
    # The server of a test has ended by now, and the page may have asked it once more.
    assert [error for error in errors(chromium) if "ERR_CONNECTION_REFUSED" not in error] == []
    chromium.get("about:blank")


def errors(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def value(driver: Any, script: str) -> Any:
    return driver.execute_script(f"return {script}")


def strip(driver: Any) -> str:
    return str(value(driver, "document.querySelector('.watch')?.textContent ?? ''"))


def done(driver: Any) -> int:
    return int(value(driver, "document.querySelector('.running progress').value"))


def test_the_page_grows_with_the_ledger_and_the_reader_stays(
    watch: Callable[[str], Any], study: Study
) -> None:
    with served(study.folder, MAKE) as address:
        driver = watch(address)
        first = done(driver)
        driver.find_element("id", "language").click()
        driver.find_element("id", "find").send_keys("freeze")
        driver.execute_script(
            "window.same = 1; document.getElementById('recipes').scrollIntoView({behavior: 'instant'})"
        )
        place = value(driver, "document.getElementById('recipes').getBoundingClientRect().top")
        run(study, 3)
        wait_until(lambda: done(driver) == 3 * first)

        assert value(driver, "window.same") == 1  # it was not loaded anew
        assert value(driver, "document.documentElement.dataset.lang") == "zh"
        assert value(driver, "document.getElementById('find').value") == "freeze"
        top = "document.getElementById('recipes').getBoundingClientRect().top"
        wait_until(lambda: abs(value(driver, top) - place) < 5)  # once the charts are drawn
        wait_until(lambda: "已完成" in strip(driver))


def test_the_strip_tells_what_is_at_work(watch: Callable[[str], Any], study: Study) -> None:
    job = {"worker": 0, "rows": [1, 2, 3], "runs": 1, "seed": 1, "epoch": 2, "epochs": 8, "share": 0.2}
    job |= {"loss": 0.51249, "dev": 0.875}
    work = {"doing": "training", "share": 0.25, "seconds": 9.0, "seconds_left": 300, "at_work": [job]}
    work["runs"] = {"to_train": 12, "ended": 3}
    with served(study.folder, MAKE) as address:
        driver = watch(address)
        wait_until(lambda: "Not at work" in strip(driver))
        (study.folder / PROGRESS_FILE).write_text(json.dumps({**work, "written": time.time()}))
        said = wait_until(lambda: text if "Training" in (text := strip(driver)) else "")

    assert "3 of 12 runs · about 5 min left · " in said
    assert said.endswith("rows 1-3 seed 1: epoch 2 of 8, loss 0.512, 0.8750 on dev")


def test_a_page_survives_its_server_and_a_server_its_study(
    watch: Callable[[str], Any], tmp_path: Path, bert: Path
) -> None:
    folder = tmp_path / HOSTILE_NAME
    with served(folder, MAKE) as address:
        driver = watch(address)
        assert "Nothing to show yet" in driver.page_source
        port = int(address.rpartition(":")[2])
    wait_until(lambda: "No answer" in strip(driver))
    with served(folder, MAKE, port):
        study = audited_study(folder, bert)
        wait_until(lambda: value(driver, "document.querySelector('main#page') !== null"))
        errors(driver)  # that there was no answer for a while
        (folder / "study.toml").write_text("<img src=x onerror=window.hacked=1>")
        wait_until(lambda: "This page shows an earlier state." in strip(driver))
        assert value(driver, "window.hacked ?? null") is None
        assert driver.find_elements("css selector", "img[src=x]") == []
        assert "onerror=window.hacked" in strip(driver) or "TOML" in strip(driver)
    assert study.folder == folder
