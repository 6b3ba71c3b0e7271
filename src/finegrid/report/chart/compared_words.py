"""Words of figures and tables that are others where systems are compared, not strategies of a study."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "strategy": "system",
    "tip full": "system",
    "tip recipe": "system",
    "tip effect_text": "difference, points",
    "head rows": "no.",
    "instead": "{level}, against {baseline}",
    "forest title": "How each system differs from the first: {score}",
    "sample": "{recipes} systems, {texts} test texts.",
    "sample of one seed": "{recipes} systems, one file of each, {texts} test texts: intervals cover other "
    "texts, not other runs.",
    "seeds title": "Every system with its runs: {score}",
    "how levels": "Dotted: the mean of the first system.",
    "best of": "{shown} of {count} systems: the best ones, and the first.",
    "classes title": "F1 of each class, recommended system",
    "how classes": "System {rows}, mean of {seeds} runs; lines are plain 95 % intervals.",
    "confusion title": "What is taken for what, recommended system",
    "cell count_text": "texts, mean over runs",
    "how confusion": "System {rows}, mean of {seeds} runs. Rows add up to 100 %; what is right lies on "
    "the diagonal. Counts as they are, without intervals.",
    "md score": "Differences in points of {score}.",
    "md best": "The best systems",
    "md best set": "{count} systems cannot be told from the best. Here: {shown} and the baseline.",
}
CHINESE = {
    "strategy": "系统",
    "tip full": "系统",
    "tip recipe": "系统",
    "tip effect_text": "差值（点）",
    "head rows": "序号",
    "instead": "{level}，相对 {baseline}",
    "forest title": "各系统与第一个系统之差：{score}",
    "sample": "{recipes} 个系统，{texts} 条测试文本。",
    "sample of one seed": "{recipes} 个系统，各一个文件，{texts} 条测试文本：区间涵盖其他文本，不涵盖其他"
    "运行。",
    "seeds title": "各系统及其各次运行：{score}",
    "how levels": "点线：第一个系统的均值。",
    "best of": "{count} 个系统中的 {shown} 个：最好的一些，以及第一个。",
    "classes title": "推荐系统各类别的 F1",
    "how classes": "第 {rows} 个系统，{seeds} 次运行的均值；横线为未校正的 95 % 区间。",
    "confusion title": "推荐系统把什么当成了什么",
    "cell count_text": "文本数（各次运行平均）",
    "how confusion": "第 {rows} 个系统，{seeds} 次运行的均值。每行合计 100 %，对角线为正确。计数本身，不带"
    "区间。",
    "md score": "差值以 {score} 的点计。",
    "md best": "最好的系统",
    "md best set": "与最佳者无法区分的系统有 {count} 个；此处列出前 {shown} 个以及基线。",
}
COMPARED_CHART_WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
