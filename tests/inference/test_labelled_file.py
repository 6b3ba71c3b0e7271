"""Predictions beside the texts, or beside all columns of the user's file, in the format asked for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finegrid.data.cells_of_file import ColumnOptions, StudyReading
from finegrid.data.unlabelled import open_texts
from finegrid.errors import InputError
from finegrid.inference.fitted import Fitted
from finegrid.inference.labelled_file import Written, style_of, write_predictions
from finegrid.inference.predict import LabelledFile, softmax

STUDY = StudyReading(("text", "label"))
LOGITS = np.array([[2.0, 0.0], [0.0, 1.0]], dtype=np.float32)


@pytest.fixture
def fitted() -> Fitted:
    known: dict[str, Any] = {name: {} for name in ("recipe", "dev", "test", "fingerprints", "versions")}
    known |= {"labels": ["a", "b"], "pooling": "cls", "max_length": 8, "texts": 1, "run_id": "0"}
    known |= {"columns": ["text", "label"], "seed": 0, "stands_for": [1], "best_epoch": 1, "score": "mcc"}
    return Fitted(**known, protocol="best-dev", precision="fp32", threads=1, device="cpu")


def labelled(fitted: Fitted, path: Path) -> LabelledFile:
    texts = open_texts(path, 1, ColumnOptions(of_study=STUDY))
    return LabelledFile(fitted, texts, lambda texts: (LOGITS[: len(texts)], 0))


def write(found: LabelledFile, out: Path, keep_columns: bool = True) -> Path:
    write_predictions(found.parts(), Written(found.file, found.fitted, keep_columns), style_of(out), out)
    return out


def test_all_columns_of_a_csv_go_along(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text('id,text,note\n1,"so, it is",x\n2,no,\n')
    found = labelled(fitted, path)

    lines = write(found, tmp_path / "out.csv").read_text().splitlines()
    rows = [json.loads(line) for line in write(found, tmp_path / "out.jsonl").read_text().splitlines()]
    table = pq.read_table(write(found, tmp_path / "out.parquet")).to_pylist()

    assert lines[0] == "id,text,note,predicted,probability:a,probability:b"
    assert lines[1].startswith('1,"so, it is",x,a,0.88') and lines[2].startswith("2,no,,b,")
    assert rows[0] | {"id": "1", "note": "x", "predicted": "a"} == rows[0]
    assert table[1] | {"id": "2", "note": "", "predicted": "b"} == table[1]
    assert table[1]["probability:b"] == pytest.approx(softmax(LOGITS)[1, 1])


def test_without_being_asked_only_texts_and_labels_go_along(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("id,text,label\n1,x,a\n2,y,b\n")

    lines = write(labelled(fitted, path), tmp_path / "out.csv", keep_columns=False).read_text().splitlines()

    assert lines[0] == "text,label,predicted,probability:a,probability:b" and lines[1].startswith("x,a,a,")


def test_what_json_nests_comes_back(fitted: Fitted, tmp_path: Path) -> None:
    rows = [{"text": "x", "more": {"deep": [1, None]}}, {"text": "y", "other": True}]
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = labelled(fitted, path)

    again = [json.loads(line) for line in write(found, tmp_path / "out.jsonl").read_text().splitlines()]
    lines = write(found, tmp_path / "out.tsv").read_text().splitlines()

    assert again[0] | rows[0] == again[0] and set(again[1]) == {"text", "other", "predicted", "probabilities"}
    assert lines[0].startswith("text\tmore\tother\tpredicted") and "\ttrue\tb\t" in lines[2]
    assert pq.read_table(write(found, tmp_path / "out.parquet")).num_rows == 2


def test_columns_of_parquet_keep_their_types(fitted: Fitted, tmp_path: Path) -> None:
    import datetime

    day = datetime.date(2026, 1, 2)
    table = pa.table({"text": ["x", "y"], "day": [day, day], "list": [[1], [2, 3]]})
    pq.write_table(table, tmp_path / "new.parquet")
    found = labelled(fitted, tmp_path / "new.parquet")

    out = pq.read_table(write(found, tmp_path / "out.parquet"))

    assert out.select(table.column_names).equals(table) and out.column("predicted").to_pylist() == ["a", "b"]
    assert "2026-01-02" in write(found, tmp_path / "out.csv").read_text()


def test_a_column_that_would_be_overwritten_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text,predicted\nx,a\ny,b\n")

    with pytest.raises(InputError, match="'predicted' already"):
        write(labelled(fitted, path), tmp_path / "out.csv")
    assert write(labelled(fitted, path), tmp_path / "out.csv", keep_columns=False).exists()


def test_models_kept_before_the_reading_was_noted_read_as_usual(fitted: Fitted) -> None:
    kept = fitted.model_dump(by_alias=True)
    del kept["reading"]

    assert Fitted.model_validate(kept).reading.quoting == "rfc4180"
    assert replace(STUDY, **fitted.reading.model_dump()) == STUDY


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.parquet"):
        style_of(tmp_path / "out.xlsx")
