"""What users write: plain scripts, type checkers, a notebook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from notebook import code_cells, read_notebook
from support.command_line import ENVIRONMENT, workers_of
from support.studies import draw_texts, save_word_checkpoint
from support.waiting import wait_until

import finegrid as fg

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "study.ipynb"

# No function, no ``if __name__ == "__main__"``: a process that imported it again would print twice.
SCRIPT = """
import finegrid as fg
print("begun", flush=True)
study = fg.Study.load("study")
try:
    summary = study.run(workers=2)
    print(summary.ok, len(study.verdict().effects))
except KeyboardInterrupt:
    print("stopped", study.plan().runs.left)
"""
TYPED = """
import finegrid as fg

data = {"text": ["a"], "label": [1]}
factors = {"reinit.layers": [0, 1], "model.pooling": ["cls", "pooler"]}
settings = {"training.epochs": 4, "model.keep": "head"}
study = fg.Study.create(train=data, model="mini-zh", factors=factors, settings=settings)
done: int = study.run(progress=lambda told: print(told.share)).runs.done
verdict: fg.Verdict = study.verdict(margin=0.5)
best = verdict.recommendation
gain: float | None = None if best is None else best.gain
labels: list[str] = fg.Classifier.load("model").predict(["a text"])
found: fg.Comparison = fg.compare({"old": "old.csv", "new": [{"id": 1, "predicted": "x"}]})
"""
MISTAKES = {
    "fg.Stdy": 'has no attribute "Stdy"',
    "fg.Study.load('x').run(seed=3)": 'Unexpected keyword argument "seed"',
    "fg.Study.load('x').verdict().recomendation": 'has no attribute "recomendation"',
    "fg.Classifier.load('x').predict(3)": "incompatible type",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    fg.Study.create(
        tmp_path / "study",
        train=pd.DataFrame(draw_texts(60), columns=["text", "label"]),
        model=save_word_checkpoint(tmp_path / "model"),
        factors={"schedule.warmup_ratio": [0.0, 0.1]},
        settings={"training.epochs": 60, "training.batch_size": 4, "model.max_length": 12},
        seeds=1,
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def begin(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_script_needs_no_main_guard_and_prints_what_it_prints(home: Path) -> None:
    out, err = begin(home).communicate(timeout=300)

    assert (out, err) == ("begun\nTrue 1\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False])  # a terminal tells all, a kernel perhaps its process
def test_an_interrupt_stops_it_cleanly_and_the_script_goes_on(home: Path, whole_group: bool) -> None:
    process = begin(home)
    wait_until(lambda: (home / "study" / "audit.json").exists() and workers_of(Path("study")), 300)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert out.startswith("begun\nstopped ") and err == ""
    wait_until(lambda: not workers_of(Path("study")))
    again, err = begin(home).communicate(timeout=300)
    assert (again, err) == ("begun\nTrue 1\n", "")


@pytest.mark.slow
def test_scripts_of_users_are_type_checked(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text("import finegrid as fg\n" + "".join(f"{line}\n" for line in MISTAKES))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "good.py", "wrong.py"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )

    lines = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line for line in lines if line.startswith("good.py")] == []
    wrong = [line for line in lines if line.startswith("wrong.py")]
    for number, said in enumerate(MISTAKES.values(), start=2):
        assert any(line.startswith(f"wrong.py:{number}:") and said in line for line in wrong), said


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_showed(tmp_path: Path) -> None:
    """Not to the digit: another processor rounds otherwise, and seconds are seconds."""
    (tmp_path / "study.ipynb").write_bytes(NOTEBOOK.read_bytes())
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "notebook.py", "study.ipynb", "there"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    before, after = (code_cells(read_notebook(path)) for path in (NOTEBOOK, tmp_path / "study.ipynb"))
    assert [[kinds_of(output) for output in cell["outputs"]] for cell in after] == [
        [kinds_of(output) for output in cell["outputs"]] for cell in before
    ]


def kinds_of(output: dict[str, object]) -> list[str]:
    data = output.get("data", {})
    return sorted(data) if isinstance(data, dict) else []


def test_the_notebook_names_no_machine_and_has_run_in_order() -> None:
    cells = code_cells(read_notebook(NOTEBOOK))

    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert all(cell["outputs"] for cell in cells)
    for trace in ("/tmp", "/home", "/root", "/work"):
        assert trace not in json.dumps([cell["outputs"] for cell in cells])
