"""`fg.compare` is `finegrid compare`, with frames for files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.command_line import Call
from support.compared import IDS, LABELS, TEXTS, TRUTH, write_systems

import finegrid as fg

WRONG = {
    "id": IDS,
    "predicted": [LABELS[(label + (number % 4 == 0)) % 3] for number, label in enumerate(TRUTH)],
}
LACKING = {"id": IDS[1:], "predicted": [LABELS[label] for label in TRUTH[1:]]}
RIGHT = {"id": IDS, "predicted": [LABELS[label] for label in TRUTH]}
GOLD = {"id": IDS, "label": [LABELS[label] for label in TRUTH]}


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_systems(tmp_path_factory.mktemp("systems"))


def frames_of(arguments: list[str]) -> dict[str, list[Any]]:
    """The same in every kind of frame."""
    found: dict[str, list[Any]] = {}
    kinds = [pl.from_pandas, pa.Table.from_pandas, lambda frame: frame, lambda frame: frame.to_dict("list")]
    for number, argument in enumerate(arguments):
        name, _, path = argument.partition("=")
        found.setdefault(name, []).append(kinds[number % len(kinds)](pd.read_csv(path)))
    return found


def without_files(facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "gold": "", "systems": [{**one, "files": []} for one in facts["systems"]]}


def test_frames_are_judged_as_their_files_are(systems: list[str], call: Call) -> None:
    gold = Path(systems[0].partition("=")[2]).parent / "gold.csv"
    told = json.loads(call("compare", *systems, "--gold", gold, "--paired-seeds", "--json").stdout)
    found = fg.compare(frames_of(systems), gold=pd.read_csv(gold), paired_seeds=True)

    assert without_files(found.to_json()) == without_files(told)
    assert found.to_json()["systems"][1]["files"] == [f"new (frame {number})" for number in (1, 2, 3)]
    (row,), (difference,) = list(found.differences), told["differences"]
    assert (row["system"], row["effect"], row["low"]) == ("new", difference["effect"], difference["low"])
    assert row["decision"] == difference["decision"]["kind"]
    assert [one["log_loss"] for one in found.systems] == [one["log_loss"]["mean"] for one in told["systems"]]


def test_one_run_a_list_of_rows_or_a_path_is_a_system(tmp_path: Path) -> None:
    pd.DataFrame(WRONG).to_csv(tmp_path / "old.csv", index=False)
    rows = [dict(zip(RIGHT, row, strict=True)) for row in zip(*RIGHT.values(), strict=True)]
    found = fg.compare({"old": tmp_path / "old.csv", "new": rows}, gold=GOLD, score="accuracy")

    assert found.baseline == "old" and found.texts == TEXTS and found.score == "accuracy"
    assert found.systems["score"] == (75.0, 100.0) and found.systems["runs"] == (1, 1)
    assert "new: +25.00" in str(found) and "<td" in found._repr_html_()


def test_its_report_is_a_page_or_tables(tmp_path: Path) -> None:
    found = fg.compare({"old": WRONG, "<b>new</b>": RIGHT}, gold=GOLD)

    assert found.report(tmp_path / "tables.md").read_text(encoding="utf-8").startswith("#")
    assert "<b>new" not in found._repr_html_()
    with pytest.raises(fg.InputError, match=r"path    found .*expected an ending of \.html or \.md"):
        found.report(tmp_path / "x.pdf")


@pytest.mark.parametrize(
    ("systems", "options", "said"),
    [
        ({"a": RIGHT}, {}, "systems    expected two systems or more"),
        ([RIGHT, WRONG], {}, "systems    expected two systems or more"),
        ({"a": RIGHT, "b": WRONG}, {}, "no gold labels: pass gold=..."),
        ({"a": RIGHT, "b": "no.csv"}, {"gold": GOLD}, "no.csv    no such file"),
        ({"a": RIGHT, "b": LACKING}, {"gold": GOLD}, "b (frame)    without 1 id"),
        ({"a": RIGHT, "b": [WRONG, 7]}, {"gold": GOLD}, "b (frame 2)    found a int"),
        ({"a": RIGHT, "b": WRONG}, {"gold": GOLD, "score": "f2"}, '"f2" is not a score'),
        ({"a": RIGHT, "b": WRONG}, {"gold": GOLD, "paired_seeds": True}, "paired_seeds    a has 1 file"),
    ],
)  # fmt: skip
def test_problems_name_the_frame_or_the_argument(systems: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(fg.InputError) as caught:
        fg.compare(systems, **options)

    assert said in str(caught.value) and "--" not in str(caught.value)
