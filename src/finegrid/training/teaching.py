"""Trains the baseline of a seed as a teacher, and lets it read texts without labels."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from finegrid.data.tokens import TokenisedSplit
from finegrid.training.evaluate import predict
from finegrid.training.guesses import Guess
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.state import StateFile
from finegrid.training.train import train_family


def teach(loaded: LoadedStudy, seed: int, texts: TokenisedSplit, state: Path) -> Guess:
    """What the baseline's run of a seed says of texts, with the weights of its best epoch.

    Raises:
        RuntimeError: it failed; that it diverges is told by the guess.
    """
    began, recipe = time.perf_counter(), loaded.study.first_recipe.without_unlabelled
    run = Run(loaded, "teacher", recipe, seed)
    train_family(loaded, [run], StateFile(state, loaded.settings.save_after_seconds))
    if run.progress.status == "failed":
        raise RuntimeError(f"the teacher of texts without labels failed: {run.progress.reason}")
    logits = np.zeros((len(texts), len(loaded.tokens.labels)), dtype=np.float32)
    diverged = run.progress.status != "done"
    if not diverged:
        run.restore_best_()
        logits = predict([run.model], loaded.evaluation_batches(texts, recipe), len(texts))[0]
    print(f"a teacher has read {len(texts):,} texts without labels", file=sys.stderr)  # to the log
    return Guess(logits, time.perf_counter() - began, diverged)
