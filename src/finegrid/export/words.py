"""What `finegrid export` says of what it has written, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "wrote": "wrote {path}: {what}",
    "runs": "{runs} runs ({states})",
    "state": "{count} {state}",
    "lines": "{count} lines",
    "about": "what all runs have in common",
    "no effects": "no effects: {why}",
    "no predictions": "no predictions: no run of ours has finished",
    "event files": "wrote {runs}",
    "logged": "logged runs: {new} new, {changed} changed, {same} there already; the store: {store}",
    "missing": "{count} of {runs} runs have not ended yet, or have no result",
}
CHINESE = {
    "wrote": "已写入 {path}：{what}",
    "runs": "{runs} 次运行（{states}）",
    "state": "{state} {count}",
    "lines": "{count} 行",
    "about": "各次运行的共同信息",
    "no effects": "没有效应：{why}",
    "no predictions": "没有预测：finegrid 还没有完成任何运行",
    "event files": "已写入 {runs}",
    "logged": "已记录运行：新增 {new}，有变化 {changed}，原已存在 {same}；存储位置：{store}",
    "missing": "{runs} 次运行中有 {count} 次尚未结束，或没有结果",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)
