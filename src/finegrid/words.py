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
    # punctuation
    "comma": ", ",
    "in brackets": " ({text})",
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
    "comma": "，",
    "in brackets": "（{text}）",
}
SHARED: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
