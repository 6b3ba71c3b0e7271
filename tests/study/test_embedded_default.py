"""The data set and checkpoint that come with finegrid are what their cards say."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from finegrid.data.settings import DataSettings
from finegrid.data.table import DataTable, load_table
from finegrid.encoders.families import embedded_checkpoint, inspect
from finegrid.model.load import load_encoder
from finegrid.study.demo import HEADLINES, prepare_demo

ROOT = Path(__file__).parents[2]


def headlines() -> DataTable:
    files = {part: Path(f"{part}.tsv") for part in ("train", "dev", "test")}
    return load_table(DataSettings.model_validate(files), HEADLINES)


def test_headlines_are_split_evenly_and_share_no_text() -> None:
    table = headlines()

    assert [len(split.texts) for split in (table.train, table.dev, table.test)] == [1500, 500, 1000]
    for split, per_class in ((table.train, 150), (table.dev, 50), (table.test, 100)):
        assert [int((split.labels == label).sum()) for label in range(10)] == [per_class] * 10
    assert table.warnings == ()


def test_checkpoint_is_the_one_its_card_names() -> None:
    folder = embedded_checkpoint()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()

    assert digest in (folder / "README.md").read_text(encoding="utf-8")
    assert inspect(folder).layers == 12
    assert load_encoder(inspect(folder))[1] == []  # a pooler, too, that pre-training has trained


@pytest.mark.slow
def test_the_demo_baseline_beats_naive_bayes_on_the_same_split(tmp_path: Path) -> None:
    """On average over three seeds: a single one moves by two points with the last digits of a sum."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from naive_bayes import naive_bayes
    finally:
        sys.path.pop(0)
    from finegrid.results.table import make_table
    from finegrid.study.audit_file import load_audit
    from finegrid.study.load import load_study

    prepare_demo(tmp_path / "demo")
    subprocess.run(
        [sys.executable, "-m", "finegrid", "run", str(tmp_path / "demo"), "--rows=1", "--seeds=3"],
        check=True,
    )
    baseline = make_table(load_study(tmp_path / "demo"), load_audit(tmp_path / "demo")).rows[0]
    bayes = naive_bayes(headlines())

    for split in ("dev", "test"):
        score = baseline.mean("macro-f1", split)
        assert score is not None and score > bayes[split]


@pytest.mark.slow
def test_predicted_time_is_within_a_quarter_of_the_measured(tmp_path: Path) -> None:
    """Four rows of the embedded default, two of them frozen, on a machine that does nothing else."""
    from finegrid.planning.status import StudyStatus
    from finegrid.running.progress.watcher import Watcher
    from finegrid.running.runner import Runner
    from finegrid.study.audited import fitting_audit
    from finegrid.study.load import load_study

    prepare_demo(tmp_path / "demo")
    file = tmp_path / "demo" / "study.toml"
    factors = '[factors]\n"freeze.layers" = [0, 6]\n"optimizer.bias_correction" = [true, false]\n'
    text = file.read_text(encoding="utf-8").replace("[factors]\n", factors)
    file.write_text(text.replace('preset = "thucnews64"\n', ""), encoding="utf-8")
    study = load_study(tmp_path / "demo")
    Runner(study, study.head.run).audit()
    predicted = StudyStatus(study, study.head.run, fitting_audit(study), (0,)).seconds_left()
    begun: list[float] = []
    records = Runner(
        study, study.head.run, watcher=Watcher(planned=lambda *_: begun.append(time.monotonic()))
    ).run()
    measured = time.monotonic() - begun[0]

    print(f"predicted {predicted} s, measured {measured} s")
    assert [record.status for record in records] == ["done"] * 4
    assert predicted == pytest.approx(measured, rel=0.25)
