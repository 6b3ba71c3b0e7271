"""The command that makes a checkpoint: pretrain."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from finegrid.cli.options import Language, gather
from finegrid.cli.say import teller
from finegrid.machine import AUTO, cores, fastest_precision
from finegrid.pretraining.settings import (
    DEFAULTS,
    FRESH_RATE,
    GENTLE_RATE,
    PretrainSettings,
    choose_rate,
    parse_stages,
)
from finegrid.spelling import parse_lang
from finegrid.verdict.budget.parse import parse_budget


def pretrain(
    corpus: Annotated[
        list[Path], typer.Option(help="Files of text, .txt or .jsonl, also .xz, .gz, .bz2 or .zst; repeat.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make; the same command goes on.")],
    init: Annotated[
        str | None, typer.Option("--init", help="Checkpoint to go on from: a folder, a hub id, or mini-zh.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Or the config.json of a BERT to start from random weights.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens to see.")] = None,
    budget: Annotated[str | None, typer.Option(help="Or the time to take: 90m, 1h30m.")] = None,
    weight: Annotated[
        list[float] | None, typer.Option(min=0.0, help="How often an epoch shows each file; in order.")
    ] = None,
    without: Annotated[
        list[Path] | None, typer.Option(help="Files whose lines are not to be learned from; repeat.")
    ] = None,
    field: Annotated[str, typer.Option(help="Key of the text in JSON lines.")] = "text",
    grow: Annotated[str, typer.Option(help="Layers of each stage, such as 3,6,12.")] = "",
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = DEFAULTS.length,
    batch_tokens: Annotated[int, typer.Option(help="Tokens of a step.")] = DEFAULTS.batch_tokens,
    rate: Annotated[
        float | None,
        typer.Option(help=f"Peak learning rate. Default: {FRESH_RATE:g}; with --init {GENTLE_RATE:g}."),
    ] = None,
    warmup: Annotated[float, typer.Option(help="Share of the run with a rising rate.")] = DEFAULTS.warmup,
    mask_share: Annotated[float, typer.Option(help="Share of tokens to hide.")] = DEFAULTS.mask_share,
    masking: Annotated[str, typer.Option(help="Hide whole pieces, words or spans.")] = DEFAULTS.masking,
    pair_share: Annotated[
        float, typer.Option(help="Share of sequences that are pairs.")
    ] = DEFAULTS.pair_share,
    held_out: Annotated[float, typer.Option(help="Share of the text to judge by.")] = DEFAULTS.held_out,
    dropout: Annotated[bool, typer.Option("--dropout", help="With the config's dropout.")] = False,
    dtype: Annotated[
        str, typer.Option(help="Of the finished weights: bfloat16 or float32.")
    ] = DEFAULTS.dtype,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores. Default: all.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = DEFAULTS.device,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or auto.")] = AUTO,
    lang: Language = None,
) -> None:
    """Pre-train a BERT on your own unlabelled text, from a checkpoint or from nothing."""
    asked = gather(
        locals(),
        leave_out=("out", "budget", "weight", "threads", "lang"),
        corpus=tuple(corpus),
        seconds=None if budget is None else parse_budget(budget),
        weights=tuple(weight or ()),
        without=tuple(without or ()),
        grow=parse_stages(grow),
        rate=choose_rate(init) if rate is None else rate,
        precision=fastest_precision(device) if precision == AUTO else precision,
    )
    settings = PretrainSettings(**asked)
    settings.check()
    from finegrid.pretraining import command

    command.pretrain(settings, out, threads or cores(), teller(parse_lang(lang)), what_was_typed())


def what_was_typed() -> str:
    return shlex.join(["finegrid", *sys.argv[1:]])
