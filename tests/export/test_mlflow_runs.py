"""What MLflow itself finds in its store after an export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.export_studies import (
    BROKEN,
    LABELS,
    STARTED,
    audited,
    finished,
    no_library,
    planned,
    record_for,
    table_from_elsewhere,
    unfinished,
)

from finegrid.errors import InputError
from finegrid.export import mlflow_runs
from finegrid.export.content import load_content
from finegrid.export.export import ExportOptions, export_study
from finegrid.recipe.identity import ENGINE

WITHOUT = "mlflow is not installed: pip install -e '.[mlflow]'"


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    return audited(tmp_path_factory.mktemp("audited") / "study", bert)


@pytest.fixture(autouse=True)
def _mlflow() -> Iterator[None]:
    with mlflow_runs.default_settings():
        pytest.importorskip("mlflow", reason=WITHOUT)
        yield


def client_of(store: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(store.as_uri())


def logged(folder: Path, name: str) -> dict[str, Any]:
    """Runs of an experiment in the store of a study's own export, by name."""
    client = client_of(folder / "export" / "mlflow")
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id])
    found = {run.info.run_name: run for run in runs}
    assert len(found) == len(runs)
    return found


def test_runs_have_the_ledgers_scores_levels_and_marks(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "my study 数")
    lines = export_study(study.folder, ExportOptions("mlflow"))
    assert lines[-1].startswith("logged runs: 12 new, 0 changed, 0 there already; the store: file://")

    runs = logged(study.folder, "my study 数")
    assert len(runs) == 12
    run = runs["row-2-seed-1"]
    planned_run = next(each for each in planned(study) if each.stands_for == (2, 4) and each.seed == 1)
    record = study.ledger.latest()[planned_run.run_id]
    metrics, tags = run.data.metrics, run.data.tags
    assert metrics["test/macro-f1"] == record.test["macro-f1"]
    assert metrics["dev_best/mcc"] == record.dev["mcc"]
    assert {metrics["test_f1/体育_足球"], metrics["test_f1/体育_足球_2"], metrics["test_f1/_1_1"]} == {
        record.score("test", f"f1:{label}") for label in LABELS
    }
    assert (metrics["best_epoch"], metrics["seconds/train"]) == (2, 20)
    # Every level, also those that the study does not vary.
    assert run.data.params == {
        "seed": "1",
        **{name: as_param(level) for name, level in study.rows[1].recipe.levels().items()},
    }
    assert tags["finegrid.run_id"] == planned_run.run_id and tags["finegrid.rows"] == "2 4"
    assert (tags["finegrid.engine"], tags["finegrid.protocol"]) == (str(ENGINE), "best-dev")
    assert tags["finegrid.fingerprint.data"] and tags["finegrid.version.torch"] == "2.13.0"
    assert (run.info.status, run.info.start_time) == ("FINISHED", round(1000 * STARTED))


def as_param(level: object) -> str:
    return str(level).lower() if isinstance(level, bool) else str(level)


def test_curves_are_by_epoch(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    export_study(study.folder, ExportOptions("mlflow"))
    client = client_of(study.folder / "export" / "mlflow")
    run = logged(study.folder, "study")["row-1-seed-0"]

    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.5), (2, 0.75)]
    assert [point.timestamp for point in history] == [round(1000 * (STARTED + s)) for s in (10.5, 21.0)]
    best = client.get_metric_history(run.info.run_id, "dev/macro-f1")[1]
    assert (best.step, best.value) == (2, run.data.metrics["dev_best/macro-f1"])


def test_exporting_twice_logs_nothing_twice(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    export_study(study.folder, ExportOptions("mlflow"))
    before = {name: run.info.run_id for name, run in logged(study.folder, "study").items()}
    lines = export_study(study.folder, ExportOptions("mlflow"))

    assert "0 new, 0 changed, 12 there already" in lines[-1]
    assert {name: run.info.run_id for name, run in logged(study.folder, "study").items()} == before


def test_a_run_that_was_tried_again_takes_the_place_of_the_one_that_failed(
    probed: Path, tmp_path: Path
) -> None:
    study = unfinished(probed, tmp_path / "study")
    lines = export_study(study.folder, ExportOptions("mlflow"))
    assert lines[0] == "1 of 12 runs have not ended yet, or have no result"
    runs = logged(study.folder, "study")
    bad = {run.data.tags["finegrid.reason"]: run for run in runs.values() if run.info.status == "FAILED"}
    assert len(runs) == 11 and bad.keys() == set(BROKEN.values())
    assert not any(name.startswith("test") for run in bad.values() for name in run.data.metrics)

    again = planned(study)[1]
    study.ledger.append(record_for(study, again))
    lines = export_study(study.folder, ExportOptions("mlflow"))
    assert "0 new, 1 changed, 10 there already" in lines[-1]
    runs = logged(study.folder, "study")
    mine = [run for run in runs.values() if run.data.tags["finegrid.run_id"] == again.run_id]
    assert [run.info.status for run in mine] == ["FINISHED"] and len(runs) == 11


def test_an_export_that_was_cut_off_is_made_whole(
    probed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    study = finished(probed, tmp_path / "study")
    calls = 0
    log_batch = MlflowClient.log_batch

    def cut_off(*arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        log_batch(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        export_study(study.folder, ExportOptions("mlflow"))
    monkeypatch.undo()
    assert len(logged(study.folder, "study")) == 5

    with mlflow_runs.default_settings():
        lines = export_study(study.folder, ExportOptions("mlflow"))
        runs = logged(study.folder, "study")
    assert "7 new, 1 changed, 4 there already" in lines[-1]
    assert len(runs) == 12 and all("test/mcc" in run.data.metrics for run in runs.values())


def test_the_store_that_was_named_is_used(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    store = tmp_path / "our store"
    export_study(study.folder, ExportOptions("mlflow", tracking_uri=store.as_uri()))

    client = client_of(store)
    experiment = client.get_experiment_by_name("study")
    assert len(client.search_runs([experiment.experiment_id])) == 12
    assert study.head.score in experiment.tags["mlflow.note.content"]
    assert not (study.folder / "export").exists()


def test_an_experiment_that_was_deleted_is_not_brought_back_silently(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    export_study(study.folder, ExportOptions("mlflow"))
    client = client_of(study.folder / "export" / "mlflow")
    client.delete_experiment(client.get_experiment_by_name("study").experiment_id)

    with pytest.raises(InputError, match=r"deleted.*mlflow experiments restore"):
        export_study(study.folder, ExportOptions("mlflow"))


def test_a_table_from_elsewhere_has_its_results(tmp_path: Path) -> None:
    folder = table_from_elsewhere(tmp_path / "table")
    export_study(folder, ExportOptions("mlflow"))
    lines = export_study(folder, ExportOptions("mlflow"))

    assert lines == [lines[0], lines[1]] and "0 new, 0 changed, 3 there already" in lines[1]
    runs = logged(folder, "table")
    assert runs.keys() == {"row-1", "row-2", "row-4"}
    assert runs["row-4"].data.metrics == {"result": 0.9125, "seconds/epoch": 2.5}
    assert runs["row-4"].data.params == {"_cmd": "@x", "status": "2", "idle": "true"}
    assert runs["row-2"].data.tags["finegrid.recipe"] == "1"


def test_a_study_of_the_same_name_loses_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for source in ("ours.csv", "theirs.csv", "ours.csv"):
        folder = tmp_path / source / "table"
        if not folder.exists():
            table_from_elsewhere(folder, source)
        lines = export_study(folder, ExportOptions("mlflow", tracking_uri=store.as_uri()))
    assert "0 new, 0 changed, 3 there already" in lines[-1]

    client = client_of(store)
    runs = client.search_runs([client.get_experiment_by_name("table").experiment_id])
    assert len(runs) == 6 and len({run.data.tags["finegrid.study"] for run in runs}) == 2


def test_a_store_that_cannot_be_used_is_said_without_its_password(
    probed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    study = finished(probed, tmp_path / "study")

    with pytest.raises(InputError) as raised:
        export_study(study.folder, ExportOptions("mlflow", tracking_uri="http://me:secret@127.0.0.1:9"))
    said = str(raised.value)
    assert "found http://127.0.0.1:9, which mlflow cannot use" in said and "pip install mlflow" in said
    assert "secret" not in said


def test_settings_are_put_back_and_the_users_own_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in mlflow_runs.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    with mlflow_runs.default_settings():
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"

    assert {name for name in mlflow_runs.SETTINGS if name in os.environ} == {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    }


def test_equal_runs_have_equal_marks_and_others_do_not(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    first, again = (
        [mlflow_runs.MlflowRun.of(run, content).content for run in content.runs]
        for content in (load_content(study.folder), load_content(study.folder))
    )
    assert first == again and len(set(first)) == 12


def test_runs_that_an_earlier_finegrid_exported_are_recognised() -> None:
    tags, metrics = {"finegrid.key": "k"}, [("test/mcc", 0.5, 2000, 1)]
    run = mlflow_runs.MlflowRun("row-1-seed-0", "FINISHED", 1000, 2000, {"seed": "0"}, tags, metrics)

    assert run.content == "d8f216ab3e007a83"  # by version 0.1, whose class had another name


def test_without_the_library_it_says_how_to_get_it(
    probed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished(probed, tmp_path / "study")
    no_library(monkeypatch, "mlflow")

    with pytest.raises(InputError) as raised:
        export_study(study.folder, ExportOptions("mlflow"))
    for part in ("--to mlflow", "cannot be imported here", "pip install 'finegrid[mlflow]'"):
        assert part in str(raised.value)
    assert not (study.folder / "export").exists()
