"""What `finegrid table`, `finegrid import` and the end of `finegrid run` say, in English and Chinese.

`finegrid import` reads heads of both languages.
"""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    # heads of the table
    "index": "index",
    "seed": "seed",
    "result": "result",
    "best-test": "result (best-test)",
    "seconds per epoch": "seconds_per_epoch",
    "seconds per run": "seconds_per_run",
    # lines below it
    "none": "no run has finished yet",
    "best": "best row {row}: {score} {mean:.4f} on test (epoch {epoch} of {epochs}, {seconds} per epoch)",
    "worst": "worst row {row}: {score} {mean:.4f} on test (epoch {epoch} of {epochs}, {seconds} per epoch)",
    "per epoch": "seconds per epoch, median over runs: {kinds}",
    "full": "{seconds} full",
    "frozen": "{seconds} frozen",
    "seconds": "{seconds} s",
    # how an imported table was understood
    "imported": "{title}: {rows} rows, {recipes} distinct recipes, score {score}",
    "factor": "  {factor}: {levels}",
    "inert": "  {factor}: {levels} (inert: {reason})",
}
CHINESE = {
    "index": "序号",
    "seed": "随机种子",
    "result": "结果",
    "best-test": "结果 (best-test)",
    "seconds per epoch": "每轮秒数",
    "seconds per run": "每次运行秒数",
    "none": "还没有完成的运行",
    "best": "最好：第 {row} 行，测试集 {score} {mean:.4f}（{epochs} 轮中取第 {epoch} 轮，每轮 {seconds}）",
    "worst": "最差：第 {row} 行，测试集 {score} {mean:.4f}（{epochs} 轮中取第 {epoch} 轮，每轮 {seconds}）",
    "per epoch": "每轮耗时（各次运行的中位数）：{kinds}",
    "full": "完整训练 {seconds}",
    "frozen": "冻结部分层 {seconds}",
    "seconds": "{seconds} 秒",
    "imported": "{title}：{rows} 行，{recipes} 个不同的配方，得分 {score}",
    "factor": "  {factor}：{levels}",
    "inert": "  {factor}：{levels}（不起作用：{reason}）",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)
