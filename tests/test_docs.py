"""What the docs show is what the program says."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", ["cards.md", "commands.md"])
def test_pages_that_are_generated_say_what_the_program_says(name: str) -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert page == module.PAGES[name](), "run `make reference`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_the_docs_are_commands_of_the_program(page: Path) -> None:
    known, wrong = options_of_commands(), []
    for line in commands_of(page.read_text(encoding="utf-8")):
        verb, *rest = shlex.split(line, comments=True)[1:] or ["--help"]
        if verb in known:
            asked = {word.split("=")[0] for word in rest if word.startswith("--") and len(word) > 2}
            wrong += [f"no option {name}: {line}" for name in sorted(asked - known[verb])]
        elif not verb.startswith("-"):
            wrong.append(f"no such command: {line}")
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_in_the_docs_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", strip_code(page.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else page.parent / path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors_of(there)):
            broken.append(target)
    assert not broken


def commands_of(text: str) -> Iterator[str]:
    """Lines of code blocks that call the program, each whole, without what it is piped into.

    A block is fenced, or indented by four columns as in the README.
    """
    fenced = False
    for line in text.replace("\\\n", " ").splitlines():
        fenced ^= line.startswith("```")
        called = re.match(r"(\s*|    ?\$ |\$ )(finegrid [^|>&;]+)", line)
        if called and (fenced or line.startswith("    ")) and "..." not in line:
            yield called[2].strip()


@cache
def options_of_commands() -> dict[str, set[str]]:
    """By command, as the page says that is compared with the program above."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `finegrid (.+)`$", page, flags=re.MULTILINE)[1:]
    options = (set(re.findall(r"--[a-z][a-z-]*", part)) for part in parts[1::2])
    return dict(zip(parts[::2], options, strict=True))


def strip_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


@cache
def anchors_of(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
