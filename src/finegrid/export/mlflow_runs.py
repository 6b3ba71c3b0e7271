"""Logs a study in MLflow: an experiment with a run per run, in a local folder or on a tracking server."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finegrid.errors import input_error
from finegrid.export.content import Content, ExportedRun
from finegrid.export.names import clean_name, make_distinct, name_curves, name_finals
from finegrid.extras import needing
from finegrid.spelling import format_level

PAGE = 1000
MOST_METRICS, MOST_PARAMS = 1000, 100  # of one call: mlflow/utils/validation.py
KEY, CONTENT = "finegrid.key", "finegrid.content"
SETTINGS = {
    # Its folders of plain files need no database; since 3.x MLflow wants to be told that they are meant.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # whoever exports a study has not asked for a message to anybody
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a line per run
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # seven would take minutes to say that nobody answers
}


@dataclass(frozen=True)
class LogCounts:
    """How many runs were logged, logged anew, and left as they were."""

    new: int
    changed: int
    same: int


def log_runs(content: Content, uri: str) -> LogCounts:
    """Log every run that has a record and is not there yet as it is now.

    A run that has changed since (it failed, and was tried again), or was logged in part, is deleted in MLflow
    and logged anew.

    Args:
        content: the study.
        uri: of the tracking store.

    Raises:
        InputError: no mlflow, or a store that it cannot use.
    """
    with default_settings():
        with needing("mlflow", "command line", "--to mlflow"):
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        try:
            client = MlflowClient(uri)
            return log_all(client, content, open_experiment(client, content))
        except MlflowException as error:
            reason = str(error).strip().partition("\n")[0]
            what = (
                f"found {uri}, which mlflow cannot use ({reason}). Expected a folder (file:///...) or a "
                "server that runs (http://...). Databases (sqlite:///...) need all of it: pip install mlflow"
            )
            raise input_error("command line", "--tracking-uri", hide_password(what)) from None


@contextmanager
def default_settings() -> Iterator[None]:
    """MLflow's settings for an export, where the user has none of his own."""
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


def open_experiment(client: Any, content: Content) -> str:
    """The experiment of the study's name, made if need be. Returns its id.

    Raises:
        InputError: it was deleted.
    """
    name = clean_name(content.name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        note = json.dumps(dict(content.about), ensure_ascii=False, indent=1)
        new_id: str = client.create_experiment(
            name, tags={"mlflow.note.content": f"```json\n{note}\n```"[:20_000]}
        )
        return new_id
    if experiment.lifecycle_stage != "active":
        what = (
            f'found the experiment "{name}" deleted. Expected none, or one in use. Restore it '
            f"(mlflow experiments restore -x {experiment.experiment_id}), or rename the study's folder."
        )
        raise input_error("command line", "--tracking-uri", what)
    experiment_id: str = experiment.experiment_id
    return experiment_id


def log_all(client: Any, content: Content, experiment: str) -> LogCounts:
    existing = find_logged(client, experiment)
    new = changed = same = 0
    for run in content.runs:
        if run.status in ("left", "missing"):
            continue
        mlflow_run = MlflowRun.of(run, content)
        before = existing.get(mlflow_run.tags[KEY], [])
        if [tags.get(CONTENT) for _, tags in before] == [mlflow_run.content]:
            same += 1
            continue
        for run_id, _ in before:
            client.delete_run(run_id)
        log_run(client, experiment, mlflow_run)
        new, changed = new + (not before), changed + bool(before)
    return LogCounts(new, changed, same)


def find_logged(client: Any, experiment: str) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Runs that the experiment has already, by our key: id and tags of each."""
    logged: dict[str, list[tuple[str, dict[str, str]]]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        for run in page:
            if KEY in run.data.tags:
                logged.setdefault(run.data.tags[KEY], []).append((run.info.run_id, dict(run.data.tags)))
        token = page.token
        if not token:
            return logged


@dataclass(frozen=True)
class MlflowRun:
    """All that MLflow gets of a run."""

    name: str
    status: str
    started: int  # milliseconds since 1970; 0 where nobody knows
    ended: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, float, int, int]]  # name, value, milliseconds, step

    @classmethod
    def of(cls, run: ExportedRun, content: Content) -> MlflowRun:
        started, ended = (round(1000 * seconds) for seconds in (run.started, run.ended))
        return cls(
            name=run.name,
            status="FINISHED" if run.status == "done" else "FAILED",
            started=started,
            ended=ended,
            params=make_params(run),
            tags=make_tags(run, content),
            metrics=list(make_metrics(run, content, ended)),
        )

    @property
    def content(self) -> str:
        """A hash that is equal for equal runs, in every version of finegrid: MLflow keeps it as a tag."""
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        # MlflowRun's name in version 0.1, not its present one: the hash must stay.
        return hashlib.sha256(f"Logged({fields})".encode()).hexdigest()[:16]


def make_params(run: ExportedRun) -> dict[str, str]:
    """Every level, also what the study does not vary, and the seed."""
    levels = {**run.levels, **run.fixed}
    names = make_distinct(["seed", *levels], clean_name)
    params = {names[name]: format_level(level) for name, level in levels.items()}
    return params if run.seed is None else {**params, "seed": str(run.seed)}


def make_tags(run: ExportedRun, content: Content) -> dict[str, str]:
    about, record = content.about, run.record
    tags = {
        # Of the study too: another of the same name may have the same run, in another row.
        KEY: f"{content.identity}/{run.run_id or run.name}",
        "finegrid.study": content.identity,
        "finegrid.rows": " ".join(map(str, run.rows)),
        "finegrid.recipe": str(run.recipe),
        "finegrid.status": run.status,
        "finegrid.score": content.score,
        "mlflow.source.name": "finegrid",
    }
    if record is not None:
        names = make_distinct(about["fingerprints"], clean_name)  # a teacher's has its path in it
        tags |= {
            "finegrid.run_id": str(run.run_id),
            "finegrid.protocol": content.protocol,
            "finegrid.engine": str(about["engine"]),
            **{f"finegrid.fingerprint.{told}": about["fingerprints"][name] for name, told in names.items()},
            "finegrid.device": str(record.device),
            "finegrid.precision": str(record.precision),
            "finegrid.threads": str(record.threads),
            **{f"finegrid.version.{name}": value for name, value in record.versions.items()},
        }
    else:
        tags["finegrid.imported"] = about["imported"]
    if record is not None and record.reason is not None:
        tags["finegrid.reason"] = record.reason
    return tags


def make_metrics(run: ExportedRun, content: Content, ended: int) -> Iterator[tuple[str, float, int, int]]:
    """Curves by epoch; what was measured once stands at the epoch that was chosen."""
    curves, finals = name_curves(content.scores), name_finals(content.scores)
    now = float(run.started)
    for epoch in run.epochs:
        now += epoch.seconds
        loss = [] if epoch.train_loss is None else [("train/loss", epoch.train_loss)]
        for name, value in [*loss, *rename_scores(epoch.scores, curves)]:
            yield name, value, round(1000 * now), epoch.number
    seconds = [(f"seconds/{part}", value) for part, value in run.seconds.items()]
    for name, value in [*rename_scores(run.scores, finals), *seconds]:
        yield name, value, ended, run.best_epoch or 0
    if run.best_epoch is not None:
        yield "best_epoch", float(run.best_epoch), ended, run.best_epoch


def rename_scores(scores: Mapping[str, float], names: Mapping[str, str]) -> list[tuple[str, float]]:
    return [(names[key], value) for key, value in scores.items()]


def log_run(client: Any, experiment: str, mlflow_run: MlflowRun) -> None:
    """Write a run. Its tag `CONTENT` comes last: without it, it is not whole."""
    from mlflow.entities import Metric, Param

    # A table does not tell when: then MLflow has the time of the export.
    created = client.create_run(
        experiment, mlflow_run.started or None, mlflow_run.tags, run_name=mlflow_run.name
    )
    run_id = created.info.run_id
    for part in cut_batches([Param(name, value) for name, value in mlflow_run.params.items()], MOST_PARAMS):
        client.log_batch(run_id, params=part)
    for part in cut_batches([Metric(*metric) for metric in mlflow_run.metrics], MOST_METRICS):
        client.log_batch(run_id, metrics=part)
    client.set_terminated(run_id, status=mlflow_run.status, end_time=mlflow_run.ended or None)
    client.set_tag(run_id, CONTENT, mlflow_run.content)


def cut_batches(entities: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entities[begin : begin + size] for begin in range(0, len(entities), size))


def hide_password(text: str) -> str:
    """The text without user and password, which a server's address may carry."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def make_store_uri(folder: Path) -> str:
    return folder.resolve().as_uri()
