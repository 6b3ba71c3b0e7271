"""What `finegrid plan` and `finegrid status` say, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang, count_noun

ENGLISH = {
    "study": "{folder}: {recipes} x {seeds}, score {score}",
    "not probed": "not yet probed: inert levels, time and memory are not known. Try plan --probe.",
    "runs": "{rows} are {runs}, {left} of them to train",
    "all": "all",
    "none": "none",
    "free": "(free: all levels are scored in the same runs)",
    "the baseline": "the baseline",
    "data": "data: {sizes} texts, {tokens:.1f} tokens on average",
    "inert": "inert: {factor} in {rows}: {reason}",
    "predicted": "predicted: {work} of work, {left} left with {workers} of {threads}",
    "memory": "memory: up to {gib:.1f} GiB per worker",
    "measured": "both measured with {settings}; plan --probe measures what is asked for",
    "phase 2": "phase 2 is not started: `finegrid run` goes on with it.",
    "not started": "not started: `finegrid run` audits the study and trains it.",
    "states": "{runs}: {counts}",
    "of state": "{count} {state}",
    "logs": "logs of the workers, a line an epoch: {folder}",
    "degenerate": "degenerate, no better than the majority class: {runs}",
    "left": "about {time} left",
    "getting ready": "at work now: getting ready",
    "at work": "at work now: {ended} of {runs} since this start",
    "lacking": "{count} of those left have finished, but were not scored at {keys}: they are trained again "
    "to add it. Until then verdicts on other factors use their records.",
    "time over": "the time is over: {left} of {runs} left{about}",
    "about": ", about {time}",
    "go on": "next: finegrid run {folder}{rows}",
    "baseline": "baseline: {levels}",
    "bad run": "{status}: {rows}, seed {seed}: {reason}",
}
CHINESE = {
    "study": "{folder}：{recipes} × {seeds}，指标 {score}",
    "not probed": "尚未探测：不起作用的水平、耗时和内存都还不知道。请试 plan --probe。",
    "runs": "{rows}对应 {runs}，其中 {left} 待训练",
    "all": "全部",
    "none": "没有",
    "free": "（免费：在同一批运行中按所有水平评分）",
    "the baseline": "基线",
    "data": "数据：{sizes} 条文本，平均 {tokens:.1f} 个 token",
    "inert": "不起作用：{factor}，在 {rows}中：{reason}",
    "predicted": "预计：共需 {work}，用 {workers}（各 {threads}）还需 {left}",
    "memory": "内存：每个进程最多 {gib:.1f} GiB",
    "measured": "两者是在 {settings} 下测得的；plan --probe 会按现在的设置测量",
    "phase 2": "第二阶段尚未开始：`finegrid run` 会继续。",
    "not started": "尚未开始：`finegrid run` 会先检查再训练。",
    "states": "{runs}：{counts}",
    "of state": "{state} {count} 次",
    "logs": "各进程的日志，每轮一行：{folder}",
    "degenerate": "没有学会，不比多数类基线更好：{runs}",
    "left": "约还需 {time}",
    "getting ready": "正在运行：准备中",
    "at work": "正在运行：本次启动以来完成 {ended} 次，共 {runs}",
    "lacking": "待训练的运行中有 {count} 次已经完成，但没有按 {keys} 评分：会为此重新训练。"
    "在此之前，其他因子的结论仍使用它们的记录。",
    "time over": "时间已到：{runs}中还剩 {left} 次{about}",
    "about": "，约需 {time}",
    "go on": "下一步：finegrid run {folder}{rows}",
    "baseline": "基线：{levels}",
    "bad run": "{status}：{rows}，随机种子 {seed}：{reason}",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
MEASURES = {  # what Chinese counts things with
    "recipe": "个配方",
    "seed": "个随机种子",
    "row": "行",
    "run": "次运行",
    "distinct run": "次不同的运行",
    "finished run": "次已完成的运行",
    "distinct recipe": "个不同的配方",
    "worker": "个进程",
    "thread": "个线程",
}


def say(key: str, lang: Lang, **fields: object) -> str:
    return WORDS[lang][key].format(**fields)


def count(number: int, noun: str, lang: Lang) -> str:
    """``3 runs``, ``3 次运行``."""
    return count_noun(number, noun) if lang == "en" else f"{number:,} {MEASURES[noun]}"


def name_rows(rows: tuple[int, ...], lang: Lang) -> str:
    """``row 3``, ``rows 1, 2``; ``第 1、2 行``."""
    if lang == "zh":
        return f"第 {'、'.join(map(str, rows))} 行"
    return f"row{'s' * (len(rows) != 1)} {', '.join(map(str, rows))}"
