"""ONNX of a kept model gives the logits of ``finegrid predict``, for batches of any size and length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call
from support.hosted import save_hosted
from support.kept import keep_run, logits_of, texts_of, tokens_of
from support.studies import KINDS, open_study, write_study

from finegrid.encoders.poolings import POOLINGS
from finegrid.errors import InputError
from finegrid.inference import onnx_file
from finegrid.inference.fitted import load_fitted
from finegrid.inference.onnx_file import export_onnx
from finegrid.study.kept_files import ONNX
from finegrid.training.loaded import LoadedStudy

pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")

NEAR = 1e-5


def answers(folder: Path, texts: list[tuple[str, ...]], batch: int) -> Any:
    """As someone has them who knows the ONNX file and the tokenizer only."""
    session = runtime.InferenceSession(str(folder / ONNX))
    names = [one.name for one in session.get_inputs()]
    found = []
    for start in range(0, len(texts), batch):
        tokens = tokens_of(folder, texts[start : start + batch])
        found += list(session.run(["logits"], {name: tokens[name].numpy() for name in names})[0])
    return np.array(found)


def check(loaded: LoadedStudy, folder: Path) -> None:
    export_onnx(folder, load_fitted(folder))
    expected = logits_of(folder, loaded.study.folder / "dev.tsv")
    for batch in (1, 4, 15):
        np.testing.assert_allclose(answers(folder, texts_of(loaded), batch), expected, atol=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [{}, {"head__kind": "huggingface"}], ids=["ours", "huggingface"])
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_of_every_family_gives_the_logits_of_predict(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str, levels: dict[str, Any]
) -> None:
    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    check(loaded, keep_run(loaded, tmp_path / "kept", **levels))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "qwen3", "mpnet"])
def test_onnx_of_an_encoder_that_transformers_computes_gives_the_logits_of_predict(
    tmp_path: Path, family: str
) -> None:
    loaded = open_study(write_study(tmp_path / "study", save_hosted(tmp_path / "model", family)))
    check(loaded, keep_run(loaded, tmp_path / "kept", model__pooling="last-mean"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "levels",
    [*({"model__pooling": pooling} for pooling in POOLINGS), {"head__hidden": 8}],
    ids=lambda levels: "-".join(map(str, levels.values())),
)
def test_onnx_of_every_pooling_and_head_gives_the_logits_of_predict(
    loaded: LoadedStudy, tmp_path: Path, levels: dict[str, Any]
) -> None:
    check(loaded, keep_run(loaded, tmp_path / "kept", **levels))


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_onnx_of_pairs_gives_the_logits_of_predict(tmp_path: Path, bert: Path, pooling: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert, pairs=True))
    check(loaded, keep_run(loaded, tmp_path / "kept", model__pooling=pooling, model__max_length=9))


@pytest.mark.slow
def test_a_graph_with_other_logits_is_refused(
    loaded: LoadedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = keep_run(loaded, tmp_path / "kept")
    right = onnx_file.run_onnx
    monkeypatch.setattr(onnx_file, "run_onnx", lambda *about: right(*about) + 2e-5)

    with pytest.raises(InputError, match="from those of finegrid predict"):
        export_onnx(folder, load_fitted(folder))


@pytest.mark.slow
def test_a_kept_folder_gets_its_onnx_by_a_command(loaded: LoadedStudy, tmp_path: Path, call: Call) -> None:
    folder = keep_run(loaded, tmp_path / "kept")
    done = call("export-onnx", folder)

    assert done.returncode == 0 and f"wrote {folder / ONNX}" in done.stdout
    assert (
        answers(folder, texts_of(loaded), 4).shape == logits_of(folder, loaded.study.folder / "dev.tsv").shape
    )
    nothing = call("export-onnx", tmp_path / "nowhere")
    assert nothing.returncode == 2 and "nowhere" in nothing.stderr
