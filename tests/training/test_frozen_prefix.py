"""Frozen layers without dropout are computed once: what is looked up is what would be computed."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.stacks import go_plainly_
from support.studies import assert_same_run, open_study, recipe_of, train, write_study
from torch import Tensor

from finegrid.errors import InputError
from finegrid.model.classifier import Classifier
from finegrid.model.kernels.operations import kernels
from finegrid.training.frozen_prefix import FrozenPrefix, frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

SILENT: dict[str, Any] = {"freeze__layers": 2, "freeze__dropout": False}


def run_of(loaded: LoadedStudy, **levels: Any) -> Run:
    return Run(loaded, "run", recipe_of(loaded, **levels), seed=0)


def arrays(loaded: LoadedStudy) -> list[Path]:
    return sorted((loaded.study.folder / "cache").glob("frozen-*.npy"))


def differences(run: Run, known: FrozenPrefix, batches: Any) -> list[float]:
    """Largest difference between looked up and computed, relative to the largest value, batch by batch."""
    found = []
    for batch in batches:
        looked_up, computed = known.of(batch).prefix, run.model.prefix(batch, 0)
        assert looked_up is not None and looked_up.below
        pairs: list[tuple[Tensor, Tensor]] = [
            (looked_up.hidden[: batch.real_tokens], computed.hidden[: batch.real_tokens]),
            *zip(looked_up.below, computed.below, strict=True),
        ]
        found.append(max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs))
    return found


@pytest.mark.parametrize("max_length", [32, 6])
def test_what_is_looked_up_is_computed_on_the_same_batch_to_the_same_bits(
    loaded: LoadedStudy, max_length: int
) -> None:
    run = run_of(loaded, **SILENT, model__max_length=max_length)
    known = frozen_prefix(run)
    assert known is not None

    same = loaded.evaluation_batches(loaded.tokens.train, run.recipe)
    assert set(differences(run, known, same)) == {0.0}
    other = loaded.training_batches(run.recipe, run.seed, epoch=0)
    assert max(differences(run, known, other)) < 1e-5  # other batches round otherwise


def test_a_run_that_looks_up_learns_what_a_run_that_computes_does(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    (looks_up,) = train(loaded, recipe_of(loaded, **SILENT))
    monkeypatch.setattr(Classifier, "prefix_is_constant", False)
    (computes,) = train(loaded, recipe_of(loaded, **SILENT))

    np.testing.assert_allclose(looks_up.logits["dev"], computes.logits["dev"], atol=1e-4)


@pytest.mark.parametrize("levels", [{}, {"freeze__layers": 2}, {"freeze__dropout": False}])
def test_only_frozen_layers_without_dropout_are_looked_up(
    loaded: LoadedStudy, levels: dict[str, Any]
) -> None:
    assert frozen_prefix(run_of(loaded, **levels)) is None


def test_the_bottom_is_computed_once_for_all_epochs_seeds_and_processes(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(tmp_path / "study", bert)
    train(open_study(folder), recipe_of(open_study(folder), **SILENT))
    kept = [(path, path.stat().st_mtime_ns) for path in arrays(open_study(folder))]
    assert len(kept) == 2

    def never(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(FrozenPrefix, "_compute", never)
    loaded = open_study(folder)  # as another process would
    train(loaded, recipe_of(loaded, **SILENT, reinit__layers=1), seed=3)
    assert [(path, path.stat().st_mtime_ns) for path in arrays(loaded)] == kept


@pytest.mark.parametrize("change", [{"freeze__layers": 3}, {"model__max_length": 6}])
def test_other_frozen_layers_and_other_lengths_have_prefixes_of_their_own(
    loaded: LoadedStudy, change: dict[str, Any]
) -> None:
    first, second = (frozen_prefix(run_of(loaded, **{**SILENT, **more})) for more in ({}, change))
    assert first is not None and second is not None

    assert first._key() != second._key()


@pytest.mark.skipif(kernels(torch.device("cpu")) is None, reason="no C++ compiler here")
def test_other_kernels_have_prefixes_of_their_own(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    (native,) = train(loaded, recipe_of(loaded, **SILENT))
    alone = open_study(write_study(tmp_path / "alone", bert))

    go_plainly_(monkeypatch)  # as on a machine without a compiler
    (plain,) = train(loaded, recipe_of(loaded, **SILENT))
    (expected,) = train(alone, recipe_of(alone, **SILENT))

    assert (native.logits["dev"] != plain.logits["dev"]).any()  # or nothing is tested here
    assert_same_run(plain, expected)
    assert len(arrays(loaded)) == 2 * len(arrays(alone))


@pytest.mark.parametrize("how", ["cut", "empty", "of another shape"])
def test_damaged_prefixes_are_computed_again(tmp_path: Path, bert: Path, how: str) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    (straight,) = train(loaded, recipe_of(loaded, **SILENT))
    for path in arrays(loaded):
        content = path.read_bytes()
        path.unlink()  # what is mapped already stays as it is
        if how == "of another shape":
            np.save(path, np.zeros((3, 3), dtype=np.float32))
        else:
            path.write_bytes(content[: len(content) // 2] if how == "cut" else b"")

    assert_same_run(train(loaded, recipe_of(loaded, **SILENT))[0], straight)


def test_a_full_disk_is_told_before_anything_is_trained(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    run = run_of(loaded, **SILENT)
    known = frozen_prefix(run)
    assert known is not None
    with pytest.raises(InputError, match=r"GiB are free\. Make room"):
        known.of(next(loaded.training_batches(run.recipe, 0, 0)))


def test_no_gradient_reaches_what_is_looked_up(loaded: LoadedStudy) -> None:
    run = run_of(loaded, **SILENT)
    known = frozen_prefix(run)
    assert known is not None
    batch = known.of(next(loaded.training_batches(run.recipe, 0, 0)))
    run.model(batch, 0).sum().backward()

    assert batch.prefix is not None and batch.prefix.hidden.grad is None
    assert not torch.isnan(run.model.head.linear.weight.grad).any()  # type: ignore[union-attr,arg-type]
