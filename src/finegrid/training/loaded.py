"""What all runs of a study share: tokens, checkpoint, device, precision. The first to import torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finegrid.data.extra import take_rows as take_texts
from finegrid.data.table import fingerprint_tables
from finegrid.data.token_facts import count_tokens, splits_of
from finegrid.data.tokens import TokenisedSplit, tokenise
from finegrid.encoders.families import model_fingerprint
from finegrid.encoders.tokenizer import load_tokenizer, try_texts
from finegrid.errors import InputError, Problem
from finegrid.machine import Precision
from finegrid.model.classifier import Classifier
from finegrid.model.device import check_machine, compute_repeatably
from finegrid.model.load import Checkpoint
from finegrid.model.packing.batches import Batch, evaluation_batches, pack, training_batches
from finegrid.model.rows import Rows, choose_rows, take_rows
from finegrid.model.tier_proof import TierProof, prove_tier
from finegrid.pretraining.further import FurtherPretraining
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.seams import Setting
from finegrid.streams import Streams
from finegrid.study.contents import fingerprint_contents
from finegrid.study.opening import check_largest, check_opened
from finegrid.study.scored_label import check_scored_label
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.training.features import TextFeatures
from finegrid.training.guesses import Guess, Guesser
from finegrid.training.rounding import rounding_of
from finegrid.training.teachers import OpenModel, Teachers, refuse_models
from finegrid.training.texts import OWN, TrainingTexts

PROVED_TEXTS, PROVED_TOKENS = 6, 256  # that a tier is proved on, and of each at most
# Trains the teacher of a seed, and has it read texts; it goes on from its state, where there is one.
Teach = Callable[["LoadedStudy", int, TokenisedSplit, Path], Guess]
# Per batch of evaluation: large enough for full-speed products; on CPUs small enough for the cache.
EVALUATION_TOKENS = {"cpu": 4096, "cuda": 32768}


def refuse_to_teach(loaded: LoadedStudy, seed: int, texts: TokenisedSplit, state: Path) -> Guess:
    """For who opens a study without being able to train."""
    what = "texts without labels are labelled by `finegrid run` alone."
    raise InputError(str(loaded.study.folder), [Problem("teacher", what)])


class LoadedStudy:
    """A study's data and checkpoint, loaded."""

    def __init__(
        self,
        study: Study,
        settings: RunSettings,
        open_model: OpenModel = refuse_models,
        teach: Teach = refuse_to_teach,
    ) -> None:
        assert not study.own.descriptions, "who trains has a study's own strategies themselves"
        self.study = study
        self.every_row = False  # for tests and benchmarks: hold words that no text has, too
        # Made when they are asked for; by the file of more texts, since these have words of their own.
        self._rows: dict[tuple[str, ...], Rows | None] = {}
        self._anchors: dict[Rows | None, dict[str, Tensor]] = {}
        self._proof: TierProof | None = None  # the last one
        self._views: dict[int, LoadedStudy] = {}  # by split, of a resampled study
        self._features: dict[Hashable, TextFeatures] = {}
        self.settings = settings
        self.device = torch.device(settings.device)
        self.precision: Precision = settings.precision
        self.recompute = settings.recompute is True  # "auto": whoever knows what a run takes decides
        self.tables = study.read_tables()
        self.table = self.tables[0]
        for table in self.tables:
            check_scored_label(study.head.score, table)
        self._tokenizer = load_tokenizer(study.checkpoint.folder)
        for table in self.tables:
            texts = chain(table.train.texts, table.dev.texts, table.test.texts)
            try_texts(study.checkpoint.folder, texts)
        self.tokens = tokenise(self.table, self._tokenizer, study.files.cache)
        self.seed = study.head.design.numbers[0]  # of the teacher that labels texts
        self._teach = teach
        self.texts = TrainingTexts(study, self.table, self.tokens.train, self._tokenizer, self._guesser())
        self.checkpoint = Checkpoint(study.checkpoint)
        self.teachers = Teachers(study, settings, self.table, open_model)
        self.teachers.check()
        rows = [row.recipe for row in study.rows]
        self.contents = fingerprint_contents(study, [recipe.moved() for recipe in rows])
        for recipe in rows:
            self.texts.read(recipe)
        length = study.baseline.model.max_length
        self.token_facts = [
            count_tokens(part, split, getattr(self.tokens, part), self._tokenizer, length)
            for part, split in splits_of(self.table)
        ]
        self.token_facts += [
            count_tokens(name, texts, tokens, self._tokenizer, length)
            for name, (texts, tokens) in self.texts.beside.items()
        ]
        weights, template = self.checkpoint.weights, self.tokens.train.template
        self.warnings = check_opened(study.checkpoint, weights, self._tokenizer, template, self.token_facts)
        lengths = {recipe.model.max_length for recipe in rows}
        check_lengths(lengths, self.tokens.train.template.specials, str(study.files.settings))
        check_tokenizer(rows, self._mask, str(study.files.settings))
        self.fingerprints = {
            "data": fingerprint_tables(self.tables),
            "tokenizer": self.tokens.fingerprint,
            "model": model_fingerprint(study.checkpoint.folder),
        }
        if self.checkpoint.tier == "interface":
            self.warnings += self._settle_tier_()
        if self.checkpoint.tier != "hand":  # whose runs are named as ever
            self.fingerprints["tier"] = self.checkpoint.tier

        self.further = FurtherPretraining(
            study.checkpoint.folder,
            self.tokens.train,
            study.files.cache,
            self.fingerprints,
            self.precision,
            settings.device,
            settings.threads,
        )
        self.warnings += self.teachers.warnings([table.fingerprint() for table in self.tables])

    def _settle_tier_(self) -> list[str]:
        """Pad the texts of an encoder that does not leave attention to us. Returns what to warn of."""
        family = self.checkpoint.info.family
        if not (problem := self.prove_tier().problem(family)):
            return []
        self.checkpoint.tier = "padded"
        return [f"model: {family} runs padded, since over packed texts {problem}"]

    def prove_tier(self) -> TierProof:
        """Compare what the encoder makes of some training texts with what transformers does: once a tier."""
        if self._proof is not None and self._proof.tier == self.checkpoint.tier:
            return self._proof
        self._proof = prove_tier(self.checkpoint, self.checkpoint.tier, self.pack_proving())
        return self._proof

    def pack_proving(self) -> Batch:
        """The texts on which a tier is proved: some of each length."""
        lengths, model = self.tokens.train.lengths, self.study.baseline.model
        order = np.argsort(lengths, kind="stable")
        rows = order[np.unique(np.linspace(0, len(order) - 1, PROVED_TEXTS).astype(np.int64))]
        most = min(model.max_length, PROVED_TOKENS)
        return pack(self.tokens.train, rows, most, self.device, model.keep)

    @property
    def _mask(self) -> int | None:
        """The number of the mask token, if the tokeniser has one and the encoder knows it."""
        mask = self.tokens.train.template.mask
        known = mask is not None and mask < getattr(self.checkpoint.table, "num_embeddings", math.inf)
        return mask if known else None

    @property
    def split_fingerprints(self) -> list[str]:
        """Of the data of every split of the pool; empty where all seeds have the same texts."""
        return [table.fingerprint() for table in self.tables] if len(self.tables) > 1 else []

    def of_seed(self, seed: int) -> LoadedStudy:
        """The study with the texts that the runs of a seed have: those of its split, where each has one, and
        those that its own teacher has labelled.
        """
        if len(self.tables) > 1:
            return self._of_split(self.study.head.design.split_of(seed))
        if seed == self.seed:
            return self
        view = copy(self)
        view.seed = seed
        view.texts = replace(self.texts, guess=view._guesser(), _taught={})
        return view

    def _guesser(self) -> Guesser:
        """The teacher of texts without labels."""

        def about() -> Hashable:
            told = self.fingerprints, rounding_of(self.settings), self.contents
            return tuple(tuple(sorted(each.items())) for each in told)

        return Guesser(self.study, self.seed, about, partial(self._teach, self))

    def _of_split(self, split: int) -> LoadedStudy:
        if split not in self._views:
            view = copy(self)
            view._features, view._rows, view._anchors = {}, {}, {}
            view.table = self.tables[split]
            view.tokens = tokenise(view.table, self._tokenizer, self.study.files.cache)
            guess = view._guesser()
            view.texts = TrainingTexts(self.study, view.table, view.tokens.train, self._tokenizer, guess)
            splits = (view.tokens.train, view.tokens.dev, view.tokens.test)
            largest = max(int(split.tokens.max(initial=0)) for split in splits)
            check_largest(self.study.checkpoint, self.checkpoint.weights, largest)
            view.teachers = replace(self.teachers, table=view.table, _said={})
            view.fingerprints = {**self.fingerprints, "data": view.table.fingerprint()}
            self._views[split] = view
        return self._views[split]

    def _of_splits(self) -> list[LoadedStudy]:
        """The study with the texts of every split; itself alone where all seeds have the same."""
        return (
            [self._of_split(split) for split in range(len(self.tables))] if len(self.tables) > 1 else [self]
        )

    def longest_of(self, recipe: Recipe) -> int:
        """Tokens of the longest text that a recipe's runs see."""
        if recipe.texts == OWN and recipe.unlabelled is None:
            return self.longest
        scored = [int(split.lengths.max()) for split in (self.tokens.dev, self.tokens.test)]
        return max(self.texts.longest(recipe), *scored)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest text of the study's own."""
        each = [(view.tokens.train, view.tokens.dev, view.tokens.test) for view in self._of_splits()]
        return int(max(split.lengths.max() for splits in each for split in splits))

    def rows(self, recipe: Recipe) -> Rows | None:
        """The rows of the table of words that a recipe's runs, and those of the study's other recipes, may
        need; None: all.
        """
        more = self.texts.name_files(recipe)
        if self.every_row:
            return None
        if more not in self._rows:
            recipes = [*(row.recipe for row in self.study.rows), recipe]
            own = (self.tokens.train, self.tokens.dev, self.tokens.test)
            words: list[NDArray[Any]] = [split.tokens for split in own]
            others = {self.texts.name_files(one): one for one in recipes}
            words += [self.texts.extra_words(one) for one in others.values()]
            self._rows[more] = self._choose_rows(words)
        return self._rows[more]

    def _choose_rows(self, words: list[NDArray[Any]]) -> Rows | None:
        """For words of texts, and all that stand for none. Batches are filled up with the first word."""
        table = self.checkpoint.table
        if not isinstance(table, nn.Embedding):
            return None
        pieces = [piece.token for piece in self.tokens.train.template.pieces if piece.text < 0]
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        unknown = self._tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None
        padding = getattr(self.checkpoint.encoder.config, "pad_token_id", None)
        special = {
            0,
            *pieces,
            *self._tokenizer.get_added_tokens_decoder(),
            unknown,
            self.tokens.train.template.mask,
            padding,
            table.padding_idx,
        }
        count = table.num_embeddings
        some = [one for one in special if one is not None and 0 <= one < count]
        return choose_rows([*words, np.array(some, dtype=np.int64)], count, self.device)

    def rows_in_steps(self, recipe: Recipe) -> Rows | None:
        """Those that a recipe's runs hold once they step; None: all."""
        return None if recipe.reads_table == "in steps" else self.rows(recipe)

    def classifier(self, recipe: Recipe, seed: int, rows: Rows | None = None) -> Classifier:
        """A fresh model, before any strategy has touched it, in training mode.

        Args:
            recipe: of its runs.
            seed: of the run.
            rows: of the table of words that it is to hold; None: all.
        """
        classes = len(self.tokens.labels)
        tier = self.checkpoint.tier
        model = Classifier(self.checkpoint.copy(rows), classes, recipe.model.pooling, Streams(seed), tier)
        for module in self.checkpoint.missing:
            model.redraw_(model.encoder.get_submodule(module), "missing")
        model.compute = torch.bfloat16 if self.precision == "bf16" else None
        model.engine.recompute = self.recompute
        return model.to(self.device).train()

    def anchor(self, rows: Rows | None = None) -> Mapping[str, Tensor]:
        """The checkpoint's own values, by the names of a classifier's parameters; without what it lacks.

        Args:
            rows: of the table of words; None: all.
        """
        if rows not in self._anchors:
            lacking = tuple(f"{module}." for module in self.checkpoint.missing)
            table = getattr(self.checkpoint.table, "weight", None)
            self._anchors[rows] = {
                f"encoder.{name}": take_rows(p.detach(), rows if p is table else None).to(self.device)
                for name, p in self.checkpoint.encoder.named_parameters()
                if not name.startswith(lacking)
            }
        return self._anchors[rows]

    def setting(self, seed: int, recipe: Recipe | None = None) -> Setting:
        """What the runs of a seed are built in.

        Args:
            seed: of the run.
            recipe: of the run, which may have other training texts than the study; None: the defaults.
        """
        recipe = recipe or Recipe()
        texts = self.training_texts(recipe)
        return Setting(
            seed,
            Streams(seed),
            texts,
            len(self.tokens.labels),
            self._further(recipe, texts),
            self.teachers,
            lambda: self.anchor(self.rows_in_steps(recipe)),
            self._features_of(recipe),
            lambda rows: self._pack(texts, rows, recipe),
            self.texts.guessed(recipe),
        )

    def _further(self, recipe: Recipe, texts: TokenisedSplit) -> FurtherPretraining:
        if texts is self.tokens.train:
            return self.further
        fingerprints = {**self.fingerprints, "texts": str(self.texts.key(recipe))}
        return replace(self.further, texts=texts, fingerprints=fingerprints)

    def _features_of(self, recipe: Recipe) -> TextFeatures:
        model = recipe.model
        key = (self.texts.key(recipe), model.max_length, model.keep)
        if key not in self._features:
            read = self.fingerprints["data"], self.fingerprints["tokenizer"]
            about = (repr(rounding_of(self.settings)), *read, *key)
            texts = self.training_texts(recipe)
            self._features[key] = TextFeatures(
                self.study.files.cache,
                about,
                len(texts),
                lambda: self.evaluation_batches(texts, recipe),
            )
        return self._features[key]

    def training_texts(self, recipe: Recipe) -> TokenisedSplit:
        """The texts that a recipe's runs train on: see `TrainingTexts.of`."""
        return self.texts.of(recipe)

    def settings_of_splits(self, seed: int, recipe: Recipe) -> list[Setting]:
        """What a recipe's run with the streams of a seed would be built in, with the texts of every split."""
        return [view.setting(seed, recipe) for view in self._of_splits()]

    def training_batches(self, recipe: Recipe, seed: int, epoch: int) -> Iterator[Batch]:
        """The packed batches of one epoch (counted from 0), in the order of the run's own stream."""
        for rows in self.training_rows(recipe, seed, epoch):
            yield self.pack_training(rows, recipe, seed, epoch, self.device)

    def pack_training(
        self, rows: NDArray[np.int64], recipe: Recipe, seed: int, epoch: int, device: torch.device
    ) -> Batch:
        """Some training texts, as they are read in an epoch (counted from 0)."""
        texts, model = self.training_texts(recipe), recipe.model
        rewriting = [strategy for strategy in recipe.acting if strategy.overrides("rewrite")]
        if not rewriting:
            return pack(texts, rows, model.max_length, device, model.keep)
        own = np.sort(rows)
        some = take_texts(texts, own)
        for strategy in rewriting:
            some = strategy.rewrite(some, epoch, Streams(seed))
        batch = pack(some, np.searchsorted(own, rows), model.max_length, device, model.keep)
        return replace(batch, rows=own[batch.rows])

    def training_rows(self, recipe: Recipe, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Which texts are in each of those batches."""
        order = Streams(seed).permutation(f"order/{epoch}", len(self.training_texts(recipe)))
        return training_batches(order, recipe.training.batch_size)

    def evaluation_batches(self, split: TokenisedSplit, recipe: Recipe) -> Iterator[Batch]:
        """All texts of a split, packed for speed: without dropout the order does not matter."""
        lengths = np.minimum(split.lengths, recipe.model.max_length)
        for rows in evaluation_batches(lengths, EVALUATION_TOKENS[self.device.type]):
            yield self._pack(split, rows, recipe)

    def _pack(self, split: TokenisedSplit, rows: NDArray[np.int64], recipe: Recipe) -> Batch:
        return pack(split, rows, recipe.model.max_length, self.device, recipe.model.keep)

    def steps_per_epoch(self, recipe: Recipe) -> int:
        return -(-len(self.training_texts(recipe)) // recipe.training.batch_size)


def check_lengths(lengths: set[int], specials: int, source: str) -> None:
    """Refuse a ``max_length`` that the tokeniser's special tokens alone would fill."""
    problems = [
        Problem(
            "model.max_length", f"{length}, but {specials} special tokens and a word need {specials + 1}."
        )
        for length in sorted(lengths)
        if length <= specials
    ]
    if problems:
        raise InputError(source, problems)


def check_tokenizer(recipes: Iterable[Recipe], mask: int | None, source: str) -> None:
    """Refuse strategies that ask a tokeniser for what it does not have.

    Raises:
        InputError: with all problems.
    """
    lacking = (problem for recipe in recipes for one in recipe.acting for problem in one.find_lacking(mask))
    if problems := list(dict.fromkeys(lacking)):
        raise InputError(source, problems)


def prepare_process(settings: RunSettings) -> None:
    """Make this process compute the same bits every time, and refuse what the machine cannot do.

    Raises:
        InputError: no such device, or no bf16 products on this processor.
    """
    compute_repeatably()
    torch.set_num_threads(settings.threads)
    check_machine(settings.device, settings.precision)
