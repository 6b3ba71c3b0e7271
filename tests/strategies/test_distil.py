"""Distillation against closed forms in float64, and what teachers say of the training texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from support.kept import keep_run
from support.studies import make_lesson_, open_study, recipe_of, train, write_study
from torch import Tensor
from torch.nn import functional as F

from finegrid.data.cells_of_file import ColumnOptions
from finegrid.data.tokens import save_arrays_
from finegrid.errors import InputError
from finegrid.inference.predict import predict_file
from finegrid.inference.teacher import open_teacher
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Outputs
from finegrid.strategies.distil import Distil
from finegrid.strategies.seams import Setting
from finegrid.study.contents import name_files
from finegrid.study.kept_files import FILE
from finegrid.study.settings import RunSettings
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.teachers import LEAST, KeptModel, Teachers

LABELS = torch.tensor([0, 1, 2, 2, 1])
ROWS = torch.tensor([7, 0, 3, 8, 2])  # which training texts they are
ONE_THREAD = RunSettings(threads=1)
TEACHER = '[factors]\n"distil.weight" = [0.0, 0.5]\n[distil]\nteacher = "{}"\n'


class Said:
    """Teachers that say what a test wants."""

    def __init__(self, logits: Tensor) -> None:
        self.said = logits

    def logits(self, teacher: str, ids: object = None) -> Tensor:
        return self.said


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def setting_of(loaded: LoadedStudy, said: Tensor) -> Setting:
    return replace(loaded.setting(0), teachers=Said(said))


def loss_of(loaded: LoadedStudy, said: Tensor, z: Tensor, weight: float, temperature: float) -> Tensor:
    distil = Distil(weight=weight, temperature=temperature, teacher="columns")
    criterion = distil.criterion(CROSS_ENTROPY, setting_of(loaded, said))
    return criterion.losses(Outputs((z,), (z,), LABELS, ROWS)).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("weight", [0.5, 0.9, 1.0])
def test_loss_and_gradients_are_the_closed_forms(
    loaded: LoadedStudy, weight: float, temperature: float
) -> None:
    said, z = 3 * normal(9, 3), normal(5, 3, seed=1).requires_grad_()
    loss = loss_of(loaded, said, z, weight, temperature)
    (gradient,) = torch.autograd.grad(loss, z)
    mine, theirs = ((logits / temperature).log_softmax(-1) for logits in (z.detach(), said[ROWS]))
    off = z.detach().softmax(-1) - F.one_hot(LABELS, 3)

    apart = F.kl_div(mine, theirs, log_target=True, reduction="batchmean")
    whole = (1 - weight) * F.cross_entropy(z, LABELS) + weight * temperature**2 * apart
    torch.testing.assert_close(loss, whole)
    expected = ((1 - weight) * off + weight * temperature * (mine.exp() - theirs.exp())) / 5
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


def test_at_high_temperature_gradients_are_those_of_centred_logits(loaded: LoadedStudy) -> None:
    said, z = normal(9, 3), normal(5, 3, seed=1).requires_grad_()
    distil = Distil(weight=0.5, temperature=100.0, teacher="columns")
    criterion = distil.criterion(CROSS_ENTROPY, setting_of(loaded, said))
    (mixed,) = criterion.mix
    (gradient,) = torch.autograd.grad(mixed.losses(Outputs((z,), (z,), LABELS, ROWS)).mean(), z)
    t = said[ROWS]

    centred = (z - z.mean(-1, keepdim=True) - t + t.mean(-1, keepdim=True)).detach() / (3 * 5)
    torch.testing.assert_close(gradient, centred, rtol=0.05, atol=1e-3)


def test_every_pass_of_the_head_learns_from_the_teacher(loaded: LoadedStudy) -> None:
    said, z = 3 * normal(9, 3), [normal(5, 3, seed=seed) for seed in (1, 2)]
    distil = Distil(weight=1.0, teacher="columns")
    criterion = replace(distil.criterion(CROSS_ENTROPY, setting_of(loaded, said)), samples=2)
    both = criterion.losses(Outputs((z[0],), (z[0],), LABELS, ROWS, more_logits=((z[1],),)))
    each = [criterion.losses(Outputs((one,), (one,), LABELS, ROWS)) for one in z]

    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_a_model_that_says_what_its_teacher_says_learns_nothing_from_it(loaded: LoadedStudy) -> None:
    said = normal(9, 3)
    z = (said[ROWS] + 5.0).requires_grad_()

    loss = loss_of(loaded, said, z, 1.0, 2.0)
    assert abs(loss.item()) < 1e-15
    assert torch.autograd.grad(loss, z)[0].abs().max() < 1e-15


def test_stacked_runs_and_views_have_the_losses_of_each_alone(loaded: LoadedStudy) -> None:
    said, z = normal(9, 3), normal(2, 5, 3, seed=1)
    distil = Distil(weight=0.5, teacher="columns")
    criterion = distil.criterion(CROSS_ENTROPY, setting_of(loaded, said))
    alone = [criterion.losses(Outputs((own,), (own,), LABELS, ROWS)) for own in z]

    torch.testing.assert_close(criterion.losses(Outputs((z,), (z,), LABELS, ROWS)), torch.stack(alone))
    (mixed,) = criterion.mix
    both = mixed.losses(Outputs((z[0], z[1]), (z[0], z[1]), LABELS, ROWS))
    each = [mixed.losses(Outputs((own,), (own,), LABELS, ROWS)) for own in z]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_without_weight_or_teacher_it_is_off(loaded: LoadedStudy) -> None:
    assert not Distil(teacher="columns").acts and not Distil(weight=0.5).acts
    (problem,) = recipe_of(loaded, distil__weight=0.5).problems(loaded.study.checkpoint)
    assert problem.where == '"distil.weight"' and "names nobody" in problem.what
    assert not recipe_of(loaded, distil__weight=0.5, distil__teacher="x").problems(loaded.study.checkpoint)


def test_all_runs_share_the_luck_of_a_teacher(loaded: LoadedStudy) -> None:
    assert recipe_of(loaded, distil__weight=0.5, distil__teacher="x").shares_chance == {"teacher"}
    assert not recipe_of(loaded, distil__teacher="x").shares_chance


# Probabilities in the training file


def lesson_of(folder: Path) -> np.ndarray[Any, Any]:
    """The probabilities in a training file, row by row."""
    lines = (folder / "train.tsv").read_text().splitlines()[1:]
    return np.array([[float(cell) for cell in line.split("\t")[2:]] for line in lines])


def test_a_step_reads_what_stands_beside_its_texts(taught: LoadedStudy) -> None:
    said = taught.teachers.logits("columns")
    lesson = lesson_of(taught.study.folder)

    np.testing.assert_allclose(said.exp().numpy(), lesson, atol=1e-6)
    batch = next(taught.training_batches(taught.study.baseline, 0, 0))
    assert batch.texts.tolist() == batch.rows.tolist()


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Path:
    """A study whose training file has probabilities, and that learns from them."""
    folder = write_study(tmp_path / "study", bert, settings=TEACHER.format("columns"))
    return make_lesson_(folder)


def test_drawn_texts_keep_what_stands_beside_them(study: Path) -> None:
    path = study / "study.toml"
    path.write_text(path.read_text().replace('label = "label"', 'label = "label"\ntrain_size = 12'))
    loaded = open_study(study)
    said, lesson = loaded.teachers.logits("columns").exp().numpy(), lesson_of(study)

    assert len(said) == 12 and (loaded.table.train.ids != np.arange(1, 13)).any()
    np.testing.assert_allclose(said, lesson[loaded.table.train.ids - 1], atol=1e-6)


def test_splits_of_a_pool_keep_what_stands_beside_their_texts(study: Path) -> None:
    make_lesson_of_dev_(study)
    path = study / "study.toml"
    path.write_text(path.read_text() + "[design]\nseeds = 5\nresample = 5\n")
    loaded = open_study(study)
    pool = np.concatenate([lesson_of(study), np.tile([0.2, 0.3, 0.5], (15, 1))])

    for seed in (0, 1):
        own = loaded.of_seed(seed)
        said = own.teachers.logits("columns").exp().numpy()
        np.testing.assert_allclose(said, pool[own.table.train.ids - 1], atol=1e-6)


def make_lesson_of_dev_(folder: Path) -> None:
    header, *rows = (folder / "dev.tsv").read_text().splitlines()
    names = "\t".join(f"probability:{label}" for label in "xyz")
    lines = [f"{header}\t{names}", *(f"{row}\t0.2\t0.3\t0.5" for row in rows)]
    (folder / "dev.tsv").write_text("\n".join(lines) + "\n")


def test_a_probability_of_0_is_a_small_one(study: Path) -> None:
    change_row_(study, 4, "1\t0\t0")
    said = open_study(study).teachers.logits("columns")

    assert said[4].tolist() == pytest.approx([0.0, np.log(LEAST), np.log(LEAST)])


def change_row_(folder: Path, row: int, cells: str) -> None:
    """Give a training text (counted from 0) other probabilities."""
    lines = (folder / "train.tsv").read_text().splitlines()
    lines[row + 1] = "\t".join([*lines[row + 1].split("\t")[:2], cells])
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("nan\t0.5\t0.5", "'probability:x' is 'nan', expected a number from 0 to 1"),
        ("inf\t0.5\t0.5", "'probability:x' is 'inf', expected a number from 0 to 1"),
        ("0.5\t-0.5\t1.0", "'probability:y' is '-0.5', expected a number from 0 to 1"),
        ("0.5\t0.5\t", "'probability:z' is '', expected a number from 0 to 1"),
        ("0.5\t0.3\t0.1", "sum to 0.9000, expected 1"),
    ],
)
def test_rows_that_hold_no_probabilities_are_refused_by_line(study: Path, cells: str, told: str) -> None:
    change_row_(study, 4, cells)

    with pytest.raises(InputError) as refused:
        open_study(study)
    (problem,) = refused.value.problems
    assert problem.where == "train.tsv line 6" and told in problem.what


def test_rounded_probabilities_are_taken(study: Path) -> None:
    change_row_(study, 4, "0.333\t0.333\t0.3335")

    assert open_study(study).teachers.logits("columns").isfinite().all()


def test_labels_without_a_column_are_named(study: Path) -> None:
    text = (study / "train.tsv").read_text().replace("probability:y", "probability:why")
    (study / "train.tsv").write_text(text)

    with pytest.raises(InputError, match=r"no column 'probability:y'.*finegrid predict"):
        open_study(study)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_other_formats_hold_probabilities_as_predict_writes_them(study: Path, ending: str) -> None:
    lines = [line.split("\t") for line in (study / "train.tsv").read_text().splitlines()[1:]]
    numbers = [[float(cell) for cell in line[2:]] for line in lines]
    before = open_study(study).teachers.logits("columns")
    if ending == "jsonl":
        rows = [
            {"text": line[0], "label": line[1], "probabilities": dict(zip("xyz", own, strict=True))}
            for line, own in zip(lines, numbers, strict=True)
        ]
        (study / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        columns: dict[str, list[Any]] = {"text": [line[0] for line in lines]}
        columns["label"] = [line[1] for line in lines]
        columns |= {f"probability:{label}": [own[i] for own in numbers] for i, label in enumerate("xyz")}
        pq.write_table(pa.table(columns), study / "train.parquet")
    path = study / "study.toml"
    path.write_text(path.read_text().replace("train.tsv", f"train.{ending}"))

    assert torch.equal(open_study(study).teachers.logits("columns"), before)


# Kept models


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, loaded: LoadedStudy) -> Path:
    """The model of a run of the shared study."""
    epochs = loaded.study.baseline.training.epochs
    return keep_run(loaded, tmp_path_factory.mktemp("kept") / "model", training__epochs=epochs)


@pytest.fixture
def pupil(tmp_path: Path, bert: Path, kept: Path) -> Callable[[], LoadedStudy]:
    """Opens a study that learns from a copy of the kept model, anew with every call."""
    folder = write_study(tmp_path / "study", bert, settings=TEACHER.format("models/best"))
    shutil.copytree(kept, folder / "models" / "best")
    return lambda: open_study(folder, threads=1)


def change_fitted_(folder: Path, **changes: Any) -> None:
    path = folder / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_kept_model_says_what_it_predicts_of_the_training_texts(
    pupil: Callable[[], LoadedStudy], kept: Path
) -> None:
    loaded = pupil()
    predicted = predict_file(kept, loaded.study.folder / "train.tsv", ColumnOptions(), ONE_THREAD)

    assert np.array_equal(loaded.teachers.logits("models/best").numpy(), predicted.logits)
    assert not [warning for warning in loaded.warnings if "models/best" in warning]  # of the same data


def test_a_teachers_labels_are_taken_by_their_names(pupil: Callable[[], LoadedStudy]) -> None:
    before = pupil().teachers.logits("models/best")
    change_fitted_(pupil().study.folder / "models" / "best", labels=["z", "x", "y"])

    assert torch.equal(pupil().teachers.logits("models/best"), before[:, [1, 2, 0]])


def test_a_teacher_of_other_labels_or_texts_is_refused(pupil: Callable[[], LoadedStudy]) -> None:
    pairs = {"texts": 2, "columns": ["a", "b", "c"], "dev": {}, "test": {}}
    change_fitted_(pupil().study.folder / "models" / "best", labels=["x", "y", "w"], **pairs)

    with pytest.raises(InputError) as refused:
        pupil()
    assert refused.value.source == "distil.teacher = models/best"
    labels, texts = refused.value.problems
    assert "'w'" in labels.what and "'z'" in labels.what and "reads 2 in a row" in texts.what


@pytest.mark.parametrize("lost", ["", "head.safetensors", FILE])
def test_a_teacher_that_is_not_there_is_refused_before_anything_trains(
    pupil: Callable[[], LoadedStudy], lost: str
) -> None:
    folder = pupil().study.folder / "models" / "best"
    (folder / lost).unlink() if lost else shutil.rmtree(folder)

    with pytest.raises(InputError, match=r"distil\.teacher = models/best: 1 problem"):
        pupil()


def test_what_a_teacher_says_is_worked_out_once(
    pupil: Callable[[], LoadedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pupil().teachers.logits("models/best")

    def refuse(*anything: Any) -> Any:
        raise AssertionError("a teacher reads once")

    monkeypatch.setattr("finegrid.inference.teacher.apply", refuse)
    assert torch.equal(pupil().teachers.logits("models/best"), first)


def test_a_machine_without_kernels_asks_a_teacher_anew(
    pupil: Callable[[], LoadedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    pupil().teachers.logits("models/best")
    monkeypatch.setattr("finegrid.model.kernels.operations.name_kernels", lambda device: "others")
    pupil().teachers.logits("models/best")

    assert len([*(pupil().study.folder / "cache").glob("teacher-*.npz")]) == 2


def test_a_teacher_of_other_data_is_warned_of(pupil: Callable[[], LoadedStudy]) -> None:
    change_fitted_(pupil().study.folder / "models" / "best", fingerprints={"data": "another"})

    (warning,) = [warning for warning in pupil().warnings if "models/best" in warning]
    assert "trained on texts of dev or test" in warning


def test_a_fingerprint_stands_for_all_that_decides_what_a_teacher_says(kept: Path, tmp_path: Path) -> None:
    def fingerprint(change: Callable[[Path], object]) -> str:
        folder = tmp_path / "copy"
        shutil.copytree(kept, folder)
        change(folder)
        found = open_teacher(folder, ONE_THREAD).fingerprint
        shutil.rmtree(folder)
        return found

    def flip_last_byte_(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    same = fingerprint(lambda folder: change_fitted_(folder, versions={}))
    assert same == open_teacher(kept, ONE_THREAD).fingerprint
    others = {
        fingerprint(lambda folder: flip_last_byte_(folder / "head.safetensors")),
        fingerprint(lambda folder: flip_last_byte_(folder / "model.safetensors")),
        fingerprint(lambda folder: change_fitted_(folder, max_length=5)),
    }
    assert len(others | {same}) == 4


def test_only_runs_that_learn_from_a_teacher_have_it_in_their_identity(
    pupil: Callable[[], LoadedStudy],
) -> None:
    loaded = pupil()
    before = loaded.contents
    change_fitted_(loaded.study.folder / "models" / "best", max_length=5)

    assert before.keys() == name_files({"distil.teacher": "models/best", "distil.weight": 0.5}).keys()
    assert pupil().contents != before and pupil().fingerprints == loaded.fingerprints
    assert name_files({"reinit.layers": 2}) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said[:-1],
        lambda said: said[:, :-1],
        lambda said: said.astype(np.float64),
        lambda said: np.where(said == said.max(), np.nan, said).astype(np.float32),
        lambda said: np.where(said == said.max(), np.inf, said).astype(np.float32),
    ],
)
def test_what_a_teacher_said_is_asked_anew_where_the_cache_cannot_hold_it(
    loaded: LoadedStudy, tmp_path: Path, spoil: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
) -> None:
    texts, labels = loaded.table.train.texts, loaded.table.labels
    said = np.arange(len(texts) * len(labels), dtype=np.float32).reshape(len(texts), -1)
    asked = []

    def read(texts: list[tuple[str, ...]]) -> np.ndarray[Any, Any]:
        asked.append(len(texts))
        return said

    def open_model(folder: Path, settings: RunSettings) -> KeptModel:
        return KeptModel(labels, len(texts[0]), "one", "", read)

    def logits() -> Tensor:
        study = replace(loaded.study, folder=tmp_path)
        return Teachers(study, ONE_THREAD, loaded.table, open_model).logits("kept")

    (tmp_path / "cache").mkdir()
    assert torch.equal(logits(), torch.from_numpy(said)) and torch.equal(logits(), torch.from_numpy(said))
    assert len(asked) == 1
    (kept,) = (tmp_path / "cache").glob("teacher-*.npz")
    save_arrays_(kept, {"logits": spoil(said)})
    assert torch.equal(logits(), torch.from_numpy(said)) and len(asked) == 2


def test_runs_with_a_kept_teacher_train(pupil: Callable[[], LoadedStudy]) -> None:
    loaded = pupil()
    learning = recipe_of(loaded, distil__weight=0.5)
    run, plain = (train(loaded, recipe)[0] for recipe in (learning, recipe_of(loaded)))

    assert learning.distil.teacher == "models/best" and run.progress.status == "done", run.progress.reason
    assert not np.array_equal(run.logits["test"], plain.logits["test"])
    assert Run(loaded, "run", recipe_of(loaded), 0).criterion is CROSS_ENTROPY
    assert Recipe().distil == Distil()
