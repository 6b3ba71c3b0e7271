"""The texts that runs train on: the study's own, unless a recipe asks for fewer, or for more beside them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.data.extra import find_first, join_texts, read_extra, take_rows
from finegrid.data.table import DataTable, Split
from finegrid.data.tokens import TokenisedSplit, encode
from finegrid.recipe.recipe import Recipe
from finegrid.study.study import Study

OWN = Recipe().texts  # the study's own, all of them


@dataclass(frozen=True)
class TrainingTexts:
    """The training texts of the recipes of a study, or of one split of it. Made when first asked for.

    Attributes:
        study: the study.
        table: its texts and labels.
        own: its own training texts.
        tokenizer: for texts beside them.
        extra: by level of ``texts.extra``, the texts of that file, and the same as numbers.
    """

    study: Study
    table: DataTable
    own: TokenisedSplit
    tokenizer: Any
    extra: dict[str, tuple[Split, TokenisedSplit]] = field(default_factory=dict)
    _taken: dict[tuple[float, str], TokenisedSplit] = field(default_factory=dict)  # by share and extra
    _keys: dict[tuple[float, str], tuple[int, str]] = field(default_factory=dict)  # by the same

    def of(self, recipe: Recipe) -> TokenisedSplit:
        """The texts that a recipe's runs train on.

        Raises:
            InputError: a file that cannot be used.
        """
        share, path = recipe.texts.share, recipe.texts.extra
        if recipe.texts == OWN:
            return self.own
        if (share, path) not in self._taken:
            taken = take_rows(self.own, find_first(self.own.labels, share))
            if path:
                taken = join_texts(taken, self._read_extra(path)[1])
            self._taken[share, path] = taken
        return self._taken[share, path]

    def extra_words(self, recipe: Recipe) -> NDArray[np.int32]:
        """The words of a recipe's texts that are not the study's own."""
        path = recipe.texts.extra
        return self._read_extra(path)[1].tokens if path else np.empty(0, dtype=np.int32)

    def key(self, recipe: Recipe) -> tuple[int, str]:
        """What tells a recipe's texts from those of others: how many of the study's own, and a fingerprint
        of those beside them.
        """
        asked = recipe.texts.share, recipe.texts.extra
        if asked not in self._keys:
            self._keys[asked] = self._find_key(*asked)
        return self._keys[asked]

    def _find_key(self, share: float, path: str) -> tuple[int, str]:
        count = len(find_first(self.own.labels, share))
        if not path:
            return count, ""
        tokens = self._read_extra(path)[1]
        digest = hashlib.sha256()
        for array in (tokens.tokens, tokens.bounds, tokens.labels):
            digest.update(array.tobytes())
        return count, digest.hexdigest()[:16]

    def _read_extra(self, path: str) -> tuple[Split, TokenisedSplit]:
        if path not in self.extra:
            study = self.study
            split = read_extra(Path(path), study.folder, study.head.data, self.table)
            tokens, bounds = encode(split.texts, self.tokenizer)
            encoded = replace(self.own, tokens=tokens, bounds=bounds, labels=split.labels, ids=split.ids)
            self.extra[path] = split, encoded
        return self.extra[path]
