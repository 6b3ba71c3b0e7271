"""The settings of a pre-training run. Torch-free."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from finegrid.errors import InputError, Problem, input_error
from finegrid.machine import DEVICES, PRECISIONS

Masking = Literal["pieces", "words", "spans"]
MASKINGS: tuple[Masking, ...] = ("pieces", "words", "spans")
DTYPES = ("bfloat16", "float32")
FRESH_RATE = 1e-3  # peak, from random weights
GENTLE_RATE = 1e-4  # peak, from a checkpoint: a higher one undoes what a BERT of usual width has learned


@dataclass(frozen=True)
class PretrainSettings:
    """Everything that decides what is learned; a run that goes on must have been started with the same."""

    corpus: tuple[Path, ...]
    init: str | None = None  # a checkpoint whose weights and vocabulary are taken
    config: Path | None = None  # or a Hugging Face config to start from random weights
    tokens: int | None = None  # to see in all
    seconds: float | None = None  # or the time to take
    weights: tuple[float, ...] = ()  # how often an epoch shows each file; once, if not given
    without: tuple[Path, ...] = ()
    field: str = "text"
    grow: tuple[int, ...] = ()  # layers of each stage; none: all layers from the beginning
    length: int = 128  # tokens of a sequence, special ones counted
    batch_tokens: int = 4096
    rate: float = FRESH_RATE
    warmup: float = 0.05
    weight_decay: float = 0.01
    mask_share: float = 0.15
    masking: str = "words"
    pair_share: float = 0.5
    held_out: float = 0.005
    dropout: bool = False
    precision: str = "fp32"
    device: str = "cpu"
    dtype: str = "bfloat16"  # of the finished weights
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        return {name: as_json_value(value) for name, value in asdict(self).items()}

    @property
    def file_weights(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.corpus)

    def check(self) -> None:
        """Raise an `InputError` with everything that is wrong."""
        problems = list(self._find_problems())
        if problems:
            raise InputError("command line", problems)

    def _find_problems(self) -> list[Problem]:
        problems = []

        def expect(good: bool, option: str, what: str) -> None:
            if not good:
                problems.append(Problem(option, what))

        expect(bool(self.corpus), "--corpus", "no files. Give at least one file of text.")
        expect(
            (self.init is None) != (self.config is None),
            "--init",
            "expected either --init CHECKPOINT or --config FILE. Give one of them.",
        )
        expect(
            (self.tokens is None) != (self.seconds is None),
            "--tokens",
            "expected either --tokens N or --budget TIME. Give one of them.",
        )
        expect(self.tokens is None or self.tokens > 0, "--tokens", f"{self.tokens}, expected more than 0.")
        expect(
            not self.weights or len(self.weights) == len(self.corpus),
            "--weight",
            f"{len(self.weights)} weights for {len(self.corpus)} files. Give one for each, in order.",
        )
        expect(
            all(weight >= 0 for weight in self.weights) and (not self.weights or sum(self.weights) > 0),
            "--weight",
            "expected numbers from 0 on, and one above. Leave out what is not wanted.",
        )
        expect(
            list(self.grow) == sorted(set(self.grow)) and all(layers > 0 for layers in self.grow),
            "--grow",
            f"{','.join(map(str, self.grow))}, expected rising numbers of layers, such as 3,6,12.",
        )
        expect(
            all(b % a == 0 for a, b in zip(self.grow, self.grow[1:], strict=False)),
            "--grow",
            f"{','.join(map(str, self.grow))}, but layers are stacked whole: each must divide the next.",
        )
        expect(not (self.grow and self.init), "--grow", "has no meaning with --init, whose layers are there.")
        expect(self.length >= 8, "--length", f"{self.length}, expected at least 8 tokens.")
        expect(
            self.batch_tokens >= self.length,
            "--batch-tokens",
            f"{self.batch_tokens}, expected at least one sequence of {self.length}.",
        )
        expect(0 < self.rate <= 1, "--rate", f"{self.rate:g}, expected more than 0, at most 1.")
        expect(0 <= self.warmup < 1, "--warmup", f"{self.warmup:g}, expected a share from 0 to below 1.")
        expect(0 < self.mask_share < 1, "--mask-share", f"{self.mask_share:g}, expected between 0 and 1.")
        expect(0 <= self.pair_share <= 1, "--pair-share", f"{self.pair_share:g}, expected from 0 to 1.")
        expect(0 < self.held_out < 1, "--held-out", f"{self.held_out:g}, expected between 0 and 1.")
        expect(self.masking in MASKINGS, "--masking", f'"{self.masking}", expected {", ".join(MASKINGS)}.')
        expect(self.dtype in DTYPES, "--dtype", f'"{self.dtype}", expected {" or ".join(DTYPES)}.')
        expect(self.device in DEVICES, "--device", f'"{self.device}", expected {" or ".join(DEVICES)}.')
        expect(
            self.precision in PRECISIONS,
            "--precision",
            f'"{self.precision}", expected {", ".join(PRECISIONS)} or auto.',
        )
        return problems


def as_json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [as_json_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def find_differences(now: dict[str, Any], before: dict[str, Any]) -> list[Problem]:
    """A problem for each setting that is not as it was."""
    return [
        Problem(name, f"{now.get(name)!r}, but this folder was begun with {before.get(name)!r}.")
        for name in sorted(now.keys() | before.keys())
        if now.get(name) != before.get(name)
    ]


DEFAULTS = PretrainSettings(corpus=())


def choose_rate(init: str | None) -> float:
    """The peak rate where none is given."""
    return FRESH_RATE if init is None else GENTLE_RATE


def parse_stages(text: str) -> tuple[int, ...]:
    """``3,6,12`` as numbers; nothing for nothing.

    Raises:
        InputError: anything else.
    """
    parts = text.split(",") if text.strip() else []
    if not all(part.strip().isdecimal() and len(part) < 6 for part in parts):
        what = f'"{text}", expected numbers of layers such as 3,6,12.'
        raise input_error("command line", "--grow", what)
    return tuple(int(part) for part in parts)
