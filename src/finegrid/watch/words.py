"""What `finegrid watch` says once its page can be opened, in English and Chinese."""

from __future__ import annotations

from pathlib import Path

from finegrid.errors import visible
from finegrid.spelling import Lang

SHOWN: dict[Lang, str] = {
    "en": "{folder} is shown at {address} (only on this machine; Ctrl-C ends it)",
    "zh": "{folder} 显示在 {address}（仅限本机；按 Ctrl-C 结束）",
}


def say_shown(folder: Path, address: str, lang: Lang) -> str:
    """Where a study is shown."""
    return visible(SHOWN[lang].format(folder=folder, address=address))
