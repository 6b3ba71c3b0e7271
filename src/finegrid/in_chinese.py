"""Sentences that files keep in English (reasons, notes, findings about data), told in Chinese.

The audit, the ledger and imported tables are written once, in English, whoever reads them. Here each kind of
their sentences has its Chinese, with the names and numbers that it holds. What has none stays English.
"""

from __future__ import annotations

import re

from finegrid.spelling import Lang

SPLITS = {"train": "训练集", "dev": "验证集", "test": "测试集"}
N = r"([\d,]+)"
SPLIT = r"(train|dev|test)"
# In this order: the first that fits a whole sentence.
PATTERNS: tuple[tuple[str, str], ...] = (
    # what does nothing
    (
        r"it changes no tensor, rate, decay or dropout site that reaches the loss",
        "没有改变任何影响损失的张量、学习率、衰减或 dropout 位置",
    ),
    (
        r"(\S+) pooling never reads the pooler, so it gets no gradient",
        r"\1 池化从不读取 pooler，因此 pooler 没有梯度",
    ),
    (
        r'(.+) never reach(?:es)? the loss under model\.pooling = "(.+)"',
        r"model.pooling = “\2” 时，\1 与损失无关",
    ),
    (
        r'the head pools by "(.+)", whatever model\.pooling says',
        r"无论 model.pooling 为何，分类头都按 “\1” 池化",
    ),
    (r"no row can have it", "没有任何一行可以取这个水平"),
    ("declared to be without effect when the table was imported", "导入表格时已声明它不起作用"),
    # notes of effects
    (r"aliased: this design cannot tell it from (.+)", r"混杂：此设计无法将它与 \1 区分"),
    (r"not estimable: the runs that finished do not show it", "无法估计：已完成的运行不足以显示它"),
    (
        r"not estimable: (.+) are the same in every recipe that ran",
        r"无法估计：在所有已运行的配方中，\1 都相同",
    ),
    (
        r"not estimable: (.+) and (.+) are one run here(?: \((.+)\))?",
        r"无法估计：\1 和 \2 在这里是同一次运行",
    ),
    (
        rf"not estimable as defined: {N} of {N} comparisons lack a recipe without any finished run; "
        rf"this is the mean of the other {N}",
        r"不能按定义估计：\2 个比较中有 \1 个缺少已完成的配方；这里是其余 \3 个的均值",
    ),
    (
        rf"decided at the look with {N} seeds, by (\S+) to (\S+)",
        r"在 \1 个种子的期中分析时已判定，依据 \2 至 \3",
    ),
    # what an import tells
    (r"results were taken as 0 to 1", "结果按 0 到 1 读取"),
    (r"results were taken as 0 to 100", "结果按 0 到 100 读取"),
    (r"results were taken as numbers on a scale of their own", "结果按原有的数值读取"),
    (
        r"results were taken as numbers on a scale of their own, lower is better",
        "结果按原有的数值读取，越低越好",
    ),
    (r"results were taken as (.+), lower is better", r"结果按 \1 读取，越低越好"),
    (r"THUCNews titles, 64 recipes", "THUCNews 标题，64 个配方"),
    (
        r"columns are named like those of the preset thucnews64, but (.+) has the level (.+): names and "
        r"levels were taken as they are",
        r"列名与预设 thucnews64 相同，但 \1 有水平 \2：列名和水平按原样采用",
    ),
    (
        r"factor (.+) has another level in every row\. If it is a result, take the column out",
        r"因素 \1 在每一行的水平都不同。如果它是结果，请去掉这一列",
    ),
    (rf"{N} rows? without a result \((.+) and {N} more\)", r"\1 行没有结果（\2 等，另有 \3 行）"),
    (rf"{N} rows? without a result \((.+)\)", r"\1 行没有结果（\2）"),
    (rf"{N} rows? without seconds \(lines (.+)\)", r"\1 行没有秒数（第 \2 行）"),
    (
        rf"{N} rows? with 0 seconds \(lines (.+)\): taken as not known",
        r"\1 行的秒数为 0（第 \2 行）：按未知处理",
    ),
    (
        rf"{N} rows? with the recipe of an earlier one \(e\.g\. lines {N} and {N}\); taken as runs with "
        r"other seeds\. If they are copies, take them out",
        r"\1 行与前面某行的配方相同（例如第 \2 行和第 \3 行）；按其他随机种子的运行处理。如果是重复的副本，"
        r"请去掉",
    ),
    (r"left out, next to (.+?): (.+)", r"已采用 \1，因此不用 \2"),
    (
        r"(.+) and (.+) are the same in every row: nothing tells them apart\. .+ was left out; what is "
        r"said of .+ holds for both together",
        r"\1 和 \2 在每一行都相同，无法区分。因此不用 \2；关于 \1 的结论对两者一并成立",
    ),
    (
        r"(.+) and (.+) go together in every row \((.+)\): nothing tells them apart\. .+ was left out; "
        r"what is said of .+ holds for both together",
        r"\1 和 \2 在每一行都同时变化（\3），无法区分。因此不用 \2；关于 \1 的结论对两者一并成立",
    ),
    (rf"{N} empty lines? passed over", r"跳过了 \1 个空行"),
    (r"(.+) is not UTF-8 and was read as (\S+)", r"\1 不是 UTF-8，已按 \2 读取"),
    # what a reader of predicted labels must know
    (
        r"(.+) is not UTF-8 and was read as (\S+), e\.g\. (.+)\. Else pass --encoding",
        r"\1 不是 UTF-8，已按 \2 读取，例如 \3。如果不对，请用 --encoding 指定",
    ),
    (
        r"(.+): the texts are taken from column (.+)\. Else pass --text",
        r"\1：文本取自 \2 列。如果不对，请用 --text 指定",
    ),
    (rf"{N} texts? longer than {N} tokens: the end was cut off", r"\1 条文本超过 \2 个词元：结尾被截去"),
    (
        rf"{N} texts? longer than {N} tokens: the beginning was cut off",
        r"\1 条文本超过 \2 个词元：开头被截去",
    ),
    (
        rf"{N} texts? longer than {N} tokens: a middle part was cut off",
        r"\1 条文本超过 \2 个词元：中间一段被截去",
    ),
    (
        rf"no scores: the model does not know the label (.+) and {N} more of the file",
        r"没有得分：模型不认识文件中的标签 \1 等（另有 \2 个）",
    ),
    (
        r"no scores: the model does not know the label (.+) of the file",
        r"没有得分：模型不认识文件中的标签 \1",
    ),
    (
        rf"no scores: (.+) (?:line|row) {N}: the label is (?:missing|empty)\. Fill it in, or take the row "
        r"out",
        r"没有得分：\1 第 \2 行缺少标签。请补上，或去掉这一行",
    ),
    (
        rf"no scores: (.+) (?:line|row) {N}: the label is (.+), expected a word or a whole number",
        r"没有得分：\1 第 \2 行的标签是 \3，应为一个词或整数",
    ),
    (
        rf"no scores: (.+) (?:line|row) {N}: (.+) is no character of text, in (.+)\. Take it out",
        r"没有得分：\1 第 \2 行的 \4 中含有 \3，它不是文本字符。请去掉",
    ),
    # what an installation lacks
    (r"(torch|transformers) is not installed", r"没有安装 \1"),
    (r"torch (\S+) cannot be used \((.+)\)", r"torch \1 无法使用（\2）"),
    # what else an import tells
    (
        r"its columns are those of the preset thucnews64, and were given its factors' names",
        "表中的列与预设 thucnews64 相同，因此采用其因素名称",
    ),
    (
        r"a public study of THUCNews titles with bert-base-chinese on one RTX 3090 Ti: (.+) titles of 10 "
        r"classes, "
        r"batch 256, rate 5e-5, 32 epochs",
        r"一项公开研究：THUCNews 标题，bert-base-chinese，单张 RTX 3090 Ti；\1 条标题，10 个类别，批大小 "
        r"256，学习率 5e-5，32 轮",
    ),
    (r"one run of each row, and no seed was set", "每行只运行一次，没有设置随机种子"),
    (
        r"the best epoch was chosen on test \(best-test\), so results are a little too high",
        "最佳轮次在测试集上选择（best-test），因此结果略微偏高",
    ),
    (
        r"seconds per epoch are averages that the study's text tells, with and without frozen layers; "
        r"they were not measured row by row",
        "每轮秒数取自该研究正文给出的平均值（冻结与不冻结两种），并非逐行测量",
    ),
    (
        r"as that study wrote it, weight_decay also moved Adam's eps \(1e-8 against 1e-6\)",
        "按该研究的写法，weight_decay 同时改变了 Adam 的 eps（1e-8 与 1e-6）",
    ),
    (r"(.+) is (.+) in every row", r"每一行的 \1 都是 \2"),
    # what was found in data
    (
        rf"{SPLIT}: {N} repeated rows?, same text and same label, e\.g\. (.+)",
        r"<\1>：\2 个重复行，文本和标签都相同，例如 \3",
    ),
    (
        rf"{SPLIT}: {N} texts? with more than one label(?: in rows that are equal but for case and blanks)?, "
        r"e\.g\. (.+)",
        r"<\1>：\2 条文本有多个标签，例如 \3",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, but for case and blanks, with the same label, e\.g\. (.+)",
        r"<\1>：\2 条文本除大小写和空白外也在<\3>中，标签相同，例如 \4",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, but for case and blanks, with another label, e\.g\. (.+)",
        r"<\1>：\2 条文本除大小写和空白外也在<\3>中，但标签不同，例如 \4",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with the same label, e\.g\. (.+)",
        r"<\1>：\2 条文本也在<\3>中，标签相同，例如 \4",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with another label, e\.g\. (.+)",
        r"<\1>：\2 条文本也在<\3>中，但标签不同，例如 \4",
    ),
    (
        rf"{SPLIT}: {N} texts? nearly like one of {SPLIT} \(similarity from (.+?)\), e\.g\. (.+)",
        r"<\1>：\2 条文本与<\3>中的某条几乎相同（相似度不低于 \4），例如 \5",
    ),
    (
        rf"{SPLIT}: {N} texts? with the same tokens as one of {SPLIT}, e\.g\. (.+)",
        r"<\1>：\2 条文本与<\3>中的某条词元相同，例如 \4",
    ),
    (
        rf"{SPLIT}: {N} texts? with the same tokens as one of {SPLIT} once cut at model\.max_length = {N}, "
        rf"e\.g\. (.+)",
        r"<\1>：截断至 model.max_length = \4 后，\2 条文本与<\3>中的某条词元相同，例如 \5",
    ),
    (
        rf"{SPLIT}: {N} texts? of {N} groups? also in {SPLIT}(.*)",
        r"<\1>：\2 条文本所属的 \3 个组也在<\4>中\5",
    ),
    (
        rf"{SPLIT}: {N} texts? with characters lost in an earlier conversion \(U\+FFFD\), e\.g\. (.+)",
        r"<\1>：\2 条文本含有此前转换时丢失的字符（U+FFFD），例如 \3",
    ),
    (
        rf"{SPLIT}: {N} class(?:es)? with fewer than {N} texts, e\.g\. (.+)",
        r"<\1>：\2 个类别的文本少于 \3 条，例如 \4",
    ),
    (
        rf"{SPLIT}: no text of {N} class(?:es)? that train has, e\.g\. (.+)",
        r"<\1>：训练集中的 \2 个类别在此没有文本，例如 \3",
    ),
    (
        rf"{SPLIT}: {N} of {N} texts? are longer than model\.max_length = {N} tokens and are cut; (.+) of "
        rf"their tokens "
        rf"are lost \(the longest has {N}\)\.",
        r"<\1>：\3 条文本中有 \2 条超过 model.max_length = \4 个词元而被截断，丢失其中 \5 的词元（最长的有 "
        r"\6 个）。",
    ),
    (rf"(\S+): {N} rows? without a group; each is a group of its own", r"\1：\2 行没有组，各自成为一组"),
    (
        r"(\S+): no two rows share a group\. Is data\.group the right column\?",
        r"\1：没有两行同属一组。data.group 是否选对了列？",
    ),
    (
        rf"near-twins were not looked for, since there are {N} texts, more than {N}\. finegrid init "
        rf"--near-twins "
        rf"looks for them, in about (.+) here",
        r"没有查找近似重复的文本，因为共有 \1 条文本，超过 \2 条。finegrid init --near-twins 可以查找，在这里"
        r"约需 \3",
    ),
    # why files were read so
    (r"as you said", "按你的指定"),
    (r"a usual pair of names", "常用的一对列名"),
    (r"a usual name", "常用列名"),
    (r"a usual name: (.+)", r"常用列名：\1"),
    (r"the only other column", "仅剩这一列"),
    (r"the longest strings", "文字最长"),
    (r"the only one with few values", "只有这一列取值很少"),
    (r"columns are said by name", "你按名称指定了列"),
    (r"no rows", "没有数据行"),
    (r"a cell of the first line comes again below it", "第一行的某个单元格在下面又出现"),
    (r"its cells are no names", "第一行的单元格不像列名"),
    (r"all files begin with it", "所有文件都以它开头"),
    (r"the files begin differently", "各文件的开头不同"),
    (r"it reads like names, and no cell of it comes again", "第一行像列名，且其单元格没有再出现"),
    (r"it reads like a row", "第一行像数据行"),
    (
        "protocol best-test: epochs are chosen on the test set, so test scores are too high",
        "协议 best-test：轮次在测试集上选择，因此测试得分偏高",
    ),
    (r"study\.toml has now in \[design\]: (.+)", r"study.toml 的 [design] 现在是：\1"),
    (r"a fraction of resolution (\w+)", r"分辨度 \1 的部分设计"),
    (r"study\.toml has this already", "study.toml 已是如此"),
    # why rows are taken out of clean files
    (r"text with more than one label", "文本有多个标签"),
    (r"repeated row", "重复行"),
    (rf"text also in {SPLIT}", r"文本也在<\1>中"),
    (rf"text also in {SPLIT}, but for case and blanks", r"文本除大小写和空白外也在<\1>中"),
    (rf"text nearly like one of {SPLIT}", r"文本与<\1>中的某条几乎相同"),
    (r"text nearly like an earlier one", "文本与前面的某条几乎相同"),
    (r"no text", "没有文本"),
    (r"no label", "没有标签"),
    (r"no group", "没有组"),
    (r"text is no string", "文本不是字符串"),
    (r"label is no word or whole number", "标签不是词或整数"),
    (r"group is no word or whole number", "组不是词或整数"),
    (r"no character of text in it", "不含任何文字"),
    (r"empty line", "空行"),
    (r"too few fields", "字段太少"),
    (r"too many fields", "字段太多"),
    (r"the header again", "又一次出现的表头"),
    # how large an encoder is
    (rf"(\w+), {N} wide, {N} layers?", r"\1，宽 \2，\3 层"),
)
COMPILED = tuple((re.compile(pattern, re.DOTALL), chinese) for pattern, chinese in PATTERNS)
METHODS = {
    "between seeds": "随机种子之间",
    "between seeds, moderated": "随机种子之间，经收缩",
    "between splits": "数据划分之间",
    "true repeats": "真实重复",
    "true repeats and high-order interactions": "真实重复与高阶交互作用",
    "pooled high-order interactions": "合并的高阶交互作用",
    "Lenth's method": "Lenth 法",
    "repeats": "重复运行",
    "texts alone": "仅文本",
    "none": "无",
}
STATES = {"left": "尚缺", "diverged": "发散", "failed": "失败", "done": "完成", "missing": "无结果"}


def translate(sentence: str, lang: Lang) -> str:
    """A recorded sentence in a language; as it is where it has no Chinese."""
    chinese = find_chinese(sentence) if lang == "zh" else None
    return sentence if chinese is None else chinese


def find_chinese(sentence: str) -> str | None:
    """The Chinese of a recorded sentence or method; None where nobody has put it into Chinese."""
    if sentence in METHODS:
        return METHODS[sentence]
    for pattern, chinese in COMPILED:
        if found := pattern.fullmatch(sentence):
            return re.sub(r"<(\w+)>", lambda part: SPLITS.get(part[1], part[0]), found.expand(chinese))
    return None


def name_method(method: str, lang: Lang) -> str:
    """Where the noise of a run is estimated from."""
    return METHODS.get(method, method) if lang == "zh" else method


def name_state(state: str, lang: Lang) -> str:
    """Of a run: done, left, diverged or failed; of an imported one, that its result is missing."""
    return STATES.get(state, state) if lang == "zh" else state
