"""The README's picture of a report: its first screen in headless Chromium.

    python scripts/screenshot.py STUDY docs/report.png [--width 1280] [--lang en] [--theme light]

Takes a study's folder, or the page itself. Needs chromium and chromedriver (`make browser`) and selenium.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver

from finegrid.report.facts.facts import report_facts
from finegrid.report.page.page import render_page

MOST_BYTES = 400_000
SHARPNESS = 1.6  # pixels of the picture to one of the page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=820)
    parser.add_argument("--lang", choices=["en", "zh"], default="en")
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = args.study
        if page.is_dir():
            page = Path(folder) / "report.html"
            page.write_text(render_page(report_facts(args.study), args.lang), encoding="utf-8")
        picture = photograph(page, args)
    args.out.write_bytes(picture)
    print(f"wrote {args.out}, {len(picture):,} bytes")
    if len(picture) > MOST_BYTES:
        raise SystemExit(f"that is more than the {MOST_BYTES:,} that a README should load")


def photograph(page: Path, args: argparse.Namespace) -> bytes:
    """The first screen, once its chart is drawn."""
    options = webdriver.ChromeOptions()
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{option}")
    # Both are named, or selenium looks for them on the network.
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        raise SystemExit("no chromium or chromedriver here: `make browser` installs them")
    options.binary_location = chromium
    driver: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        size = {"width": args.width, "height": args.height, "deviceScaleFactor": SHARPNESS, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(f"{page.resolve().as_uri()}?lang={args.lang}&theme={args.theme}")
        end = time.monotonic() + 60
        while not driver.execute_script(
            "return document.querySelector('[data-chart=forest]')?.dataset.drawn"
        ):
            if time.monotonic() > end:
                raise SystemExit("the chart of this page was not drawn within a minute")
            time.sleep(0.1)
        return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"])
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
