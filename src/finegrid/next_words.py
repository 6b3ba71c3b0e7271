"""The next command, as the last line of every command: one function, so that all say it alike."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from finegrid.spelling import Lang

Step = Literal[
    "probe",
    "measure",
    "plan",
    "run",
    "go on",
    "watch",
    "look",
    "second seed",
    "confirm",
    "confirm more",
    "add seeds",
    "verdict",
    "report",
    "open",
    "fit",
    "fit baseline",
    "predict",
    "tensorboard",
    "write page",
    "init",
]
# By step: the command, and what it is for. A folder or file is put in as a shell takes it.
ENGLISH: dict[Step, tuple[str, str]] = {
    "probe": ("finegrid plan {place} --probe", "says what does nothing on this model, and how long it takes"),
    "measure": (
        "finegrid plan {place} --probe",
        "measures what it costs, and what does nothing on this model",
    ),
    "plan": ("finegrid plan {place}", "says what runs, and what does nothing here"),
    "run": ("finegrid run {place}", "trains it; stop it whenever you like, it resumes"),
    "go on": ("finegrid run {place}", "trains what is missing"),
    "watch": ("finegrid watch {place} --open", "shows it in your browser while it trains"),
    "look": ("finegrid status {place}", "says what failed"),
    "second seed": ("finegrid run {place} --seeds {seeds}", "tells how far runs differ"),
    "confirm": ("finegrid confirm {place}", "compares the two on seeds that chose nothing"),
    "confirm more": ("finegrid confirm {place} --seeds {seeds}", "adds seeds, since these do not decide"),
    "add seeds": ("finegrid run {place} --until-decided", "adds seeds where nothing is decided"),
    "verdict": ("finegrid verdict {place}", "says what each strategy is worth"),
    "report": ("finegrid report {place}", "writes the same with every figure and text, as one file"),
    "open": ("{place}", "opens in any browser"),
    "fit": ("finegrid fit {place}", "trains what is recommended, and keeps the model"),
    "fit baseline": ("finegrid fit {place} --recipe baseline", "trains the baseline, and keeps the model"),
    "predict": ("finegrid predict {place} FILE", "labels the texts of a file"),
    "tensorboard": ("tensorboard --logdir {place}", "shows the runs"),
    "write page": ("the same with --out {place}", "writes it as a page"),
    "init": ("finegrid init --train FILE --model {place} --out STUDY", "begins a study with it"),
}
CHINESE: dict[Step, tuple[str, str]] = {
    "probe": ("finegrid plan {place} --probe", "查看哪些水平对该模型不起作用，以及需要多久"),
    "measure": ("finegrid plan {place} --probe", "测量需要多久，以及哪些水平对该模型不起作用"),
    "plan": ("finegrid plan {place}", "查看将要运行什么，哪些水平不起作用"),
    "run": ("finegrid run {place}", "开始训练；可随时停止，再运行即接着训练"),
    "go on": ("finegrid run {place}", "训练尚未完成的运行"),
    "watch": ("finegrid watch {place} --open", "在浏览器中实时查看训练"),
    "look": ("finegrid status {place}", "查看哪些运行失败"),
    "second seed": ("finegrid run {place} --seeds {seeds}", "看出各次运行相差多少"),
    "confirm": ("finegrid confirm {place}", "用没有参与选择的随机种子比较两者"),
    "confirm more": ("finegrid confirm {place} --seeds {seeds}", "增加随机种子，现有的还不足以判断"),
    "add seeds": ("finegrid run {place} --until-decided", "为尚不能判断的策略增加随机种子"),
    "verdict": ("finegrid verdict {place}", "查看各策略的结论"),
    "report": ("finegrid report {place}", "把结论连同全部图表和文本写成一个文件"),
    "open": ("{place}", "可用任何浏览器打开"),
    "fit": ("finegrid fit {place}", "训练推荐的配方并保存模型"),
    "fit baseline": ("finegrid fit {place} --recipe baseline", "训练基线并保存模型"),
    "predict": ("finegrid predict {place} FILE", "为文件中的文本预测标签"),
    "tensorboard": ("tensorboard --logdir {place}", "查看各次运行"),
    "write page": ("再加 --out {place}", "写成一个页面"),
    "init": ("finegrid init --train FILE --model {place} --out STUDY", "用它开始一项研究"),
}
STEPS: dict[Lang, dict[Step, tuple[str, str]]] = {"en": ENGLISH, "zh": CHINESE}
LINE = {"en": "next: {command} {why}", "zh": "下一步：{command} {why}"}


def next_line(step: Step, place: Path | str, lang: Lang = "en", seeds: int = 0) -> str:
    """``next: finegrid run mine trains what is missing``.

    Args:
        step: what to do.
        place: the folder or file, as the user has named it.
        lang: en or zh.
        seeds: how many, where the command asks for some.
    """
    command, why = STEPS[lang][step]
    named = command.format(place=shlex.quote(str(place)), seeds=seeds)
    return LINE[lang].format(command=named, why=why)
