"""The tables of ``study.toml`` as checked values."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    field_validator,
    model_validator,
)

from finegrid.data.resample import Resampling
from finegrid.data.settings import DataSettings
from finegrid.errors import InputError
from finegrid.machine import AUTO, PRECISIONS, Device, Precision, fastest_precision
from finegrid.metrics import PLAIN_SCORES, check_score
from finegrid.study.design import OF_FRACTIONS, DesignKind, Resolution
from finegrid.study.fraction import ROMAN
from finegrid.study.presets import PRESETS

SCHEMA = 1


BEST_TEST = "protocol best-test: epochs are chosen on the test set, so test scores are too high"


SCREEN_ON_TEST = (
    "best-test chooses epochs on the test set, but a screen must decide without it. "
    'Set protocol = "best-dev", or another design.kind.'
)


MOST_SEEDS = 1000


LEAST_SPLITS = 5  # of a pool: fewer show too little of how far splits differ


LOOKS = (3, 5, 8, 12, 20)  # seeds after which `run --until-decided` looks, unless study.toml says otherwise


ROMAN_RESOLUTIONS = {roman: number for number, roman in ROMAN.items()}


RESOLUTIONS = [*get_args(Resolution), *(ROMAN[number] for number in get_args(Resolution))]


Protocol = Literal["best-dev", "best-test"]


class DesignSettings(BaseModel):
    """The ``[design]`` table: which recipes are trained, and with which seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Annotated[DesignKind, Field(description="which combinations of levels are trained")] = "full"
    resolution: Annotated[
        Resolution,
        Field(
            description="of a fraction; 4 leaves main effects clear of two-factor interactions",
            json_schema_extra={"enum": RESOLUTIONS, "type": ["integer", "string"]},
        ),
    ] = 4
    seeds: Annotated[
        Annotated[int, Field(ge=1, le=MOST_SEEDS)] | list[Annotated[int, Field(ge=0)]],
        Field(description="how many (3 means 0, 1, 2), or a list; all recipes share them"),
    ] = 1
    resample: Annotated[
        Annotated[int, Field(ge=LEAST_SPLITS, le=MOST_SEEDS)] | None,
        Field(description="splits of the pool of train and dev; seed s draws split s mod this"),
    ] = None
    pool_test: Annotated[
        bool, Field(description="whether a test file joins the pool that resample splits")
    ] = False
    looks: Annotated[
        Annotated[list[Annotated[int, Field(ge=2, le=MOST_SEEDS)]], Field(min_length=1)] | None,
        Field(description="numbers of seeds after which `finegrid run --until-decided` looks"),
    ] = None

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int] | None) -> list[int] | None:
        if looks is not None and sorted(set(looks)) != looks:
            raise ValueError(f"found {looks}, expected rising numbers of seeds, e.g. {list(LOOKS)}")
        return looks

    @field_validator("resolution", mode="before")
    @classmethod
    def _roman_or_not(cls, value: Any) -> Any:
        return ROMAN_RESOLUTIONS.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _resolution_of_a_fraction(self) -> DesignSettings:
        if "resolution" in self.model_fields_set and self.kind not in OF_FRACTIONS:
            what = f'found a resolution, but kind = "{self.kind}" has none.'
            raise ValueError(f'{what} Take it out, or set kind = "fractional" or "screen"')
        return self

    @model_validator(mode="after")
    def _enough_splits(self) -> DesignSettings:
        if self.resample is None:
            if self.pool_test:
                raise ValueError("found pool_test, but there is no pool. Set resample, or take it out")
            return self
        if self.kind == "screen":
            what = 'found resample with kind = "screen", which decides on one dev set.'
            raise ValueError(f"{what} Take it out, or set another kind")
        if (drawn := len({seed % self.resample for seed in self.planned})) < LEAST_SPLITS:
            what = (
                f"found seeds that draw {drawn} of {self.resample} splits, expected {LEAST_SPLITS} or more."
            )
            raise ValueError(f"{what} Set seeds = {self.resample}")
        return self

    @property
    def resampling(self) -> Resampling | None:
        """How the pool is split; None where all seeds have the same texts."""
        return None if self.resample is None else Resampling(self.resample, self.pool_test)

    def split_of(self, seed: int) -> int:
        """The split that a seed draws; 0 where all seeds have the same texts."""
        return 0 if self.resample is None else seed % self.resample

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds themselves: ``seeds = 3`` means 0, 1, 2."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(dict.fromkeys(self.seeds))

    @property
    def planned(self) -> tuple[int, ...]:
        """The seeds, and those that a planned look may add."""
        return tuple(dict.fromkeys((*self.numbers, *range(max(self.looks or [0])))))


class RunSettings(BaseModel):
    """The ``[run]`` table: how runs are executed, where that can reach the last digits of a result."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # Threads and stack are recorded: sums depend on them, down to the last digits.
    threads: Annotated[int, Field(ge=1, description="per run")] = 1
    precision: Annotated[
        Precision,
        Field(
            description="of products; auto: bf16 where the device has it, else fp32",
            json_schema_extra={"enum": [*PRECISIONS, AUTO]},
        ),
    ] = "fp32"
    device: Annotated[Device, Field(description="what trains")] = "cpu"
    family_size: Annotated[
        int, Field(ge=1, description="runs that walk in lockstep and share what they can, at most")
    ] = 8
    stack: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Field(description="runs of a family whose products are one batched product, at most"),
    ] = None
    memory: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
        Field(description="GiB, of all workers together; families are made small enough to fit"),
    ] = None
    recompute: Annotated[
        bool | Literal["auto"],
        Field(
            description="layers are computed twice and not kept; auto: where memory is short. Same bits",
            json_schema_extra={"enum": [False, True, AUTO], "type": ["boolean", "string"]},
        ),
    ] = False
    save_after_seconds: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="of work since the last saved state")
    ] = 30.0

    @property
    def stack_size(self) -> int:
        """As asked for. Else whole families on a GPU, where calls cost the most, and no stacks on CPUs.

        On a GPU 1 stands for runs that are neither stacked nor captured: a family of one is no reason for it.
        """
        return self.stack or (max(2, self.family_size) if self.device == "cuda" else 1)

    @property
    def alike(self) -> dict[str, str | int]:
        """What the runs of a study have in common, unless told otherwise; costs are those of it, too."""
        return {"device": self.device, "precision": self.precision, "threads": self.threads}

    @property
    def priced_by(self) -> dict[str, str | int]:
        """What decides on seconds and memory, as `Audit.measured` has it."""
        return self.alike | ({"recompute": json.dumps(self.recompute)} if self.recompute else {})

    _auto: bool = PrivateAttr(default=False)  # whether `precision` is what the device chose

    @model_validator(mode="wrap")
    @classmethod
    def _resolve_precision(cls, table: Any, check: ModelWrapValidatorHandler[RunSettings]) -> RunSettings:
        if not isinstance(table, dict) or table.get("precision") != AUTO:
            return check(table)
        settings = check({**table, "precision": fastest_precision(table.get("device", "cpu"))})
        settings._auto = True
        return settings

    def overridden(self, changed: dict[str, Any]) -> RunSettings:
        """With some settings changed. On another device, ``auto`` chooses anew."""
        asked = {"precision": AUTO} if self._auto else {}
        return RunSettings.model_validate({**self.model_dump(), **asked, **changed})


class StrategySettings(BaseModel):
    """The ``[strategies]`` table: strategies that finegrid does not bring. Their code runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    files: Annotated[
        list[str], Field(description="Python files, one strategy each, as mine.py beside study.toml")
    ] = []
    installed: Annotated[
        list[str], Field(description="of installed packages: names of entry points finegrid.strategies")
    ] = []

    @property
    def names(self) -> list[str]:
        """All that are named, in the order in which they act."""
        return [*self.files, *self.installed]


class Head(BaseModel):
    """The top level of the file, but for the parts of the recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    finegrid: Annotated[
        int, Field(strict=True, description="schema of this file", json_schema_extra={"enum": [SCHEMA]})
    ] = SCHEMA
    preset: Annotated[
        str | None,
        Field(description="a ready-made baseline and factors", json_schema_extra={"enum": [*PRESETS]}),
    ] = None
    score: Annotated[
        str,
        Field(
            description="what chooses the epoch and is analysed; f1:<label> is the F1 of one class",
            json_schema_extra={"pattern": f"^({'|'.join(PLAIN_SCORES)}|f1:(.|\\n)*)$"},
        ),
    ] = "macro-f1"
    protocol: Annotated[
        Protocol, Field(description="what chooses the epoch; best-test makes test scores too high")
    ] = "best-dev"
    note: Annotated[
        str, Field(description="what readers of the report should know; plain text, shown at its head")
    ] = ""
    data: DataSettings
    design: DesignSettings = DesignSettings()
    run: RunSettings = RunSettings()
    strategies: StrategySettings = StrategySettings()

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f'"{name}" is not a preset. Known: {", ".join(PRESETS)}')
        return name

    @field_validator("score")
    @classmethod
    def _known_score(cls, name: str) -> str:
        try:
            check_score(name)
        except InputError as error:
            raise ValueError(error.problems[0].what) from None
        return name
