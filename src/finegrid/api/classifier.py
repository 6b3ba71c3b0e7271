"""A kept model that labels texts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from finegrid.api.showing import html_line
from finegrid.api.wording import COMMAND_LINE, in_python
from finegrid.data.cells import UnfitCell, as_text
from finegrid.errors import InputError, Problem, input_error
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.inference.predict import softmax
from finegrid.machine import cores
from finegrid.spelling import expand_user
from finegrid.study.load import override
from finegrid.study.settings import RunSettings

if TYPE_CHECKING:
    from finegrid.inference.apply import OpenedModel
    from finegrid.training.evaluate import Logits

# A text, or two where the study was of pairs.
Text: TypeAlias = "str | tuple[str, str]"
MOST_PROBLEMS = 5


@dataclass(frozen=True, repr=False)
class Classifier:
    """A model that `finegrid fit` or `Study.fit` kept.

    Attributes:
        folder: Of the model.
        labels: In the order of the columns of `predict_proba`.
    """

    folder: Path
    labels: tuple[str, ...]
    _fitted: Fitted = field(repr=False)
    _settings: RunSettings = field(repr=False)

    @classmethod
    @in_python
    def load(
        cls, folder: str | os.PathLike[str], *, device: str | None = None, precision: str | None = None
    ) -> Classifier:
        """A kept model. Weights, and torch, are loaded when the first texts come.

        Args:
            folder: that `finegrid fit` or `Study.fit` wrote.
            device: "cpu" or "cuda". Default: cpu.
            precision: "fp32", "bf16" or "auto". Default: fp32.

        Raises:
            InputError: no such model, a damaged one, or another device or precision.
        """
        path = expand_user(folder)
        fitted = load_fitted(path)
        settings = override(RunSettings(threads=cores()), device=device, precision=precision)
        return cls(path, tuple(fitted.labels), fitted, settings)

    @in_python
    def predict(self, texts: Iterable[Text]) -> list[str]:
        """The label of each text.

        Args:
            texts: strings; of a study of pairs, pairs of strings. Longer ones are cut as in the study.

        Raises:
            InputError: texts that cannot be read, with their numbers, or a machine that cannot do it.
        """
        return [self.labels[number] for number in self._logits(texts).argmax(axis=1)]

    @in_python
    def predict_proba(self, texts: Iterable[Text]) -> NDArray[np.float64]:
        """Probabilities ``[texts, labels]``; each row adds up to 1.

        Args:
            texts: as of `predict`.

        Raises:
            InputError: as of `predict`.
        """
        return softmax(self._logits(texts))

    def _logits(self, texts: Iterable[Text]) -> Logits:
        checked = take_texts(texts, self._fitted.texts)
        if not checked:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        from finegrid.inference.apply import in_user_process

        with in_user_process(self._settings):
            return self._opened.label(checked)[0]

    @cached_property
    def _opened(self) -> OpenedModel:
        from finegrid.inference.apply import open_model

        return open_model(self.folder, self._fitted, self._settings)

    def __repr__(self) -> str:
        return f"Classifier({str(self.folder)!r}, labels={list(self.labels)})"

    def _repr_html_(self) -> str:
        return html_line(repr(self), "pre")


def take_texts(texts: Iterable[Text], parts: int) -> list[tuple[str, ...]]:
    """What was given as texts, checked as those of a file are.

    Raises:
        InputError: one string, or something that is no text: by its number, from 0.
    """
    expected = "pairs of strings" if parts == 2 else "strings"
    if isinstance(texts, str | bytes) or not hasattr(texts, "__iter__"):
        what = f"found a {type(texts).__name__}, expected a list of {expected}."
        raise input_error(COMMAND_LINE, "texts", what)
    found: list[tuple[str, ...]] = []
    problems: list[Problem] = []
    for number, each in enumerate(texts):
        given = (each,) if isinstance(each, str) or not hasattr(each, "__len__") else tuple(each)
        if len(given) != parts:
            what = f"found {len(given)} texts, expected {expected}."
            problems.append(Problem(f"texts[{number}]", what))
            continue
        try:
            found.append(tuple(as_text(one) for one in given))
        except UnfitCell as unfit:
            problems.append(Problem(f"texts[{number}]", f"{unfit.what}."))
    if problems:
        more = [Problem("", f"and {len(problems) - MOST_PROBLEMS} more")] * (len(problems) > MOST_PROBLEMS)
        raise InputError(COMMAND_LINE, [*problems[:MOST_PROBLEMS], *more])
    return found
