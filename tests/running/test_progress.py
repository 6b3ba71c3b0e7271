"""What a study at work shows: its state, the picture on a terminal, plain lines, and ``progress.json``."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support import audits
from support.english import english_words
from support.waiting import wait_until

from finegrid.planning.families import Family
from finegrid.planning.runs import PlannedRun
from finegrid.running.progress import heartbeat, show
from finegrid.running.progress.heartbeat import STALE_SECONDS, Heartbeat, read_heartbeat
from finegrid.running.progress.show import ProgressConsole, Show
from finegrid.running.progress.study_progress import TRUST, EpochScore, StudyProgress, name_runs
from finegrid.running.progress.terminal import draw, spans
from finegrid.running.progress.watcher import Watcher
from finegrid.running.progress.words import telling, warning
from finegrid.spelling import Lang
from finegrid.study.audit_file import Audit, Cost
from finegrid.study.folder import PROGRESS_FILE
from finegrid.study.record import Record

EPOCHS, STEPS_PER_EPOCH = 4, 25  # 100 texts in batches of 4
LEVELS = {"training.epochs": EPOCHS, "training.batch_size": 4}


def audit_of(step_seconds: float = 1.0, costs: bool = True) -> Audit:
    """Runs of 100 steps, by forecast of ``step_seconds`` each and nothing else."""
    cost = Cost(
        shared=dict(LEVELS),
        step_seconds=step_seconds,
        prefix_seconds=0.0,
        evaluation_seconds=0.0,
        test_seconds=0.0,
        memory=1,
    )
    return audits.audit_of(*[cost] * costs)


def family(name: str, *rows: int, seed: int = 0) -> Family:
    run = PlannedRun(name, dict(LEVELS), seed, rows)
    return Family((run,), (run,))


def record(rows: Sequence[int], score: float = 0.5, run_id: str = "x") -> Record:
    return Record(
        run_id=run_id,
        status="done",
        seed=0,
        stands_for=tuple(rows),
        dev={"accuracy": score},
        test={"accuracy": score - 0.1},
    )


ONE, TWO = family("one", 1, 2), family("two", 3)
DIVERGED = Record(run_id="x", status="diverged", seed=0, stands_for=(3,), reason="the loss was nan")


@pytest.fixture
def board() -> StudyProgress:
    """Two families planned at time 0."""
    return StudyProgress("accuracy", 0.0).planned([ONE, TWO], [ONE, TWO], audit_of(), 0.0)


def picture(
    board: StudyProgress, now: float = 10.0, width: int = 80, height: int = 24, lang: Lang = "en"
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(draw(board, now, width, height, lang))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_epoch_is_the_one_that_is_trained_now(board: StudyProgress) -> None:
    board = board.began(ONE, 0, 0.0)

    def epoch(steps: int) -> int:
        return board.stepped(ONE, steps).at_work[0].epoch

    assert board.at_work[0].epoch == 0
    assert [epoch(steps) for steps in (1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1)] == [1, 1, 2]
    assert epoch(EPOCHS * STEPS_PER_EPOCH) == EPOCHS


def test_time_left_starts_at_the_forecast_and_ends_at_the_pace(board: StudyProgress) -> None:
    board = board.began(ONE, 0, 0.0)
    slow = board.stepped(ONE, 1).stepped(ONE, 50)  # in 100 s, twice what the audit said

    assert board.seconds_left(0.0) == pytest.approx(200.0)
    assert slow.seconds_left(100.0) == pytest.approx(150 * (100 + TRUST) / (50 + TRUST))
    assert slow.began(TWO, 1, 100.0).seconds_left(100.0) == pytest.approx(  # two workers share what is left
        100 * (100 + TRUST) / (50 + TRUST)
    )


def test_steps_of_an_earlier_process_do_not_count_as_pace(board: StudyProgress) -> None:
    resumed = board.began(ONE, 0, 0.0).stepped(ONE, 76)

    assert resumed.share == pytest.approx(0.38)
    assert resumed.seconds_left(1.0) == pytest.approx(124.0, abs=0.1)  # a step a second, as forecast


def test_without_a_forecast_there_is_no_time_left_until_a_step_is_done() -> None:
    board = (
        StudyProgress("accuracy", 0.0).planned([ONE], [ONE], audit_of(costs=False), 0.0).began(ONE, 0, 0.0)
    )

    assert board.seconds_left(10.0) is None
    assert board.stepped(ONE, 1).stepped(ONE, 20).seconds_left(10.0) == pytest.approx(40.0)


def test_the_best_run_so_far_is_by_dev_and_counts_those_of_earlier_processes(board: StudyProgress) -> None:
    board = board.found([record([7], 0.8), DIVERGED]).recorded(record([1, 2], 0.7))

    assert board.best is not None and board.best.stands_for == (7,)
    assert (board.finished, board.ended) == (2, 1)
    assert board.recorded(record([3], 0.9)).best == record([3], 0.9)


def test_the_picture_shows_what_is_at_work_and_that_the_best_is_no_verdict(board: StudyProgress) -> None:
    board = (
        board.began(ONE, 5, 0.0).stepped(ONE, 30).recorded(record([3], 0.8, run_id="two")).recorded(DIVERGED)
    )
    seen = picture(board.said("warning: look", 5.0))

    assert "15 %" in seen and "2 of 2 runs, 10 s gone, about " in seen
    assert re.search(r"^5 +1 +1-2 +0 +2 of 4 ", seen, re.MULTILINE)
    assert "best on dev so far: accuracy 0.8000, row 3, seed 0" in seen and "not the verdict" in seen
    assert "the only run so far: not the verdict" in seen
    assert "the highest of 2 runs is partly luck: not" in picture(board.found([record([1])]))
    assert "1 diverged, 1 warning: see above" in seen


def test_rows_of_the_best_run_are_those_of_the_plan_not_of_the_ledger(board: StudyProgress) -> None:
    seen = [picture(board.found([record([7], run_id=name)])) for name in ("two", "of another precision")]

    assert ["row 3, seed 0" in one for one in seen] == [True, False] and "0.5000, seed 0" in seen[1]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_the_picture_is_wider_than_the_terminal(board: StudyProgress, width: int) -> None:
    many = family("many", *range(1, 200, 2))
    board = StudyProgress("f1:一个很长很长的标签一个很长很长的标签", 0.0).planned(
        [many, TWO], [many, TWO], audit_of(), 0.0
    )
    best = replace(record([9], run_id="two"), dev={"f1": {board.score[3:]: 0.5}})
    board = board.began(many, 0, 0.0).began(TWO, 1, 0.0).recorded(best).recorded(DIVERGED)
    lines = picture(board, width=width).splitlines()

    assert max(Console(width=500).measure(line).maximum for line in lines) <= width
    assert len(lines) == 9  # blank, bar, counts, header, two jobs, two of the best, trouble
    assert width < 40 or all(word in "\n".join(lines) for word in ("2 of 2 runs", "not the verdict"))


def test_the_picture_fits_a_low_terminal(board: StudyProgress) -> None:
    families = [family(str(index), index) for index in range(50)]
    board = StudyProgress("accuracy", 0.0).planned(families, families, audit_of(), 0.0)
    for index, each in enumerate(families):
        board = board.began(each, index, 0.0)
    board = board.recorded(record([1])).recorded(DIVERGED)
    lines = picture(board, height=24).splitlines()

    assert len(lines) < 24
    assert any("and 35 more" in line for line in lines)


def test_labels_cannot_draw_on_the_terminal() -> None:
    score = "f1:[red]a\x1b[31m\nb"
    board = StudyProgress(score, 0.0).planned([ONE], [ONE], audit_of(), 0.0)
    best = replace(record([1]), dev={"f1": {"[red]a\x1b[31m\nb": 0.5}})
    seen = picture(board.recorded(best))

    assert r"f1:[red]a\x1b[31m\nb 0.5000" in seen and "\x1b" not in seen


def test_the_picture_has_the_loss_and_the_dev_score_of_the_last_epoch(board: StudyProgress) -> None:
    board = board.began(ONE, 0, 0.0).stepped(ONE, 60)
    assert "loss" in picture(board) and "0.6931" not in picture(board)
    board = board.scored(ONE, "one", EpochScore(1, 0.6931, 0.7123))

    (line,) = [line for line in picture(board).splitlines() if "0.6931" in line]
    assert line.rstrip().endswith("0.7123") and line.startswith("0 ")
    assert max(map(len, picture(board).splitlines())) <= 80
    assert board.as_json(1.0)["at_work"][0]["dev"] == 0.7123


def test_a_family_has_the_mean_of_its_runs(board: StudyProgress) -> None:
    board = board.began(ONE, 0, 0.0).scored(ONE, "a", EpochScore(2, 0.5, 0.7))
    mean = board.scored(ONE, "b", EpochScore(2, 0.75, 0.8)).at_work[0].last_score

    assert mean == EpochScore(2, 0.625, 0.75)


def test_without_a_terminal_scores_of_epochs_are_lines_but_not_too_many(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    show = Show("accuracy", tmp_path, console)
    show.planned([ONE], [ONE], audit_of())
    show.began(ONE, 0)
    for epoch in (1, 2):
        show.scored(ONE, "one", epoch, 0.5 / epoch, 0.7)

    assert isinstance(console.file, io.StringIO)
    told = [line for line in console.file.getvalue().splitlines() if "epoch" in line]
    assert len(told) == 1
    assert told[0].startswith("  epoch 1 of 4: rows 1-2, seed 0: loss 0.5000, accuracy 0.7000 on dev")


def test_runs_are_named_by_what_their_recipes_move() -> None:
    moved = {"a": 0, "b": 3}
    runs = [PlannedRun(name, {"reinit.layers": layers}, 0, (layers + 1,)) for name, layers in moved.items()]

    assert name_runs(runs) == {"a": "baseline", "b": "reinit.layers = 3"}


def test_rows_in_a_row_are_a_span() -> None:
    assert spans([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"


def study_at_work(watcher: Watcher, meanwhile: Callable[[], object] = lambda: None) -> None:
    watcher.said(telling("reading"))
    watcher.planned([ONE, TWO], [ONE, TWO], audit_of())
    watcher.began(ONE, 0)
    watcher.stepped(ONE, 50)
    meanwhile()
    watcher.recorded(record([1, 2], 0.75))
    watcher.finished(ONE)
    watcher.said(warning("[bold]look[/bold]"))


def screen(output: str) -> list[str]:
    """What a terminal shows in the end. Knows what rich uses: cursor up, and erase line."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[^\x1b]", output):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_ctrl_c_leaves_what_was_said_and_a_visible_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "DRAWINGS_PER_SECOND", 50)
    out = io.StringIO()

    def stopped() -> None:
        with Show("accuracy", tmp_path, Console(file=out, width=80, force_terminal=True)) as watcher:
            study_at_work(watcher, meanwhile=lambda: wait_until(lambda: "2 of 4" in out.getvalue()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    drawn = out.getvalue()

    assert "━" in drawn  # there was a picture
    assert [re.sub(r"[\d.]+ s$", "0 s", line) for line in screen(drawn)] == [
        "reading data and checkpoint",
        "3 recipes are 2 distinct runs; 2 to train",
        "run 1 of 2: rows 1-2, seed 0: accuracy 0.6500 on test",
        "warning: [bold]look[/bold]",
        "1 of 2 runs, 0 s",
    ]
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")


def test_without_a_terminal_there_are_plain_lines_with_the_time_left(tmp_path: Path) -> None:
    out = io.StringIO()
    with Show("accuracy", tmp_path, Console(file=out, width=40)) as watcher:
        study_at_work(watcher)
        watcher.recorded(DIVERGED)

    assert "\x1b" not in out.getvalue()
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"run 1 of 2: rows 1-2, seed 0: accuracy 0\.6500 on test \(.+ left\)", lines[2])
    assert lines[-1] == "run 2 of 2: row 3, seed 0: diverged: the loss was nan"
    assert len(lines) == 5


def test_progress_json_is_there_while_work_goes_on_and_gone_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: StudyProgress
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    board = board.began(ONE, 0, 0.0).stepped(ONE, 30)
    with Heartbeat(tmp_path, lambda: board.as_json(10.0)):
        found = wait_until(lambda: read_heartbeat(tmp_path))
        assert found is not None
        assert found["runs"] == {"to_train": 2, "ended": 0}
        at_work = {"worker": 0, "rows": [1, 2], "runs": 1, "seed": 0, "epoch": 2, "epochs": 4, "share": 0.3}
        at_work |= {"loss": None, "dev": None}
        assert found["at_work"] == [at_work]

    assert list(tmp_path.iterdir()) == []
    assert read_heartbeat(tmp_path) is None


def test_a_pulse_of_a_killed_or_damaged_study_is_none(tmp_path: Path) -> None:
    written = {**StudyProgress("accuracy", 0.0).as_json(1.0), "written": 1000.0}
    (tmp_path / PROGRESS_FILE).write_text(json.dumps(written))

    assert read_heartbeat(tmp_path, 1000.0 + STALE_SECONDS / 2) == written
    assert read_heartbeat(tmp_path, 1000.0 + 2 * STALE_SECONDS) is None
    for damaged in (
        "",
        "[]",
        '{"written": null}',
        '{"written": 1e3',
        "\x00",
        json.dumps({**written, "runs": 3}),
    ):
        (tmp_path / PROGRESS_FILE).write_text(damaged)
        assert read_heartbeat(tmp_path, 1000.0) is None


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_progress_that_nobody_reads_ends_nothing() -> None:
    """rich would raise SystemExit, which ends a notebook's cell, or a script."""
    console = ProgressConsole()
    console.file = Closed()
    for text in ("first", "second"):
        console.print(text)

    assert console.quiet


def test_a_full_disk_does_not_stop_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    beats = []

    def read() -> dict[str, float]:
        beats.append(1)
        return {}

    told: list[OSError] = []
    with Heartbeat(tmp_path / "gone", read, told.append):
        wait_until(lambda: len(beats) >= 4)

    assert [error.strerror for error in told] == ["No such file or directory"]  # once, not at every beat


@pytest.mark.parametrize("width", [40, 80])
def test_the_picture_speaks_chinese(board: StudyProgress, width: int) -> None:
    board = board.began(ONE, 5, 0.0).stepped(ONE, 30).recorded(record([3], 0.8, run_id="two"))
    board = board.recorded(DIVERGED).said("warning: look", 5.0)
    lines = picture(board, width=width, lang="zh").splitlines()

    assert english_words("\n".join(lines)) == []
    assert max(Console(width=500).measure(line).maximum for line in lines) <= width
    assert any(line.startswith("2/2 次运行，") for line in lines)
    assert any("目前验证集最高：accuracy 0.8000" in line for line in lines)
    assert lines[-1] == "发散 1 次，1 条警告：见上文"
    assert english_words(picture(StudyProgress("accuracy", 0.0).said("auditing", 0.0), lang="zh")) == []


def test_plain_lines_speak_chinese_and_what_is_kept_stays_english(tmp_path: Path) -> None:
    out = io.StringIO()
    show = Show("accuracy", tmp_path, Console(file=out, width=200), "zh")
    with show as watcher:
        watcher.said(telling("auditing"))
        assert show.progress.as_json(1.0)["doing"].startswith("auditing: which levels")
        study_at_work(watcher)
        watcher.recorded(DIVERGED)

    assert out.getvalue().splitlines()[:2] == [
        "正在检查：哪些水平起作用，每一步需要多久",
        "正在读取数据和检查点",
    ]
    assert "警告：[bold]look[/bold]\n" in out.getvalue() and show.progress.warnings == 1
    assert "第 2/2 次运行：第 3 行，种子 0：发散：the loss was nan\n" in out.getvalue()
