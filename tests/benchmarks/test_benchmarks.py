"""Benchmarks measure what finegrid does, say what they measured, and run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.export_studies import audited, finished

import finegrid as fg
from finegrid.encoders.families import embedded_checkpoint
from finegrid.results.load import load_results
from finegrid.study.demo import HEADLINES
from finegrid.study.load import read_study
from finegrid.verdict.verdict import judge

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import classes
import first_step
import gpu
import lengths
import memory
import sharing
import speed
import verdicts
from job import Job

TITLES = HEADLINES / "train.tsv"  # 1,500


def figures(family: int, graphs: int, frozen: int = 0) -> gpu.Figures:
    return gpu.Figures(frozen, family, 9.0, 2.0, (1.9, 2.1), 0.1, 4.0, graphs, 1e6, 100.0)


def test_repeated_titles_are_called_that() -> None:
    assert gpu.origin_of(TITLES, 1500) == "1,500 titles"
    repeated = gpu.origin_of(TITLES, 54_000)

    assert repeated == "54,000 titles: no more than 1,500 different ones, REPEATED 36 times"
    assert repeated in gpu.report([figures(8, 3), figures(8, 3, frozen=6)], "H200", repeated)


def test_a_family_without_graphs_is_an_error() -> None:
    gpu.check_graphs([figures(1, 1), figures(8, 2)])
    with pytest.raises(SystemExit, match="without a CUDA graph: 8 full") as ended:
        gpu.check_graphs([figures(1, 1), figures(8, 0)])

    assert isinstance(ended.value.code, str)  # which Python prints, to exit with 1


@pytest.mark.slow
def test_the_benchmark_of_classes_draws_a_study_that_reads_as_one_that_was_trained(tmp_path: Path) -> None:
    size = classes.Size(classes=60, factors=1, seeds=2, texts=400)
    folder = classes.build(tmp_path / "study", size)
    results = load_results(read_study(folder))
    found = results.predictions("test")

    assert found is not None and (found.predicted >= 0).all() and found.classes == 60
    scores = results.points("test", "accuracy")
    right = 100 * (found.predicted == found.gold).mean(axis=2)
    assert scores == pytest.approx(right) and 50 < scores.min() < scores.max() < 95
    assert not judge(results).results.missing()["left"]


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu() -> None:
    program = [sys.executable, gpu.__file__, "--device", "cpu", "--shape", "mini"]
    small = ["--texts", "64", "--batch", "16", "--family", "2", "--epochs", "1"]
    done = subprocess.run([*program, *small], capture_output=True, encoding="utf-8")

    assert done.returncode == 0, done.stderr
    assert "a CPU: a dry run; trained on 64 titles; seconds are scaled to 54,000 titles" in done.stdout
    for kind in ("1 full", "2 full", "2 six frozen"):
        assert f"| {kind} |" in done.stdout
    assert "projected" in done.stdout


@pytest.mark.slow
def test_the_benchmark_of_sharing_runs_on_a_cpu_and_sharing_changes_no_bit() -> None:
    program = [sys.executable, sharing.__file__, "--device", "cpu", "--shape", "mini"]
    small = ["--texts", "64", "--epochs", "1", "--rounds", "1"]
    done = subprocess.run([*program, *small], capture_output=True, encoding="utf-8")

    assert done.returncode == 0, done.stderr
    assert "2 studies of 4 runs, 64 texts, mini shape, on " in done.stdout
    assert "predictions are the same to the last bit" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("frozen", "family"), [(0, 1), (6, 8)])
def test_contenders_have_families_as_finegrid_run_plans_them_for_54000_titles(
    frozen: int, family: int
) -> None:
    """Full runs wait for each other through short epochs only, and one of so many titles is not short."""
    job = Job(
        contender="finegrid",
        checkpoint=str(embedded_checkpoint()),
        titles=str(TITLES),
        batch_size=32,
        frozen=frozen,
        family=1,
        threads=1,
        precision="fp32",
        seconds=0.0,
        steps=0,
    )

    assert speed.planned("finegrid", "mini", job).job.family == family


@pytest.mark.slow
def test_the_benchmark_of_memory_measures_four_ways() -> None:
    small = {"layers": 1, "width": 64, "length": 16, "batch": 4, "micro": 2, "steps": 1}
    shape = [word for name, value in small.items() for word in (f"--{name}", str(value))]
    told = subprocess.run(
        [sys.executable, str(Path(memory.__file__)), *shape], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ") and "GiB" not in line]

    assert [row[:2] for row in rows[1:]] == [
        [f"| {texts}", way] for texts in (4, 2) for way in ("kept", "computed twice")
    ]
    assert all(0 < float(row[2]) <= float(row[3]) for row in rows[1:])


def test_texts_have_the_lengths_that_are_said(tmp_path: Path) -> None:
    lengths.write_texts(tmp_path / "some.tsv", 400, 256, 0.5, 0.5)
    lengths.write_texts(tmp_path / "full.tsv", 400, 256, 3.0, 0.5)
    some, full = (
        [len(line.split("\t")[0]) for line in (tmp_path / f"{name}.tsv").read_text().splitlines()[1:]]
        for name in ("some", "full")
    )
    assert len(some) == 400 and 115 < sorted(some)[200] < 141 and max(some) <= 1.2 * 256
    assert sum(count >= 256 for count in full) > 390


def test_ratios_of_lengths_are_medians_of_rounds() -> None:
    """Of one round's speeds, not of the medians of all: what else a machine does hits both alike."""
    job = Job("finegrid", "", "", 8, 0, 1, 1, "fp32", 1.0, 1, length=256)
    ours = lengths.Entry("finegrid", job, 1, None, [100.0, 10.0, 300.0], [10.0] * 3, [1.0] * 3)
    theirs = lengths.Entry("trainer x1", job, 1, None, [50.0, 5.0, 100.0], [4.0] * 3, [4.0] * 3)
    told = lengths.report({256: [ours, theirs]}, "a processor")

    assert "| 256 | trainer x1 | 2.00 (2.00 to 3.00) | 2.50 (2.50 to 2.50) | 0.25 |" in told


@pytest.mark.slow
def test_a_version_is_measured_by_its_own_benchmarks(tmp_path: Path) -> None:
    """Here this one, at a length that is not the default."""
    lengths.write_texts(tmp_path / "texts.tsv", 300, 160, 0.5, 0.5)
    about = str(embedded_checkpoint()), str(tmp_path / "texts.tsv"), 8, 0, 1, 1, "fp32", 0.1, 1
    entry = lengths.Entry("finegrid", Job("finegrid", *about, length=160), 1, lengths.ROOT)
    for one, contenders in lengths.started([entry]):
        one.measure_(contenders)

    assert entry.speeds[0] > 0 and entry.per_processor[0] > 0 and entry.gib[0] > 0


def test_the_benchmark_of_the_first_step_has_as_many_texts_as_it_says() -> None:
    texts = first_step.mix_titles(7000)
    turned = {first_step.turn(text) for text, _ in texts}

    assert len({text for text, _ in texts}) == 7000
    assert turned != {text for text, _ in texts} and {*map(len, turned)} == {len(text) for text, _ in texts}
    assert first_step.turn("a good film") == "film good a"


@pytest.mark.slow
def test_the_benchmark_of_the_first_step_runs_until_there(tmp_path: Path) -> None:
    texts = first_step.mix_titles(60)
    first_step.init_study(tmp_path / "study", texts, "mini-zh", seeds=1, rate="0.00002")
    clock, spent = first_step.measure(tmp_path / "study", "cpu", tmp_path / "cache")

    assert clock > 0 and spent > 0
    assert "rate = 0.00002" in (tmp_path / "study" / "study.toml").read_text()
    assert {path.name.partition("-")[0] for path in (tmp_path / "cache").iterdir()} >= {"costs", "proofs"}


def test_tables_of_verdicts_have_the_effects_and_words_of_their_studies(
    tmp_path: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(audited(tmp_path / "audited", bert), tmp_path / "done").folder
    verdicts.main([folder, folder])

    printed = capsys.readouterr().out
    verdict = fg.Study.load(folder).verdict()
    for row in verdict.effects:
        cells = f"{row['effect']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
        star = "*" if row["low"] * row["high"] > 0 else ""
        said = f"{cells}{star} | {row['verdict']}"
        assert f"| {row['factor']} = {row['level']} | {said} | {said} |" in printed
    baseline = next(row for row in verdict.recipes if row["baseline"])
    assert printed.count(f"baseline, row {baseline['rows'][0]}: on test {baseline['test']:.2f} (") == 2


def test_a_level_that_only_one_study_has_is_said_to_do_nothing_in_the_other() -> None:
    row = {"effect": 1.5, "low": -0.25, "high": 3.25, "verdict": "cannot tell yet"}

    assert verdicts.describe(row) == ["+1.50 (-0.25 to +3.25)", "cannot tell yet"]
    assert verdicts.describe(row | {"low": 0.25})[0].endswith(")*")
    assert verdicts.describe(row | {"effect": None, "verdict": ""})[1] == "cannot move the score"
    assert verdicts.describe(None)[1] == "does nothing"
