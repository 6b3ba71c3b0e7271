"""`finegrid confirm`: what was chosen is trained once more, on seeds and texts that chose nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import Call
from support.pretend import pretend
from support.studies import open_study, write_study, write_texts

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.results.results import Results
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.load import load_study
from finegrid.verdict import interim
from finegrid.verdict.confirm import load_confirmations
from finegrid.verdict.verdict import Verdict, judge

SETTINGS = """[design]
seeds = 3
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 2]
"schedule.warmup_ratio" = [0.0, 0.5]
"""


def hits(run: PlannedRun) -> int:
    good = sum(60 for name in ("reinit.layers", "schedule.warmup_ratio") if name in run.levels)
    return 120 + good - 30 * ("optimizer.bias_correction" in run.levels) + run.seed


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study whose ledger says that re-initialising with warmup is the best by far."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS, 'score = "accuracy"\n')
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)

    pretend(loaded.study, audit, hits, range(3))
    return folder


@pytest.fixture
def study(judged: Path, tmp_path: Path) -> Path:
    shutil.copytree(judged, tmp_path / "study")
    return tmp_path / "study"


def small(study: Path) -> Path:
    (folder,) = study.glob("confirm-*")
    return folder


def test_the_chosen_recipe_meets_the_baseline_on_seeds_that_chose_nothing(study: Path, call: Call) -> None:
    before = (study / "runs.jsonl").read_bytes()
    done = call("confirm", study, "--seeds", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert found["levels"] == {"reinit.layers": 2, "schedule.warmup_ratio": 0.5}
    assert found["study"]["difference"] == pytest.approx(40)
    assert (found["study"]["seeds"], found["fresh"]["seeds"]) == (3, 2)
    records = [json.loads(line) for line in (small(study) / "runs.jsonl").read_text().splitlines()]
    assert sorted(record["seed"] for record in records) == [3, 3, 4, 4]
    moved = [record["recipe"].keys() & found["levels"].keys() for record in records]
    assert sorted(map(len, moved)) == [0, 0, 2, 2]
    # What it says is what was trained.
    accuracy = {
        chosen: sum(
            r["test"]["accuracy"] for r in records if bool(r["recipe"].keys() & found["levels"]) == chosen
        )
        for chosen in (True, False)
    }
    fresh = found["fresh"]
    assert fresh["recommended"] == pytest.approx(50 * accuracy[True])
    assert fresh["difference"] == pytest.approx(50 * (accuracy[True] - accuracy[False]))
    # The study itself stays as it was.
    assert (study / "runs.jsonl").read_bytes() == before


@pytest.mark.slow
def test_the_same_command_trains_nothing_twice(study: Path, call: Call) -> None:
    first = call("confirm", study, "--seeds", "2")
    ledger = (small(study) / "runs.jsonl").read_bytes()
    again = call("confirm", study, "--seeds", "2")

    assert again.stdout == first.stdout and "seeds not used before, the study's test texts" in first.stdout
    assert (small(study) / "runs.jsonl").read_bytes() == ledger


@pytest.mark.slow
def test_seeds_that_have_chosen_since_confirm_nothing(study: Path, call: Call) -> None:
    """The seeds that were fresh are then the study's own."""
    call("confirm", study, "--seeds", "2")
    table = load_study(study).read_table()
    assert len(load_confirmations(load_study(study), load_results(load_study(study)), table)) == 1

    audit = load_audit(study)
    assert audit is not None
    pretend(load_study(study), audit, hits, range(3, 5))
    assert load_confirmations(load_study(study), load_results(load_study(study)), table) == []
    call("confirm", study, "--seeds", "2")
    begun = sorted(load_study(folder).head.design.numbers for folder in study.glob("confirm-*"))
    assert begun == [(3, 4), (5, 6)]


@pytest.mark.slow
def test_it_trains_as_the_study_does(study: Path, call: Call) -> None:
    call("confirm", study, "--seeds", "2")
    ours, theirs = load_study(small(study)), load_study(study)

    assert ours.baseline == theirs.baseline
    assert ours.head.run == theirs.head.run
    assert (ours.head.score, ours.head.protocol) == (theirs.head.score, theirs.head.protocol)
    audits = [load_audit(study), load_audit(small(study))]
    assert audits[0] is not None and audits[1] is not None
    assert audits[0].fingerprints["model"] == audits[1].fingerprints["model"]
    assert audits[0].sizes == audits[1].sizes and audits[0].labels == audits[1].labels


def test_a_run_that_failed_is_told_by_the_exit_code(study: Path, call: Call) -> None:
    call("confirm", study, "--seeds", "2")
    ledger = load_study(small(study)).ledger
    ledger.append(replace(next(iter(ledger)), status="diverged", reason="loss is nan"))

    again = call("confirm", study, "--seeds", "2")
    assert again.returncode == 1
    assert "1 of 8 runs failed or diverged" in again.stderr
    assert "  here, 0 of 2 runs of the recipe diverged, and 1 of the baseline's" in again.stdout
    assert "2 seeds)" in again.stdout


def test_options_of_running_hold_for_confirming_too(study: Path, call: Call) -> None:
    assert call("confirm", study, "--seeds", "2", "--device", "tpu").returncode == 2
    assert not list(study.glob("confirm-*/runs.jsonl"))


def test_fresh_texts_are_what_is_scored(study: Path, tmp_path: Path, call: Call) -> None:
    write_texts(tmp_path / "fresh.tsv", 30, seed=99)
    done = call("confirm", study, "--seeds", "2", "--test", tmp_path / "fresh.tsv", "--json")
    assert done.returncode == 0, done.stderr

    found = json.loads(done.stdout)
    assert found["fresh_texts"] and found["fresh"]["texts"] == 30 and found["study"]["texts"] == 300


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text\tlabel\nba be bi\tqueer\n", "labels that the study does not know: 'queer'"),
        ("text\nba be bi\n", "no labels"),
        (None, "texts are in the study already"),
    ],
)
def test_fresh_texts_that_cannot_be_used_are_refused(
    study: Path, tmp_path: Path, call: Call, content: str | None, told: str
) -> None:
    (tmp_path / "fresh.tsv").write_text(content or (study / "dev.tsv").read_text())
    done = call("confirm", study, "--test", tmp_path / "fresh.tsv")

    assert done.returncode == 2 and told in done.stderr
    assert not list(study.glob("confirm-*"))


def test_fresh_texts_in_other_case_are_not_fresh(study: Path, tmp_path: Path, call: Call) -> None:
    header, *rows = (study / "dev.tsv").read_text().splitlines()
    shouted = [f"{text.upper()}  \t{label}" for text, label in (row.split("\t") for row in rows)]
    (tmp_path / "fresh.tsv").write_text("\n".join([header, *shouted]) + "\n")
    done = call("confirm", study, "--test", tmp_path / "fresh.tsv")

    assert done.returncode == 2 and "texts are in the study already" in done.stderr


def test_a_baseline_that_is_the_best_needs_no_confirming(tmp_path: Path, judged: Path, call: Call) -> None:
    shutil.copytree(judged, tmp_path / "study")
    (tmp_path / "study" / "runs.jsonl").unlink()
    study = load_study(tmp_path / "study")
    audit = load_audit(study.folder)
    assert audit is not None
    pretend(study, audit, lambda run: 250 - 60 * len(run.levels) + run.seed, range(3))
    done = call("confirm", study.folder)

    assert done.returncode == 2 and "what is recommended is to keep the baseline" in done.stderr


@pytest.mark.slow
def test_a_split_that_was_drawn_is_kept(tmp_path: Path, judged: Path, call: Call) -> None:
    shutil.copytree(judged, tmp_path / "study")
    folder = tmp_path / "study"
    write_texts(folder / "train.tsv", 90, seed=5)
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('dev = "dev.tsv"\ntest = "test.tsv"\n', ""))
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)
    (folder / "runs.jsonl").unlink()
    pretend(loaded.study, audit, lambda run: 150 + 60 * ("reinit.layers" in run.levels) + run.seed, range(3))
    done = call("confirm", folder, "--seeds", "2")

    assert done.returncode == 0, done.stderr
    ours = load_audit(small(folder))
    assert ours is not None and ours.sizes == audit.sizes


@pytest.mark.parametrize("command", ["fit", "confirm"])
def test_what_is_trained_is_what_the_verdict_tells_at_that_margin(
    study: Path, call: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def told(results: Results, margin: float, tolerance: float) -> Verdict:
        """The baseline, whatever was found."""
        asked.append((margin, tolerance))
        return replace(judge(results), recommendation=None)

    monkeypatch.setattr(interim, "with_interim_decisions", told)
    done = call(command, study, "--margin", "3", "--tolerance", "2")
    assert set(asked) == {(3.0, 2.0)}  # fit asks for its recipe, and for the card
    if command == "fit":
        kept = json.loads((study / "models" / "best" / "finegrid.json").read_text())
        assert "reinit.layers" not in kept["recipe"]
    else:
        assert "what is recommended is to keep the baseline" in done.stderr


@pytest.mark.slow
def test_a_fit_without_a_recipe_is_of_the_recommended_one(study: Path, call: Call) -> None:
    done = call("fit", study)
    assert done.returncode == 0, done.stderr

    kept = json.loads((study / "models" / "best" / "finegrid.json").read_text())
    assert kept["recipe"]["reinit.layers"] == 2 and kept["recipe"]["schedule.warmup_ratio"] == 0.5
    assert "optimizer.bias_correction" not in kept["recipe"]


def test_more_training_texts_are_confirmed_with_these_texts(tmp_path: Path, bert: Path, call: Call) -> None:
    """Their columns have other names in the small study: the file is written anew, and found again."""
    settings = '[design]\nseeds = 3\n[factors]\n"texts.extra" = ["", "extra.tsv"]'
    study = write_study(tmp_path / "study", bert, settings, 'score = "accuracy"\n')
    loaded = open_study(study)
    audit = make_audit(loaded)
    save_audit(study, audit)
    pretend(
        loaded.study, audit, lambda run: 150 + run.seed + 60 * bool(run.levels.get("texts.extra")), range(3)
    )
    done = call("confirm", study, "--seeds", "2", "--json")
    assert done.returncode == 0, done.stderr
    folder = small(study)
    extra = next(folder.glob("extra-*.jsonl"))
    written = [json.loads(line) for line in extra.read_text().splitlines()]
    lines = [line.split("\t") for line in (study / "extra.tsv").read_text().splitlines()[1:]]

    assert json.loads(done.stdout)["levels"] == {"texts.extra": "extra.tsv"}
    assert [[line["text"], line["label"]] for line in written] == lines
    records = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    assert {record["recipe"].get("texts.extra", "") for record in records} == {"", extra.name}
    results = load_results(loaded.study)
    assert [found.levels for found in load_confirmations(loaded.study, results, None)] == [
        {"texts.extra": "extra.tsv"}
    ]


def test_more_training_texts_of_a_bundle_come_along(tmp_path: Path, bert: Path, call: Call) -> None:
    settings = '[design]\nseeds = 3\n[factors.reading]\nown = {}\nmore = {"texts.extra" = "extra.tsv"}\n'
    study = write_study(tmp_path / "study", bert, settings, 'score = "accuracy"\n')
    loaded = open_study(study)
    audit = make_audit(loaded)
    save_audit(study, audit)
    pretend(loaded.study, audit, lambda run: 150 + run.seed + 60 * ("texts.extra" in run.levels), range(3))
    done = call("confirm", study, "--seeds", "2", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["levels"] == {"reading": "more"}
    assert len(list(small(study).glob("extra-*.jsonl"))) == 1
