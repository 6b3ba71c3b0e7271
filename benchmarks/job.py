"""What one contender of a benchmark is to train, on what, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    contender: str  # origin | trainer | finegrid | mlm-trainer | finegrid-pretrain
    checkpoint: str
    titles: str  # a TSV file with header, text and label
    batch_size: int
    frozen: int  # layers
    family: int  # runs in lockstep; finegrid only
    threads: int
    precision: str  # fp32 | bf16
    seconds: float  # to train after the warm-up, at the least
    steps: int  # to train after the warm-up, at the least; on a GPU just as many
    device: str = "cpu"  # or cuda, for origin and trainer: finegrid is timed by gpu.py
    length: int = 44  # tokens of a text at most: as in the published study
    compiled: bool = False  # by torch.compile, for trainer
    grouped: bool = False  # texts of about one length in a batch, for trainer
    padded: bool = False  # every batch to the most tokens, for trainer: one shape
