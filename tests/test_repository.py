"""Files for people who find the repository, and the page on installing: what they say is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from finegrid import __version__
from finegrid.extras import EXTRAS, TO_TRAIN

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s>=<~!\[;]", requirement)[0] for requirement in requirements}


def test_the_citation_has_what_its_format_asks_for_and_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (author,) = citation["authors"]

    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"]
    assert citation["type"] == "software"
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert author["name"].casefold() in (ROOT / "LICENSE").read_text(encoding="utf-8").casefold()


def test_templates_of_issues_say_what_they_are_for() -> None:
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))

    assert len(templates) >= 3
    for template in templates:
        _, head, body = template.read_text(encoding="utf-8").split("---\n", 2)
        assert yaml.safe_load(head).keys() == {"name", "about", "labels"} and body.strip()


def test_extras_are_the_ones_that_the_program_and_the_page_name() -> None:
    extras = PROJECT["optional-dependencies"]
    (all_,) = extras["all"]

    assert (
        set(re.findall(r"\w+", all_.partition("[")[2]))
        == EXTRAS.keys()
        == extras.keys() - {"all", "bench", "dev"}
    )
    for name in EXTRAS:
        (brings,) = re.findall(rf"^\| `{name}` \|.*\| ([\w, -]+) \| \d+ \|$", INSTALL, re.M)
        assert {*brings.split(", ")} == names(extras[name])


def test_the_lean_installation_has_all_but_what_trains() -> None:
    (listed,) = re.findall(r"pip install (altair[^\n]+\\\n[^\n]+)", INSTALL)

    assert {*listed.replace("\\", " ").split()} == names(PROJECT["dependencies"]) - {*TO_TRAIN}


def test_the_page_on_faults_names_every_attack() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")

    assert {*re.findall(r"^\| `(test_\w+\.py)` \|", page, re.M)} == {
        path.name for path in (ROOT / "tests" / "faults").glob("test_*.py")
    }
