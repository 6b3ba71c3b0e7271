"""A study for MLflow: an experiment with a run per run, in a local folder or on a tracking server."""

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
from finegrid.export.extras import needing
from finegrid.export.names import curve_names, differing, final_names, plain
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
class Exported:
    new: int
    changed: int
    same: int


def log_runs(content: Content, uri: str) -> Exported:
    """Log every run that has a record and is not there yet as it is now.

    A run that has changed since (it failed, and was tried again), or was logged in part, is deleted in MLflow
    and logged anew.

    Args:
        content: the study.
        uri: of the tracking store.

    Raises:
        InputError: no mlflow, or a store that it cannot use.
    """
    with configured():
        with needing("mlflow"):
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
            raise input_error("command line", "--tracking-uri", without_password(what)) from None


@contextmanager
def configured() -> Iterator[None]:
    """MLflow's settings for an export, where the user has none of his own."""
    ours = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def open_experiment(client: Any, content: Content) -> str:
    """The experiment of the study's name, made if need be. Returns its id.

    Raises:
        InputError: it was deleted.
    """
    name = plain(content.name)
    found = client.get_experiment_by_name(name)
    if found is None:
        note = json.dumps(dict(content.about), ensure_ascii=False, indent=1)
        made: str = client.create_experiment(
            name, tags={"mlflow.note.content": f"```json\n{note}\n```"[:20_000]}
        )
        return made
    if found.lifecycle_stage != "active":
        what = (
            f'found the experiment "{name}" deleted. Expected none, or one in use. Restore it '
            f"(mlflow experiments restore -x {found.experiment_id}), or rename the study's folder."
        )
        raise input_error("command line", "--tracking-uri", what)
    known: str = found.experiment_id
    return known


def log_all(client: Any, content: Content, experiment: str) -> Exported:
    there = existing(client, experiment)
    new = changed = same = 0
    for run in content.runs:
        if run.status in ("left", "missing"):
            continue
        logged = Logged.of(run, content)
        before = there.get(logged.tags[KEY], [])
        if [tags.get(CONTENT) for _, tags in before] == [logged.content]:
            same += 1
            continue
        for run_id, _ in before:
            client.delete_run(run_id)
        log(client, experiment, logged)
        new, changed = new + (not before), changed + bool(before)
    return Exported(new, changed, same)


def existing(client: Any, experiment: str) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """By our key: runs that are there, with their tags."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        for run in page:
            if KEY in run.data.tags:
                found.setdefault(run.data.tags[KEY], []).append((run.info.run_id, dict(run.data.tags)))
        token = page.token
        if not token:
            return found


@dataclass(frozen=True)
class Logged:
    """All that MLflow gets of a run."""

    name: str
    status: str
    started: int  # milliseconds since 1970; 0 where nobody knows
    ended: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[str, float, int, int]]  # name, value, milliseconds, step

    @classmethod
    def of(cls, run: ExportedRun, content: Content) -> Logged:
        started, ended = (round(1000 * run.record.get(each, 0.0)) for each in ("started", "ended"))
        return cls(
            name=run.name,
            status="FINISHED" if run.status == "done" else "FAILED",
            started=started,
            ended=ended,
            params=params_of(run),
            tags=tags_of(run, content),
            metrics=list(metrics_of(run, content, ended)),
        )

    @property
    def content(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def params_of(run: ExportedRun) -> dict[str, str]:
    """Every level, also what the study does not vary, and the seed."""
    levels = {**run.levels, **run.fixed}
    names = differing(["seed", *levels], plain)
    found = {names[name]: format_level(level) for name, level in levels.items()}
    return found if run.seed is None else {**found, "seed": str(run.seed)}


def tags_of(run: ExportedRun, content: Content) -> dict[str, str]:
    about, record = content.about, run.record
    found = {
        # Of the study too: another of the same name may have the same run, in another row.
        KEY: f"{content.identity}/{run.run_id or run.name}",
        "finegrid.study": content.identity,
        "finegrid.rows": " ".join(map(str, run.rows)),
        "finegrid.recipe": str(run.recipe),
        "finegrid.status": run.status,
        "finegrid.score": content.score,
        "mlflow.source.name": "finegrid",
    }
    if content.protocol:
        found |= {
            "finegrid.run_id": str(run.run_id),
            "finegrid.protocol": content.protocol,
            "finegrid.engine": str(about["engine"]),
            **{f"finegrid.fingerprint.{name}": value for name, value in about["fingerprints"].items()},
            **{f"finegrid.{name}": str(record[name]) for name in ("device", "precision", "threads")},
            **{f"finegrid.version.{name}": value for name, value in record.get("versions", {}).items()},
        }
    else:
        found["finegrid.imported"] = about["imported"]
    if "reason" in record:
        found["finegrid.reason"] = record["reason"]
    return found


def metrics_of(run: ExportedRun, content: Content, ended: int) -> Iterator[tuple[str, float, int, int]]:
    """Curves by epoch; what was measured once stands at the epoch that was chosen."""
    curves, finals = curve_names(content.scores), final_names(content.scores)
    now = float(run.record.get("started", 0.0))
    for epoch in run.epochs:
        now += epoch.train_seconds + epoch.dev_seconds
        for name, value in [("train/loss", epoch.train_loss), *named(epoch.scores, curves)]:
            yield name, value, round(1000 * now), epoch.number
    seconds = [(f"seconds/{part}", value) for part, value in run.seconds.items()]
    for name, value in [*named(run.scores, finals), *seconds]:
        yield name, value, ended, run.best_epoch or 0
    if run.best_epoch is not None:
        yield "best_epoch", float(run.best_epoch), ended, run.best_epoch


def named(scores: Mapping[str, float], names: Mapping[str, str]) -> list[tuple[str, float]]:
    return [(names[key], value) for key, value in scores.items()]


def log(client: Any, experiment: str, logged: Logged) -> None:
    """Write a run. Its tag `CONTENT` comes last: without it, it is not whole."""
    from mlflow.entities import Metric, Param

    # A table does not tell when: then MLflow has the time of the export.
    created = client.create_run(experiment, logged.started or None, logged.tags, run_name=logged.name)
    run_id = created.info.run_id
    for part in parts([Param(name, value) for name, value in logged.params.items()], MOST_PARAMS):
        client.log_batch(run_id, params=part)
    for part in parts([Metric(*metric) for metric in logged.metrics], MOST_METRICS):
        client.log_batch(run_id, metrics=part)
    client.set_terminated(run_id, status=logged.status, end_time=logged.ended or None)
    client.set_tag(run_id, CONTENT, logged.content)


def parts(entities: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entities[begin : begin + size] for begin in range(0, len(entities), size))


def without_password(text: str) -> str:
    """A server's address may carry a user and a password, which are nobody's business."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def local_store(folder: Path) -> str:
    return folder.resolve().as_uri()
