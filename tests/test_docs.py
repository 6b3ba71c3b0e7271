"""What the docs show is what the program says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_cards_page_is_what_explain_says() -> None:
    spec = importlib.util.spec_from_file_location("cards", ROOT / "scripts" / "cards.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")

    assert page == module.cards(), "run `make cards`"
