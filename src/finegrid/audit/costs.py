"""Look at the real model and data before training: reductions, costs, and what the data are like."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch

from finegrid import metrics
from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.kept import KeptAudits, Measured, sizes_of
from finegrid.audit.proof import Prover
from finegrid.buckets import padded_share
from finegrid.data.table import DataTable
from finegrid.data.token_facts import TokenFacts
from finegrid.data.token_twins import find_token_twins
from finegrid.data.tokens import TokenisedSplit
from finegrid.encoders.families import CheckpointInfo
from finegrid.encoders.poolings import OF_FIRST_TOKENS
from finegrid.errors import input_error
from finegrid.machine import machine, versions
from finegrid.model.device import mapped_memory, name_gpu, peak_memory, reset_peak_memory, total_memory
from finegrid.planning.capacity import room_of_a_run
from finegrid.recipe.identity import ENGINE, Levels
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import lacks_memory
from finegrid.strategies.seams import TABLE_READINGS
from finegrid.study.audit_file import COPIES, Audit, AuditedCheckpoint, AuditedTier, Cost, RowAudit
from finegrid.training.captured import CapturedSteps
from finegrid.training.evaluate import predict
from finegrid.training.graphs import WARM_CALLS
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import share_prefix
from finegrid.training.run import DivergedError, Run
from finegrid.training.train import captures_steps

TIMED_STEPS = 3  # after one that is not timed


def make_audit(loaded: LoadedStudy, others: Sequence[Levels] = ()) -> Audit:
    """Reduce every row of the study, and time one run of every kind.

    Args:
        loaded: the study, with its data and model.
        others: further recipes to audit, each as the levels that it moves from the defaults.

    Raises:
        InputError: something that no run could do with.
    """
    study, seed = loaded.study, loaded.study.head.design.numbers[0]
    kept = KeptAudits(loaded, seed)
    tier = audit_tier(loaded, kept)
    loaded.texts.check_taught(row.recipe for row in study.rows)
    canonicaliser = Canonicaliser(loaded, seed, kept)
    rows = []
    recipes: dict[str, Recipe] = {}
    for recipe in dict.fromkeys([*(row.recipe for row in study.rows), *map(study.blank.at, others)]):
        reduction = canonicaliser.reduce(recipe)
        rows.append(RowAudit(moved=recipe.moved(), run=reduction.levels, inert=reduction.inert))
        reduced = study.blank.at(reduction.levels)
        kind = str(reduced.priced_levels())
        recipes[kind] = max(recipes.get(kind, reduced), reduced, key=hunger)
    proofs = Prover(loaded, canonicaliser).proofs()
    del canonicaliser  # and its models, before memory is measured
    costs = [price(loaded, recipe, kept) for recipe in recipes.values()]
    kept.save()
    splits = {"train": loaded.tokens.train, "dev": loaded.tokens.dev, "test": loaded.tokens.test}
    return Audit(
        engine=ENGINE,
        fingerprints=loaded.fingerprints,
        labels=list(loaded.tokens.labels),
        sizes={name: len(split) for name, split in splits.items()},
        tokens=token_statistics(loaded.token_facts[0]),
        majority={name: majority(loaded, split) for name, split in splits.items() if name != "train"},
        warnings=[
            *loaded.table.warnings,
            *loaded.warnings,
            *token_twin_warnings(loaded),
            *(proof.warning for proof in proofs if proof.warning),
        ],
        rows=rows,
        costs=costs,
        versions=versions(),
        measured=loaded.settings.priced_by,
        machine=machine(name_gpu(loaded.device) or None),
        proofs=proofs,
        device_memory=total_memory(loaded.device),
        splits=loaded.split_fingerprints,
        contents=loaded.contents,
        group=study.head.data.group,
        groups=groups_of(loaded.table),
        checkpoint=describe_checkpoint(study.checkpoint),
        tier=tier,
    )


def audit_tier(loaded: LoadedStudy, kept: KeptAudits) -> AuditedTier:
    """Prove how the encoder is run.

    Raises:
        InputError: no run of it would be right, or could be repeated.
    """
    info, batch = loaded.checkpoint.info, loaded.pack_proving()
    proof, made = kept.find_tier(batch) or (None, "")
    if proof is None:
        kept.keep_tier(batch, proof := loaded.prove_tier())
    if problem := proof.problem(info.family):
        raise input_error(str(info.folder), "config.json", problem)
    reading = [row.recipe.model.pooling for row in loaded.study.rows]
    if not proof.sees_ahead and (first := next((p for p in reading if p in OF_FIRST_TOKENS), None)):
        what = (
            f'"{first}" reads the first token, which in {info.family} sees nothing but itself. '
            'Take "last-token" or "last-mean".'
        )
        raise input_error(str(loaded.study.files.settings), "model.pooling", what)
    share = 1.0
    if proof.tier == "padded":
        recipe = loaded.study.baseline
        lengths = np.minimum(loaded.tokens.train.lengths, recipe.model.max_length)
        share = padded_share(lengths, recipe.training.batch_size)
    return AuditedTier(**vars(proof), padded_share=share, kept=made)


def describe_checkpoint(info: CheckpointInfo) -> AuditedCheckpoint:
    return AuditedCheckpoint(
        name=info.folder.name,
        family=info.family,
        layers=info.layers,
        positions=info.positions,
        has_pooler=info.has_pooler,
        dropout=info.dropout,
        has_biases=info.has_biases,
        tier=info.tier,
        is_decoder=info.is_decoder,
        shares_layers=info.shares_layers,
    )


def hunger(recipe: Recipe) -> tuple[int, bool]:
    """Of recipes whose steps take the same time, the larger one takes more memory: all rows of the table of
    words, for a moment or for good, or the gradient of them.
    """
    norms = any(strategy.overrides("change_gradients_") for strategy in recipe.acting)
    return TABLE_READINGS.index(recipe.reads_table), norms


def groups_of(table: DataTable) -> dict[str, list[int]]:
    """The groups of the texts that are scored; empty without data.group."""
    splits = {"dev": table.dev.groups, "test": table.test.groups}
    return {part: groups.tolist() for part, groups in splits.items() if groups is not None}


def price(loaded: LoadedStudy, recipe: Recipe, kept: KeptAudits) -> Cost:
    """What such a run costs: as another study has measured it here, scaled to these texts, or measured."""
    measured, made = kept.find_cost(recipe) or (None, "")
    if measured is None:
        kept.keep_cost(recipe, measured := measure(loaded, recipe))
    return make_cost(loaded, recipe, measured, made)


def make_cost(loaded: LoadedStudy, recipe: Recipe, measured: Measured, made: str = "") -> Cost:
    """Of what was measured, what the study's own texts come to. ``made``: when, if another study measured."""
    tokens = {
        name: int(np.minimum(split.lengths, recipe.model.max_length).sum())
        for name, split in (("dev", loaded.tokens.dev), ("test", loaded.tokens.test))
    }
    return Cost(
        shared=recipe.priced_levels(),
        step_seconds=measured.step_seconds,
        prefix_seconds=measured.prefix_seconds / times_computed(recipe, measured),
        evaluation_seconds=measured.seconds_per_token * tokens["dev"],
        test_seconds=measured.seconds_per_token * tokens["test"],
        memory=measured.memory,
        pretrain_seconds=measured.pretrain_seconds,
        member_memory=measured.member_memory,
        copies=measured.copies,
        texts=len(loaded.training_texts(recipe)),
        recomputes=measured.recomputes,
        kept=made,
    )


def times_computed(recipe: Recipe, measured: Measured) -> int:
    """In how many epochs' stead a frozen prefix is computed: once for all of them where it never changes."""
    return recipe.training.epochs if measured.prefix_is_constant else 1


def measure(loaded: LoadedStudy, recipe: Recipe) -> Measured:
    """What such a run takes. Asked to choose, layers are computed twice where memory is short otherwise."""
    settings = loaded.settings
    if settings.recompute != "auto":
        return measure_as(loaded, recipe, settings.recompute)
    room = room_of_a_run(settings, total_memory(loaded.device))
    try:
        once = measure_as(loaded, recipe, recompute=False)
        if once.memory <= room:
            return once
    except Exception as error:
        if not lacks_memory(error):
            raise
    return measure_as(loaded, recipe, recompute=True)


def measure_as(loaded: LoadedStudy, recipe: Recipe, recompute: bool) -> Measured:
    """Time a few training steps, and one batch of evaluation."""
    loaded.recompute = recompute
    reset_peak_memory(loaded.device)
    run = Run(loaded, "probe", recipe, seed=loaded.study.head.design.numbers[0])
    batches = cycle(islice(loaded.training_batches(recipe, run.seed, 0), 8))
    steps, prefixes = [], []
    for at, batch in zip(list_timed_steps(run.total_steps), batches, strict=False):
        begun = now(loaded.device)
        shared, _ = share_prefix([run], batch, at)
        start = now(loaded.device)
        with suppress(DivergedError):  # whether a recipe diverges is for its run to find out
            run.step(shared, at)
        steps.append(now(loaded.device) - start)
        prefixes.append(0.0 if shared is batch else start - begun)
    step, prefix = float(np.median(steps[1:])), float(np.median(prefixes[1:]))
    pace = replay_seconds(loaded, run) / (step + prefix) if captures_steps(loaded, [run]) else 1.0
    per_token = seconds_per_token(loaded, run)
    return Measured(
        sizes=sizes_of(loaded, recipe),
        step_seconds=step * pace,
        prefix_seconds=prefix * pace,
        prefix_is_constant=run.model.prefix_is_constant,
        seconds_per_token=per_token,
        pretrain_seconds=start_seconds(run),
        memory=peak_memory(loaded.device) - mapped_memory(loaded.device),
        member_memory=member_memory(run),
        copies=held_copies(run),
        recomputes=recompute,
    )


def list_timed_steps(total: int) -> list[int]:
    """Which steps of a run of so many are made, the first of them not timed.

    That is its last, in which all trains that ever does: memory is looked at afterwards. The others are
    spread over the run, since an early one may train less.
    """
    return [total - 1, *((2 * place + 1) * total // (2 * TIMED_STEPS) for place in range(TIMED_STEPS))]


def replay_seconds(loaded: LoadedStudy, run: Run) -> float:
    """A whole step, prefix included, as a GPU replays it: calls one by one take several times as long.

    Of a run by itself; in a stack a run's share is less.
    """
    walk = CapturedSteps(loaded, [run])
    batch = next(walk.batches(0))
    for step in range(WARM_CALLS + 1):  # the last is captured
        walk.step(batch, step)
    start = now(loaded.device)
    for step in range(TIMED_STEPS):
        walk.step(batch, WARM_CALLS + 1 + step)
    return (now(loaded.device) - start) / TIMED_STEPS


def start_seconds(run: Run) -> float:
    """What came before the run's first step, such as pre-training its encoder, when it was done."""
    setting = run.loaded.setting(run.seed, run.recipe)
    return sum(strategy.start_seconds(setting) for strategy in run.recipe.acting)


def member_memory(run: Run) -> int:
    """Bytes of another member of a family of such runs."""
    trained = sum(p.numel() * p.element_size() for p in run.trained().values())
    return held_copies(run) * trained


def held_copies(run: Run) -> int:
    """How often a member of a family holds what it trains while others step. A captured step has gradients of
    its own; else one member at a time has them.
    """
    return COPIES + run.recipe.copies + captures_steps(run.loaded, [run])


def seconds_per_token(loaded: LoadedStudy, run: Run) -> float:
    batch = next(loaded.evaluation_batches(loaded.tokens.dev, run.recipe))
    if loaded.device.type == "cuda":  # whose kernels are loaded by their first call
        predict([run.model], iter([batch]), len(loaded.tokens.dev))
    start = now(loaded.device)
    predict([run.model], iter([batch]), len(loaded.tokens.dev))
    return (now(loaded.device) - start) / batch.real_tokens


def now(device: torch.device) -> float:
    """The time, once a GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def token_statistics(facts: TokenFacts) -> dict[str, float]:
    """Of the training texts: lengths in tokens, and shares of 1."""
    return {
        "mean": facts.mean,
        "median": facts.median,
        "percentile_99": facts.percentile_99,
        "longest": float(facts.longest),
        "share_of_texts_cut": facts.cut / facts.texts,
        "share_of_tokens_unknown": facts.unknown_share,
    }


def token_twin_warnings(loaded: LoadedStudy) -> list[str]:
    """Which texts of two splits are one text to the model, though not to the eye."""
    splits = {"train": loaded.tokens.train, "dev": loaded.tokens.dev, "test": loaded.tokens.test}
    texts = {part: getattr(loaded.table, part).texts for part in splits}
    model = loaded.study.baseline.model
    return find_token_twins(splits, texts, model.max_length, model.keep)


def majority(loaded: LoadedStudy, split: TokenisedSplit) -> dict[str, Any]:
    """Scores of always predicting the most frequent class of the training texts."""
    constant = np.zeros((len(split), len(loaded.tokens.labels)), dtype=np.float32)
    constant[:, np.bincount(loaded.tokens.train.labels).argmax()] = 1
    return metrics.summary(split.labels, constant, loaded.tokens.labels)
