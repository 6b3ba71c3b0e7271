"""`design.kind = "screen"`: a fraction first, decided on dev, then every combination of what survives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_studies import Call, caller, make_checkpoint, records, torch_put_back, write_data
from cli_studies import write_study as write_tiny
from pretend import TEXTS, pretend
from tiny import open_bench, write_study

from finegrid.audit import load_audit, save_audit
from finegrid.errors import InputError
from finegrid.plan import PlannedRun
from finegrid.probe import make_audit
from finegrid.results import load_results
from finegrid.screen import load_screen
from finegrid.screening import decide_screen
from finegrid.study import Study, load_study
from finegrid.verdict import as_json, judge

FIVE = {
    "optimizer.bias_correction": "[true, false]",
    "optimizer.decay_on": '["all", "matrices"]',
    "reinit.layers": "[0, 2]",
    "freeze.layers": "[0, 2]",
    "schedule.warmup_ratio": "[0.0, 0.1]",
}
SETTINGS = '[design]\nkind = "screen"\nresolution = "III"\nseeds = 4\n[factors]\n' + "\n".join(
    f'"{name}" = {levels}' for name, levels in FIVE.items()
)
POINT = TEXTS // 100  # texts that are one point of accuracy
# Warmup helps, freezing hurts, and the two of them together more than that; the rest does nothing.
WARM, FROZEN, BIAS = "schedule.warmup_ratio", "freeze.layers", "optimizer.bias_correction"
MARGIN = 2.0


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study folder with the audit of all 32 combinations."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS, 'score = "accuracy"\n')
    text = (folder / "study.toml").read_text(encoding="utf-8")
    full = text.replace('kind = "screen"\nresolution = "III"', 'kind = "full"')
    (folder / "study.toml").write_text(full, encoding="utf-8")
    save_audit(folder, make_audit(open_bench(folder)))
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def study(probed: Path, tmp_path: Path) -> Study:
    shutil.copytree(probed, tmp_path / "study")
    return load_study(tmp_path / "study")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    with torch_put_back():
        yield caller(monkeypatch, capsys)
