"""Words for what is looked up of one recipe or of two, and for a study some of whose runs are missing."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    # runs are missing
    "unsettled": "Runs are missing: nothing is decided yet",
    "unsettled why": "{left} of {planned} runs are still to come. Until then every number here moves with "
    "them, so no strategy is called good or bad, and no recipe is recommended.",
    "frontier so far": "Which recipes are the best for their time is told when all runs are in.",
    "classes lead so far": "The recipe of row {row}, of which most is expected so far, on test, mean of "
    "{seeds} "
    "seeds.",
    "wrong lead so far": "Test texts that the recipe of which most is expected so far gets wrong with the "
    "highest probability. Some of them may be labelled wrongly.",
    "note of study": "Note",
    "table as file": "The table as a file",
    "colon": ": ",
    # one recipe, and two
    "role": "is",
    "recipes click": "Click a row for its settings, runs, curves and confusions. Tick two rows to compare "
    "them.",
    "recipes some": "That is so for {shown} recipes: the best ones, the baseline and the recommended one.",
    "open row": "details",
    "pick row": "Compare row {row}",
    "picked none": "Tick two rows to compare them.",
    "picked one": "Row {one} is ticked. Tick another one.",
    "picked two": "Rows {one} and {other} are ticked.",
    "compare": "Compare",
    "close": "Close",
    "sheet title": "Row {row}",
    "settings": "Settings",
    "setting": "setting",
    "here": "here",
    "runs": "Runs",
    "seed": "seed",
    "peak memory": "Memory",
    "best epoch": "best epoch",
    "state": "state",
    "state done": "finished",
    "state left": "not run yet",
    "state absent": "no result",
    "state diverged": "diverged",
    "state failed": "failed",
    "sheet curves": "Score on dev and training loss after each epoch, a line per seed. Rings: the epoch that "
    "was kept.",
    "sheet confusion": "Rows: the label. Columns: the prediction. Mean number of test texts per run.",
    "sheet classes": "{shown} of {all} classes: those of the largest confusions.",
    "two title": "Row {one} against row {other}",
    "difference": "Difference",
    "two points": "points of {score}",
    "scores": "Scores",
    "two scores": "row {one} / row {other}",
    "two caution": "Row {one} less row {other}, on the same seeds and test texts. You picked this pair after "
    "the results were there. The interval is not adjusted for that choice: among many pairs, some differ by "
    "luck alone. Decisions belong in the tables above.",
    "two settings": "Settings that differ",
    "of row": "row {row}",
    "two texts title": "Texts that differ",
    "two texts": "Of {all} test texts, row {one} is right more often on {better}, and row {other} on "
    "{worse}.",
    "two texts some": "Here are {shown} of them, chosen from the {listed} on which all recipes differ most. "
    "Behind a prediction stands the share of runs that is right.",
    "two no texts": "There are no predictions to compare, or no text on which recipes differ.",
}
CHINESE = {
    "unsettled": "运行尚未完成，暂无结论",
    "unsettled why": "{planned} 次运行中还差 {left} 次。在此之前，这里的数值都会变动，因此既不判断策略的好坏"
    "，也不推荐配方。",
    "frontier so far": "全部运行完成后才给出帕累托前沿。",
    "classes lead so far": "目前预期最高的配方（第 {row} 行）在测试集上的表现，{seeds} 个种子的均值。",
    "wrong lead so far": "目前预期最高的配方误判且概率最高的测试文本。其中有些可能是标签本身有误。",
    "note of study": "备注",
    "table as file": "下载此表",
    "colon": "：",
    "role": "身份",
    "recipes click": "点击一行可查看该配方的设置、运行、曲线和混淆矩阵。勾选两行可进行比较。",
    "recipes some": "可查看的有 {shown} 个配方：最好的一些，以及基线和推荐的配方。",
    "open row": "详情",
    "pick row": "比较第 {row} 行",
    "picked none": "勾选两行可进行比较。",
    "picked one": "已勾选第 {one} 行，请再勾选一行。",
    "picked two": "已勾选第 {one} 行和第 {other} 行。",
    "compare": "比较",
    "close": "关闭",
    "sheet title": "第 {row} 行",
    "settings": "设置",
    "setting": "设置项",
    "here": "此配方",
    "runs": "各次运行",
    "seed": "随机种子",
    "peak memory": "内存峰值",
    "best epoch": "最佳轮次",
    "state": "状态",
    "state done": "已完成",
    "state left": "尚未运行",
    "state absent": "没有结果",
    "state diverged": "发散",
    "state failed": "失败",
    "sheet curves": "每轮之后的验证集得分和训练损失，每个种子一条线。圆环：所保留的轮次。",
    "sheet confusion": "行：标签。列：预测。每次运行的平均测试文本数。",
    "sheet classes": "{all} 个类别中混淆最多的 {shown} 个。",
    "two title": "第 {one} 行与第 {other} 行的比较",
    "difference": "差值",
    "two points": "个点（{score}）",
    "scores": "得分",
    "two scores": "第 {one} 行 / 第 {other} 行",
    "two caution": "在相同的随机种子和测试文本上，第 {one} 行减第 {other} 行。这一对是看到结果之后才挑选的，"
    "区间没有为此校正：成对比较一多，总有几对只因运气而不同。判断请以上面的表格为准。",
    "two settings": "不同的设置",
    "of row": "第 {row} 行",
    "two texts title": "预测不同的文本",
    "two texts": "{all} 条测试文本中，第 {one} 行有 {better} 条更常预测正确，第 {other} 行有 {worse} 条。",
    "two texts some": "从各配方差别最大的 {listed} 条文本中，列出其中 {shown} 条。预测后面是预测正确的运行所"
    "占的比例。",
    "two no texts": "没有可比较的预测，或各配方在所有文本上都相同。",
}
DETAILS_WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
