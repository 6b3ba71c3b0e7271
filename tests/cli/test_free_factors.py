"""Free factors on the command line: scored in the runs of a study, told by every command, kept by fit."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Call, Called, command_line, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.study.predictions import read_answers, read_run
from finegrid.study.record import Record

ORDINARY: dict[str, list[object]] = {"schedule.warmup_ratio": [0.0, 0.1]}
FREE: dict[str, list[object]] = {
    "average.ema": [0.0, 0.3],
    "posthoc.tau": [0.0, 1.0],
    "posthoc.temperature": ["none", "dev"],
}
KEYS = ["average.ema=0.3", "posthoc.tau=1.0", "posthoc.temperature=dev"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    write_word_study(folder / "plain", Path("../model"), ORDINARY, design="seeds = 2")
    write_word_study(folder / "free", Path("../model"), {**ORDINARY, **FREE}, design="seeds = 2")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> dict[str, Called]:
    """The study without free factors, and the same with them."""
    with command_line() as call:
        return {name: call("run", home / name, "--workers", "1") for name in ("plain", "free")}


@pytest.fixture
def study(home: Path, trained: dict[str, Called], tmp_path: Path) -> Path:
    """The finished study with free factors, to be changed; the other lies beside it."""
    assert all(one.returncode == 0 for one in trained.values()), [one.stderr for one in trained.values()]
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "free"


def verdict_of(call: Call, study: Path) -> dict[str, Any]:
    called = call("verdict", study, "--json")
    assert called.returncode == 0, called.stderr
    found: dict[str, Any] = json.loads(called.stdout)
    return found


def test_runs_are_those_without_free_factors(study: Path) -> None:
    plain, free = ({one["run_id"]: one for one in records(study.parent / name)} for name in ("plain", "free"))

    assert plain.keys() == free.keys() and len(plain) == 4
    for run_id, one in free.items():
        assert one["test"] == plain[run_id]["test"] and one["recipe"] == plain[run_id]["recipe"]
        assert list(one["free"]) == KEYS and "free" not in plain[run_id]
        assert one["seconds"]["free"] > 0 and "free" not in plain[run_id]["seconds"]
        own, other = (Record.from_json(each[run_id]) for each in (free, plain))
        assert read_answers(study, own).digest == read_answers(study.parent / "plain", other).digest


def test_predictions_of_every_level_are_kept(study: Path) -> None:
    for one in records(study):
        for key, scores in one["free"].items():
            said = read_run(study, Record.from_json(one), key)["test"]
            right = float((said.logits.argmax(axis=1) == said.gold).mean())
            assert right == pytest.approx(scores["test"]["accuracy"])


def test_the_verdict_on_other_factors_is_the_same_to_the_last_digit(study: Path, call: Call) -> None:
    """Free factors have no part in their noise, in their family of tests, or in the recommendation."""
    plain, free = verdict_of(call, study.parent / "plain"), verdict_of(call, study)

    assert plain["free"] is None and free["free"] is not None
    untimed = [key for key in plain if key not in ("free", "factors", "best", "frontier")]
    assert {key: plain[key] for key in untimed} == {key: free[key] for key in untimed}
    (mine,), (theirs,) = free["factors"], plain["factors"]
    for key in ("effect", "low", "high", "adjusted", "se", "df", "p", "decision", "log_loss", "brier"):
        assert mine[key] == theirs[key], key


def test_the_verdict_tells_them_in_a_section_of_their_own(study: Path, call: Call) -> None:
    free = verdict_of(call, study)["free"]
    ema, _, temperature = free["levels"]

    assert (free["runs"], free["lacking"], free["seeds"]) == (4, 0, 2)
    assert [one["levels"] for one in free["levels"]] == [[0.0, 0.3], [0.0, 1.0], ["none", "dev"]]
    assert ema["dev_passes"] == 2 and ema["copies"] == 2 and ema["test_passes"] == 1
    assert temperature["decision"] is None and temperature["effect"] is None
    assert temperature["log_loss"]["effect"] is not None
    for lang, told in (("en", "scored in the same runs"), ("zh", "在同一批运行中评分")):
        said = call("verdict", study, "--lang", lang).stdout
        assert told in said and "average.ema = 0.3" in said and "posthoc.temperature = dev" in said


def test_a_paired_difference_is_the_mean_over_recipes_and_seeds(study: Path, call: Call) -> None:
    (ema, *_) = verdict_of(call, study)["free"]["levels"]
    differences = [
        100 * (one["free"]["average.ema=0.3"]["test"]["macro-f1"] - one["test"]["macro-f1"])
        for one in records(study)
    ]

    assert ema["effect"] == pytest.approx(np.mean(differences), abs=1e-4)


def test_report_and_export_have_them(study: Path, call: Call) -> None:
    assert call("report", study).returncode == 0
    page = (study / "report.html").read_text()
    assert 'id="free"' in page and "Scored in the same runs" in page and "在同一批运行中评分" in page
    said = call("report", study, "--format", "md").stdout
    assert "## scored in the same runs" in said and "average.ema = 0.3" in said
    assert call("export", study, "--to", "csv").returncode == 0
    with (study / "export" / "free.csv").open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * len(KEYS) and {line["free"] for line in lines} == {*KEYS}


def test_a_level_that_is_added_later_is_scored_by_training_again(study: Path, call: Call) -> None:
    """The same runs by the same names; until then other verdicts rest on the records there are."""
    settings = study / "study.toml"
    settings.write_text(settings.read_text().replace("[0.0, 0.3]", "[0.0, 0.3, 0.9]"))
    before = {one["run_id"]: one["test"] for one in records(study)}

    status = call("status", study).stdout
    assert "4 left" in status and "average.ema=0.9" in status and "trained again" in status
    assert "average.ema=0.9" in call("plan", study).stdout
    free = verdict_of(call, study)["free"]
    assert (free["runs"], free["lacking"]) == (0, 4)
    assert "No run was scored at these levels yet" in call("verdict", study).stdout

    assert call("run", study, "--workers", "1").returncode == 0
    again = records(study)[4:]
    assert {one["run_id"]: one["test"] for one in again} == before
    assert all("average.ema=0.9" in one["free"] for one in again)
    assert "0 left" in call("status", study).stdout
    assert verdict_of(call, study)["free"]["runs"] == 4


def test_one_seed_leaves_them_open(study: Path, call: Call) -> None:
    settings = study / "study.toml"
    settings.write_text(settings.read_text().replace("seeds = 2", "seeds = 1"))
    (study / "runs.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in records(study) if one["seed"] == 0)
    )
    (ema, tau, _) = verdict_of(call, study)["free"]["levels"]

    for one in (ema, tau):
        assert one["low"] is None and one["decision"]["kind"] == "open"
        assert one["needs"]["reason"] == "unknown-noise" and one["needs"]["seeds"] == 2
    assert "a second seed would tell" in call("verdict", study).stdout


@pytest.mark.parametrize("level", [KEYS[0], *(pytest.param(key, marks=pytest.mark.slow) for key in KEYS[1:])])
def test_fit_keeps_the_model_of_a_level(study: Path, call: Call, level: str, tmp_path: Path) -> None:
    """Its scores, its epoch, and what it answers are those of the level in the study's run."""
    called = call("fit", study, "--recipe", level, "--out", tmp_path / "kept")
    assert called.returncode == 0, called.stderr
    about = json.loads((tmp_path / "kept" / "finegrid.json").read_text())
    record = next(one for one in records(study) if one["run_id"] == about["run_id"])
    out = tmp_path / "said.jsonl"
    called = call("predict", tmp_path / "kept", study.parent / "data" / "test.tsv", "--out", out)

    own = record["free"][level]
    assert (about["test"], about["best_epoch"]) == (own["test"], own["best_epoch"])
    assert (
        f"{own['test']['macro-f1']:.4f} on test"
        in call("fit", study, "--recipe", level, "--force", "--out", tmp_path / "kept").stdout
    )
    assert set(about["recipe"]) > {level.partition("=")[0]}
    answers = read_answers(study, Record.from_json(record), level).splits["test"].predicted
    said = [json.loads(line)["predicted"] for line in out.read_text().splitlines()]
    assert said == [about["labels"][number] for number in answers]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"average.ema" = [0.3, 0.0]', "first level 0.3, expected 0.0: all other factors are scored with it"),
        ('"average.ema" = [0.0, 1.5]', "less than or equal to 1"),
        ('"average.emma" = [0.0, 0.3]', 'Did you mean "average.ema"?'),
    ],
)
def test_what_cannot_be_is_refused(study: Path, call: Call, text: str, told: str) -> None:
    settings = study / "study.toml"
    settings.write_text(settings.read_text().replace('"average.ema" = [0.0, 0.3]', text))

    called = call("plan", study)
    assert called.returncode == 2 and told in called.stderr


def test_a_free_factor_in_the_baseline_is_refused(study: Path, call: Call) -> None:
    settings = study / "study.toml"
    settings.write_text(settings.read_text().replace("[factors]", "[average]\nsoup = 3\n[factors]"))

    called = call("plan", study)
    assert called.returncode == 2
    assert "average.soup    found 3, but every recipe is scored at 0 first" in called.stderr


@pytest.mark.slow
def test_a_study_may_have_free_factors_alone(home: Path, call: Call, tmp_path: Path) -> None:
    shutil.copytree(home / "data", tmp_path / "data")
    shutil.copytree(home / "model", tmp_path / "model")
    study = write_word_study(tmp_path / "alone", Path("../model"), FREE, design="seeds = 3")

    assert call("plan", study).returncode == 0
    called = call("run", study, "--workers", "1")
    assert called.returncode == 0, called.stderr
    for command in (["table"], ["status"], ["verdict"], ["verdict", "--lang", "zh"], ["report"]):
        called = call(command[0], study, *command[1:])
        assert called.returncode == 0, (command, called.stderr)
    free = verdict_of(call, study)["free"]
    assert free["runs"] == 3
