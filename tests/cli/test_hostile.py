"""Labels that would draw on the terminal or break a table: printed so that one sees what they are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from support.command_line import Call, records
from support.studies import draw_texts, save_word_checkpoint, write_word_study

from finegrid.cli.say import say_file, say_json
from finegrid.errors import InputError, Problem, visible
from finegrid.running.progress.show import Show

HOSTILE = "[red]a|b[/red]\x1b[31m\nnext\r\u202e*"
SHOWN = r"[red]a|b[/red]\x1b[31m\nnext\r\u202e*"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile labels, their F1 as the score, and epochs chosen on the test set."""
    home = tmp_path_factory.mktemp("home")
    save_word_checkpoint(home / "model")
    (home / "data").mkdir()
    rows = [
        {"text": text, "label": HOSTILE if label == "sport" else "=1+1"} for text, label in draw_texts(60)
    ]
    (home / "data" / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    top = f'score = {json.dumps("f1:" + HOSTILE)}\nprotocol = "best-test"'
    return write_word_study(
        home / "study",
        Path("../model"),
        {"model.pooling": ["cls", "last-mean"]},
        top,
        'train = "../data/all.jsonl"',
    )


def is_plain(text: str) -> bool:
    """Whether a terminal would show the text as it is, line by line."""
    return all(visible(line) == line for line in text.split("\n"))


def test_hostile_labels_are_printed_safely_by_every_command(study: Path, call: Call) -> None:
    run = call("run", study)
    said = [run, *(call(command, study) for command in ("plan", "status", "table"))]

    assert [done.returncode for done in said] == [0, 0, 0, 0]
    assert all(is_plain(done.stdout) and is_plain(done.stderr) for done in said)
    assert f"f1:{SHOWN}" in said[1].stdout  # the plan
    assert f"f1:{SHOWN}" in run.stderr
    assert records(study)[0]["test"]["f1"].keys() == {HOSTILE, "=1+1"}
    assert json.loads(call("table", study, "--format", "json").stdout)["score"] == f"f1:{HOSTILE}"


def test_epochs_chosen_on_test_are_marked_in_every_output(study: Path, call: Call) -> None:
    mark = "best-test"

    assert mark in call("run", study).stdout
    assert all(mark in call(command, study).stdout for command in ("plan", "status"))
    assert "| result (best-test) |" in call("table", study).stdout
    assert ",result (best-test)" in call("table", study, "--format", "csv").stdout
    assert json.loads(call("table", study, "--format", "json").stdout)["protocol"] == mark
    for record in records(study):
        assert record["protocol"] == mark
        scores = [epoch["test"]["f1"][HOSTILE] for epoch in record["epochs"]]
        assert record["test"]["f1"][HOSTILE] == max(scores)


def test_problems_are_one_line_each() -> None:
    error = InputError("a\nb", [Problem("label\x1b[2J", "found 'x\n  y'\x07")])

    assert is_plain(str(error))
    assert len(str(error).splitlines()) == 2


def test_progress_does_not_interpret_markup() -> None:
    out = io.StringIO()
    show = Show("accuracy", Path(), Console(file=out, width=40))
    show.said(lambda lang: ["[bold]label[/bold] \x1b[31m " + "long " * 20])

    assert out.getvalue().startswith(r"[bold]label[/bold] \x1b[31m long")
    assert len(out.getvalue().splitlines()) == 1


def test_json_and_tables_on_a_terminal_turn_no_text_around(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"label": f"{HOSTILE}\x9b31m\x7f\U000e0001\ud800"}
    say_json(hostile)
    told = capsys.readouterr().out

    assert is_plain(told) and json.loads(told) == hostile


def test_a_terminal_gets_no_control_characters_of_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say_file("a,\u202eb\nc")
    assert capsys.readouterr().out == "a,\u202eb\nc\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say_file("a,\u202eb\nc")
    assert capsys.readouterr().out == "a,\\u202eb\nc\n"
