"""A study from Python: trained by the same processes, judged by the same facts, and silent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from support.command_line import Call, inline_workers, torch_put_back
from support.export_studies import LABELS, audited, finished, table_from_elsewhere, unfinished
from support.studies import draw_texts, save_word_checkpoint

import finegrid as fg
from finegrid.api.summary import format_effect
from finegrid.export.export import ExportOptions, export_study
from finegrid.planning.status import STATES
from finegrid.running import worker
from finegrid.study.folder import StudyFolder
from finegrid.study.lock import locked


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with torch_put_back():
        inline_workers(monkeypatch)
        yield


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two runs that nobody has trained."""
    home = tmp_path_factory.mktemp("home")
    made = fg.Study.create(
        home / "study",
        train=pd.DataFrame(draw_texts(60), columns=["text", "label"]),
        model=save_word_checkpoint(home / "model"),
        factors={"schedule.warmup_ratio": [0.0, 0.1]},
        settings={"training.epochs": 1, "training.batch_size": 8, "model.max_length": 12},
        seeds=1,
    )
    return made.folder


@pytest.fixture
def study(fresh: Path, tmp_path: Path) -> fg.Study:
    shutil.copytree(fresh.parent, tmp_path, dirs_exist_ok=True)
    return fg.Study.load(tmp_path / "study")


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    return audited(tmp_path_factory.mktemp("audited") / "study", bert)


@pytest.fixture(scope="module")
def done(probed: Path, tmp_path_factory: pytest.TempPathFactory) -> fg.Study:
    return fg.Study.load(finished(probed, tmp_path_factory.mktemp("done") / "study").folder)


def test_it_trains_in_silence_and_says_how_it_stands(
    study: fg.Study, inline: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "log", lambda line: None)  # a worker of its own writes into its log file
    before = study.plan()
    summary = study.run(workers=1)
    after = study.plan()

    assert (before.probed, before.runs, before.recipes, before.seeds) == (False, None, 2, (0,))
    assert summary.runs == fg.RunStates(distinct=2, done=2, diverged=0, failed=0, left=0) == after.runs
    assert summary.ok and summary.failures == () and "reading data and checkpoint" in summary.said
    assert str(summary) == "2 runs: 2 done"
    assert study.run().runs == summary.runs  # nothing is left to train
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


def test_a_function_is_told_how_far_it_is(study: fg.Study, inline: None) -> None:
    told: list[fg.Progress] = []
    study.run(workers=1, progress=told.append)

    assert told[0].doing == "reading data and checkpoint" and told[0].runs == 0
    assert [one.ended for one in told] == sorted(one.ended for one in told)
    assert (told[-1].runs, told[-1].ended, told[-1].share) == (2, 2, 1.0)


def test_progress_may_be_shown_as_on_the_command_line(
    study: fg.Study, inline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    study.run(workers=1, progress=True)

    written = capsys.readouterr()
    assert "run 2 of 2" in written.err and written.out == ""


def test_progress_on_stderr_has_the_language_of_the_locale_and_values_are_english(
    study: fg.Study, inline: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    summary = study.run(workers=1, progress=True, rows=[1])

    assert "正在读取数据和检查点\n" in capsys.readouterr().err
    assert "../model" in summary.said[0]
    assert summary.said[1] == "reading data and checkpoint" and summary.runs.left == 1


def train_one_by_one(study: fg.Study) -> None:
    """Runs of one family end together."""
    settings = study.folder / "study.toml"
    with_families = settings.read_text()
    alone = with_families.replace("[run]\n", "[run]\nfamily_size = 1\n")
    assert alone != with_families
    settings.write_text(alone)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_leaves_what_has_ended_and_the_same_call_goes_on(
    study: fg.Study, inline: None, error: type[BaseException]
) -> None:
    train_one_by_one(study)

    def stop(progress: fg.Progress) -> None:
        if progress.ended:
            raise error

    with pytest.raises(error):
        study.run(workers=1, progress=stop)

    assert study.plan().runs == fg.RunStates(distinct=2, done=1, diverged=0, failed=0, left=1)
    assert not (study.folder / "progress.json").exists()
    with locked(study.folder):
        pass  # nobody holds it
    assert study.run(workers=1).ok


def test_a_run_whose_folder_another_host_has_taken_records_nothing_more(
    study: fg.Study, inline: None
) -> None:
    train_one_by_one(study)
    lease = StudyFolder(study.folder).lease

    def take_over(progress: fg.Progress) -> None:
        if progress.ended:
            lease.write_text("that of another host")

    with pytest.raises(fg.InputError, match="the same command goes on"):
        study.run(workers=1, progress=take_over)

    assert lease.read_text() == "that of another host"
    assert study.plan().runs == fg.RunStates(distinct=2, done=1, diverged=0, failed=0, left=1)
    lease.unlink()
    assert study.run(workers=1).ok


def test_only_the_rows_that_are_asked_for_are_trained(study: fg.Study, inline: None) -> None:
    summary = study.run(rows=[2], workers=1)

    assert (summary.runs.done, summary.runs.left, summary.ok) == (1, 1, False)
    assert [run["recipe"] for run in study.runs() if run["status"] == "done"] == [2]


def test_a_time_may_be_given_and_the_same_call_goes_on(study: fg.Study, inline: None) -> None:
    study.plan(probe=True)
    short = study.run(seconds=1e-3, workers=1)
    assert (short.runs.done, short.runs.left, short.ok) == (0, 2, False)

    assert study.run(seconds=3600, workers=1).runs.done == 2


def test_seeds_that_are_asked_for_at_first_are_the_studys(study: fg.Study, inline: None) -> None:
    """As by `finegrid run --seeds`: no view then calls them added later."""
    summary = study.run(seeds=2, rows=[1], workers=1)

    assert summary.runs.done == 2 and "seeds = 2" in (study.folder / "study.toml").read_text()


def test_seeds_are_added_until_every_verdict_is_in(study: fg.Study, inline: None) -> None:
    summary = study.run(until_decided=True, seconds=0.001, workers=1)

    assert summary.ended.startswith("the budget is spent: 3 seeds would take")
    assert summary.ended in str(summary) and summary.runs.done == 0


def test_a_failed_run_is_told_and_raises_nothing(probed: Path, tmp_path: Path) -> None:
    study = fg.Study.load(unfinished(probed, tmp_path / "study").folder)
    plan = study.plan()

    assert plan.runs == fg.RunStates(distinct=12, done=9, diverged=1, failed=1, left=1)
    assert {run["status"] for run in study.runs()} == {*STATES}


def test_a_verdict_is_what_the_command_line_says(done: fg.Study, call: Call) -> None:
    verdict = done.verdict(margin=1.0)
    facts = json.loads(call("verdict", done.folder, "--json", "--margin", "1").stdout)

    assert verdict.to_json() == facts and verdict.margin == 1.0
    for row, factor in zip(verdict.effects, facts["factors"], strict=True):
        assert (row["factor"], row["effect"], row["low"]) == (
            factor["factor"],
            factor["effect"],
            factor["low"],
        )
        assert [row["adjusted_low"], row["adjusted_high"]] == factor["adjusted"]
        assert row["decision"] == factor["decision"]["kind"] and row["seconds"] == factor["seconds"]
    best = verdict.recommendation
    assert best is not None and best.levels == facts["best"]["recommended"]["levels"]
    assert len(verdict.recipes) == facts["recipes"] == 4
    assert [row["recommended"] for row in verdict.recipes].count(True) == 1
    assert [row["against_baseline"] for row in verdict.recipes if row["baseline"]] == [None]
    others = [row["against_baseline"] for row in verdict.recipes if not row["baseline"]]
    assert others == [one["effect"] for one in facts["against_baseline"]]


def test_what_it_says_in_text_and_html_is_the_verdict(done: fg.Study) -> None:
    verdict = done.verdict()

    assert verdict.recommendation is not None
    for shown in (str(verdict), verdict._repr_html_()):
        assert verdict.recommendation.words[0] in " ".join(shown.split())
        assert all(f"{row['factor']} = {row['level']}" in shown for row in verdict.effects)
    assert all(len(line) <= 100 for line in str(verdict).splitlines())


def test_an_effect_that_rounds_to_nothing_has_no_minus() -> None:
    assert format_effect({"effect": -0.001, "low": -0.9, "high": 0.9}) == "+0.00 (-0.90 to +0.90)"


def test_values_cannot_be_changed_by_mistake(done: fg.Study) -> None:
    verdict = done.verdict()
    values = [done, done.plan(), verdict, verdict.recommendation, verdict.effects]

    for value in values:
        assert value is not None and is_dataclass(value)
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, None)
    verdict.to_json()["factors"].clear()
    assert verdict.to_json()["factors"] != []


def test_tables_are_those_of_an_export(done: fg.Study, tmp_path: Path) -> None:
    export_study(done.folder, ExportOptions("parquet", tmp_path, predictions=True))

    tables = {"runs": done.runs(), "epochs": done.epochs(), "predictions": done.predictions()}
    tables["effects"] = done.verdict().effects
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table.to_frame(), pd.read_parquet(tmp_path / f"{name}.parquet"))
        assert pl.DataFrame(table).height == len(table)
    assert {*done.predictions()["gold"]} == {*LABELS}


def test_before_the_first_run_there_is_nothing_to_judge(study: fg.Study) -> None:
    for ask in (study.verdict, study.runs, study.epochs, study.predictions, study.report):
        with pytest.raises(fg.InputError, match="`finegrid run` trains it"):
            ask()


def test_a_study_without_a_finished_run_has_tables_without_rows(probed: Path) -> None:
    study = fg.Study.load(probed)

    assert len(study.epochs()) == len(study.predictions()) == 0
    assert study.predictions().columns == (
        "run_id",
        "split",
        "text",
        "gold",
        "predicted",
        "p_gold",
        "p_predicted",
    )
    assert {run["status"] for run in study.runs()} == {"left"}
    assert study.verdict().recommendation is None
    assert "no run has finished yet" in str(study.verdict())


def test_an_imported_table_has_a_verdict_and_nothing_to_train(tmp_path: Path) -> None:
    study = fg.Study.load(table_from_elsewhere(tmp_path / "table"))

    assert {row["factor"] for row in study.verdict().effects} == {"=cmd", "status"}
    assert study.runs()["status"] == ("done", "done", "missing", "done")
    with pytest.raises(fg.InputError, match="nothing to"):
        study.run()


def test_a_report_lies_where_it_says(done: fg.Study, tmp_path: Path) -> None:
    assert done.report(str(tmp_path / "tables.MD"), lang="zh") == tmp_path / "tables.MD"
    assert (tmp_path / "tables.MD").read_text(encoding="utf-8").startswith("#")


@pytest.mark.slow  # six seconds: it draws every figure
def test_a_report_is_a_page_in_the_study(done: fg.Study) -> None:
    assert done.report() == done.folder / "report.html"
    assert "<html" in (done.folder / "report.html").read_text(encoding="utf-8")[:300]


def test_a_study_goes_into_other_tools(done: fg.Study, tmp_path: Path) -> None:
    lines = done.export("csv", out=tmp_path / "out")

    assert any("effects.csv" in line for line in lines)
    assert pd.read_csv(tmp_path / "out" / "effects.csv")["decision"].notna().all()


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("run", {"rows": [9]}, "rows    found 9, expected numbers from 1 to 2"),
        ("run", {"until_decided": True, "seeds": 2}, "seeds    found 2 together with until_decided"),
        ("run", {"device": "gpu"}, "device    found 'gpu', expected cpu or cuda"),
        ("report", {"path": "x.pdf"}, 'path    found "x.pdf"'),
        ("report", {"path": "x.svg"}, 'path    found "x.svg" with figure=None'),
        ("report", {"path": "x.html", "lang": "fr"}, 'lang    found "fr", expected en or zh'),
        ("export", {"to": "excel"}, 'to    found "excel", expected csv'),
        ("fit", {}, "recipe    which recipe is to be kept"),
        ("fit", {"recipe": 7}, "recipe    no row 7"),
    ],
)
def test_wrong_arguments_are_told_by_their_names(
    call: str, arguments: dict[str, Any], said: str, fresh: Path
) -> None:
    with pytest.raises(fg.InputError) as caught:
        getattr(fg.Study.load(fresh), call)(**arguments)

    assert str(caught.value).startswith(f"Study.{call}: 1 problem") or call == "run"
    assert said in str(caught.value)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(fg.InputError, match=r"no such file\. Expected a study folder"):
        fg.Study.load(tmp_path)
