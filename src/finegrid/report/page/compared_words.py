"""Words of the page that are others where systems are compared, not strategies of a study."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "strategy": "system",
    "effect": "difference",
    "on test": "{score}, 95 % interval {interval}",
    "on test bare": "{score}; no interval",
    "strategies": "Differences in numbers",
    "scope": "{score} on {texts} test texts; {recipes} systems.",
    "nav recipes": "Systems",
    "recipes": "Every system",
    "recipes lead": "{recipes} systems, {runs} files of predictions.",
    "shown": "{shown} of {all} systems",
    "c seeds": "runs",
    "recipes note": "Dots are single runs on one scale from {low} to {high} points, the line is the mean. "
    "Best set: cannot be told from the best.",
    "classes lead": "The recommended system, mean of {seeds} runs.",
    "wrong lead": "Texts that the recommended system gets wrong: with the highest probability where it is "
    "known, else in most runs. Some of them may be labelled wrongly.",
    "wrong none": "It gets no text wrong.",
    "disputed lead": "Texts on which the runs of all systems agree least: ambiguous, mislabelled, or what "
    "systems differ in.",
    "seeds wrong": "runs wrong",
    "p table": "systems, compared by files of predictions",
    "repeat lead table": "This command compares the same again.",
    "do report": "the comparison, and this page",
    "r recipe": "A <strong>system</strong> is whatever made the predictions. The "
    "<strong>baseline</strong> is the one that was named first. Several files of a system are "
    "<strong>runs</strong> of it.",
    "r effect": "A <strong>difference</strong> is how many points (0 to 100) a system wins or loses "
    "against the baseline, on the same texts.",
    "r interval": "A <strong>95 % interval</strong> holds the true difference in 95 of 100 such "
    "comparisons, on new texts of the same kind and, where systems have several files, in new runs. The "
    "<strong>adjusted</strong> interval is wider where several systems are compared at once: in 95 of 100 "
    "such comparisons it is right for all of them. Verdicts rest on it.",
    "r best": "The <strong>best set</strong> holds every system that cannot be told from the best "
    "(multiple comparisons with the best, one-sided, 95 %).",
}
CHINESE = {
    "strategy": "系统",
    "effect": "差值",
    "on test": "{score}，95 % 区间 {interval}",
    "on test bare": "{score}；没有区间",
    "strategies": "差值的数值结果",
    "scope": "{texts} 条测试文本上的 {score}；{recipes} 个系统。",
    "nav recipes": "系统",
    "recipes": "全部系统",
    "recipes lead": "{recipes} 个系统，{runs} 个预测文件。",
    "shown": "{all} 个系统中的 {shown} 个",
    "c seeds": "运行",
    "recipes note": "每个点是一次运行，刻度同为 {low} 至 {high}，竖线是均值。最佳集：与最佳者无法区分。",
    "classes lead": "推荐的系统，{seeds} 次运行的均值。",
    "wrong lead": "推荐的系统预测错误的文本：概率已知时按概率从高到低，否则按预测错误的运行次数。其中一些"
    "可能是标签本身有误。",
    "wrong none": "全部文本预测正确。",
    "disputed lead": "各系统的各次运行最不一致的文本：有歧义、标签有误，或正是系统之间的差别所在。",
    "seeds wrong": "预测错误的运行",
    "p table": "按预测文件比较的系统",
    "repeat lead table": "这条命令重做同样的比较。",
    "do report": "这一比较和本页",
    "r recipe": "<strong>系统</strong>是给出预测的任何东西。<strong>基线</strong>是最先列出的系统。同一系"
    "统的多个文件是它的多次<strong>运行</strong>。",
    "r effect": "<strong>差值</strong>是在同样的文本上，一个系统相对基线的得失，以点计（0 至 100）。",
    "r interval": "<strong>95 % 区间</strong>：在 100 个这样的比较中，有 95 个的区间包含真实差值，对同类的"
    "新文本成立，系统有多个文件时也对新的运行成立。<strong>校正区间</strong>在同时比较多个系统时更宽：在 "
    "100 个这样的比较中，有 95 个的所有区间同时正确。结论依据校正区间。",
    "r best": "<strong>最佳集</strong>包含所有与最佳者无法区分的系统（与最佳者的多重比较，单侧，95 %）。",
}
COMPARED_WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
