"""`sh auto_run_all.sh`: the whole grid for those who come from the published study."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ENVIRONMENT
from support.studies import save_word_checkpoint, write_data

SCRIPTS = Path(__file__).parents[2] / "scripts"
HEADER = (
    "| index | bertadam | weight_decay | reinit_pooler | reinit_layers | frozen_layers"
    " | warmup_proportion | result |"
)


def auto_run_all(scripts: Path, **environment: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "auto_run_all.sh"],
        cwd=scripts,
        env={**ENVIRONMENT, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        encoding="utf-8",
        timeout=200,
    )


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the scripts folder beside a virtual environment whose finegrid only says what it was told."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPTS / "auto_run_all.sh", tmp_path / "scripts")
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    said = 'for word in "$@"; do printf "<%s>" "$word"; done; echo'
    exits = 'case "$1" in init) exit "${INIT_CODE:-0}";; run) exit "${RUN_CODE:-0}";; esac'
    executable(bin_ / "finegrid", f"{said}\n{exits}")
    executable(bin_ / "python", f'exec "{sys.executable}" "$@"')
    return tmp_path / "scripts"


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.slow
def test_it_runs_the_grid_and_prints_the_published_table_then_best_and_worst(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    model = save_word_checkpoint(tmp_path / "model")
    given: dict[str, str | Path] = {
        "DATA_DIR": tmp_path / "data",
        "PRETRAINED_PATH": model,
        "EPOCHS": "1",
        "OUT": tmp_path / "out put",
    }
    done = auto_run_all(SCRIPTS, **given)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == HEADER
    rows = [line.strip("| ").split(" | ") for line in lines[2:66]]
    published = (Path(__file__).parent / "thucnews64-levels.csv").read_text().splitlines()[1:]
    # Of two layers one is half; the published encoder had twelve.
    levels = [[row[0], *row[1:4], *(level.replace("1", "6") for level in row[4:6]), row[6]] for row in rows]
    assert [",".join(row) for row in levels] == published
    assert all(re.fullmatch(r"[01]\.\d{4}", row[7]) for row in rows)
    assert rows[0][7] == rows[8][7]  # the pooler is inert
    assert re.match(r"best row \d+: macro-f1 .* \(epoch 1 of 1, \d+\.\d\d+ s per epoch\)", lines[67])
    assert re.match(r"worst row \d+: macro-f1 .* \(epoch 1 of 1, \d+\.\d\d+ s per epoch\)", lines[68])
    assert "64 recipes are 32 distinct runs" in done.stderr

    ledger = (tmp_path / "out put" / "runs.jsonl").read_bytes()
    again = auto_run_all(SCRIPTS, OUT=tmp_path / "out put")
    assert again.returncode == 0 and again.stdout == done.stdout
    assert (tmp_path / "out put" / "runs.jsonl").read_bytes() == ledger


def test_without_environment_it_takes_the_embedded_data_and_checkpoint(scripts: Path) -> None:
    done = auto_run_all(scripts)
    init = done.stderr.splitlines()[0]

    assert done.returncode == 0, done.stderr
    for part in ("train", "dev", "test"):
        path = re.search(rf"<--{part}><([^>]*)>", init)
        assert path is not None and Path(path[1]).is_file()
        assert Path(path[1]).parent.name == "headlines"
    assert "--model" not in init and "--set" not in init
    assert f"<--out><{scripts}/../auto_run_all>" in init
    assert re.match(r"<table><.*auto_run_all><--extremes>\n$", done.stdout)


def test_files_of_any_format_are_found_and_settings_passed_on(scripts: Path, tmp_path: Path) -> None:
    data = tmp_path / "my data"
    data.mkdir()
    for name in ("train.jsonl", "test.csv"):
        (data / name).touch()
    done = auto_run_all(
        scripts, DATA_DIR=data, PRETRAINED_PATH="some/model", EPOCHS="5", OUT=tmp_path / "out"
    )

    expected = (
        f"<init><--out><{tmp_path}/out><--train><{data}/train.jsonl><--seeds><1><--as-published><--test><{data}/test.csv>"
        "<--model><some/model><--set><training.epochs=5>"
    )
    assert done.stderr.splitlines()[0] == expected


def test_a_study_that_is_there_goes_on_as_it_stands(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "auto_run_all").mkdir()
    (tmp_path / "auto_run_all" / "study.toml").touch()
    done = auto_run_all(scripts, EPOCHS="7")

    assert "<init>" not in done.stderr
    assert "as it stands" in done.stderr
    assert "<table>" in done.stdout


@pytest.mark.parametrize(
    ("environment", "code", "table"),
    [
        ({"DATA_DIR": "/nope"}, 2, False),
        ({"INIT_CODE": "2"}, 2, False),
        ({"RUN_CODE": "1"}, 1, True),
        ({"RUN_CODE": "2"}, 2, False),
        ({"RUN_CODE": "130"}, 130, False),
    ],
)
def test_its_exit_code_is_that_of_the_run(
    scripts: Path, environment: dict[str, str], code: int, table: bool
) -> None:
    done = auto_run_all(scripts, **environment)

    assert done.returncode == code
    assert ("<table>" in done.stdout) == table


def test_without_finegrid_it_says_how_to_install_it(scripts: Path) -> None:
    shutil.rmtree(scripts.parent / ".venv")
    done = auto_run_all(scripts, PATH=os.defpath)

    assert done.returncode == 2 and "not installed" in done.stderr


@pytest.mark.parametrize(
    ("locale", "chinese"),
    [
        ({"LC_ALL": "zh_CN.UTF-8"}, True),
        ({"LC_ALL": "", "LANG": "zh_TW.UTF-8"}, True),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, False),
        ({"LC_ALL": "de_DE.UTF-8"}, False),
    ],
)
def test_its_sentences_are_in_the_language_of_the_locale(
    scripts: Path, tmp_path: Path, locale: dict[str, str], chinese: bool
) -> None:
    (tmp_path / "auto_run_all").mkdir()
    (tmp_path / "auto_run_all" / "study.toml").touch()
    told = [
        auto_run_all(scripts, **locale).stderr.splitlines()[0],
        auto_run_all(scripts, **locale, OUT=tmp_path / "new", DATA_DIR="/nope").stderr,
    ]
    shutil.rmtree(scripts.parent / ".venv")
    told.append(auto_run_all(scripts, **locale, PATH=os.defpath).stderr)

    expected = (
        ("继续", "没有训练文件", "尚未安装")
        if chinese
        else ("as it stands", "no train file", "not installed")
    )
    assert [word in sentence for word, sentence in zip(expected, told, strict=True)] == [True] * 3
