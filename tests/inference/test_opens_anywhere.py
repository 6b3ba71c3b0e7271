"""A kept model gives its logits wherever it is opened, or is refused: by transformers, a few lines, ONNX."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hosted import save_hosted
from support.kept import keep_run, logits_of, texts_of, tokens_of
from support.rarity import rare
from support.studies import KINDS, open_study, write_study

from finegrid.data.cells_of_file import ColumnOptions
from finegrid.encoders.poolings import POOLINGS
from finegrid.inference.fitted import load_fitted
from finegrid.inference.predict import predict_file
from finegrid.inference.snippet import FOLDER, loading_code
from finegrid.study.kept_files import HEAD
from finegrid.study.settings import RunSettings
from finegrid.training.loaded import LoadedStudy

NEAR = 1e-5
OFTEN = ["bert", "roberta", "distilbert", "electra-narrow"]
CUTTING = ["bert", "roberta", "distilbert"]  # whose tokenizers write pairs in unlike ways


@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_with_hugging_faces_head_the_folder_is_a_model_of_transformers(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str
) -> None:
    from transformers import AutoModelForSequenceClassification

    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    folder = keep_run(loaded, tmp_path / "kept", head__kind="huggingface")
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    with torch.no_grad():
        theirs = model(**tokens_of(folder, texts_of(loaded))).logits.numpy()

    assert not any(report.values()) and not (folder / HEAD).exists()
    assert model.config.architectures == [type(model).__name__]
    np.testing.assert_allclose(theirs, logits_of(folder, loaded.study.folder / "dev.tsv"), atol=NEAR)


@pytest.mark.parametrize(("pairs", "keep"), [(True, "head"), (False, "tail"), (True, "tail")])
@pytest.mark.parametrize("kind", rare(CUTTING, ["roberta"]))
def test_the_kept_tokenizer_cuts_as_the_recipe_does(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str, pairs: bool, keep: str
) -> None:
    from transformers import AutoModelForSequenceClassification

    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind), pairs=pairs))
    levels = {"head__kind": "huggingface", "model__max_length": 7, "model__keep": keep}
    folder = keep_run(loaded, tmp_path / "kept", **levels)
    tokens = tokens_of(folder, texts_of(loaded))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        theirs = model(**tokens).logits.numpy()

    assert tokens["input_ids"].shape[1] == 7
    np.testing.assert_allclose(theirs, logits_of(folder, loaded.study.folder / "dev.tsv"), atol=NEAR)


def test_a_pipeline_of_transformers_answers_with_the_studys_labels(tmp_path: Path, bert: Path) -> None:
    from transformers import pipeline

    loaded = open_study(write_study(tmp_path / "study", bert))
    folder = keep_run(loaded, tmp_path / "kept", head__kind="huggingface")
    found = predict_file(folder, loaded.study.folder / "dev.tsv", ColumnOptions(), RunSettings(threads=1))
    classify = pipeline("text-classification", model=str(folder))
    answers = classify([text for (text,) in texts_of(loaded)], truncation=True)

    assert [answer["label"] for answer in answers] == found.labels
    scores = [answer["score"] for answer in answers]
    np.testing.assert_allclose(scores, found.probabilities.max(1), atol=NEAR)


@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_with_our_head_transformers_refuses_the_folder_as_a_classifier_and_loads_its_encoder(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str
) -> None:
    from transformers import AutoModel, AutoModelForSequenceClassification

    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    folder = keep_run(loaded, tmp_path / "kept")

    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForSequenceClassification.from_pretrained(folder)
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and len(report["unexpected_keys"]) == 1
    assert logits_of(folder, loaded.study.folder / "dev.tsv").shape == (15, 3)


@pytest.mark.parametrize(
    ("family", "pooling"),
    rare(
        product(["modernbert", "deberta-v2", "qwen3", "albert", "nomic_bert"], ["last-token", "weighted"]),
        [("modernbert", "weighted"), ("deberta-v2", "last-token"), ("qwen3", "last-token")],
    ),
)
def test_an_encoder_that_transformers_computes_is_opened_by_it_and_by_the_cards_code(
    tmp_path: Path, family: str, pooling: str
) -> None:
    from transformers import AutoModel

    study = write_study(tmp_path / "study", save_hosted(tmp_path / "model", family))
    loaded = open_study(study)
    folder = keep_run(loaded, tmp_path / "kept", model__pooling=pooling)
    ours = logits_of(folder, study / "dev.tsv")
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)

    assert not [name for name in report["missing_keys"] if "pooler" not in name]
    theirs = run_code(loading_code(load_fitted(folder)), folder, texts_of(loaded))
    np.testing.assert_allclose(theirs, ours, atol=NEAR)


def test_with_our_head_a_pipeline_refuses_the_folder_too(tmp_path: Path, bert: Path) -> None:
    from transformers import pipeline

    loaded = open_study(write_study(tmp_path / "study", bert))
    folder = keep_run(loaded, tmp_path / "kept")

    with pytest.raises(ValueError, match="AutoModelForSequenceClassification"):
        pipeline("text-classification", model=str(folder))


def run_code(code: str, folder: Path, texts: list[tuple[str, ...]]) -> Any:
    """What the card's code gives for texts."""
    assert "finegrid" not in code
    loading, _, _ = code.partition("\nfor row in ")
    names: dict[str, Any] = {}
    exec(loading.replace(FOLDER, f"folder = {str(folder)!r}"), names)
    columns = [list(column) for column in zip(*texts, strict=True)]
    return names["logits_of"](*columns).numpy()


HEADS = [
    *({"model__pooling": pooling} for pooling in POOLINGS),
    {"head__hidden": 8},
    {"model__max_length": 5, "model__keep": "tail"},
    {"model__max_length": 6, "model__keep": "head+tail", "model__pooling": "max"},
    {"head__kind": "huggingface"},
    {"head__kind": "huggingface", "model__max_length": 6, "model__keep": "head+tail"},
]


@pytest.mark.parametrize("levels", HEADS, ids=lambda levels: "-".join(map(str, levels.values())))
def test_the_cards_code_gives_the_logits_of_predict(
    loaded: LoadedStudy, tmp_path: Path, levels: dict[str, Any]
) -> None:
    folder = keep_run(loaded, tmp_path / "kept", **levels)
    theirs = run_code(loading_code(load_fitted(folder)), folder, texts_of(loaded))

    np.testing.assert_allclose(theirs, logits_of(folder, loaded.study.folder / "dev.tsv"), atol=NEAR)


@pytest.mark.parametrize("kept", ["head", "tail", "head+tail"])
@pytest.mark.parametrize("kind", rare(CUTTING, ["roberta"]))
def test_the_cards_code_cuts_pairs_as_the_recipe_does(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str, kept: str
) -> None:
    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind), pairs=True))
    folder = keep_run(loaded, tmp_path / "kept", model__max_length=9, model__keep=kept)
    theirs = run_code(loading_code(load_fitted(folder)), folder, texts_of(loaded))

    np.testing.assert_allclose(theirs, logits_of(folder, loaded.study.folder / "dev.tsv"), atol=NEAR)
