"""What the docs show is what the program says."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["cards.md", "commands.md"])
def test_pages_that_are_generated_say_what_the_program_says(name: str) -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert page == module.PAGES[name](), "run `make reference`"
