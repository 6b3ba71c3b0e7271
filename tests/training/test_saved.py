"""A state that loads but does not fit is set aside, and its family starts again, to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.studies import assert_same_run, recipe_of, train
from torch import Tensor

from finegrid.data.tokens import fit, load_arrays
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import MemoryNeeds
from finegrid.training.features import read_features
from finegrid.training.frozen_prefix import create_mapped, mapped
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run, guarded
from finegrid.training.saved import digest_names
from finegrid.training.state import StateFile
from finegrid.training.train import train_family
from finegrid.unfit import UnfitError, unfit_of

Metadata = dict[str, Any]
Change = Callable[[dict[str, Tensor], Metadata], None]
WEIGHT = "run-0/weight/head.linear.weight"


@pytest.fixture(scope="module")
def recipe(loaded: LoadedStudy) -> Recipe:
    return recipe_of(loaded, training__epochs=2, freeze__layers=3)


@pytest.fixture(scope="module")
def finished(loaded: LoadedStudy, recipe: Recipe) -> Run:
    return train(loaded, recipe)[0]


@pytest.fixture(scope="module")
def saved(
    loaded: LoadedStudy, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Tensor], Metadata]:
    """Tensors and metadata after one epoch."""
    path = tmp_path_factory.mktemp("saved") / "state"
    state = StateFile(path, 0)

    def on_step(done: int) -> None:
        if done > loaded.steps_per_epoch(recipe):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_family(loaded, [Run(loaded, "run-0", recipe, 0)], state, on_step)
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), "runs": json.loads(file.metadata()["runs"])}
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def write(path: Path, tensors: dict[str, Tensor], metadata: Metadata, digest: bool = True) -> Path:
    if digest:
        metadata["names"] = digest_names(tensors)
    save_file(tensors, path, {**metadata, "runs": json.dumps(metadata["runs"])})
    return path


def changed(name: str, value: Any) -> Change:
    """Something else is said of the run."""
    return lambda tensors, metadata: metadata["runs"]["run-0"].update({name: value})


def of_epoch(name: str, value: Any) -> Change:
    return lambda tensors, metadata: metadata["runs"]["run-0"]["epochs"][0].update({name: value})


def put(name: str, make: Callable[[Tensor], Tensor]) -> Change:
    """A tensor is another one."""
    return lambda tensors, metadata: tensors.update({name: make(tensors.get(name, torch.zeros(1)))})


def without(part: str) -> Change:
    def change(tensors: dict[str, Tensor], metadata: Metadata) -> None:
        for name in [name for name in tensors if part in name]:
            del tensors[name]

    return change


UNFIT: dict[str, tuple[Change, str]] = {
    "another shape": (put(WEIGHT, lambda t: torch.zeros(7, 7)), "other tensors"),
    "another type": (put(WEIGHT, lambda t: t.double()), "other tensors"),
    "integers": (put("run-0/logits/dev", lambda t: t.long()), "other tensors"),
    "logits of other texts": (put("run-0/logits/dev", lambda t: t[:-1].clone()), "other tensors"),
    "nan in a weight": (put(WEIGHT, lambda t: t / 0), "not finite"),
    "infinite moments": (put("run-0/second/head.linear.weight", lambda t: t + torch.inf), "not finite"),
    "half of the moments": (without("/second/"), "other tensors"),
    "no best weights": (without("/best/"), "other tensors"),
    "no logits": (without("/logits/"), "other tensors"),
    "other names": (put("run-0/weight/nobody", lambda t: t), "other tensors"),
    "an average of nothing": (put("run-0/averager/0/x", lambda t: t), "other tensors"),
    "other runs": (lambda tensors, metadata: metadata.update(runs={"run-9": {}}), "other runs"),
    "runs are a list": (lambda tensors, metadata: metadata.update(runs=["run-0"]), "other runs"),
    "a run is no table": (lambda tensors, metadata: metadata.update(runs={"run-0": 3}), "other progress"),
    "more epochs than asked for": (
        lambda tensors, metadata: metadata.update(epochs_done="9" * 9),
        "other progress",
    ),
    "epochs without end": (lambda tensors, metadata: metadata.update(epochs_done="9" * 9999), "damaged"),
    "an unknown key": (changed("surprise", 1), "other progress"),
    "a status of its own": (changed("status", "done"), "other progress"),
    "a best epoch to come": (changed("best_epoch", 2), "other progress"),
    "no best epoch": (changed("best_epoch", 0), "other progress"),
    "a score in words": (changed("best_score", "high"), "other progress"),
    "no number of memory": (changed("memory", 2**80), "other progress"),
    "updates of other groups": (changed("updates", [3, 3, 3]), "other progress"),
    "updates beyond all steps": (changed("updates", [10**6]), "other progress"),
    "no epochs": (changed("epochs", []), "other progress"),
    "levels of free factors": (changed("free", {"average.ema=0.05": [1, 0.5]}), "other progress"),
    "an epoch of another number": (of_epoch("epoch", 2), "other progress"),
    "a loss that is none": (of_epoch("train_loss", float("nan")), "other progress"),
    "no dev": (of_epoch("dev", None), "other progress"),
    "dev without the score": (of_epoch("dev", {"accuracy": 0.5}), "other progress"),
}


def test_a_state_that_does_not_fit_is_set_aside_before_anything_is_filled(
    loaded: LoadedStudy, recipe: Recipe, saved: tuple[dict[str, Tensor], Metadata], tmp_path: Path
) -> None:
    run, fresh = (Run(loaded, "run-0", recipe, 0) for _ in range(2))
    found: dict[str, list[str]] = {}
    for kind, (change, _) in UNFIT.items():
        tensors, metadata = dict(saved[0]), json.loads(json.dumps(saved[1]))
        change(tensors, metadata)
        path = write(tmp_path / f"{kind}.safetensors", tensors, metadata)
        told: list[UnfitError] = []

        assert StateFile(path, 0, tell=told.append).load_([run]) == 0, kind
        assert not path.exists() and unfit_of(path).exists()
        found[kind] = [unfit.reason for unfit in told]

    assert found == {kind: [reason] for kind, (_, reason) in UNFIT.items()}
    assert_same_run(run, fresh)
    assert not run.optimizer.state and run.optimizer.updates == fresh.optimizer.updates


def test_a_tensor_less_is_noticed_where_none_is_needed(
    loaded: LoadedStudy, recipe: Recipe, saved: tuple[dict[str, Tensor], Metadata], tmp_path: Path
) -> None:
    """A parameter without any moments may never have had a gradient."""
    tensors, metadata = dict(saved[0]), dict(saved[1])
    without("head.linear.weight")(tensors, metadata)
    tensors |= {name: t for name, t in saved[0].items() if "first" not in name and "second" not in name}
    path = write(tmp_path / "state", tensors, metadata, digest=False)
    told: list[UnfitError] = []
    StateFile(path, 0, tell=told.append).load_([Run(loaded, "run-0", recipe, 0)])

    assert [unfit.reason for unfit in told] == ["other tensors"]


def test_the_family_starts_again_to_the_same_bits(
    loaded: LoadedStudy,
    recipe: Recipe,
    saved: tuple[dict[str, Tensor], Metadata],
    finished: Run,
    tmp_path: Path,
) -> None:
    tensors, metadata = dict(saved[0]), dict(saved[1])
    put(WEIGHT, lambda t: t[:1].clone())(tensors, metadata)
    path = write(tmp_path / "state", tensors, metadata)
    steps: list[int] = []
    (run,) = train_family(loaded, [Run(loaded, "run-0", recipe, 0)], StateFile(path, 1e9), steps.append)

    assert steps[0] == 1
    assert_same_run(run, finished)


def test_what_was_set_aside_before_makes_room(tmp_path: Path) -> None:
    (tmp_path / "state.unfit").write_text("an earlier one")
    (tmp_path / "state").write_text("a later one")
    StateFile(tmp_path / "state", 0).set_aside(UnfitError("damaged"))

    assert (tmp_path / "state.unfit").read_text() == "a later one"
    assert [path.name for path in tmp_path.iterdir()] == ["state.unfit"]


def test_a_state_that_may_not_be_read_is_no_state_that_does_not_fit(
    loaded: LoadedStudy, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("nobody knows")

    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "state"))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        StateFile(tmp_path / "state", 0).load_([Run(loaded, "run-0", recipe, 0)])
    assert (tmp_path / "state").exists()


def test_a_full_disk_fails_no_run_and_too_little_memory_does(loaded: LoadedStudy, recipe: Recipe) -> None:
    run = Run(loaded, "run-0", recipe, 0)
    with pytest.raises(OSError, match="full"), guarded(run):
        raise OSError(28, "full")
    assert run.progress.status == "running"
    with guarded(run):
        raise MemoryError
    assert (run.progress.status, run.progress.reason) == (
        "failed",
        f"out of memory: {MemoryNeeds(recipe.training.batch_size, recompute=False).less()}",
    )


def test_a_state_is_not_saved_where_a_study_has_gone(
    loaded: LoadedStudy, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        StateFile(tmp_path / "gone" / "state", 0).save([Run(loaded, "run-0", recipe, 0)], 1)

    assert not list(tmp_path.iterdir())


def test_cached_tokens_that_do_not_fit_are_made_anew(loaded: LoadedStudy) -> None:
    (path,) = loaded.study.files.cache.glob("tokens-*.npz")
    arrays = load_arrays(path)
    assert arrays is not None
    size = 10**6
    tokens, bounds = arrays["dev_tokens"], arrays["dev_bounds"]
    unfit = {
        "negative": {"dev_tokens": -tokens},
        "beyond the vocabulary": {"dev_tokens": tokens + size},
        "of another type": {"dev_tokens": tokens.astype(np.float64)},
        "too few": {"dev_tokens": tokens[:-1]},
        "bounds of other texts": {"dev_bounds": bounds[:-1]},
        "bounds that go back": {"dev_bounds": bounds[::-1].copy()},
    }

    assert fit(arrays, loaded.table, size)
    assert [kind for kind, other in unfit.items() if fit({**arrays, **other}, loaded.table, size)] == []


def test_cached_vectors_that_do_not_fit_are_made_anew(tmp_path: Path) -> None:
    path, values = tmp_path / "features.safetensors", torch.ones(3, 2)
    about = {"seconds": "1.5"}
    save_file({"features": values}, path, about)
    assert read_features(path, 3) is not None
    for other in (values[:2], values.double(), values[0], values / 0, values * torch.nan):
        save_file({"features": other.clone()}, path, about)
        assert read_features(path, 3) is None
    save_file({"features": values}, path, {"seconds": "nan"})
    assert read_features(path, 3) is None


def test_a_cached_prefix_with_a_hole_is_made_anew(tmp_path: Path) -> None:
    values = np.ones((5, 2), dtype=np.float32)
    np.save(tmp_path / "whole.npy", values)
    values[3] = np.nan
    np.save(tmp_path / "hole.npy", values)

    assert mapped(tmp_path / "whole.npy", (5, 2)) is not None
    assert mapped(tmp_path / "hole.npy", (5, 2)) is None


def test_the_room_of_an_array_is_taken_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would end the process by a signal later."""

    def full(*arguments: Any) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="full"):
        create_mapped(tmp_path / "array.npy", (5, 2))
