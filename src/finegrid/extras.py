"""Parts of finegrid that few need, with libraries of their own: ``pip install 'finegrid[parquet]'``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from finegrid.errors import input_error

if TYPE_CHECKING:
    from finegrid.spelling import Lang

ExtraName = Literal["parquet", "onnx", "tensorboard", "mlflow", "ray", "sentencepiece"]


@dataclass(frozen=True)
class Extra:
    """What `finegrid machine` says of an extra, and the library that it needs."""

    library: str
    adds: str
    adds_in_chinese: str | None = None  # where that has words

    @property
    def is_there(self) -> bool:
        """Whether its library is installed, found without importing it."""
        return find_spec(self.library) is not None

    def describe(self, lang: Lang) -> str:
        """What it adds."""
        return self.adds if lang == "en" or self.adds_in_chinese is None else self.adds_in_chinese


EXTRAS: dict[ExtraName, Extra] = {
    "parquet": Extra(
        "pyarrow",
        "Parquet files: texts, predict --out, export --to; corpora in .zst",
        "Parquet 文件：文本、predict --out、export --to；.zst 语料",
    ),
    "onnx": Extra("onnxscript", "fit --onnx, export-onnx", "fit --onnx、export-onnx"),
    "tensorboard": Extra("tensorboard", "export --to tensorboard"),
    "mlflow": Extra("mlflow", "export --to mlflow"),
    "ray": Extra("ray", "--on ray: train on a cluster", "--on ray：在集群上训练"),
    "sentencepiece": Extra(
        "sentencepiece",
        "checkpoints with a sentencepiece model and no tokenizer.json",
        "只有 sentencepiece 模型、没有 tokenizer.json 的检查点",
    ),
}


# What training needs beside the rest; a lean installation that only reads is without them.
TO_TRAIN = ("torch", "transformers")
HOW_TO_TRAIN = "Training needs it: pip install torch transformers. `finegrid machine` says what is there."


@contextmanager
def needing(extra: ExtraName, source: str, where: str) -> Iterator[None]:
    """Around the imports of an extra's library.

    Args:
        extra: its name.
        source, where: of what needs it, for the message, such as ``command line`` and ``--to mlflow``.

    Raises:
        InputError: the library is not there, or cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        missing = f"needs {EXTRAS[extra].library}, which cannot be imported here ({error})"
        raise input_error(source, where, f"{missing}. Install it: pip install 'finegrid[{extra}]'") from None


def need(extra: ExtraName, source: str, where: str) -> None:
    """Refuse work whose end needs an extra that is not there, before it begins.

    Raises:
        InputError: as `needing`.
    """
    with needing(extra, source, where):
        import_module(EXTRAS[extra].library)


def need_to_train() -> None:
    """Refuse to train before workers start, each of which would break.

    Raises:
        InputError: torch or transformers is not installed.
    """
    missing = [name for name in TO_TRAIN if find_spec(name) is None]
    if missing:
        raise input_error("installation", missing[0], f"is not installed. {HOW_TO_TRAIN}")
