"""A study: everything that its folder says, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from finegrid.data.table import DataTable, Split, load_pool, load_splits, load_table
from finegrid.encoders.families import CheckpointInfo
from finegrid.recipe.identity import Level, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.scoring import Scoring
from finegrid.study.audit_file import load_audit
from finegrid.study.bundles import Bundles, bundles_json, unbundle
from finegrid.study.design import Row, plan_rows, plan_screen
from finegrid.study.folder import StudyFolder
from finegrid.study.free import list_free_levels
from finegrid.study.ledger import Ledger
from finegrid.study.own_strategies import NONE, OwnStrategies
from finegrid.study.presets import Preset
from finegrid.study.record import Record
from finegrid.study.screen import Screen, ScreenTerms
from finegrid.study.settings import Head


@dataclass(frozen=True)
class Study:
    """A checked study: everything that its folder says, before anything is trained."""

    folder: Path
    head: Head
    known_checkpoint: CheckpointInfo | None  # None: of a study that is only read, where nothing tells it
    preset: Preset | None
    baseline: Recipe
    factors: Mapping[str, Sequence[Level]]  # the levels of a bundle are their names
    bundles: Bundles = field(default_factory=dict)  # those of the factors that are bundles
    screen: Screen | None = None  # what phase 1 of a screen has decided; None of other designs, and before
    free_factors: Mapping[str, Sequence[Level]] = field(default_factory=dict)  # scored in every run
    model: str = ""  # its checkpoint, as study.toml names it
    warnings: tuple[str, ...] = ()  # where study.toml says one thing of the baseline and its factors another
    own: OwnStrategies = NONE  # the strategies that finegrid does not bring

    @property
    def blank(self) -> Recipe:
        """A recipe with the study's own strategies, everything at its default."""
        return self.baseline.blank

    @cached_property
    def free_levels(self) -> dict[str, Levels]:
        """What every run is scored at beside the first levels: one free factor at a time, by its key."""
        return list_free_levels(self.free_factors)

    @property
    def free_scorings(self) -> dict[str, Scoring]:
        """The same, as what has to be done."""
        return {key: Recipe().at(levels).scoring for key, levels in self.free_levels.items()}

    def lacks_free(self, record: Record) -> list[str]:
        """Keys of levels that a finished run was not scored at: it is trained again to add them."""
        return [key for key in self.free_levels if record.done and key not in record.free]

    @property
    def checkpoint(self) -> CheckpointInfo:
        """Of a study that `load_study` has checked."""
        assert self.known_checkpoint is not None, "who trains asks for a study with its checkpoint"
        return self.known_checkpoint

    @property
    def files(self) -> StudyFolder:
        """Where everything lies in its folder."""
        return StudyFolder(self.folder)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the study's table, in order."""
        if self.screen is None:
            return self.first_rows
        resolution = self.head.design.resolution
        return plan_screen(self.baseline, self.factors, resolution, self.screen.survivors, self.bundles)

    @cached_property
    def first_rows(self) -> list[Row]:
        """The rows that are there from the start: of a screen, those of phase 1; else all."""
        design = self.head.design
        return plan_rows(design.kind, design.resolution, self.baseline, self.factors, self.bundles)

    def recipe_at(self, levels: Mapping[str, Level]) -> Recipe:
        """The baseline with some of the varied factors, or settings, at other levels."""
        return self.baseline.at(unbundle(levels, self.bundles))

    @property
    def first_recipe(self) -> Recipe:
        """The baseline's run: every varied factor at its first level."""
        return self.recipe_at({name: levels[0] for name, levels in self.factors.items()})

    @property
    def undecided(self) -> bool:
        """Whether this is a screen in phase 1, to which rows may come."""
        return self.head.design.kind == "screen" and self.screen is None

    @property
    def asked(self) -> ScreenTerms:
        return ScreenTerms(
            score=self.head.score,
            protocol=self.head.protocol,
            resolution=self.head.design.resolution,
            baseline=self.baseline.levels(),
            factors={name: list(levels) for name, levels in self.factors.items()},
            bundles=bundles_json(self.bundles),
        )

    def read_table(self, keep_split: bool = True) -> DataTable:
        """The checked texts and labels; with ``design.resample`` of the first split.

        Args:
            keep_split: whether a split that has to be drawn is written down; who only reads writes nothing.

        Raises:
            InputError: files that cannot be used.
        """
        return self.read_tables(keep_split)[0]

    def read_tables(self, keep_split: bool = True) -> tuple[DataTable, ...]:
        """One table, or with ``design.resample`` one for each split of the pool.

        Args:
            keep_split: as of `read_table`.

        Raises:
            InputError: files that cannot be used.
        """
        resampling = self.head.design.resampling
        if resampling is not None:
            audit = load_audit(self.folder)
            return load_splits(self.head.data, self.folder, resampling, audit.splits if audit else ())
        return (load_table(self.head.data, self.folder, self.files.split, keep_split),)

    def read_pool(self) -> Split:
        """All texts that ``design.resample`` splits, in their order.

        Raises:
            InputError: files that cannot be used.
        """
        resampling = self.head.design.resampling
        assert resampling is not None
        return load_pool(self.head.data, self.folder, resampling)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.files.ledger)

    @property
    def is_published_grid(self) -> bool:
        """Whether the table has the columns and the order of the preset's published table."""
        whole = self.head.design.kind == "full"
        if not whole or self.preset is None or not self.preset.columns:
            return False
        return self.preset.matches(self.factors)
