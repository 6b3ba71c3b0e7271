"""A kept model is the run that it came from, to finegrid and to plain transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.checkpoints import set_config
from support.command_line import Call, command_line, finegrid, started, workers_of
from support.rarity import rare
from support.studies import CPU, KINDS, open_study, recipe_of, train, write_study
from support.waiting import wait_until

from finegrid.atomic import replacing_folder
from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.unlabelled import read_texts
from finegrid.encoders.poolings import POOLINGS
from finegrid.errors import InputError
from finegrid.inference.fit import check_out, find_recipe
from finegrid.inference.fitted import Fitted, load_fitted
from finegrid.inference.keep import fitted_of, keep, load_model, title_model
from finegrid.inference.labelled_file import Written, style_of, write_predictions
from finegrid.inference.predict import PredictedTexts, open_labelled, predict_file
from finegrid.model.packing.batches import pack
from finegrid.recipe.recipe import Recipe
from finegrid.running.records import record_of
from finegrid.study.kept_files import FILE, HEAD
from finegrid.study.ledger import Ledger
from finegrid.study.load import load_study
from finegrid.study.predictions import read_run
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

ENDINGS = [".csv", ".tsv", ".txt", ".jsonl", ".parquet"]
ONE_THREAD = RunSettings(threads=1)
FACTORS = '[factors]\n"reinit.layers" = [0, 1]\n"freeze.layers" = [0, 2]'


def kept(loaded: LoadedStudy, run: Run, recipe: Recipe, out: Path) -> Path:
    """As the worker keeps it."""
    record = replace(record_of(loaded, run, "family", 0.0), stands_for=(1,))
    keep(loaded, run, fitted_of(loaded, recipe, record), out, title_model(loaded, "study"))
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study whose four runs are done, and whose fourth row is kept in models/best."""
    folder = write_study(tmp_path_factory.mktemp("finished"), bert, settings=FACTORS)
    with command_line() as call:
        assert call("run", folder, "--workers", "1").returncode == 0
        done = call("fit", folder, "--recipe", "4")
    assert done.returncode == 0 and "rows 4, seed 0" in done.stdout, done.stderr
    return folder


def predicted(model: Path, file: Path, **asked: Any) -> PredictedTexts:
    return predict_file(model, file, ColumnOptions(**asked), ONE_THREAD)


def test_a_fit_is_the_studys_run_bit_by_bit(finished: Path) -> None:
    fitted = load_fitted(finished / "models" / "best")
    record = Ledger(finished / "runs.jsonl").latest()[fitted.run_id]
    found = {
        split: predicted(finished / "models" / "best", finished / f"{split}.tsv") for split in ("dev", "test")
    }

    assert (*fitted.stands_for,) == record.stands_for == (4,)
    assert (fitted.dev, fitted.test, fitted.best_epoch) == (record.dev, record.test, record.best_epoch)
    said = read_run(finished, record)
    for split, predictions in found.items():
        assert np.array_equal(predictions.logits, said[split].logits)
    assert found["dev"].scores() == record.dev


def test_a_fit_adds_nothing_to_the_study_but_the_model(finished: Path) -> None:
    assert len(list(Ledger(finished / "runs.jsonl"))) == 4
    assert list((finished / "state").iterdir()) == []
    assert [path.name for path in (finished / "models").iterdir()] == ["best"]
    names = {path.name for path in (finished / "models" / "best").iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "head.safetensors",
        "finegrid.json",
        "tokenizer.json",
    }
    assert "README.md" in names
    assert not [name for name in names if not name.endswith((".json", ".safetensors", ".txt", ".md"))]


@pytest.mark.parametrize(
    "kind", rare(KINDS, ["bert", "roberta", "electra-narrow", "ernie-tasks", "distilbert"])
)
def test_transformers_loads_what_was_kept(
    tmp_path: Path, checkpoint_of: Callable[[str], Path], kind: str
) -> None:
    from transformers import AutoModel, AutoTokenizer

    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    recipe = recipe_of(loaded, reinit__layers=1)
    (run,) = train(loaded, recipe)
    out = kept(loaded, run, recipe, tmp_path / "kept")
    plain = AutoModel.from_pretrained(out).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    texts = [text for (text,) in loaded.table.dev.texts]
    encoded = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        hidden = plain(**encoded, output_hidden_states=True).hidden_states

    ours = load_model(out, load_fitted(out), CPU).eval()
    batch = pack(loaded.tokens.dev, np.arange(len(texts)), 32, CPU)
    with torch.no_grad():
        states: list[torch.Tensor] = []
        every = range(len(ours.parts.layers))
        states.append(ours.engine.run(batch, every, lambda level, vectors: states.append(vectors)))
    for theirs, mine in zip(hidden, states, strict=True):
        mask = encoded["attention_mask"].bool()
        real = torch.cat([theirs[row][mask[row]] for row in batch.rows])
        torch.testing.assert_close(mine[: len(real)], real, atol=2e-5, rtol=1e-5)
    assert np.array_equal(predicted(out, loaded.study.folder / "dev.tsv").logits, run.logits["dev"])


def test_a_kept_config_has_the_studys_labels_and_not_those_it_started_from(
    tmp_path: Path, bert: Path
) -> None:
    from transformers import AutoConfig

    stars = [f"{count} stars" for count in range(1, 6)]
    checkpoint = Path(shutil.copytree(bert, tmp_path / "stars"))
    set_config(
        checkpoint,
        id2label=dict(enumerate(stars)),
        label2id={name: number for number, name in enumerate(stars)},
        problem_type="regression",
    )
    loaded = open_study(write_study(tmp_path / "study", checkpoint))
    recipe = recipe_of(loaded)
    (run,) = train(loaded, recipe)

    out = kept(loaded, run, recipe, tmp_path / "kept")
    config = AutoConfig.from_pretrained(out)

    assert config.id2label == {0: "x", 1: "y", 2: "z"}
    assert config.label2id == {"x": 0, "y": 1, "z": 2}
    assert config.num_labels == 3 and config.problem_type is None
    assert "stars" not in (out / "config.json").read_text()
    assert predicted(out, loaded.study.folder / "dev.tsv").fitted.labels == ["x", "y", "z"]


def test_a_kept_model_reads_quotation_marks_as_its_study_did(tmp_path: Path, bert: Path) -> None:
    folder = write_study(tmp_path / "study", bert)
    settings = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(
        settings.replace('label = "label"', 'label = "label"\nquoting = "none"')
    )
    loaded = open_study(folder)
    recipe = recipe_of(loaded)
    (run,) = train(loaded, recipe)
    out = kept(loaded, run, recipe, tmp_path / "kept")
    (tmp_path / "new.tsv").write_text('text\tlabel\n"ba" be\tx\n"du"\ty\n')

    assert load_fitted(out).reading.quoting == "none"
    assert predicted(out, tmp_path / "new.tsv").read.texts == [('"ba" be',), ('"du"',)]


def test_models_of_before_heads_were_noted_have_ours(finished: Path) -> None:
    path = finished / "models" / "best" / FILE
    fitted = json.loads(path.read_text())
    old = {name: value for name, value in fitted.items() if not name.startswith("head_")}

    assert old.keys() < fitted.keys()
    assert Fitted.model_validate_json(json.dumps(old), strict=True) == load_fitted(path.parent)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert"])
def test_hugging_faces_head_predicts_as_in_its_run(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    loaded = open_study(write_study(tmp_path / "study", checkpoint_of(kind)))
    recipe = recipe_of(loaded, head__kind="huggingface", training__epochs=1)
    (run,) = train(loaded, recipe)
    found = predicted(kept(loaded, run, recipe, tmp_path / "kept"), loaded.study.folder / "dev.tsv")

    assert np.array_equal(found.logits, run.logits["dev"])


@pytest.mark.parametrize(
    "levels",
    [*({"model__pooling": pooling} for pooling in POOLINGS), {"head__hidden": 8}, {"head__samples": 2}],
    ids=lambda levels: "-".join(map(str, levels.values())),
)
def test_every_pooling_and_head_predicts_as_in_its_run(
    loaded: LoadedStudy, tmp_path: Path, levels: dict[str, Any]
) -> None:
    recipe = recipe_of(loaded, **levels, training__epochs=1)
    (run,) = train(loaded, recipe)
    out = kept(loaded, run, recipe, tmp_path / "kept")
    found = predicted(out, loaded.study.folder / "dev.tsv")
    shares = torch.softmax(torch.from_numpy(run.logits["dev"]).double(), 1).numpy()

    assert found.labels == [loaded.tokens.labels[index] for index in run.logits["dev"].argmax(1)]
    assert np.abs(found.probabilities - shares).max() < 1e-12
    assert np.array_equal(found.logits, run.logits["dev"])


@pytest.mark.parametrize("protocol", ["best-dev", "best-test"])
def test_the_best_epoch_is_kept_and_not_the_last(tmp_path: Path, bert: Path, protocol: str) -> None:
    """At this rate the first of four epochs is the best."""
    loaded = open_study(write_study(tmp_path / "study", bert, head=f'protocol = "{protocol}"'))
    recipe = recipe_of(loaded, training__epochs=4, optimizer__rate=0.2)
    (run,) = train(loaded, recipe)
    assert run.progress.best_epoch < 4
    out = kept(loaded, run, recipe, tmp_path / "kept")

    assert np.array_equal(predicted(out, loaded.study.folder / "dev.tsv").logits, run.logits["dev"])


def test_pairs_are_read_as_pairs(tmp_path: Path, bert: Path) -> None:
    loaded = open_study(write_study(tmp_path / "study", bert, pairs=True))
    (run,) = train(loaded, loaded.study.baseline)
    out = kept(loaded, run, loaded.study.baseline, tmp_path / "kept")
    found = predicted(out, loaded.study.folder / "dev.tsv")

    assert found.read.names == ("first", "second")
    assert np.array_equal(found.logits, run.logits["dev"])
    with pytest.raises(InputError, match="Pass --text twice"):
        predicted(out, loaded.study.folder / "dev.tsv", texts=("first",))


def test_texts_to_come_are_cut_as_the_recipe_says(finished: Path, tmp_path: Path) -> None:
    """No text of the study has 32 tokens, so that max_length is inert there."""
    fitted = load_fitted(finished / "models" / "best")
    start = " ".join(["ba"] * 30)
    (tmp_path / "long.txt").write_text(f"{start}\n{start} du du\n")
    found = predicted(finished / "models" / "best", tmp_path / "long.txt")

    assert fitted.max_length == 32 and fitted.recipe["model.max_length"] == 32
    assert np.allclose(found.logits[0], found.logits[1], atol=1e-6)
    assert "1 text longer than 32 tokens" in found.warnings[0]


def test_what_is_written_can_be_read_again(finished: Path, tmp_path: Path) -> None:
    texts = ["ba\tbe", 'say "ba"', "ba\nbe", "=cmd()", "  ba ", "\x1b[31mba", "巴\u2028be", "ba\r"]
    rows = [json.dumps({"text": text, "label": "x"}) for text in texts]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    found = predicted(finished / "models" / "best", tmp_path / "texts.jsonl")
    for name in ("out.tsv", "out.csv", "out.jsonl", "out.parquet"):
        best, file = finished / "models" / "best", tmp_path / "texts.jsonl"
        labelled = open_labelled(best, file, ColumnOptions(), ONE_THREAD)
        written = Written(labelled.file, labelled.fitted)
        write_predictions(labelled.parts(), written, style_of(tmp_path / name), tmp_path / name)
        again = predicted(finished / "models" / "best", tmp_path / name)
        assert [text for (text,) in again.read.texts] == texts and again.read.labels == ["x"] * len(texts)
        assert np.array_equal(again.logits, found.logits)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().split("\n")[:-1]]
    assert [line["predicted"] for line in lines] == found.labels
    given = [list(line["probabilities"].values()) for line in lines]
    assert np.abs(np.array(given) - found.probabilities).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'title,n\nba be,1\n"du, ba",2\n'),
        ("a.tsv", "1\tba be\n2\tdu, ba\n"),
        ("a.txt", "ba be\ndu, ba\n"),
        ("a.jsonl", '{"content": "ba be"}\n{"content": "du, ba"}\n'),
        ("bom.txt", "\ufefftext\r\nba be\r\ndu, ba\r\n"),
    ],
)
def test_texts_are_found_in_any_file(finished: Path, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    found = predicted(finished / "models" / "best", tmp_path / name)

    assert found.read.texts == [("ba be",), ("du, ba",)]
    assert found.read.labels is None and found.scores() is None


def test_parquet_is_read(finished: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"id": [1, 2], "text": ["ba", "du"], "label": ["x", "z"]}), tmp_path / "a.parquet"
    )
    found = predicted(finished / "models" / "best", tmp_path / "a.parquet")

    assert found.read.texts == [("ba",), ("du",)] and found.read.labels == ["x", "z"]


def test_all_problems_of_a_file_come_at_once(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,label\nba,x\n,x\n  ,x\nba\x00".replace("\x00", "") + ",x,x\n")
    with pytest.raises(InputError) as caught:
        predicted(finished / "models" / "best", tmp_path / "bad.csv")
    assert "line 5" in str(caught.value)
    (tmp_path / "bad.csv").write_text("text,label\nba,x\n,x\n  ,x\n")
    with pytest.raises(InputError) as caught:
        predicted(finished / "models" / "best", tmp_path / "bad.csv")
    assert [problem.where for problem in caught.value.problems] == ["bad.csv line 3", "bad.csv line 4"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"texts": ("txt",)}, "no column 'txt'. Did you mean 'text'?"),
        ({"label": "lable"}, "Did you mean 'label'?"),
        ({"texts": ("text", "label")}, "2 text columns, but the model reads 1"),
        ({"texts": (3,)}, "no column 3"),
    ],
)
def test_missing_columns_are_told(finished: Path, asked: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        predicted(finished / "models" / "best", finished / "dev.tsv", **asked)
    assert expected in str(caught.value)


def test_labels_that_cannot_be_scored_are_said(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\nba\tx\ndu\tw\n")
    found = predicted(finished / "models" / "best", tmp_path / "a.tsv")

    assert found.scores() is None and "'w'" in found.warnings[-1]


def test_what_is_no_model_is_refused(finished: Path, bert: Path, tmp_path: Path) -> None:
    for folder in (bert, tmp_path / "nowhere", finished / "dev.tsv"):
        with pytest.raises(InputError, match="not a model that finegrid kept"):
            predicted(folder, finished / "dev.tsv")


@pytest.mark.parametrize("name", ["head.safetensors", "model.safetensors", "finegrid.json", "config.json"])
@pytest.mark.parametrize("content", [None, b"", b"torn"])
def test_a_damaged_model_is_told(finished: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    import shutil

    model = shutil.copytree(finished / "models" / "best", tmp_path / "model")
    (model / name).unlink()
    if content is not None:
        (model / name).write_bytes(content)

    with pytest.raises(InputError):
        predicted(model, finished / "dev.tsv")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_length", 0),
        ("max_length", 10**400),
        ("max_length", 4096),
        ("head_hidden", -1),
        ("head_hidden", 2**40),
    ],
)
def test_what_no_model_can_have_is_refused_by_name(
    finished: Path, tmp_path: Path, name: str, value: int
) -> None:
    folder = Path(shutil.copytree(finished / "models" / "best", tmp_path / "model"))
    about = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(about | {name: value}))

    with pytest.raises(InputError, match=name):
        predicted(folder, finished / "test.tsv")


def test_a_head_that_is_not_finite_is_refused(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished / "models" / "best", tmp_path / "model"))
    tensors = load_file(folder / HEAD)
    save_file({name: t * float("nan") for name, t in tensors.items()}, folder / HEAD)

    with pytest.raises(InputError, match="has a head that is not finite"):
        predicted(folder, finished / "test.tsv")


def test_a_head_of_other_classes_is_refused(finished: Path) -> None:
    folder = finished / "models" / "best"
    fitted = load_fitted(folder)
    more: Fitted = fitted.model_copy(update={"labels": [*fitted.labels, "w"]})

    with pytest.raises(InputError, match=r"head\.safetensors"):
        load_model(folder, more, CPU)


def recommend(study: Study) -> None:
    """No run has finished."""


def test_recipes_are_named_by_row_word_or_levels(finished: Path) -> None:
    study = load_study(finished)

    assert find_recipe(study, "4", recommend) == study.rows[3].recipe
    assert find_recipe(study, "baseline", recommend) == study.baseline
    assert find_recipe(study, "reinit.layers=1, freeze.layers=2", recommend) == study.rows[3].recipe
    assert find_recipe(study, "model.pooling=cls", recommend).model.pooling == "cls"


def test_without_a_name_the_recipe_is_the_recommended_one(finished: Path) -> None:
    study = load_study(finished)

    assert find_recipe(study, None, lambda study: study.rows[2].recipe) == study.rows[2].recipe


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (None, "a row of the table"),
        ("5", "rows 1 to 4"),
        ("best", "baseline"),
        ("reinit.layer=1", 'Did you mean "reinit.layers"?'),
        ("reinit.layers=x", "reinit.layers"),
        ("reinit.layers=3,freeze.layers=3", "3 \\+ 3 layers"),
        ("model.max_length=4000", "positions"),
    ],
)
def test_what_is_no_recipe_is_refused(finished: Path, wish: str | None, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        find_recipe(load_study(finished), wish, recommend)


def test_nothing_is_overwritten_but_a_model_and_only_by_force(finished: Path, tmp_path: Path) -> None:
    best = finished / "models" / "best"
    with pytest.raises(InputError, match="--force"):
        check_out(best, force=False)
    assert check_out(best, force=True) == best.resolve()
    with pytest.raises(InputError, match="no model of finegrid's"):
        check_out(finished, force=True)
    with pytest.raises(InputError, match=r"dev\.tsv +found a file, expected a folder"):
        check_out(finished / "dev.tsv", force=True)
    assert check_out(tmp_path / "new" / "model", force=False).parent.is_dir()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "model"
    for text in ("old", "new"):
        with replacing_folder(out) as draft:
            (draft / "a").write_text(text)
    with pytest.raises(IsADirectoryError), replacing_folder(out) as draft:
        draft.write_text("half")

    assert (out / "a").read_text() == "new" and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_put_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".model.old").mkdir()
    (tmp_path / ".model.old" / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "model"):
        raise RuntimeError

    assert (tmp_path / "model" / "a").read_text() == "old"


@pytest.mark.parametrize("stopped", [OSError, KeyboardInterrupt])
def test_a_model_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: type[BaseException]
) -> None:
    out, rename = tmp_path / "model", Path.rename
    out.mkdir()
    (out / "a").write_text("old")

    def stops(path: Path, target: Path) -> Path:
        if path.name.endswith(".tmp"):
            raise stopped
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stops)
    with pytest.raises(stopped), replacing_folder(out) as draft:
        (draft / "a").write_text("new")

    assert (out / "a").read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_put_aside_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / ".model.old").mkdir()
    (tmp_path / ".model.old" / FILE).touch()
    with pytest.raises(InputError, match="--force"):
        check_out(tmp_path / "model", force=False)


@pytest.mark.slow
def test_a_killed_fit_leaves_no_half_folder_and_goes_on(tmp_path: Path, bert: Path) -> None:
    head = "[run]\nsave_after_seconds = 0\n"
    folder = write_study(tmp_path / "study", bert, settings=f"{FACTORS}\n{head}")
    long = "training.epochs=100"
    with started("fit", folder, "--recipe", long):  # and killed
        wait_until(lambda: list((folder / "state").glob("fit-*.safetensors")))
    assert not (folder / "models" / "best").exists() and list((folder / "state").glob("fit-*"))

    wait_until(lambda: not workers_of(folder))  # an orphan now, it ends when its stdin closes
    done = finegrid("fit", folder, "--recipe", long)
    assert done.returncode == 0, done.stderr
    loaded = open_study(folder)
    (run,) = train(loaded, recipe_of(loaded, training__epochs=100))
    assert np.array_equal(predicted(folder / "models" / "best", folder / "dev.tsv").logits, run.logits["dev"])
    assert list((folder / "state").iterdir()) == []


def test_the_command_line_predicts(finished: Path, call: Call) -> None:
    done = call("predict", finished / "models" / "best", finished / "dev.tsv")
    lines = done.stdout.splitlines()

    assert lines[0].split("\t") == ["text", "label", "predicted", *(f"probability:{name}" for name in "xyz")]
    assert len(lines) == 16 and "on 15 texts" in done.stderr and "macro-f1" in done.stderr
    chinese = call("predict", finished / "models" / "best", finished / "dev.tsv", "--lang", "zh")
    assert chinese.stdout == done.stdout and "（15 条文本）" in chinese.stderr
    with pytest.raises(InputError, match="jsonl"):
        style_of(Path("out.xlsx"))


@given(st.text(st.sampled_from('ab1.,;\t{}[]:"\\\r\n \u2028x\ufeff'), max_size=60), st.sampled_from(ENDINGS))
def test_whatever_a_file_holds_it_is_read_or_refused(text: str, ending: str) -> None:
    with TemporaryDirectory() as folder, suppress(InputError):
        path = Path(folder) / f"a{ending}"
        path.write_text(text, encoding="utf-8", newline="")
        read = read_texts(path, 1, ColumnOptions(of_study=StudyReading(("text", "label"))))
        assert read.texts and all(len(row) == 1 and row[0].strip() for row in read.texts)


@pytest.mark.parametrize(("keep", "lost"), [("tail", "the beginning"), ("head+tail", "a middle part")])
def test_a_model_reads_those_tokens_of_texts_to_come_that_it_was_trained_on(
    loaded: LoadedStudy, tmp_path: Path, keep: str, lost: str
) -> None:
    recipe = recipe_of(loaded, model__max_length=5, model__keep=keep)
    (run,) = train(loaded, recipe)
    out = kept(loaded, run, recipe, tmp_path / "kept")
    found = predicted(out, loaded.study.folder / "dev.tsv")

    assert load_fitted(out).keep == keep
    assert np.array_equal(found.logits, run.logits["dev"])
    assert f"longer than 5 tokens: {lost} was cut off" in found.warnings[0]


def test_models_that_were_kept_before_it_was_noted_keep_the_head(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "models" / "best", tmp_path / "old")
    content = json.loads((tmp_path / "old" / FILE).read_text())
    assert content.pop("keep") == "head"
    (tmp_path / "old" / FILE).write_text(json.dumps(content))

    assert load_fitted(tmp_path / "old").keep == "head"
