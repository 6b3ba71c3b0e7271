"""The F1 of a label that dev or test has no text of is 0 whatever a run does: no command works with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Call
from support.pretend import TEXTS
from support.reported import audited_study, fill
from support.studies import save_word_checkpoint, write_data, write_study

from finegrid.results.load import load_results
from finegrid.study.load import load_study
from finegrid.study.study import Study
from finegrid.verdict.diagnose import diagnose
from finegrid.verdict.diagnose_words import describe


def without(label: str, path: Path) -> None:
    """Take every text of a label out of a file."""
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *(line for line in lines if not line.endswith(f"\t{label}"))]) + "\n")


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Path:
    """Whose score is the F1 of z, which has no text in test."""
    folder = write_study(tmp_path / "study", bert, head='score = "f1:z"')
    without("z", folder / "test.tsv")
    return folder


@pytest.mark.parametrize("command", [("plan",), ("plan", "--probe"), ("run",)])
def test_it_is_refused_before_anything_is_measured(study: Path, call: Call, command: tuple[str, ...]) -> None:
    done = call(command[0], study, *command[1:])

    assert done.returncode == 2
    assert (
        "study.toml: 1 problem\n  score    found no text of 'z' in test, so its F1 there is 0" in done.stderr
    )
    assert "Expected a label that dev and test have. Take another score" in done.stderr
    assert not (study / "audit.json").exists() and not (study / "runs.jsonl").exists()


def test_init_refuses_it_and_a_label_that_is_nowhere(tmp_path: Path, call: Call) -> None:
    model = save_word_checkpoint(tmp_path / "model")
    data = write_data(tmp_path / "data")
    without("money", data / "dev.tsv")
    without("money", data / "test.tsv")
    files = [f"--{part}={data / part}.tsv" for part in ("train", "dev", "test")]
    made = ["init", *files, "--model", model, "--out", tmp_path / "study", "--score"]

    refused = call(*made, "f1:money")
    assert refused.returncode == 2 and "no text of 'money' in dev and test" in refused.stderr
    unknown = call(*made, "f1:weather")
    assert unknown.returncode == 2 and '"f1:weather" is not a score' in unknown.stderr
    assert not (tmp_path / "study").exists()
    assert call(*made, "f1:sport").returncode == 0


@pytest.mark.parametrize("score", ["macro-f1", "f1:x"])
def test_a_score_that_has_texts_is_planned(study: Path, call: Call, score: str) -> None:
    settings = (study / "study.toml").read_text()
    (study / "study.toml").write_text(settings.replace("f1:z", score))
    assert call("plan", study).returncode == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    study = audited_study(tmp_path_factory.mktemp("whole") / "study", bert, head='score = "f1:z"\n')
    fill(study)
    return study.folder


@pytest.fixture
def finished(tmp_path: Path, whole: Path) -> Study:
    """Of 300 texts in test, which `rewrite_gold` may take from a label."""
    return load_study(shutil.copytree(whole, tmp_path / "finished"))


def rewrite_gold(study: Study, kept: int) -> None:
    """As if so many test texts had the label z, in all predictions."""
    for record in study.ledger.latest().values():
        path = study.files.predictions_of(record.run_id)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        of_label = np.flatnonzero(arrays["test_gold"] == 2)
        arrays["test_gold"][of_label[kept:]] = 0
        np.savez(path, **arrays)


@pytest.mark.parametrize("command", ["verdict", "report"])
def test_a_finished_study_of_such_a_score_has_no_verdict(finished: Study, call: Call, command: str) -> None:
    assert call(command, finished.folder).returncode == 0
    rewrite_gold(finished, 0)
    done = call(command, finished.folder)

    assert done.returncode == 2
    assert "found no text of 'z' in test, so its F1 there is 0 whatever a run does" in done.stderr
    assert call("table", finished.folder).returncode == 0


@pytest.mark.parametrize(("kept", "warned"), [(29, True), (30, False), (TEXTS // 3, False)])
def test_few_texts_of_the_label_are_warned_of(finished: Study, kept: int, warned: bool) -> None:
    rewrite_gold(finished, kept)
    found = [one for one in diagnose(load_results(finished)) if one.kind == "few-gold-texts"]
    assert len(found) == warned
    for one in found:
        assert describe(one, "en").what == (
            'the score is the F1 of "z", and 29 test texts have that label: fewer than 30'
        )
        assert "29" in describe(one, "zh").what and "z" in describe(one, "zh").what


def test_scores_of_all_labels_are_not_asked_for_one(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert, head='score = "macro-f1"\n')
    fill(study)
    rewrite_gold(study, 3)
    assert "few-gold-texts" not in {one.kind for one in diagnose(load_results(study))}
