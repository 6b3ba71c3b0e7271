"""`finegrid plan --budget`, from study.toml to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import Call
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.planning.runs import plan_runs
from finegrid.study.audit_file import load_audit
from finegrid.study.edit import change_design
from finegrid.study.load import load_study
from finegrid.study.record import Record

FACTORS: dict[str, list[object]] = {
    "optimizer.bias_correction": [True, False],
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.3],
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    save_word_checkpoint(tmp_path / "model")
    return write_word_study(tmp_path / "study", Path("../model"), FACTORS)


def test_a_budget_probes_what_was_not_probed_and_then_plans(study: Path, call: Call) -> None:
    first = call("plan", study, "--budget", "1h", "--json", "--workers", "1")
    assert first.returncode == 0, first.stderr
    assert (study / "audit.json").exists() and not (study / "runs.jsonl").exists()
    told = json.loads(first.stdout)
    assert told["design"]["kind"] == "full"
    assert (
        told["budget"]["chosen"]["seconds"] <= 3600 and told["budget"]["variances"]["from"] == "assumptions"
    )

    probed = (study / "audit.json").read_bytes()
    (study.parent / "model").rename(study.parent / "elsewhere")  # the audit has all that is needed of it
    again = call("plan", study, "--budget", "60m", "--workers", "1")
    assert (study / "audit.json").read_bytes() == probed
    lines = again.stdout.splitlines()
    assert any(line.startswith("budget 60 min with 1 worker: full design") for line in lines)
    assert any("assumed, no two seeds have finished" in line for line in lines)
    assert call("plan", study, "--budget", "60m", "--workers", "1", "--apply").returncode == 0


@pytest.mark.parametrize("options", [["--budget", "soon"], ["--budget", "3h", "--seeds", "3"]])
def test_what_cannot_be_planned_is_refused_before_anything_is_probed(
    study: Path, call: Call, options: list[str]
) -> None:
    refused = call("plan", study, *options)

    assert refused.returncode == 2 and "command line: 1 problem" in refused.stderr
    assert not (study / "audit.json").exists()


def test_the_answer_comes_first_and_alone(study: Path, call: Call) -> None:
    told = call("plan", study, "--budget", "1h", "--workers", "1").stdout.splitlines()

    assert told[0].startswith("budget 60 min with 1 worker: full design")
    assert len(told) < 10 and told[-1].startswith(f"next: finegrid plan {study} ")
    planned = call("plan", study, "--probe").stdout.splitlines()
    assert planned[0].startswith(f"{study}: 8 recipes x 1 seed")
    assert planned[1] == "8 rows are 8 distinct runs, all of them to train"
    assert planned[2].startswith("predicted: ") and planned[4].startswith("decides: ")
    again = call("plan", study).stdout.splitlines()  # quick, and therefore without what statistics tell
    assert again[:2] == planned[:2] and not any(line.startswith("decides: ") for line in again)
    assert "  optimizer.bias_correction: true, false" in planned


def test_apply_makes_it_the_plan_and_keeps_the_comments(study: Path, call: Call) -> None:
    file = study / "study.toml"
    file.write_text(file.read_text().replace("[design]", "[design]  # mine"))
    done = call("plan", study, "--budget", "1h", "--apply", "--workers", "1", "--json")
    chosen = json.loads(done.stdout)["budget"]["chosen"]

    assert done.returncode == 0 and "[design]  # mine" in file.read_text()
    status = json.loads(call("plan", study, "--json").stdout)
    assert status["design"]["kind"] == chosen["design"]["kind"]
    assert status["seeds"] == chosen["seeds"] and len(chosen["seeds"]) > 1
    again = call("plan", study, "--budget", "1h", "--apply", "--workers", "1")
    assert "study.toml has this already" in again.stdout and "to do so" not in again.stdout
    assert again.stdout.splitlines()[-1].startswith(f"next: finegrid run {study} ")


@pytest.mark.slow
def test_apply_drops_no_run_that_has_a_result(study: Path, call: Call) -> None:
    call("plan", study, "--budget", "1h", "--workers", "1")
    one = load_study(study)
    audit = load_audit(study)
    assert audit is not None
    beyond = plan_runs(one, audit, "fp32", [99])[0]
    one.ledger.append(Record(run_id=beyond.run_id, recipe=beyond.levels, seed=99, status="diverged"))
    before = (study / "study.toml").read_bytes()
    refused = call("plan", study, "--budget", "1h", "--apply", "--workers", "1")

    assert refused.returncode == 2 and "1 finished run would be no part" in refused.stderr
    assert (study / "study.toml").read_bytes() == before


def test_apply_needs_a_budget(study: Path, call: Call) -> None:
    assert "found without --budget" in call("plan", study, "--apply").stderr


def test_warnings_of_the_data_are_said_once(study: Path, call: Call) -> None:
    told = call("plan", study, "--probe").stderr.splitlines()
    warnings = [line for line in told if line.startswith("warning:")]

    assert warnings and len(warnings) == len(set(warnings))


def test_without_a_budget_nothing_is_said_of_one(study: Path, call: Call) -> None:
    assert "budget" not in json.loads(call("plan", study, "--json").stdout)


IDLE: dict[str, list[object]] = {
    **FACTORS,
    "optimizer.decay_on": ["all", "matrices"],
    "reinit.pooler": [False, True],
}
TWO_FRACTIONS = 'kind = "fractional"\nresolution = "IV"'


def test_a_budget_probes_what_it_compares_and_takes_out_what_does_nothing(
    study: Path, call: Call, tmp_path: Path
) -> None:
    """A fraction of five factors has 16 rows here; of the four that do something, eight show as much.

    In the time of 24 runs, three seeds of those show more than one of the full design.
    """
    folder = write_word_study(tmp_path / "idle", Path("../model"), IDLE, design=TWO_FRACTIONS)
    asked = ("plan", folder, "--workers", "1", "--budget")
    budget = json.loads(call(*asked, "1h", "--json").stdout)["budget"]
    offered = [budget["chosen"], *budget["instead"]]
    smaller = [option for option in offered if option["without"]]

    assert {option["design"]["kind"] for option in offered} == {"full", "fractional", "one-at-a-time"}
    assert smaller and budget["not_compared"] == []
    assert all(option["without"] == ["reinit.pooler"] for option in smaller)
    assert all(option["design"]["kind"] == "fractional" for option in smaller)

    probed = (folder / "audit.json").read_bytes()
    seconds = 24.5 * smaller[0]["seconds"] / smaller[0]["runs_left"]
    told = call(*asked, f"{seconds:.2f}s", "--apply").stdout.splitlines()
    assert (folder / "audit.json").read_bytes() == probed
    assert " x 3 seeds, without reinit.pooler, which does nothing, predicted " in told[0]
    assert "study.toml varies no more, since they do nothing: reinit.pooler" in told
    now = load_study(folder)
    assert now.factors.keys() == IDLE.keys() - {"reinit.pooler"} and len(now.rows) == 8
    assert now.head.design.numbers == (0, 1, 2)


@pytest.mark.parametrize("preset", ["", 'preset = "thucnews64"\n'])
def test_apply_takes_out_what_does_nothing_and_keeps_every_other_run(
    study: Path, call: Call, tmp_path: Path, preset: str
) -> None:
    from finegrid.verdict.budget.budget import leave_out

    folder = write_word_study(
        tmp_path / "idle",
        Path("../model"),
        {} if preset else IDLE,
        preset,
        recipe={"model.pooling": "cls"},
        design=TWO_FRACTIONS,
    )
    was = load_study(folder)
    change_design(folder, {"seeds": 2}, ["reinit.pooler"])
    now, smaller = load_study(folder), leave_out(was, ["reinit.pooler"])

    assert "reinit.pooler" in was.factors and was.head.design.numbers == (0,)
    assert now.head.design.numbers == (0, 1) and now.head.preset is None
    assert [*now.factors.items()] == [*smaller.factors.items()]
    assert now.baseline == smaller.baseline
    assert [row.recipe for row in now.rows] == [row.recipe for row in smaller.rows]


def test_a_factor_that_is_taken_out_stays_at_its_first_level(study: Path) -> None:
    file = study / "study.toml"
    file.write_text(file.read_text().replace('"freeze.layers" = [0, 1]', '"freeze.layers" = [1, 0]'))
    now = change_design(study, {}, ["freeze.layers"])

    assert "freeze.layers" not in now.factors and now.baseline.freeze.layers == 1
