"""A real browser, headless; `make browser` installs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from finegrid.report.page.page import render_page
from support.reported import Facts, audited_study, fill, hostile_study
from support.waiting import wait_until

WHY_NOT = (
    "no chromium, chromedriver or selenium here: `make browser` installs the first two, `make test` the last"
)
WIDE, TALL = 1280, 800
Show = Callable[..., Any]


@contextmanager
def browser(scripts: bool = True) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason=WHY_NOT)
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip(WHY_NOT)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{option}")
    options.add_argument(f"--window-size={WIDE},{TALL}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not scripts:
        blocked = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", blocked)
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made


@pytest.fixture(scope="session")
def without_scripts() -> Iterator[Any]:
    with browser(scripts=False) as made:
        yield made


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    """Of a study of eight recipes with three seeds."""
    return fill(audited_study(tmp_path_factory.mktemp("study"), bert))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Facts:
    return fill(hostile_study(tmp_path_factory.mktemp("home"), bert))


@pytest.fixture(scope="session")
def page(facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page"), render_page(facts))


@pytest.fixture(scope="session")
def hostile_page(hostile: Facts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page"), render_page(hostile))


def write(folder: Path, page: str) -> Path:
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def show(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a page afresh at some width; afterwards the console must be empty and nothing fetched."""

    def open_(page: Path, width: int = WIDE, height: int = TALL, query: str = "", **media: str) -> Any:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wishes = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wishes})
        chromium.get("about:blank")
        for log in ("browser", "performance"):
            chromium.get_log(log)
        chromium.get(page.as_uri() + query)
        return chromium

    yield open_
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert messages == []
    assert fetched(chromium) <= {"file", "data", "blob"}


def fetched(driver: Any) -> set[str]:
    """Schemes of everything that was asked for."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return {url.partition(":")[0] for url in asked}


def js(driver: Any, code: str, *values: Any) -> Any:
    return driver.execute_script(code, *values)


def until(driver: Any, code: str, *values: Any, seconds: float = 20) -> Any:
    """Wait for a condition in the page."""
    return wait_until(lambda: js(driver, code, *values), seconds, code)


def drawn(driver: Any, name: str, lang: str = "en", theme: str = "light") -> None:
    """Wait until a chart stands in this language and theme."""
    js(driver, f"document.querySelector('[data-chart={name}]').scrollIntoView({{behavior: 'instant'}})")
    wanted = f"document.querySelector('[data-chart={name}]').dataset.drawn === '{lang} {theme}'"
    until(driver, f"return {wanted}")


def one(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def sideways(driver: Any) -> int:
    """Pixels by which the page is wider than the screen."""
    return int(js(driver, "return document.documentElement.scrollWidth - window.innerWidth"))
