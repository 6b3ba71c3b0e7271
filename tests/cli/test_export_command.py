"""`finegrid export` as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT, Call


@pytest.fixture
def table(tmp_path: Path, call: Call) -> Path:
    assert call("example", "thucnews64-published", "--out", tmp_path / "published").returncode == 0
    return tmp_path / "published"


def test_it_says_what_it_wrote_where(table: Path, call: Call, tmp_path: Path) -> None:
    done = call("export", table, "--to", "csv", "--out", tmp_path / "there")

    assert done.returncode == 0 and done.stderr == ""
    assert f"wrote {tmp_path / 'there' / 'runs.csv'}: 64 runs (64 done)" in done.stdout
    lines = (tmp_path / "there" / "runs.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 65 and lines[-1].startswith("published,")
    assert json.loads((tmp_path / "there" / "study.json").read_text(encoding="utf-8"))["score"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "excel"], '"excel" is not a format'),
        (["--to", "mlflow", "--predictions"], "Predictions go into a table"),
        (["--to", "csv", "--tracking-uri", "x"], "Expected --to mlflow"),
        (["--to", "mlflow", "--tracking-uri", "x", "--out", "y"], "Leave one out"),
        ([], "--to"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused(
    table: Path, call: Call, options: list[str], said: str
) -> None:
    refused = call("export", table, *options)

    assert refused.returncode == 2 and said in " ".join(refused.stderr.split())
    assert not (table / "export").exists()


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path, call: Call) -> None:
    refused = call("export", tmp_path, "--to", "parquet")

    assert refused.returncode == 2 and "Expected a study folder" in refused.stderr


@pytest.mark.slow
def test_nothing_that_is_exported_needs_torch(table: Path) -> None:
    """In a process of its own, with the real libraries."""
    formats = ["csv", "parquet"]
    for extra in ("tensorboard", "mlflow"):
        try:
            __import__(extra)
        except ImportError:
            continue
        formats.append(extra)
    program = (
        "import sys; from pathlib import Path\n"
        "from finegrid.export.export import ExportOptions, export_study\n"
        f"for to in {formats!r}: export_study(Path({str(table)!r}), ExportOptions(to))\n"
        "print({'torch', 'transformers', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)

    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["set()"]), done.stderr
    assert {path.name for path in (table / "export").iterdir()} >= {"runs.csv", "runs.parquet"}
