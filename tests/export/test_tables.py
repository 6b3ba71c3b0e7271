"""Tables for pandas and R: what stands in them is what the study has, and spreadsheets compute none of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet
from support.export_studies import BROKEN, LABELS, audited, finished, table_from_elsewhere, unfinished

from finegrid.errors import InputError
from finegrid.export.csv_file import FORMULA, make_lines
from finegrid.export.export import ExportOptions, export_study
from finegrid.export.frame import Frame, FrameColumn
from finegrid.metrics import confusion, macro_f1
from finegrid.results.load import load_results
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.to_json import as_json


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    return audited(tmp_path_factory.mktemp("audited") / "study", bert)


def exported(folder: Path, to: str, **wishes: Any) -> Path:
    export_study(folder, ExportOptions(to, **wishes))
    return folder / "export"


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_run_is_one_line_with_the_rows_it_stands_for(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    runs = pd.read_csv(exported(study.folder, "csv") / "runs.csv", dtype={"run_id": str})

    latest = study.ledger.latest()
    assert set(runs["run_id"]) == set(latest) and len(runs) == 12
    for line in runs.to_dict("records"):
        record = latest[line["run_id"]]
        assert line["rows"] == " ".join(map(str, record.stands_for))
        assert (line["recipe"], line["seed"]) == (record.stands_for[0], record.seed)
        row = study.rows[line["recipe"] - 1]
        assert {name: line[name] for name in study.factors} == row.levels
        assert (line["study"], line["status"], line["protocol"]) == ("study", "done", "best-dev")
        assert (line["best_epoch"], line["epochs"], line["device"]) == (2, 2, "cpu")


def test_scores_and_seconds_read_back_to_the_last_bit(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    lines = lines_of(exported(study.folder, "csv") / "runs.csv")

    latest = study.ledger.latest()
    for line in lines:
        record = latest[line["run_id"]]
        for split in ("dev", "test"):
            for score in ("macro-f1", "accuracy", "mcc"):
                assert float(line[f"{split}_{score.replace('-', '_')}"]) == record.score(split, score)
            for label in LABELS:
                assert float(line[f"{split}_f1_{label}"]) == record.score(split, f"f1:{label}")
        assert record.seconds is not None and float(line["train_seconds"]) == record.seconds.train
        assert line["started"] == "2026-11-24T16:59:46.500Z"


def test_runs_without_a_result_have_their_status_and_no_scores(probed: Path, tmp_path: Path) -> None:
    study = unfinished(probed, tmp_path / "study")
    lines = lines_of(exported(study.folder, "csv") / "runs.csv")

    by_status = {line["status"]: line for line in lines}
    assert [line["status"] for line in lines].count("done") == 9 and len(lines) == 12
    assert by_status.keys() == {"done", "diverged", "failed", "left"}
    for status in ("diverged", "failed", "left"):
        line = by_status[status]
        scores = {name: cell for name, cell in line.items() if name.startswith(("dev_", "test_"))}
        del scores["dev_seconds"], scores["test_seconds"]
        assert set(scores.values()) == {""} and line["best_epoch"] == ""
        assert line["schedule.warmup_ratio"] != ""
    assert by_status["diverged"]["reason"] == BROKEN["diverged"] and by_status["diverged"]["epochs"] == "1"
    assert by_status["failed"]["reason"] == "'" + BROKEN["failed"]
    assert (by_status["left"]["run_id"], by_status["left"]["threads"]) == ("", "")


def test_csv_and_parquet_hold_the_same(probed: Path, tmp_path: Path) -> None:
    study = unfinished(probed, tmp_path / "study")
    exported(study.folder, "csv", predictions=True)
    out = exported(study.folder, "parquet", predictions=True)

    for table in ("runs", "epochs", "effects", "predictions"):
        lines = lines_of(out / f"{table}.csv")
        other = parquet.read_table(out / f"{table}.parquet")
        assert [name.removeprefix("'") for name in lines[0]] == other.column_names
        assert len(lines) == other.num_rows
        for name, column in zip(lines[0], other.columns, strict=True):
            for line, value in zip(lines, column.to_pylist(), strict=True):
                assert same(line[name], value), (table, name)


def test_effects_are_those_of_the_verdict(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    effects = parquet.read_table(exported(study.folder, "parquet") / "effects.parquet").to_pylist()
    verdict = as_json(with_interim_decisions(load_results(study)))

    assert [(one["factor"], one["level"], one["against"]) for one in effects] == [
        ("optimizer.decay_on", "matrices", "all"),
        ("schedule.warmup_ratio", "0.1", "0.0"),
    ]
    for one, factor in zip(effects, verdict["factors"], strict=True):
        assert {name: one[name] for name in ("effect", "low", "high", "se", "p", "seconds")} == {
            name: factor[name] for name in ("effect", "low", "high", "se", "p", "seconds")
        }
        assert [one["adjusted_low"], one["adjusted_high"]] == factor["adjusted"]
        assert (one["decision"], one["free"]) == (factor["decision"]["kind"], False)
        needs = factor["needs"]
        assert (one["would_settle"] is None) == (factor["decision"]["kind"] != "open")
        assert one["needs_seeds"] == (needs and needs["seeds"])
        assert one["at_baseline"] == (factor["at_baseline"] and factor["at_baseline"]["effect"])


def test_without_predictions_the_runs_are_exported_all_the_same(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    shutil.rmtree(study.folder / "predictions")
    lines = export_study(study.folder, ExportOptions("csv"))

    assert any("12 finished runs without predictions" in line for line in lines)
    assert {row["status"] for row in lines_of(study.folder / "export" / "runs.csv")} == {"left"}


def same(cell: str, value: Any) -> bool:
    if value is None:
        return cell == ""
    if isinstance(value, bool):
        return cell == str(value).lower()
    if isinstance(value, list):
        return cell == " ".join(map(str, value))
    if isinstance(value, int | float):
        return float(cell) == value
    return cell in (value, f"'{value}", str(value)) or pd.Timestamp(cell) == value


def test_parquet_has_types_and_the_baseline_as_first_category(probed: Path, tmp_path: Path) -> None:
    study = unfinished(probed, tmp_path / "study")
    runs = pd.read_parquet(exported(study.folder, "parquet") / "runs.parquet")

    assert runs["optimizer.decay_on"].cat.categories.tolist() == ["all", "matrices"]
    assert {"done", "diverged", "failed", "left"} <= set(runs["status"].cat.categories)
    assert (runs["reinit.pooler"].dtype, runs["schedule.warmup_ratio"].dtype) == (bool, float)
    assert runs["test_macro_f1"].dtype == float and str(runs["started"].dt.tz) == "UTC"
    assert [list(rows) for rows in runs["rows"].iloc[:1]] == [[1, 3]]


def test_epochs_have_loss_and_dev_scores_and_say_which_was_chosen(probed: Path, tmp_path: Path) -> None:
    study = unfinished(probed, tmp_path / "study")
    epochs = pd.read_csv(exported(study.folder, "csv") / "epochs.csv", dtype={"run_id": str})

    assert len(epochs) == 9 * 2 + 1  # the diverged run has ended one
    record = study.ledger.latest()[epochs["run_id"].iloc[-1]]
    last = epochs.iloc[-1]
    assert (last["epoch"], last["train_loss"]) == (2, 0.75)
    assert last["dev_macro_f1"] == pytest.approx(record.dev["macro-f1"], abs=1e-15)
    assert epochs.groupby("run_id")["best"].sum().tolist().count(1) == 9
    assert not any(name.startswith("test_") for name in epochs.columns)


@pytest.mark.parametrize("to", ["csv", "tensorboard"])
def test_what_a_record_does_not_say_of_an_epoch_is_left_out(probed: Path, tmp_path: Path, to: str) -> None:
    """The ledger's schema allows it."""
    study = finished(probed, tmp_path / "study")
    lines = [json.loads(line) for line in study.files.ledger.read_text().splitlines()]
    for record in lines:
        record["epochs"] = [{"epoch": 1, "dev": epoch["dev"]} for epoch in record["epochs"]]
    study.files.ledger.write_text("".join(json.dumps(record) + "\n" for record in lines))
    out = exported(study.folder, to)

    if to == "csv":
        assert {row["train_loss"] for row in lines_of(out / "epochs.csv")} == {""}


def test_predictions_are_those_of_the_study(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    out = exported(study.folder, "parquet", predictions=True)
    found = pd.read_parquet(out / "predictions.parquet")

    for run_id, record in study.ledger.latest().items():
        mine = found[(found["run_id"] == run_id) & (found["split"] == "test")]
        gold, predicted = (mine[name].cat.codes.to_numpy(np.int64) for name in ("gold", "predicted"))
        assert macro_f1(confusion(gold, predicted, len(LABELS))) == record.test["macro-f1"]
        wrong = gold != predicted
        assert (mine["p_gold"] < mine["p_predicted"])[wrong].all() and wrong.any()
        assert (mine["p_gold"] == mine["p_predicted"])[~wrong].all()
        assert mine["text"].tolist() == list(range(300))  # as the arrays have it
        np.testing.assert_allclose(mine["p_predicted"].iloc[1:], np.e / (np.e + 2), rtol=1e-6)


def test_without_predictions_there_is_no_such_file(probed: Path, tmp_path: Path) -> None:
    out = exported(finished(probed, tmp_path / "study").folder, "csv")

    assert sorted(path.name for path in out.iterdir()) == [
        *("effects.csv", "epochs.csv", "runs.csv", "study.json")
    ]


def test_damaged_logits_are_said_and_nothing_half_written(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    path = next((study.folder / "predictions").iterdir())
    content = bytearray(path.read_bytes())
    content[content.index(b"dev_logits.npy") + 200] ^= 1
    path.write_bytes(content)

    with pytest.raises(InputError, match="cannot be read"):
        exported(study.folder, "csv", predictions=True)
    assert not [path for path in (study.folder / "export").iterdir() if path.name.startswith("predictions")]


def test_a_table_from_elsewhere_is_exported_with_what_it_has(tmp_path: Path) -> None:
    out = exported(table_from_elsewhere(tmp_path / "table"), "csv")
    lines = lines_of(out / "runs.csv")

    assert list(lines[0]) == [
        *("study", "recipe", "rows", "seed", "status"),
        *("'=cmd", "factor.status", "idle", "result", "epoch_seconds"),
    ]
    assert [line["status"] for line in lines] == ["done", "done", "missing", "done"]
    assert [line["recipe"] for line in lines] == ["1", "1", "3", "4"]  # 1 and 2 differ in what is inert
    assert [line["result"] for line in lines] == ["0.9376", "0.937", "", "0.9125"]
    assert not (out / "epochs.csv").exists()
    about = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert (about["imported"], about["score"], about["notes"]) == (
        "results.csv",
        "准确率",
        ["from somewhere"],
    )


def test_no_text_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    lines = lines_of(exported(table_from_elsewhere(tmp_path / "=table"), "csv") / "runs.csv")

    assert [line["'=cmd"] for line in lines] == ["'-1+1", "'-1+1", "'@x", "'@x"]
    assert [line["factor.status"] for line in lines] == ["-1", "-1", "-1", "2"]
    assert lines[0]["study"] == "'=table"


@given(st.lists(st.text(st.sampled_from(",\"'\r\n\t=+-@＝ x") | st.characters(codec="utf-8")), min_size=1))
@example(["\r", "a\rb", 'say "no"', '"', "", "'", "1,5"])
def test_any_text_comes_back_from_csv(texts: list[str]) -> None:
    frame = Frame((FrameColumn("=a", "text", texts), FrameColumn("b", "whole", [-1] * len(texts))))
    written = "".join(f"{line}\n" for line in make_lines([frame]))
    header, *back = csv.reader(io.StringIO(written, newline=""))

    assert header == ["'=a", "b"] and {number for _, number in back} == {"-1"}
    assert [cell.removeprefix("'") for cell, _ in back] == [text.removeprefix("'") for text in texts]
    assert not any(cell.startswith(FORMULA) for cell, _ in back)


def test_best_test_is_marked_and_its_epochs_show_test(bert: Path, tmp_path: Path) -> None:
    biased = audited(tmp_path / "audited", bert, 'protocol = "best-test"')
    out = exported(finished(biased, tmp_path / "study").folder, "csv")

    assert {line["protocol"] for line in lines_of(out / "runs.csv")} == {"best-test"}
    assert lines_of(out / "epochs.csv")[0]["test_macro_f1"] != ""
    assert json.loads((out / "study.json").read_text(encoding="utf-8"))["protocol"] == "best-test"


def test_files_that_are_not_ours_are_left_alone(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "runs.csv").write_text("precious")

    with pytest.raises(InputError, match=r"holds runs\.csv, which finegrid has not written"):
        export_study(study.folder, ExportOptions("csv", mine))
    assert (mine / "runs.csv").read_text() == "precious" and len(list(mine.iterdir())) == 1

    (mine / "runs.csv").unlink()
    export_study(study.folder, ExportOptions("csv", mine))
    before = (mine / "runs.csv").read_bytes()
    export_study(study.folder, ExportOptions("csv", mine))  # its own it writes again
    assert (mine / "runs.csv").read_bytes() == before


def test_a_study_that_was_not_started_says_so(probed: Path, tmp_path: Path) -> None:
    shutil.copytree(probed, tmp_path / "study")
    (tmp_path / "study" / "audit.json").unlink()

    with pytest.raises(InputError, match="has not been started"):
        exported(tmp_path / "study", "csv")
