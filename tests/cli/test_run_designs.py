"""Designs other than the full one, from study.toml to the table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.command_line import Call, records
from support.studies import save_word_checkpoint, write_data, write_word_study

from finegrid.errors import InputError
from finegrid.study.load import load_study

# Two-level factors of a tiny encoder of two layers; the pooler is inert.
FOUR: dict[str, list[object]] = {
    "optimizer.bias_correction": [True, False],
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.3],
    "reinit.pooler": [False, True],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


def refused(home: Path, design: str, **factors: list[object]) -> str:
    write_word_study(home / "study", Path("../model"), FOUR | factors, design=design)
    with pytest.raises(InputError) as caught:
        load_study(home / "study")
    return str(caught.value)


def test_a_fraction_runs_end_to_end(home: Path, tmp_path: Path, call: Call) -> None:
    study = write_word_study(
        home / tmp_path.name, Path("../model"), FOUR, design='kind = "fractional"\nresolution = "IV"'
    )
    ran = call("run", study, "--workers", "1")

    assert ran.returncode == 0, ran.stderr
    assert sorted(row for record in records(study) for row in record["stands_for"]) == list(range(1, 9))
    table = call("table", study).stdout.splitlines()
    assert table[0] == f"| index | {' | '.join(FOUR)} | result |"
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {index}" for index in range(1, 9)]
    assert re.fullmatch(r"\| 1 \| true \| 0 \| 0.0 \| false \| \d\.\d{4} \|", table[2])
    assert call("status", study).stdout.startswith("8 distinct runs: 8 done")
    again = call("run", study, "--workers", "1")
    assert again.returncode == 0 and len(records(study)) == 8


def test_the_full_design_goes_on_from_a_fraction(home: Path, tmp_path: Path, call: Call) -> None:
    folder = home / tmp_path.name
    three = {name: levels for name, levels in FOUR.items() if name != "reinit.pooler"}
    write_word_study(folder, Path("../model"), three, design='kind = "fractional"\nresolution = 3')
    assert call("run", folder, "--workers", "1").returncode == 0
    assert len(records(folder)) == 4
    write_word_study(folder, Path("../model"), three)
    assert call("run", folder, "--workers", "1").returncode == 0

    found = records(folder)
    assert len(found) == len({record["run_id"] for record in found}) == 8


def test_one_at_a_time_runs_end_to_end_with_more_than_two_levels(
    home: Path, tmp_path: Path, call: Call
) -> None:
    factors: dict[str, list[object]] = {
        "optimizer.rate": [0.01, 0.02, 0.005],
        "model.pooling": ["last-mean", "cls"],
        **FOUR,
    }
    study = write_word_study(home / tmp_path.name, Path("../model"), factors, design='kind = "one-at-a-time"')
    ran = call("run", study, "--workers", "1")

    assert ran.returncode == 0, ran.stderr
    assert len(records(study)) == 7  # eight rows, of which the pooler's is the baseline
    table = call("table", study).stdout.splitlines()
    assert len(table) == 2 + 8
    assert "| 3 | 0.005 | last-mean | true | 0 | 0.0 | false |" in table[4]
    plan = call("plan", study).stdout
    assert "one at a time: each effect is measured with all other factors at their first level" in plan
    assert json.loads(call("plan", study, "--json").stdout)["design"] == {
        "kind": "one-at-a-time",
        "resolution": None,
        "aliases": [],
    }


def test_plan_says_what_a_fraction_measures_together(home: Path, tmp_path: Path, call: Call) -> None:
    study = write_word_study(home / tmp_path.name, Path("../model"), FOUR, design='kind = "fractional"')
    told = call("plan", study).stdout
    design = json.loads(call("plan", study, "--json").stdout)["design"]
    a, b, c, d = FOUR

    assert "a fraction of resolution IV: 8 of 16 combinations" in told
    assert f"  {a} x {b} is measured together with {c} x {d}\n" in told
    assert (design["kind"], design["resolution"], len(design["aliases"])) == ("fractional", 4, 6)
    assert design["aliases"][0] == {"effect": [a, b], "measured_with": [{"effect": [c, d], "sign": 1}]}


def test_a_probed_plan_leaves_inert_factors_out_and_says_what_they_cost(
    home: Path, tmp_path: Path, call: Call
) -> None:
    """Without the pooler the same eight rows are every combination."""
    study = write_word_study(home / tmp_path.name, Path("../model"), FOUR, design='kind = "fractional"')
    told = call("plan", study, "--probe").stdout

    assert "freeze.layers = 1: freezes 21 tensors of embeddings, layer 1; nothing else" in told
    proofs = json.loads(call("plan", study, "--json").stdout)["proofs"]
    assert [proof["factor"] for proof in proofs] == list(FOUR)
    assert [proof["reason"] != "" for proof in proofs] == [False, False, False, True]
    assert "reinit.pooler: inert in every row; without it, as many rows would be every combination" in told
    assert "measured together" not in told
    assert json.loads(call("plan", study, "--json").stdout)["design"]["aliases"] == []


def test_plan_says_where_no_fraction_is_smaller(home: Path, tmp_path: Path, call: Call) -> None:
    study = write_word_study(
        home / tmp_path.name, Path("../model"), FOUR, design='kind = "fractional"\nresolution = 5'
    )

    assert "no fraction of the 16 combinations has resolution V: all of them are run" in (
        call("plan", study).stdout
    )
    assert len(load_study(study).rows) == 16


@pytest.mark.parametrize(
    ("kind", "options", "rows"),
    [("fractional", ("--resolution", "IV"), 16), ("fractional", (), 16), ("one-at-a-time", (), 6)],
)
def test_init_writes_the_design_of_a_preset(
    home: Path, tmp_path: Path, call: Call, kind: str, options: tuple[str, ...], rows: int
) -> None:
    train = home / "data" / "train.tsv"
    out = tmp_path / "study"
    done = call("init", "--train", train, "--model", home / "model", "--out", out, "--design", kind, *options)

    assert done.returncode == 0, done.stderr
    study = load_study(out)
    assert (study.head.design.kind, len(study.rows)) == (kind, rows)
    assert not study.is_published_grid
    assert call("table", out).stdout.startswith("| index | optimizer.bias_correction |")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--design", "half"), "found 'half': expected 'full', 'fractional', 'one-at-a-time' or 'screen'"),
        (("--design", "fractional", "--resolution", "2"), "found 2: expected 3, 4 or 5"),
        (("--design", "fractional", "--resolution", "VI"), "design.resolution"),
        (("--design", "full", "--resolution", "IV"), 'found a resolution, but kind = "full" has none'),
    ],
)
def test_init_refuses_designs_that_there_are_not(
    home: Path, tmp_path: Path, call: Call, options: tuple[str, ...], expected: str
) -> None:
    train = home / "data" / "train.tsv"
    done = call("init", "--train", train, "--model", home / "model", "--out", tmp_path / "study", *options)

    assert done.returncode == 2
    assert expected in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_fraction_names_all_factors_with_more_than_two_levels(home: Path) -> None:
    many: dict[str, list[object]] = {
        "training.epochs": [1, 2, 3],
        "model.pooling": ["cls", "last-mean", "pooler"],
    }
    told = refused(home, 'kind = "fractional"', **many)

    assert "2 problems" in told
    assert 'factors."training.epochs"' in told and 'factors."model.pooling"' in told
    assert 'Keep two, or set design.kind = "full" or "one-at-a-time".' in told


def test_combinations_that_a_design_does_not_have_are_not_refused(home: Path) -> None:
    """One at a time never freezes and draws afresh in one recipe."""
    clash: dict[str, list[object]] = {"reinit.layers": [0, 2], "freeze.layers": [0, 2]}
    write_word_study(home / "study", Path("../model"), FOUR | clash, design='kind = "one-at-a-time"')
    assert len(load_study(home / "study").rows) == 6

    assert "2 + 2 layers" in refused(home, "", **clash)
