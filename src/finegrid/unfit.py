"""Saved states that nothing can go on from: why, where they go, and how that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finegrid.spelling import Lang, Telling

SUFFIX = ".unfit"
ENGLISH = {
    "set aside": "{file} is a saved state that nothing can go on from: {reason}. It was renamed to "
    "{file}.unfit, and what it was of begins anew, to the same results",
    "damaged": "it is damaged",
    "made otherwise": "it was made with other threads, device, stack or libraries",
    "other runs": "it is of other runs",
    "other rows": "it has other rows of the table of words than are trained now",
    "other tensors": "its tensors are others than needed",
    "not finite": "it has values that are not finite",
    "other progress": "the work cannot have come so far",
    "broke": "going on from it broke",
}
CHINESE = {
    "set aside": "{file} 保存的状态无法继续使用：{reason}。已改名为 {file}.unfit，相应训练从头开始，结果相同",
    "damaged": "文件已损坏",
    "made otherwise": "保存时的线程数、设备、叠放方式或库的版本不同",
    "other runs": "属于另一些运行",
    "other rows": "其中词嵌入表的行与现在训练的不同",
    "other tensors": "其中的张量与所需的不符",
    "not finite": "含有非有限值",
    "other progress": "所记录的进度不可能出现",
    "broke": "从它继续时出错",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


class UnfitError(Exception):
    """A saved state that is not gone on from.

    Attributes:
        reason: a key of the words above.
        detail: for a log.
    """

    def __init__(self, reason: str, detail: object = "") -> None:
        self.reason, self.detail = reason, str(detail)
        super().__init__(f"{reason}: {detail}")


@contextmanager
def opening_state(state: Path) -> Iterator[Any]:
    """A saved state, opened by safetensors, whose tensors are torch's.

    Raises:
        UnfitError: the file is damaged.
        OSError: the system refuses to read it.
    """
    from safetensors import SafetensorError, safe_open  # unused by commands that only look for states

    try:
        with state.open("rb"):  # safetensors says of all that cannot be opened that it is not there
            pass
        with safe_open(state, "pt") as file:
            yield file
    except (SafetensorError, IsADirectoryError) as error:
        raise UnfitError("damaged", error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UnfitError("damaged", error) from error  # what safetensors says has no number


def unfit_of(state: Path) -> Path:
    """Where a saved state goes that nothing can go on from."""
    return state.with_name(f"{state.name}{SUFFIX}")


def set_aside(state: Path) -> None:
    """Rename a saved state, so that nobody goes on from it. An earlier one that was set aside goes.

    Raises:
        OSError: it can neither be renamed nor removed.
    """
    try:
        state.replace(unfit_of(state))
    except OSError:
        state.unlink(missing_ok=True)


def tell_set_aside(file: str, reason: str) -> Telling:
    """That a saved state was of no use, and why: a key of the words above."""
    return lambda lang: [WORDS[lang]["set aside"].format(file=file, reason=WORDS[lang][reason])]
