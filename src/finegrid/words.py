"""The words that terminal, page, tables and figures have in common, in English and Chinese.

Whoever has words of its own keeps them beside the code that says them. What two of them say stands here.
"""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    # a decision, and what would settle an open one
    "use": "use",
    "avoid": "do not use",
    "same": "no difference beyond {margin:g} points",
    "open": "cannot tell yet",
    "interact": "they interact",
    "measurable": "but measurable",
    "for speed": "use for speed",
    "needs seeds": "more seeds would decide: {more}",
    "needs runs": "{runs} runs, {time} of one worker",
    "needs texts": "{texts:,} test texts would decide",
    "texts now": "there are {now:,}",
    "needs both": "{seeds} seeds and {texts:,} test texts would decide",
    "needs nothing": "no feasible number of seeds would decide",
    "condition": "{word} with {factor} = {level}",
    "between conditions": "; ",
    # what to use
    "r use": "use: {levels} (row {row})",
    "r keep": "keep what you have: the baseline (row {row})",
    "r expected": "Expected on {split}: {gain} points against the baseline ({interval} with a probability of "
    "95 %). The chance that it loses more than {tolerance:g} points is {chance}.",
    "r none better": "No recipe is expected to be better.",
    "r tempting": "Most is expected of {levels} (row {row}): {gain} points on {split} ({interval}). But the "
    "chance that it loses more than {tolerance:g} points is {chance}.",
    "r unknown": "Nothing tells yet how far two runs of one recipe differ. A second seed would.",
    "r chosen": "Its score on test is not corrected for the choice: dev and test share the luck of a run, so "
    "it is rather too high. `finegrid confirm` measures it on fresh seeds.",
    "r chosen on test": "It was chosen on test, so its own score there is too high.",
    "r cheaper": "Cheaper: {levels} (row {row}) saves {time} ({share}). The chance that it loses more than "
    "{tolerance:g} points against what is recommended is {chance}; expected: {gain}.",
    "r against": '{factor} = {level}: "{word}" is said of the mean over all recipes ({effect}). In the '
    "recommended recipe it is worth {local} ({interval}), by the scores on test.",
    "r against unknown": '{factor} = {level}: "{word}" is said of the mean over all recipes ({effect}), not '
    "of the recommended recipe.",
    "the baseline": "the baseline",
    "as recommended": "in the recommended recipe",
    # names of columns and of what is in them
    "strategy": "strategy",
    "effect": "effect",
    "plain": "95 % interval",
    "adjusted": "adjusted",
    "verdict": "verdict",
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
    "precision": "precision",
    "recall": "recall",
    "dev": "dev",
    "test": "test",
    # sentences
    "inert": "{factor} does nothing here: {reason}",
    "holds": "All this holds at {levels}.",
    # intervals and punctuation
    "interval": "{low} to {high}",
    "no interval": "no interval",
    "in brackets": " ({text})",
    "comma": ", ",
    "list comma": ", ",  # Chinese has a comma of its own between the things of a list
    "between sentences": " ",
}
CHINESE = {
    "use": "使用",
    "avoid": "不要使用",
    "same": "差别不超过 {margin:g} 分",
    "open": "尚不能判断",
    "interact": "相互依赖",
    "measurable": "但可测出",
    "for speed": "可为提速而用",
    "needs seeds": "再加 {more} 个种子即可判断",
    "needs runs": "{runs} 次运行，单进程 {time}",
    "needs texts": "需要 {texts:,} 条测试文本",
    "texts now": "现有 {now:,} 条",
    "needs both": "需要 {seeds} 个种子和 {texts:,} 条测试文本",
    "needs nothing": "增加种子也无法判断",
    "condition": "{factor} = {level} 时{word}",
    "between conditions": "；",
    "r use": "建议使用：{levels}（第 {row} 行）",
    "r keep": "保持现状：使用基线（第 {row} 行）",
    "r expected": "在{split}上预计比基线高 {gain} 分（95 % 概率在 {interval} 之间）；"
    "比基线低 {tolerance:g} 分以上的概率为 {chance}。",
    "r none better": "没有哪个配方预计会更好。",
    "r tempting": "预期最高的是 {levels}（第 {row} 行）：{split}上 {gain} 分（{interval}），"
    "但它比基线低 {tolerance:g} 分以上的概率为 {chance}。",
    "r unknown": "目前还不知道同一配方的两次运行会相差多少；再加一个种子即可知道。",
    "r chosen": "其测试得分没有针对挑选作校正：同一次运行的运气同时影响验证集和测试集，因此偏高。"
    "`finegrid confirm` 会用新的种子重新测量。",
    "r chosen on test": "它是在测试集上选出的，因此其测试得分偏高。",
    "r cheaper": "更省时：{levels}（第 {row} 行），可省 {time}（{share}）。"
    "比推荐配方低 {tolerance:g} 分以上的概率为 {chance}，预计相差 {gain} 分。",
    "r against": "{factor} = {level}：“{word}”说的是所有配方的平均（{effect}）。"
    "按测试得分，它在推荐配方中的作用为 {local}（{interval}）。",
    "r against unknown": "{factor} = {level}：“{word}”说的是所有配方的平均（{effect}），并非针对推荐配方。",
    "the baseline": "基线",
    "as recommended": "在推荐配方中",
    "strategy": "策略",
    "effect": "效应",
    "plain": "95 % 区间",
    "adjusted": "校正区间",
    "verdict": "结论",
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
    "precision": "精确率",
    "recall": "召回率",
    "dev": "验证集",
    "test": "测试集",
    "inert": "{factor} 在这里不起作用：{reason}",
    "holds": "以上结论的前提：{levels}。",
    "interval": "{low} 至 {high}",
    "no interval": "无区间",
    "in brackets": "（{text}）",
    "comma": "，",
    "list comma": "、",
    "between sentences": "",
}
SHARED: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
