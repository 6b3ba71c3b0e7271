"""Whose language is Chinese reads no sentence of English while a study is planned, trained and decided."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.command_line import Call, Called, command_line, records
from support.english import english_words
from support.studies import save_word_checkpoint, write_data, write_word_study

FACTORS: dict[str, Sequence[object]] = {
    "optimizer.bias_correction": [True, False],
    "freeze.layers": [0, 1],
    "schedule.warmup_ratio": [0.0, 0.3],
}
# Workers are threads here, whose log goes to stderr; it stays English.
LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    return folder


@pytest.fixture(scope="module")
def told(home: Path) -> dict[str, Called]:
    """What a small study says in Chinese, from its first plan to its verdict."""
    levels: dict[str, Sequence[object]] = {
        **FACTORS,
        "reinit.pooler": [False, True],
        "training.patience": [0, 1],
    }
    study = write_word_study(
        home / "one", Path("../model"), levels, design='kind = "one-at-a-time"\nseeds = 2'
    )
    with command_line() as call:
        return {
            " ".join(command): call(command[0], study, *command[1:], "--lang", "zh")
            for command in (
                ("plan",),
                ("plan", "--probe"),
                ("run", "--for", "9m", "--workers", "1"),
                ("plan", "--budget", "1m"),
                ("status",),
                ("table", "--extremes"),
                ("verdict",),
                ("fit", "--recipe", "baseline"),
            )
        }


def lines_of(done: Called) -> str:
    written = done.stdout + done.stderr
    return "\n".join(line for line in written.splitlines() if not LOGGED.match(line))


def test_a_study_is_planned_trained_and_told_in_chinese(told: dict[str, Called]) -> None:
    assert {name: done.returncode for name, done in told.items()} == dict.fromkeys(told, 0)
    assert [line for done in told.values() for line in english_words(lines_of(done))] == []


def test_what_training_says_is_put_into_chinese_word_for_word(told: dict[str, Called]) -> None:
    said = told["run --for 9m --workers 1"].stderr

    far, _, said = said.partition("\n")
    assert far.startswith("study.toml 会读取其文件夹以外的文件：../data/train.tsv、")
    assert said.startswith("正在读取数据和检查点\n6 个配方对应 8 次不同的运行；8 次待训练\n")
    assert re.search(
        r"^  第 1/2 轮：第 [\d、-]+ 行，种子 0：损失 [\d.]+，验证集 macro-f1 [\d.]+", said, re.MULTILINE
    )
    assert re.search(
        r"^第 8/8 次运行：freeze\.layers = 1（第 3 行），种子 1：测试集 macro-f1 ", said, re.MULTILINE
    )
    probed = told["plan --probe"]
    assert "不起作用：training.patience，在 1 行中：在它能够提前结束运行之前，2 轮就已训练完" in probed.stderr
    assert re.search(
        r"^freeze\.layers = 1：冻结嵌入层、第 1 层的 \d+ 个张量；此外没有变化$", probed.stdout, re.MULTILINE
    )
    assert "逐个改变：测量每个效应时，其余因素都取第一个水平；不测量交互作用" in probed.stdout


def test_what_is_kept_of_a_study_stays_english(home: Path, told: dict[str, Called]) -> None:
    """The audit, the ledger and the log are written once, whoever reads them."""
    folder = home / "one"

    assert told and all(record["status"] == "done" for record in records(folder))
    for name in ("audit.json", "runs.jsonl"):
        assert not re.search("[\u4e00-\u9fff]", (folder / name).read_text(encoding="utf-8"))


def test_a_screen_decides_in_chinese(home: Path, call: Call) -> None:
    study = write_word_study(
        home / "screen", Path("../model"), FACTORS, design='kind = "screen"\nresolution = 3\nseeds = 1'
    )
    planned = call("plan", study, "--lang", "zh")
    ran = call("run", study, "--workers", "1", "--margin", "0", "--lang", "zh")
    after = [call(name, study, "--lang", "zh") for name in ("plan", "status")]

    assert english_words("\n".join(map(lines_of, (planned, ran, *after)))) == []
    assert "筛选，第一阶段：4 行，然后依验证集决定取舍" in planned.stdout
    assert "依验证集决定，根据 4 行 × 1 个随机种子，界限 0 个点：" in ran.stdout
    assert re.search(r"freeze\.layers = 1：(保留|淘汰，取第一个水平)；[+-].+，尚不能判断", ran.stdout)
    decided = json.loads((study / "screen.json").read_text(encoding="utf-8"))["factors"]
    assert all(one["decision"].isascii() for one in decided.values())


@pytest.mark.slow
def test_seeds_are_added_in_chinese(home: Path, call: Call) -> None:
    levels = {"freeze.layers": [0, 1]}
    study = write_word_study(home / "looks", Path("../model"), levels, design="looks = [2, 3]")
    done = call("run", study, "--until-decided", "--budget", "9m", "--workers", "1", "--lang", "zh")

    assert done.returncode == 0 and english_words(lines_of(done)) == []
    assert done.stdout.startswith("期中分析 1/2，2 个种子：")


@pytest.mark.slow
def test_runs_that_failed_are_told_in_chinese(home: Path, call: Call) -> None:
    """One of them diverges, and what its record says in English is told in Chinese."""
    levels: dict[str, Sequence[object]] = {
        "optimizer.rate": [0.01, 1.0],
        "optimizer.bias_correction": [True, False],
    }
    study = write_word_study(home / "bad", Path("../model"), levels, design="seeds = 1")
    assert call("run", study, "--workers", "1", "--rows", "1,2").returncode == 0
    path = study / "runs.jsonl"
    first, *others = path.read_text(encoding="utf-8").splitlines()
    bad = {**json.loads(first), "status": "diverged", "reason": "the loss was nan at step 3 of 4"}
    path.write_text("\n".join([json.dumps(bad), *others]) + "\n", encoding="utf-8")
    status = call("status", study, "--lang", "zh")
    ran = call("run", study, "--workers", "1", "--lang", "zh")

    assert "发散：第 1 行，随机种子 0：第 3 步（共 4 步）时损失为 nan" in status.stdout
    assert ran.returncode == 1 and "4 次运行中有 1 次失败或发散；finegrid status" in ran.stderr
    assert english_words(re.sub(r"\bnan\b", "", lines_of(status) + lines_of(ran))) == []
