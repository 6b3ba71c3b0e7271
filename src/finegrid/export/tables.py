"""Makes the tables of an export: runs, epochs, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import softmax

from finegrid.export.content import Content, ExportedRun, flatten_scores
from finegrid.export.frame import Frame, FrameColumn, make_category, make_factor
from finegrid.export.names import make_distinct
from finegrid.study.prediction_file import RunPredictions
from finegrid.study.predictions import read_run

STATES = ("done", "diverged", "failed", "left", "missing")
# Columns of the runs that a factor of an imported table may not be called like.
TAKEN = {
    *("study", "run_id", "recipe", "rows", "seed", "status", "result", "protocol", "best_epoch", "epochs"),
    *("pretrain_seconds", "epoch_seconds", "train_seconds", "dev_seconds", "test_seconds", "run_seconds"),
    "memory_bytes",
    *("device", "precision", "threads", "started", "ended", "reason"),
}


def make_runs_table(content: Content) -> Frame:
    """A line per distinct recipe and seed, whatever became of it."""
    runs = content.runs
    names = name_factors(list(content.factors))
    is_study = bool(content.protocol)  # else a table from elsewhere, which has no run ids, machine or epochs
    columns = [make_category("study", [content.name] * len(runs), [content.name])]
    columns += [FrameColumn("run_id", "text", [run.run_id for run in runs])] * is_study
    columns += [
        FrameColumn("recipe", "whole", [run.recipe for run in runs]),
        FrameColumn("rows", "wholes", [run.rows for run in runs]),
        FrameColumn("seed", "whole", [run.seed for run in runs]),
        make_category("status", [run.status for run in runs], STATES),
        *(
            make_factor(names[name], [run.levels[name] for run in runs], levels)
            for name, levels in content.factors.items()
        ),
    ]
    columns += [make_category("protocol", [content.protocol] * len(runs), [content.protocol])] * is_study
    columns += make_scores([run.scores for run in runs], content.scores)
    columns += [
        FrameColumn("best_epoch", "whole", [run.best_epoch for run in runs]),
        FrameColumn("epochs", "whole", [len(run.epochs) if run.record else None for run in runs]),
    ] * is_study
    columns += make_seconds(runs)
    return Frame((*columns, *(make_machine(runs) if is_study else ())))


def name_factors(factors: Sequence[str]) -> dict[str, str]:
    """Columns of the factors: their own names, unless a column of ours is called like that."""
    return make_distinct(factors, lambda name: f"factor.{name}" if name in TAKEN else name)


def make_seconds(runs: Sequence[ExportedRun]) -> list[FrameColumn]:
    """Seconds that any run has; of a table perhaps none."""
    every_part = ("pretrain", "epoch", "train", "dev", "test", "run")
    parts = [part for part in every_part if any(part in run.seconds for run in runs)]
    return [
        FrameColumn(f"{part}_seconds", "number", [run.seconds.get(part) for run in runs]) for part in parts
    ]


def make_machine(runs: Sequence[ExportedRun]) -> list[FrameColumn]:
    records = [run.record for run in runs]
    return [
        FrameColumn(
            "memory_bytes", "whole", [(record.memory or None) if record else None for record in records]
        ),
        make_category("device", [record.device if record else None for record in records]),
        make_category("precision", [record.precision if record else None for record in records]),
        FrameColumn("threads", "whole", [record.threads if record else None for record in records]),
        FrameColumn("started", "time", [record.started if record else None for record in records]),
        FrameColumn("ended", "time", [record.ended if record else None for record in records]),
        FrameColumn("reason", "text", [record.reason if record else None for record in records]),
    ]


def make_scores(scores_of_runs: Sequence[Mapping[str, float]], keys: Sequence[str]) -> list[FrameColumn]:
    return [
        FrameColumn(name_column(key), "number", [run_scores.get(key) for run_scores in scores_of_runs])
        for key in keys
    ]


def name_column(key: str) -> str:
    """``test/macro-f1`` is test_macro_f1, ``dev/f1:sports`` is dev_f1_sports, the label as it is."""
    name, colon, label = key.partition(":")
    name = name.replace("/", "_").replace("-", "_")
    return f"{name}_{label}" if colon else name


def make_epochs_table(content: Content) -> Frame:
    """A line per epoch of every run that has any."""
    pairs = [(run, epoch) for run in content.runs for epoch in run.epochs]
    measured = {key for _, epoch in pairs for key in epoch.scores}
    keys = [key for key in content.scores if key in measured]
    return Frame(
        (
            make_category("study", [content.name] * len(pairs), [content.name]),
            FrameColumn("run_id", "text", [run.run_id for run, _ in pairs]),
            FrameColumn("recipe", "whole", [run.recipe for run, _ in pairs]),
            FrameColumn("seed", "whole", [run.seed for run, _ in pairs]),
            FrameColumn("epoch", "whole", [epoch.number for _, epoch in pairs]),
            FrameColumn("best", "truth", [epoch.number == run.best_epoch for run, epoch in pairs]),
            FrameColumn("train_loss", "number", [epoch.train_loss for _, epoch in pairs]),
            *make_scores([epoch.scores for _, epoch in pairs], keys),
            FrameColumn("train_seconds", "number", [epoch.train_seconds for _, epoch in pairs]),
            FrameColumn("dev_seconds", "number", [epoch.dev_seconds for _, epoch in pairs]),
        )
    )


def make_free_table(content: Content) -> Frame | None:
    """A line per level of a free factor that a finished run was scored at; None if none was."""
    lines = [
        (run, key, scores)
        for run in content.runs
        if run.record is not None
        for key, scores in run.record.free.items()
    ]
    if not lines:
        return None
    keys = dict.fromkeys(key for _, key, _ in lines)
    return Frame(
        (
            make_category("study", [content.name] * len(lines), [content.name]),
            FrameColumn("run_id", "text", [run.run_id for run, _, _ in lines]),
            FrameColumn("recipe", "whole", [run.recipe for run, _, _ in lines]),
            FrameColumn("seed", "whole", [run.seed for run, _, _ in lines]),
            make_category("free", [key for _, key, _ in lines], list(keys)),
            FrameColumn("best_epoch", "whole", [scores.best_epoch for _, _, scores in lines]),
            FrameColumn("temperature", "number", [scores.temperature for _, _, scores in lines]),
            FrameColumn("dev_looks", "whole", [scores.dev_looks for _, _, scores in lines]),
            *make_scores(
                [
                    {**flatten_scores("dev", scores.dev), **flatten_scores("test", scores.test)}
                    for _, _, scores in lines
                ],
                content.scores,
            ),
        )
    )


def make_predictions_tables(content: Content) -> Iterator[Frame]:
    """A line per text of dev and test, one frame per finished run and split: together they may be long.

    Raises:
        InputError: a file of predictions is missing or damaged.
    """
    for run in content.runs:
        if run.status != "done" or run.record is None:
            continue
        for split, predictions in read_run(content.folder, run.record).items():
            yield make_predictions(run.record.run_id, split, predictions, content.labels)


def make_predictions(run_id: str, split: str, predictions: RunPredictions, labels: Sequence[str]) -> Frame:
    """What one run says of the texts of one split."""
    chances = softmax(predictions.logits.astype(np.float64), axis=1)
    predicted = predictions.logits.argmax(axis=1)
    texts = np.arange(len(predicted))
    return Frame(
        (
            FrameColumn("run_id", "text", [run_id] * len(texts)),
            make_category("split", [split] * len(texts), ["dev", "test"]),
            FrameColumn("text", "whole", predictions.ids.tolist()),
            make_category("gold", [labels[index] for index in predictions.gold], labels),
            make_category("predicted", [labels[index] for index in predicted], labels),
            FrameColumn("p_gold", "number", chances[texts, predictions.gold].tolist()),
            FrameColumn("p_predicted", "number", chances[texts, predicted].tolist()),
        )
    )
