"""What TensorBoard itself reads from the event files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.export_studies import audited, finished, no_library, planned, table_from_elsewhere, unfinished

from finegrid.errors import InputError
from finegrid.export.export import ExportOptions, export_study

WITHOUT = "tensorboard is not installed: pip install -e '.[tensorboard]'"


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    return audited(tmp_path_factory.mktemp("audited") / "study", bert)


@pytest.fixture(autouse=True)
def _tensorboard() -> None:
    pytest.importorskip("tensorboard", reason=WITHOUT)


def exported(folder: Path) -> Path:
    export_study(folder, ExportOptions("tensorboard"))
    return folder / "export" / "tensorboard"


def curves(folder: Path) -> dict[str, Any]:
    """By tag: a list of step and value, as TensorBoard accumulates them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


class Dashboard:
    """The hparams dashboard's own view of a log folder."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        from tensorboard.context import RequestContext
        from tensorboard.plugins.base_plugin import TBContext
        from tensorboard.plugins.hparams import backend_context

        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
        multiplexer.Reload()
        provider = MultiplexerDataProvider(multiplexer, str(folder))
        self.request = RequestContext()
        self.backend = backend_context.Context(TBContext(data_provider=provider))

    def experiment(self) -> Any:
        from tensorboard.plugins.hparams import api_pb2, get_experiment

        asked = api_pb2.GetExperimentRequest()
        return get_experiment.Handler(self.request, self.backend, "", asked).run()

    def groups(self) -> dict[str, Any]:
        from tensorboard.plugins.hparams import api_pb2, list_session_groups

        asked = api_pb2.ListSessionGroupsRequest(
            allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
            start_index=0,
            slice_size=1000,
            aggregation_type=api_pb2.AGGREGATION_AVG,
        )
        found = list_session_groups.Handler(self.request, self.backend, "", asked).run()
        return {group.name: group for group in found.session_groups}


def test_curves_and_scores_are_the_ledgers(probed: Path, tmp_path: Path) -> None:
    study = finished(probed, tmp_path / "study")
    out = exported(study.folder)

    assert len([path for path in out.iterdir() if path.is_dir()]) == 12
    run = next(run for run in planned(study) if run.seed == 1 and run.stands_for == (2, 4))
    record = study.ledger.latest()[run.run_id]
    found = curves(out / "row-2-seed-1")
    score = record.score("dev", "macro-f1")
    assert found["train/loss"] == [(1, 1.5), (2, 0.75)]
    assert found["dev/macro-f1"] == [(1, pytest.approx(score / 2)), (2, pytest.approx(score))]
    assert found["dev_best/macro-f1"] == [(2, pytest.approx(score))]
    assert found["test/accuracy"] == [(2, pytest.approx(record.test["accuracy"]))]
    assert found["seconds/train"] == [(2, 20.0)]
    # Two labels that become one name stay two curves.
    assert {tag for tag in found if tag.startswith("test_f1/")} == {
        *("test_f1/_1_1", "test_f1/体育_足球", "test_f1/体育_足球_2")
    }


def test_the_hparams_dashboard_shows_recipes_with_the_mean_of_their_seeds(
    probed: Path, tmp_path: Path
) -> None:
    study = finished(probed, tmp_path / "study")
    dashboard = Dashboard(exported(study.folder))

    experiment = dashboard.experiment()
    levels = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert levels == {"optimizer.decay_on": ["all", "matrices"], "schedule.warmup_ratio": [0.0, 0.1]}
    shown = {info.name.tag: info.display_name for info in experiment.metric_infos}
    assert shown["test/macro-f1"] == "test macro-f1" and shown["dev_best/macro-f1"] == "dev macro-f1"

    groups = dashboard.groups()
    assert groups.keys() == {"row-1", "row-2", "row-5", "row-6"}
    for name, group in groups.items():
        row = study.rows[int(name.removeprefix("row-")) - 1]
        hparams = {factor: group.hparams[factor] for factor in levels}
        assert hparams["optimizer.decay_on"].string_value == row.levels["optimizer.decay_on"]
        assert hparams["schedule.warmup_ratio"].number_value == row.levels["schedule.warmup_ratio"]
        mine = [r.score("test", "macro-f1") for r in study.ledger if row.index in r.stands_for]
        mean = {value.name.tag: value.value for value in group.metric_values}["test/macro-f1"]
        assert len(group.sessions) == 3 and mean == pytest.approx(sum(mine) / 3)


def test_runs_that_ended_badly_are_failures_and_those_left_are_not_there(
    probed: Path, tmp_path: Path
) -> None:
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS

    out = exported(unfinished(probed, tmp_path / "study").folder)
    status = {s.name: s.status for group in Dashboard(out).groups().values() for s in group.sessions}

    assert len(status) == 11
    failures = [name for name, each in status.items() if each == STATUS_FAILURE]
    assert len(failures) == 2 and set(status.values()) == {STATUS_FAILURE, STATUS_SUCCESS}
    for name in failures:
        assert not any(tag.startswith("test") for tag in curves(out / name))


def test_exporting_again_writes_the_same_bytes_and_takes_away_what_is_no_longer_true(
    probed: Path, tmp_path: Path
) -> None:
    study = finished(probed, tmp_path / "study")
    out = exported(study.folder)
    files = {path: path.read_bytes() for path in out.rglob("events*")}
    times = {path: path.stat().st_mtime_ns for path in files}
    exported(study.folder)
    assert {path: path.read_bytes() for path in out.rglob("events*")} == files
    assert {path: path.stat().st_mtime_ns for path in files} == times

    mine = out / "notes" / "events.out.tfevents.mine"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    lines = study.ledger.path.read_bytes().splitlines(keepends=True)
    study.ledger.path.write_bytes(b"".join(lines[:-1]))
    exported(study.folder)
    assert len(list(out.rglob("events*"))) == len(files) and mine.exists()  # one less, and mine


def test_test_scores_that_chose_the_epoch_are_marked(bert: Path, tmp_path: Path) -> None:
    biased = audited(tmp_path / "audited", bert, 'protocol = "best-test"')
    out = exported(finished(biased, tmp_path / "study").folder)

    shown = {info.name.tag: info.display_name for info in Dashboard(out).experiment().metric_infos}
    assert shown["test/macro-f1"] == "test macro-f1 (best-test: too high)"
    found = curves(out / "row-1-seed-0")
    assert len(found["test_by_epoch/macro-f1"]) == 2 and len(found["test/macro-f1"]) == 1


def test_a_table_from_elsewhere_has_its_results(tmp_path: Path) -> None:
    out = exported(table_from_elsewhere(tmp_path / "table"))

    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["row-1", "row-2", "row-4"]
    assert curves(out / "row-1")["result"] == [(0, pytest.approx(0.9376))]
    groups = Dashboard(out).groups()
    assert {name: len(group.sessions) for name, group in groups.items()} == {"row-1": 2, "row-4": 1}
    assert groups["row-4"].hparams["_cmd"].string_value == "@x"


def test_without_the_library_it_says_how_to_get_it(
    probed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished(probed, tmp_path / "study")
    no_library(monkeypatch, "tensorboard")

    with pytest.raises(InputError) as raised:
        exported(study.folder)
    for part in ("--to tensorboard", "cannot be imported here", "pip install 'finegrid[tensorboard]'"):
        assert part in str(raised.value)
    assert not (study.folder / "export").exists()
