"""The tables of a study's runs, as `finegrid export` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from finegrid.api.table import Table
from finegrid.export.content import Content, load_content
from finegrid.export.frame import Frame
from finegrid.export.tables import (
    make_epochs_table,
    make_predictions,
    make_predictions_tables,
    make_runs_table,
)
from finegrid.study.prediction_file import RunPredictions


def runs_table(folder: Path) -> Table:
    return Table((make_runs_table(load_content(folder)),))


def epochs_table(folder: Path) -> Table:
    return Table((make_epochs_table(load_content(folder)),))


def predictions_table(folder: Path) -> Table:
    content = load_content(folder)
    return Table(tuple(make_predictions_tables(content)) or (no_predictions(content),))


def no_predictions(content: Content) -> Frame:
    """The same columns without a row: no run has finished."""
    none = np.zeros(0, dtype=np.int64)
    nothing = RunPredictions(none, np.zeros((0, max(1, len(content.labels))), dtype=np.float32), none)
    return make_predictions("", "dev", nothing, content.labels)
