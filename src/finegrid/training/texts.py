"""The texts that runs train on: the study's own, unless a recipe asks for fewer, or for more beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finegrid.data.extra import find_first, join_texts, read_extra, read_unlabelled, take_rows
from finegrid.data.table import DataTable, Split
from finegrid.data.tokens import TokenisedSplit, encode
from finegrid.errors import InputError, Problem
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import Guessed, Unlabelled
from finegrid.study.study import Study
from finegrid.training.guesses import Guesser

OWN = Recipe().texts  # the study's own, all of them


@dataclass(frozen=True)
class TrainingTexts:
    """The training texts of the recipes of a study, or of one split of it. Made when first asked for.

    Attributes:
        study: the study.
        table: its texts and labels.
        own: its own training texts.
        tokenizer: for texts beside them.
        guess: what the teacher says of texts without labels.
        extra: by level of ``texts.extra``, the texts of that file, and the same as numbers.
        unlabelled: the same of texts without labels, by what messages call them.
    """

    study: Study
    table: DataTable
    own: TokenisedSplit
    tokenizer: Any
    guess: Guesser
    extra: dict[str, tuple[Split, TokenisedSplit]] = field(default_factory=dict)
    unlabelled: dict[str, tuple[Split, TokenisedSplit]] = field(default_factory=dict)
    _taken: dict[tuple[float, str], TokenisedSplit] = field(default_factory=dict)  # by share and extra
    _taught: dict[Hashable, TokenisedSplit] = field(default_factory=dict)
    _keys: dict[tuple[float, str], tuple[int, str]] = field(default_factory=dict)  # by the same

    def of(self, recipe: Recipe) -> TokenisedSplit:
        """The texts that a recipe's runs train on.

        Raises:
            InputError: a file that cannot be used.
        """
        given, more = self._of_labelled(recipe), recipe.unlabelled
        if more is None:
            return given
        asked = recipe.texts, more
        if asked not in self._taught:
            texts = self.read_unlabelled(more)
            labels, sure = self.guess(texts).labels(more.threshold)
            rows = np.flatnonzero(sure)
            taken = take_rows(replace(texts, labels=labels), rows) if len(rows) else None
            self._taught[asked] = given if taken is None else join_texts(given, taken)
        return self._taught[asked]

    def guessed(self, recipe: Recipe) -> Guessed:
        """Of those, the ones whose labels a teacher has guessed."""
        if recipe.unlabelled is None:
            return Guessed()
        texts = len(self.of(recipe)) - len(self._of_labelled(recipe))
        return Guessed(texts, self.guess(self.read_unlabelled(recipe.unlabelled)).seconds)

    def read(self, recipe: Recipe) -> None:
        """Read the files of a recipe, before anything is trained.

        Raises:
            InputError: a file that cannot be used.
        """
        self._of_labelled(recipe)
        if recipe.unlabelled is not None:
            self.read_unlabelled(recipe.unlabelled)

    @property
    def beside(self) -> dict[str, tuple[Split, TokenisedSplit]]:
        """Of all files that were read, by what messages call them."""
        return {**{f"texts.extra = {path}": read for path, read in self.extra.items()}, **self.unlabelled}

    def check_taught(self, recipes: Iterable[Recipe]) -> None:
        """Refuse texts without labels of which the teacher is sure of none: their runs would be others'.

        Raises:
            InputError: so it is.
        """
        asked = dict.fromkeys(more for recipe in recipes if (more := recipe.unlabelled) is not None)
        problems = []
        for more in asked:
            guess = self.guess(self.read_unlabelled(more))
            if guess.labels(more.threshold)[1].any():
                continue
            what = (
                f"with seed {self.guess.seed} the baseline is sure enough of none of the "
                f"{len(guess.logits):,} texts of {more.path}: its surest label has a probability of "
                f"{guess.probabilities.max():.2f}, the threshold is {more.threshold:g}. Lower the "
                "threshold, or train the baseline longer."
            )
            if guess.diverged:
                what = f"with seed {self.guess.seed} the baseline diverges and labels nothing. Mend it first."
            problems.append(Problem(f'"{more.factor}"', what))
        if problems:
            raise InputError(str(self.study.files.settings), problems)

    def longest(self, recipe: Recipe) -> int:
        """Tokens of the longest text that may be among those of a recipe."""
        splits = [self._of_labelled(recipe)]
        if recipe.unlabelled is not None:
            splits.append(self.read_unlabelled(recipe.unlabelled))
        return int(max(split.lengths.max() for split in splits))

    def _of_labelled(self, recipe: Recipe) -> TokenisedSplit:
        share, path = recipe.texts.share, recipe.texts.extra
        if recipe.texts == OWN:
            return self.own
        if (share, path) not in self._taken:
            taken = take_rows(self.own, find_first(self.own.labels, share))
            if path:
                taken = join_texts(taken, self._read_extra(path)[1])
            self._taken[share, path] = taken
        return self._taken[share, path]

    def name_files(self, recipe: Recipe) -> tuple[str, ...]:
        """Those with texts that are not the study's own."""
        return recipe.texts.extra, "" if recipe.unlabelled is None else recipe.unlabelled.path

    def extra_words(self, recipe: Recipe) -> NDArray[np.int32]:
        """The words of a recipe's texts that are not the study's own."""
        path, unlabelled = recipe.texts.extra, recipe.unlabelled
        words = [self._read_extra(path)[1].tokens] if path else []
        words += [self.read_unlabelled(unlabelled).tokens] if unlabelled else []
        return np.concatenate([np.empty(0, dtype=np.int32), *words])

    def key(self, recipe: Recipe) -> tuple[int, str] | tuple[int, str, str, float]:
        """What tells a recipe's texts from those of others: how many of the study's own, and a fingerprint
        of those beside them; and where some have guessed labels, who has guessed and how sure they are.
        """
        asked = recipe.texts.share, recipe.texts.extra
        if (more := recipe.unlabelled) is not None:
            teacher = self.guess.key(self.read_unlabelled(more))
            return *self._key_of_labelled(*asked), teacher, more.threshold
        return self._key_of_labelled(*asked)

    def _key_of_labelled(self, *asked: Any) -> tuple[int, str]:
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

    def read_unlabelled(self, asked: Unlabelled) -> TokenisedSplit:
        """Texts without labels; as long as nobody has labelled them, all have the first one."""
        name = f"{asked.factor} = {asked.path}"
        if name not in self.unlabelled:
            study = self.study
            split = read_unlabelled(asked.factor, Path(asked.path), study.folder, study.head.data, self.table)
            self.unlabelled[name] = split, self._encode(split)
        return self.unlabelled[name][1]

    def _encode(self, split: Split) -> TokenisedSplit:
        tokens, bounds = encode(split.texts, self.tokenizer)
        return replace(self.own, tokens=tokens, bounds=bounds, labels=split.labels, ids=split.ids)

    def _read_extra(self, path: str) -> tuple[Split, TokenisedSplit]:
        if path not in self.extra:
            study = self.study
            split = read_extra(Path(path), study.folder, study.head.data, self.table)
            self.extra[path] = split, self._encode(split)
        return self.extra[path]
