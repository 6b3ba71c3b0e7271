"""Kept models, and what is said of texts by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finegrid.data.cells_of_file import ColumnOptions
from finegrid.inference.keep import fitted_of, keep, title_model
from finegrid.inference.predict import predict_file
from finegrid.running.records import record_of
from finegrid.study.settings import RunSettings
from finegrid.training.evaluate import Logits
from finegrid.training.loaded import LoadedStudy
from support.studies import recipe_of, train


def keep_run(loaded: LoadedStudy, out: Path, **levels: Any) -> Path:
    """Train a recipe for an epoch and keep its model, as a worker does."""
    recipe = recipe_of(loaded, **{"training__epochs": 1, **levels})
    (run,) = train(loaded, recipe)
    keep(
        loaded,
        run,
        fitted_of(loaded, recipe, record_of(loaded, run, "family", 0.0)),
        out,
        title_model(loaded, "study"),
    )
    return out


def logits_of(folder: Path, file: Path) -> Logits:
    return predict_file(folder, file, ColumnOptions(), RunSettings(threads=1)).logits


def texts_of(loaded: LoadedStudy) -> list[tuple[str, ...]]:
    return list(loaded.table.dev.texts)


def tokens_of(folder: Path, texts: list[tuple[str, ...]]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    columns = [list(column) for column in zip(*texts, strict=True)]
    return tokenizer(*columns, truncation=True, padding=True, return_tensors="pt")
