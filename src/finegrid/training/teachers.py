"""What teachers say of a study's training texts: worked out once, then kept in its ``cache`` folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from finegrid.data.probabilities import read_probabilities
from finegrid.data.table import DataTable
from finegrid.data.tokens import load_arrays, save_arrays_
from finegrid.errors import InputError, Problem
from finegrid.recipe.recipe import TEACHER_FACTORS
from finegrid.spelling import expand_user
from finegrid.strategies.part import COLUMNS
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.training.evaluate import Logits
from finegrid.training.rounding import rounding_of

LEAST = 1e-7  # a column's probability that is smaller counts as this: `finegrid predict` writes six digits


@dataclass(frozen=True)
class KeptModel:
    """A model that finegrid has kept, opened so that it can teach.

    Attributes:
        labels: in the order of its logits.
        texts: of a row: 2 where it reads pairs.
        fingerprint: of all that decides what it says.
        data: fingerprint of the data that it was trained on; empty where that is not known.
        read: texts to their logits, in their order.
    """

    labels: tuple[str, ...]
    texts: int
    fingerprint: str
    data: str
    read: Callable[[list[tuple[str, ...]]], Logits]


OpenModel = Callable[[Path, RunSettings], KeptModel]  # raises InputError where there is none


@dataclass(frozen=True)
class Teachers:
    """The teachers that a study names. What they say is of the training texts of one split.

    Attributes:
        study: the study.
        settings: device, precision and threads that a teacher reads with.
        table: the texts of the split.
        open_model: opens the folder of a kept model.
    """

    study: Study
    settings: RunSettings
    table: DataTable
    open_model: OpenModel
    _said: dict[str, Tensor] = field(default_factory=dict)  # by teacher

    def check(self) -> None:
        """Refuse a teacher that nobody can learn from, before anything is trained.

        Raises:
            InputError: a teacher that cannot be read, or whose labels or texts are not the study's.
        """
        for name, level in self._list_levels():
            if level == COLUMNS:
                assert len(self._columns)  # read, and all of it is in order
            else:
                self._open(level, name)

    def warnings(self, of_splits: list[str]) -> list[str]:
        """What is to be warned of.

        Args:
            of_splits: fingerprints of the study's data, of every split.
        """
        return [
            f"{name} was not kept from the training texts of every run: it may have been trained on texts of "
            "dev or test, and what learns from it would then look better than it is"
            for name, level in self._list_levels()
            if level != COLUMNS and {*of_splits} != {self._open(level, name).data}
        ]

    def logits(self, teacher: str, ids: NDArray[np.int64] | None = None) -> Tensor:
        """``[texts, classes]`` in the order of the study's labels, on its device. All runs share them.

        Args:
            teacher: a level of ``distil.teacher``.
            ids: of the texts that are asked for, some of the training texts in their order; None: of all.

        Raises:
            InputError: a teacher that cannot be read.
        """
        if teacher not in self._said:
            said = self._log_columns() if teacher == COLUMNS else self._read_by(teacher)
            self._said[teacher] = torch.from_numpy(said).to(self.settings.device)
        if ids is None or len(ids) == len(self.table.train):
            return self._said[teacher]
        rows = np.flatnonzero(np.isin(self.table.train.ids, ids))
        return self._said[teacher][torch.from_numpy(rows)]

    def _list_levels(self) -> Iterator[tuple[str, str]]:
        """Every teacher of the study, with its name in messages."""
        recipes = [row.recipe.levels() for row in self.study.rows]
        for factor in TEACHER_FACTORS:
            levels = dict.fromkeys(str(levels[factor]) for levels in recipes if levels[factor])
            yield from ((f"{factor} = {level}", level) for level in levels)

    def _open(self, teacher: str, name: str) -> KeptModel:
        """
        Raises:
            InputError: no such model, or one of other labels or texts.
        """
        try:
            model = self.open_model(self._folder(teacher), self.settings)
        except InputError as error:
            raise InputError(name, error.problems) from None
        problems = []
        if {*model.labels} != {*self.table.labels}:
            mine, its = (", ".join(sorted(map(repr, labels))) for labels in (self.table.labels, model.labels))
            what = f"it tells apart {its}, but the study {mine}. Name a teacher of the same labels."
            problems.append(Problem("labels", what))
        if model.texts != (parts := len(self.table.train.texts[0])):
            what = f"it reads {model.texts} in a row, but the study has {parts}. Name a teacher of such rows."
            problems.append(Problem("texts", what))
        if problems:
            raise InputError(name, problems)
        return model

    def _folder(self, teacher: str) -> Path:
        return self.study.folder / expand_user(teacher)

    def _read_by(self, teacher: str) -> Logits:
        """What a kept model says. The first process that asks works it out, others wait."""
        model = self._open(teacher, teacher)
        about = (model.fingerprint, self.table.fingerprint(), rounding_of(self.settings))
        key = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
        path = self.study.files.teacher(key)
        with FileLock(path.with_suffix(".lock")):
            said = (load_arrays(path) or {}).get("logits")
            if said is None or not self._fits(said):
                order = [model.labels.index(label) for label in self.table.labels]
                said = model.read(self.table.train.texts)[:, order]
                save_arrays_(path, {"logits": said})
        return said

    def _fits(self, said: Logits) -> bool:
        """Whether cached logits can be those of the training texts."""
        shape = len(self.table.train), len(self.table.labels)
        return said.shape == shape and said.dtype == np.float32 and bool(np.isfinite(said).all())

    def _log_columns(self) -> Logits:
        said = self._columns[self.table.train.ids - 1]
        return np.log(np.maximum(said, LEAST)).astype(np.float32)

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        """``[rows, classes]``, of all rows that training texts are drawn from."""
        head = self.study.head
        resampling = head.design.resampling
        parts = ["train"] if resampling is None else resampling.pooled_files(head.data)
        return read_probabilities(head.data, self.study.folder, parts, self.table.labels)


def refuse_models(folder: Path, settings: RunSettings) -> KeptModel:
    """For who opens a study without being able to read kept models."""
    raise InputError(str(folder), [Problem("teacher", "kept models are read by `finegrid run` alone.")])
