"""Chinese for what a page takes over from files in English: recorded sentences, names of facts.

What has no Chinese stays in English, and is marked as English for those who hear the page.
"""

from __future__ import annotations

from markupsafe import Markup

from finegrid.in_chinese import SPLITS, find_chinese
from finegrid.report.page.bilingual import Both, user

MACHINE = {"processor": "处理器", "cores": "核数", "memory": "内存", "system": "系统", "gpu": "GPU"}
NAMES = (
    SPLITS
    | MACHINE
    | {"data": "数据", "model": "模型", "checkpoint": "检查点", "tokens": "词元", "code": "代码"}
)


def translate(text: str) -> Both:
    """A sentence in both languages; in English alone where nobody has put it into Chinese."""
    if (chinese := find_chinese(text)) is not None:
        return Both(user(text), user(chinese))
    return Both(user(text), Markup('<span lang="en">{}</span>').format(user(text)))


def name_fact(name: str) -> Both:
    """What a fact of a machine, a split or a fingerprint is called."""
    return Both(user(name), user(NAMES.get(name, name)))
