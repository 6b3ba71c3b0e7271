"""The words that terminal, page, tables and figures have in common, in English and Chinese.

Whoever has words of its own keeps them beside the code that says them. What two of them say stands here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from finegrid.spelling import Lang

ENGLISH = {
    # a decision, and what would settle an open one
    "use": "use",
    "avoid": "do not use",
    "same": "no difference beyond {margin:g} points",
    "open": "cannot tell yet",
    "interact": "they interact",
    "or aliases": "or its aliases",
    "with aliases": "with its aliases",
    "measurable": "but measurable",
    "for speed": "use for speed",
    "diverges": "diverges in {failed} of {runs} runs",
    "does not learn": "does not learn in {failed} of {runs} runs",
    "fails": "diverges or does not learn in {failed} of {runs} runs",
    "all with": ", all with {factor} = {level}",
    "of the baseline": "its first level: {failed} of {runs}",
    "needs seeds": "more seeds would decide: {more}",
    "needs runs": "{runs} runs, {time} of one worker",
    "needs texts": "{texts:,} test texts would decide",
    "texts now": "there are {now:,}",
    "condition": "{word} with {factor} = {level}",
    "list semi": "; ",
    "the baseline": "the baseline",
    "as recommended": "in the recommended recipe",
    "as baseline": "in the baseline",
    "expected gain": "expected gain",
    "needs more of each": "more runs of each would decide: {more}",
    "needs second seed": "a second seed would tell how far runs differ",
    "needs another seed": "another seed would tell how far runs differ",
    "needs repeats": "more runs of each recipe would decide: {more}",
    "needs any repeats": "further runs of some recipes would tell how far runs differ",
    "epochs": "{epochs} epochs",
    "one epoch": "1 epoch",
    "not yet": "not yet: runs are missing",
    "at epochs": "{word} at {epochs}",
    "maybe speed": "the baseline was still rising, so this may be speed and not quality",
    "may change": "the baseline was still rising, so this may change with more",
    # the best of several levels
    "ensemble": "the {models} models of row {row} together, by the mean of their probabilities: {score} on "
    "test ({interval}), {gain} points ({gain_interval}) against one of them on average; a prediction costs "
    "{models} times as much; intervals are of other texts and these models",
    "ladder": "{factor}: {best} is best, +{difference} points{interval} over {next}, the runner-up",
    "ladder clear": "{told}; surely better than every other level",
    "ladder open": "{told}; cannot be told from {levels}",
    "lower is better": "Less {score} is better. An effect above 0 is an improvement all the same: so much "
    "less of it.",
    "too small": "too small to settle with these texts",
    "too small here": "too small to settle here",
    # names of columns and of what is in them
    "strategy": "strategy",
    "effect": "effect",
    "plain": "95 % interval",
    "adjusted": "adjusted",
    "verdict": "verdict",
    "against": "against the baseline",
    "together": "all together",
    "memory": "memory",
    "seconds per run": "seconds per run",
    "seconds per epoch": "seconds per epoch",
    "s per run": "s per run",
    "s per epoch": "s per epoch",
    "row": "row",
    "recipe": "recipe",
    "recommended": "recommended",
    "baseline": "baseline",
    "class": "class",
    "texts": "texts",
    "log loss": "log loss",
    "brier": "Brier score",
    "precision": "precision",
    "recall": "recall",
    "train": "train",
    "dev": "dev",
    "test": "test",
    # sentences
    "inert": "{factor} does nothing here: {reason}",
    "bundle": "{factor} = {level} sets {settings}",
    "bundle off": "{factor} = {level} is the baseline itself",
    "holds": "All this holds at {levels}.",
    # intervals and punctuation
    "interval": "{low} to {high}",
    "no interval": "no interval",
    "too wide": "too little has run: {interval}",
    "in brackets": " ({text})",
    "comma": ", ",
    "colon": ": ",
    "list comma": ", ",  # Chinese has a comma of its own between the things of a list
    "between sentences": " ",
    "wrote": "wrote {place}",
}
CHINESE = {
    "use": "使用",
    "avoid": "不要使用",
    "same": "差别不超过 {margin:g} 个点",
    "open": "尚不能判断",
    "interact": "相互依赖",
    "or aliases": "或与其混杂的效应",
    "with aliases": "连同与其混杂的效应",
    "measurable": "但可测出",
    "for speed": "可为提速而用",
    "diverges": "{runs} 次运行中有 {failed} 次发散",
    "does not learn": "{runs} 次运行中有 {failed} 次没有学会",
    "fails": "{runs} 次运行中有 {failed} 次发散或没有学会",
    "all with": "，且都有 {factor} = {level}",
    "of the baseline": "第一个水平：{runs} 次中 {failed} 次",
    "needs seeds": "再加 {more} 个种子即可判断",
    "needs runs": "{runs} 次运行，单进程 {time}",
    "needs texts": "需要 {texts:,} 条测试文本",
    "texts now": "现有 {now:,} 条",
    "condition": "{factor} = {level} 时{word}",
    "list semi": "；",
    "the baseline": "基线",
    "as recommended": "在推荐配方中",
    "as baseline": "在基线中",
    "expected gain": "预期增益",
    "needs more of each": "各再加 {more} 次运行即可判断",
    "needs second seed": "再跑一个种子，才知道各次运行相差多少",
    "needs another seed": "再加一个种子，才知道各次运行相差多少",
    "needs repeats": "每个配方再运行 {more} 次即可判断",
    "needs any repeats": "把一些配方再运行几次，才知道各次运行相差多少",
    "epochs": "{epochs} 轮",
    "one epoch": "1 轮",
    "not yet": "尚未下结论：还有运行未完成",
    "at epochs": "{epochs}时{word}",
    "maybe speed": "基线仍在上升，因此可能只是学得快，而不是学得好",
    "may change": "基线仍在上升，因此训练更久可能会变",
    "ensemble": "第 {row} 行的 {models} 个模型合用（概率取平均）：测试集得分 {score}（{interval}），"
    "与单个模型的平均相差 {gain} 个点（{gain_interval}）；预测成本是单个模型的 {models} 倍；"
    "区间针对其他文本，模型不变",
    "ladder": "{factor}：{best} 最好，比次好的 {next} 高 {difference} 个点{interval}",
    "ladder clear": "{told}；确实优于其他所有水平",
    "ladder open": "{told}；与 {levels} 无法区分",
    "lower is better": "{score} 越低越好；效应仍以大于 0 为改进，即降低了这么多。",
    "too small": "差别太小，这些文本不足以分辨",
    "too small here": "差别太小，在这里分辨不出",
    "strategy": "策略",
    "effect": "效应",
    "plain": "95 % 区间",
    "adjusted": "校正区间",
    "verdict": "结论",
    "against": "与基线之差",
    "together": "联合区间",
    "memory": "内存",
    "seconds per run": "每次运行秒数",
    "seconds per epoch": "每轮秒数",
    "s per run": "每次运行秒数",
    "s per epoch": "每轮秒数",
    "row": "行",
    "recipe": "配方",
    "recommended": "推荐",
    "baseline": "基线",
    "class": "类别",
    "texts": "文本数",
    "log loss": "对数损失",
    "brier": "Brier 分数",
    "precision": "精确率",
    "recall": "召回率",
    "train": "训练集",
    "dev": "验证集",
    "test": "测试集",
    "inert": "{factor} 在这里不起作用：{reason}",
    "bundle": "{factor} = {level} 设置 {settings}",
    "bundle off": "{factor} = {level} 即基线本身",
    "holds": "以上结论的前提：{levels}。",
    "interval": "{low} 至 {high}",
    "no interval": "无区间",
    "too wide": "运行太少：{interval}",
    "in brackets": "（{text}）",
    "comma": "，",
    "colon": "：",
    "list comma": "、",
    "between sentences": "",
    "wrote": "已写入 {place}",
}
NOUNS = "seed|run|recipe|text|file|class|row"


def say_singular(template: str, values: Mapping[str, object]) -> str:
    """English words with one of a thing where a field says 1: ``{seeds} seeds``, but ``{seeds} seed``."""
    for name, value in values.items():
        if str(value) == "1":
            several = rf"({{{name}}} (?:distinct |test |finished )?(?:{NOUNS}))(?:e?s)\b"
            template = re.sub(several, r"\1", template)
    return template


SHARED: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}


def say_wrote(place: object, lang: Lang) -> str:
    """That a file or folder is there now."""
    return SHARED[lang]["wrote"].format(place=place)
