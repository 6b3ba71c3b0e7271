"""Writes a study for TensorBoard: a log folder per run, with curves, scores and the hparams dashboard.

Written with the event records of the ``tensorboard`` package itself, without torch or TensorFlow. The files
hold nothing but what the study holds: exporting again writes the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finegrid.errors import visible
from finegrid.export.content import Content, ExportedRun
from finegrid.export.names import clean_name, make_distinct, name_curves, name_finals
from finegrid.extras import needing
from finegrid.recipe.identity import Level
from finegrid.refusals import saving

FILE = "events.out.tfevents.finegrid"  # TensorBoard reads whatever has "tfevents" in its name


def write_event_files(content: Content, out: Path) -> int:
    """Write ``out/<run>/`` for every run that has a record, and ``out`` itself for what they share.

    Event files of an earlier export that are no longer a run's are removed. Returns the number of runs.

    Raises:
        InputError: no tensorboard.
    """
    with needing("tensorboard", "command line", "--to tensorboard"):
        from tensorboard.compat.proto import event_pb2  # noqa: F401
        from tensorboard.plugins.hparams import plugin_data_pb2  # noqa: F401
        from tensorboard.summary.writer import record_writer  # noqa: F401
    recorded = [run for run in content.runs if run.status not in ("left", "missing")]
    write_if_changed(out / FILE, encode_events([(0.0, 0, make_experiment(content))]))
    for run in recorded:
        write_if_changed(out / run.name / FILE, encode_events(make_events(run, content)))
    names = {run.name for run in recorded}
    for path in out.glob(f"*/{FILE}"):
        if path.parent.name not in names:
            path.unlink()
    return len(recorded)


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file, unless it is the same already: a TensorBoard that shows it need not read it again."""
    if path.exists() and path.read_bytes() == content:
        return
    with saving(path, len(content)) as draft:
        draft.write_bytes(content)


def encode_events(events: Any) -> bytes:
    """An event file of ``(seconds since 1970, step, summary)``."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    events = list(events)
    writer.write(Event(wall_time=events[0][0], file_version="brain.Event:2").SerializeToString())
    for time, step, summary in events:
        writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString())
    return buffer.getvalue()


def make_events(run: ExportedRun, content: Content) -> Iterator[tuple[float, int, Any]]:
    """The events of a run, in the order in which they happened."""
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )

    started, ended = run.started, run.ended
    curves, finals = name_curves(content.scores), name_finals(content.scores)
    # Seeds of one recipe are sessions of one group: the dashboard then shows their mean as one line.
    start = SessionStartInfo(group_name=run.group, start_time_secs=started)
    for name, param in name_params(content).items():
        set_level(start.hparams[param], run.levels[name])
    yield started, 0, make_plugin_summary(HParamsPluginData(session_start_info=start), "session_start_info")
    now = started
    for epoch in run.epochs:
        now += epoch.seconds
        scores = {curves[key]: value for key, value in epoch.scores.items()}
        loss = {} if epoch.train_loss is None else {"train/loss": epoch.train_loss}
        yield now, epoch.number, make_scalars({**loss, **scores})
    final = {finals[key]: value for key, value in run.scores.items()}
    final |= {f"seconds/{part}": value for part, value in run.seconds.items()}
    if final:
        yield ended, run.best_epoch or 0, make_scalars(final)
    status = STATUS_SUCCESS if run.status == "done" else STATUS_FAILURE
    end = SessionEndInfo(status=status, end_time_secs=ended)
    yield ended, 0, make_plugin_summary(HParamsPluginData(session_end_info=end), "session_end_info")


def name_params(content: Content) -> dict[str, str]:
    """Factors, but for those that do nothing in the whole study: the dashboard has room for few."""
    return make_distinct([name for name in content.factors if name not in content.about["inert"]], clean_name)


def make_experiment(content: Content) -> Any:
    """What the hparams dashboard shows of all runs: the factors with their levels, and which scores count."""
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    names = name_finals(content.scores)
    experiment = api_pb2.Experiment(name=visible(content.name))
    for name, param in name_params(content).items():
        levels = content.factors[name]
        info = experiment.hparam_infos.add(
            name=param, display_name=visible(name), type=find_data_type(levels)
        )
        for level in levels:
            set_level(info.domain_discrete.values.add(), level)
    metrics = {names[content.main_score]: f"{content.main_score.partition('/')[0]} {content.score}"}
    if content.protocol:
        metrics[names[f"dev/{content.score}"]] = f"dev {content.score}"
        metrics["seconds/train"] = "seconds of training"
    for tag, words in metrics.items():
        # Chosen on the test set, a score on it is too high: whoever sees it should know.
        biased = (
            " (best-test: too high)" if content.protocol == "best-test" and tag.startswith("test") else ""
        )
        experiment.metric_infos.add(name={"tag": tag}, display_name=visible(words + biased))
    return make_plugin_summary(HParamsPluginData(experiment=experiment), "experiment")


def find_data_type(levels: Any) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    if all(isinstance(level, bool) for level in levels):
        return api_pb2.DATA_TYPE_BOOL
    if all(isinstance(level, int | float) for level in levels):
        return api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.DATA_TYPE_STRING


def set_level(value: Any, level: Level) -> None:
    """Fill a protobuf ``Value``."""
    if isinstance(level, bool):
        value.bool_value = level
    elif isinstance(level, int | float):
        value.number_value = level
    else:
        value.string_value = level


def make_plugin_summary(data: Any, tag: str) -> Any:
    """A record of the hparams plugin."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata

    data.version = metadata.PLUGIN_DATA_VERSION
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
    about = SummaryMetadata(plugin_data=plugin)
    value = Summary.Value(tag=f"_hparams_/{tag}", metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def make_scalars(values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
