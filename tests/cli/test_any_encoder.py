"""The published grid on encoders of every tier, from ``init`` to a kept model that labels texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import Call, records
from support.rarity import rare
from support.studies import write_data
from support.tiny import make_tiny

from finegrid.study.audit_file import load_audit

SET = [part for level in ("training.epochs=1", "training.batch_size=32") for part in ("--set", level)]
# The rows of the grid that are distinct runs: none of these has a pooler that is read.
RUNS = 32


@pytest.mark.parametrize("kind", rare(["modernbert", "deberta-v2", "xlm-roberta"], ["modernbert"]))
def test_the_published_grid_runs_end_to_end(tmp_path: Path, call: Call, kind: str) -> None:
    data, model = write_data(tmp_path / "data"), make_tiny(kind, tmp_path / "model")
    study = tmp_path / "study"
    files = [part for name in ("train", "dev", "test") for part in (f"--{name}", data / f"{name}.tsv")]
    made = call(
        "init", *files, "--model", model, "--out", study, "--preset", "thucnews64", *SET, "--seeds", "1"
    )
    assert made.returncode == 0, made.stderr

    ran = call("run", study, "--workers", "1")

    assert ran.returncode == 0, ran.stderr
    assert len(records(study)) == RUNS and all(one["status"] == "done" for one in records(study))
    audit = load_audit(study)
    assert (
        audit is not None and audit.tier is not None and not any("its own thing" in w for w in audit.warnings)
    )
    assert "freeze.layers" in call("verdict", study).stdout
    assert call("fit", study, "--recipe", "1").returncode == 0
    said = call("predict", study / "models" / "best", data / "dev.tsv", "--out", tmp_path / "said.tsv")
    assert said.returncode == 0 and len((tmp_path / "said.tsv").read_text().splitlines()) == 13
