"""Sentences that files keep in English (reasons, notes, findings about data), told in Chinese.

The audit, the ledger and imported tables are written once, in English, whoever reads them. Here each kind of
their sentences has its Chinese, with the names and numbers that it holds. What has none stays English. A
``<\\2>`` in the Chinese is the second group, itself put into Chinese.
"""

from __future__ import annotations

import re
from functools import cache

from finegrid.refusals import LESS_MEMORY, OTHERS
from finegrid.spelling import UNITS, Lang
from finegrid.words import SHARED

SPLITS = {"train": "训练集", "dev": "验证集", "test": "测试集"}
N = r"([\d,]+)"
SPLIT = r"(train|dev|test)"
PART = r"(train|dev|test|(?:texts\.extra|pseudo\.texts) = .+?)"  # files that levels add to train
# Where tensors and dropout sites lie, and how many of them.
PLACE = r"(?:embeddings|layers? \d[\d, -]*\d|layer \d|last norm|pooler|head|elsewhere)"
WHERE = rf"{PLACE}(?:, {PLACE})*"
THINGS = rf"(\d+ (?:tensor|dropout site)s? of (?:{WHERE}))"
# What follows a comma and begins another part of a list, in what a level changes and in a decision.
CHANGE = r"starts |trains |freezes |switches |other |another |may end "
ADDED = (
    r"or its aliases|with its aliases|but measurable|use for speed|diverges in |does not learn in |diverges "
    r"or "
)
# Quoted texts of users, in Python's spelling; what stands between them are places of files.
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
FIELD = re.compile(r"\{(\w+)[^}]*\}")


def pair_of(*keys: str) -> tuple[str, str]:
    """A pattern of shared words one after the other, the last of several in brackets, and their Chinese."""
    pattern, chinese, count = "", "", 0
    for place, key in enumerate(keys):
        english, said = SHARED["en"][key], SHARED["zh"][key]
        if place and place == len(keys) - 1:
            english, said = (SHARED[lang]["in brackets"].format(text=SHARED[lang][key]) for lang in UNITS)
        pattern += "(.+?)".join(map(re.escape, FIELD.split(english)[::2]))
        groups = {name: count + number for number, name in enumerate(FIELD.findall(english), start=1)}
        chinese += FIELD.sub(lambda field, groups=groups: f"\\{groups[field[1]]}", said)  # type: ignore[misc]
        count += len(groups)
    return pattern, chinese


# A decision as screen.json has it, part by part.
DECIDED = ("use", "avoid", "open", "or aliases", "with aliases", "measurable", "for speed")
FAILING = ("diverges", "does not learn", "fails")
DECISIONS: tuple[tuple[str, str], ...] = (
    *map(pair_of, DECIDED),
    *(pair_of(kind, "of the baseline") for kind in FAILING),
    *(pair_of(kind, "all with", "of the baseline") for kind in FAILING),
    (r"no difference beyond (\S+)", SHARED["zh"]["same"].format(margin=0).replace("0", r"\1")),
)
# In this order: the first that fits a whole sentence.
PATTERNS: tuple[tuple[str, str], ...] = (
    # what does nothing
    (r"no batch has more texts", "没有哪一批有更多的文本"),
    (rf"{N} epochs? are over before it could end a run", r"在它能够提前结束运行之前，\1 轮就已训练完"),
    (r"does nothing: (.+)", r"不起作用：<\1>"),
    (r"all its levels are one run", "它的所有水平都是同一次运行"),
    (r"all its levels are one run; (.+)", r"它的所有水平都是同一次运行；<\1>"),
    (
        r"it changes no tensor, rate, decay or dropout site that reaches the loss",
        "没有改变任何影响损失的张量、学习率、衰减或 dropout 位置",
    ),
    (
        r"(\S+) pooling never reads the pooler, so it gets no gradient",
        r"\1 池化从不读取 pooler，因此 pooler 没有梯度",
    ),
    (
        r'([\w., ]+) never reach(?:es)? the loss under model\.pooling = "([^"]+)"',
        r"model.pooling = “\2” 时，\1 与损失无关",
    ),
    (
        r'the head pools by "(.+)", whatever model\.pooling says',
        r"无论 model.pooling 为何，分类头都按 “\1” 池化",
    ),
    (r"no row can have it", "没有任何一行可以取这个水平"),
    ("declared to be without effect when the table was imported", "导入表格时已声明它不起作用"),
    (r"(\w+\.\w+) of (\S+ = [^:;]+)", r"\2 中的 \1"),  # a setting of a bundle
    # notes of effects
    (r"aliased: this design cannot tell it from (.+)", r"混杂：此设计无法将它与 \1 区分"),
    (r"not estimable: the runs that finished do not show it", "无法估计：已完成的运行不足以显示它"),
    (
        r"not estimable: (.+) are the same in every recipe that ran",
        r"无法估计：在所有已运行的配方中，<\1> 都相同",
    ),
    (
        r"not estimable: (.+) and (.+) are one run here \((.+)\)",
        r"无法估计：\1 和 \2 在这里是同一次运行（<\3>）",
    ),
    (
        r"not estimable: (.+) and (.+) are one run here",
        r"无法估计：\1 和 \2 在这里是同一次运行",
    ),
    (
        rf"not estimable as defined: {N} of {N} comparisons lack a recipe without any finished run; this is "
        rf"the mean of the other {N}",
        r"不能按定义估计：\2 个比较中有 \1 个缺少已完成的配方；这里是其余 \3 个的均值",
    ),
    (
        rf"decided at the look with {N} seeds, by (\S+) to (\S+)",
        r"在 \1 个种子的期中分析时已判定，依据 \2 至 \3",
    ),
    (
        rf"(does nothing with the dropped factors at their first level|dropped on dev \(.+\)), so measured "
        rf"in the fraction of {N} rows alone; `finegrid plan` says what such a fraction measures together",
        r"<\1>，因此只在 \2 行的部分设计中测量过；`finegrid plan` 会说明哪些效应在其中混杂",
    ),
    (
        r"does nothing with the dropped factors at their first level",
        "被淘汰的因素都取第一个水平时它不起作用",
    ),
    (r"dropped on dev \((.+)\)", r"依验证集被淘汰（<\1>）"),
    # a decision, as screen.json has it
    *DECISIONS,
    (
        r"its seeds do not connect the recipes \(most runs have a seed of their own\), so rows of one recipe "
        r"were taken as repeats",
        "随机种子没有把各配方联系起来（大多数运行各有自己的种子），因此同一配方的各行按重复运行处理",
    ),
    # what of a study's files does not fit
    (rf"(\S+): {N} lines? left out \((.+)\)\. (.+)", r"\1：略去了 \2 行（<\3>）。<\4>"),
    (r"(line \d+: .+?); (line \d+: .+)", r"<\1>；<\2>"),
    (rf"(line \d+: .+); and {N} more", r"<\1>；另有 \2 行"),
    (rf"line {N}: (.+)", r"第 \1 行：<\2>"),
    (
        rf"written by a newer finegrid \(schema {N}\); update finegrid",
        r"由更新版本的 finegrid 写入（格式 \1）；请更新 finegrid",
    ),
    (
        r"Runs that have no other line are missing; `finegrid run` trains them",
        "没有其他行的运行按缺失处理；`finegrid run` 会训练它们",
    ),
    (r"What these looks have decided does not count", "这些期中分析的判定不计"),
    (
        rf"{N} finished runs? without predictions, which are lost or damaged \((.+)\)\. They count as "
        r"missing; `finegrid run` trains them again",
        r"\1 次已完成的运行没有预测：文件丢失或损坏（<\2>）。按缺失处理；`finegrid run` 会重新训练它们",
    ),
    (rf"(.+), and {N} more", r"\1，另有 \2 个"),
    (
        r"audit\.json does not fit and is treated as none \((.+)\)\. `finegrid run` makes it anew",
        r"audit.json 不合要求，按没有处理（<\1>）。`finegrid run` 会重新检查",
    ),
    (r"(\S+): found (.+), expected (.+)", r"\1：发现 \2，应为 \3"),
    (r"(\S+) is missing", r"缺少 \1"),
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
    (rf"{N} rows? without a result \((.+)\)", r"\1 行没有结果（<\2>）"),
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
    (r"left out, next to (.+?): (.+)", r"已采用 <\1>，因此不用 <\2>"),
    (
        r"(.+) and (.+) are the same in every row: nothing tells them apart\. .+ was left out; what is "
        r"said of .+ holds for both together",
        r"\1 和 \2 在每一行都相同，无法区分。因此不用 \2；关于 \1 的结论对两者一并成立",
    ),
    (
        r"(.+) and (.+) go together in every row \((.+)\): nothing tells them apart\. .+ was left out; "
        r"what is said of .+ holds for both together",
        r"\1 和 \2 在每一行都同时变化（<\3>），无法区分。因此不用 \2；关于 \1 的结论对两者一并成立",
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
        r"no scores: the model does not know the label (.+) of the file",
        r"没有得分：模型不认识文件中的标签 <\1>",
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
        r"classes, batch 256, rate 5e-5, 32 epochs",
        r"一项公开研究：THUCNews 标题，bert-base-chinese，单张 RTX 3090 Ti；\1 条标题，10 个类别，批大小 "
        r"256，学习率 5e-5，32 轮",
    ),
    (r"one run of each row, and no seed was set", "每行只运行一次，没有设置随机种子"),
    (
        r"the best epoch was chosen on test \(best-test\), so results are a little too high",
        "最佳轮次在测试集上选择（best-test），因此结果略微偏高",
    ),
    (
        r"seconds per epoch are averages that the study's text tells, with and without frozen layers; they "
        r"were not measured row by row",
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
        r"<\1>：\2 个重复行，文本和标签都相同，例如 <\3>",
    ),
    (
        rf"{SPLIT}: {N} texts? with more than one label, e\.g\. (.+)",
        r"<\1>：\2 条文本有多个标签，例如 <\3>",
    ),
    (
        rf"{SPLIT}: {N} texts? with more than one label in rows that are equal but for case and blanks, "
        r"e\.g\. (.+)",
        r"<\1>：\2 条文本在除大小写和空白外相同的各行中有多个标签，例如 <\3>",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, but for case and blanks, with the same label, e\.g\. (.+)",
        r"<\1>：\2 条文本除大小写和空白外也在<\3>中，标签相同，例如 <\4>",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, but for case and blanks, with another label, e\.g\. (.+)",
        r"<\1>：\2 条文本除大小写和空白外也在<\3>中，但标签不同，例如 <\4>",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with the same label, e\.g\. (.+)",
        r"<\1>：\2 条文本也在<\3>中，标签相同，例如 <\4>",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with another label, e\.g\. (.+)",
        r"<\1>：\2 条文本也在<\3>中，但标签不同，例如 <\4>",
    ),
    (
        r"(.+) at the rate of another optimizer: each needs one of its own\. Give every kind its rate in a "
        r'bundle, as the preset "optimizers" does\.',
        r"\1 用的是另一种优化器的学习率：每种优化器都需要自己的学习率。请像预设“optimizers”那样，"
        r"在配方组合中为每种优化器设定学习率。",
    ),
    (
        rf"{SPLIT}: {N} texts? nearly like one of {SPLIT} \(similarity from (.+?)\), e\.g\. (.+)",
        r"<\1>：\2 条文本与<\3>中的某条几乎相同（相似度不低于 \4），例如 <\5>",
    ),
    (
        rf"{SPLIT}: {N} texts? with the same tokens as one of {SPLIT}, e\.g\. (.+)",
        r"<\1>：\2 条文本与<\3>中的某条词元相同，例如 <\4>",
    ),
    (
        rf"{SPLIT}: {N} texts? with the same tokens as one of {SPLIT} once cut at model\.max_length = {N}, "
        rf"e\.g\. (.+)",
        r"<\1>：截断至 model.max_length = \4 后，\2 条文本与<\3>中的某条词元相同，例如 <\5>",
    ),
    (
        rf"{SPLIT}: {N} texts? of {N} groups? also in {SPLIT}, e\.g\. (.+)",
        r"<\1>：\2 条文本所属的 \3 个组也在<\4>中，例如 <\5>",
    ),
    (
        rf"{SPLIT}: {N} texts? with characters lost in an earlier conversion \(U\+FFFD\), e\.g\. (.+)",
        r"<\1>：\2 条文本含有此前转换时丢失的字符（U+FFFD），例如 <\3>",
    ),
    (
        rf"{SPLIT}: {N} class(?:es)? with fewer than {N} texts, e\.g\. (.+)",
        r"<\1>：\2 个类别的文本少于 \3 条，例如 <\4>",
    ),
    (
        rf"{SPLIT}: no text of {N} class(?:es)? that train has, e\.g\. (.+)",
        r"<\1>：训练集中的 \2 个类别在此没有文本，例如 <\3>",
    ),
    (
        rf"{PART}: {N} of {N} texts? are longer than model\.max_length = {N} tokens and are cut; (.+) of "
        rf"their tokens are lost \(the longest has {N}\)\.",
        r"<\1>：\3 条文本中有 \2 条超过 model.max_length = \4 个词元而被截断，丢失其中 \5 的词元（最长的有 "
        r"\6 个）。",
    ),
    (
        rf"{PART}: {N} of {N} drawn texts? are longer than model\.max_length = {N} tokens and are cut; (.+) "
        rf"of their tokens are lost \(the longest has {N}\)\.",
        r"<\1>：抽取的 \3 条文本中有 \2 条超过 model.max_length = \4 个词元而被截断，丢失其中 \5 的词元（最长"
        r"的有 \6 个）。",
    ),
    (
        rf"{PART}: {N} pairs? of which one text gives no token\.",
        r"<\1>：\2 个文本对中有一条文本得不到任何词元。",
    ),
    (
        rf"{N} % of the tokens of (.+?) are unknown to this checkpoint's vocabulary(, e\.g\. .+?)?(; {N} "
        rf"texts? ha(?:s|ve) no known token)?\. Does the checkpoint know the texts' language\?",
        r"<\2>有 \1 % 的词元不在此检查点的词表中<\3><\4>。这个检查点认识这些文本的语言吗？",
    ),
    (rf"{PART}, {N} % of (.+)", r"<\1>（以及<\3>的 \2 %）"),
    (r", e\.g\. (.+)", r"，例如 <\1>"),
    (rf"; {N} texts? ha(?:s|ve) no known token", r"；\1 条文本没有一个已知词元"),
    (rf"(\S+): {N} rows? without a group; each is a group of its own", r"\1：\2 行没有组，各自成为一组"),
    (
        r"(\S+): no two rows share a group\. Is data\.group the right column\?",
        r"\1：没有两行同属一组。data.group 是否选对了列？",
    ),
    (
        rf"near-twins were not looked for, since there are {N} texts, more than {N}\. finegrid init "
        rf"--near-twins looks for them, in about (.+) here",
        r"没有查找近似重复的文本，因为共有 \1 条文本，超过 \2 条。finegrid init --near-twins 可以查找，在这里"
        r"约需 <\3>",
    ),
    (
        r"labels that look alike: (.+)\. Each spelling is a class of its own here\. Write them alike: "
        r"finegrid init --clean OUT takes the most frequent spelling",
        r"有些标签看起来相同：<\1>。每种写法在这里各成一类。请统一写法：finegrid init --clean OUT 会采用最常"
        r"见的写法",
    ),
    (
        rf"labels of {N} classes joined (in a list|by '.+'|by \".+\") \((.+)\): a text has one label here, "
        rf"and {N} rows? names? several\. Each combination is a class of its own\. What takes several labels "
        rf"is multi-label classification, which finegrid does not do yet",
        r"\1 个类别的标签<\2>写在一起（\3）：这里一条文本只有一个标签，而有 \4 行写了多个。每种组合各成一类。"
        r"一条文本有多个标签属于多标签分类，finegrid 尚不支持",
    ),
    (r"in a list", "以列表"),
    (r"by ('.+'|\".+\")", r"用 \1 "),
    (
        rf"the labels are {N} different numbers from (\S+) to (\S+): that looks like regression, which "
        rf"finegrid does not do\. Is this the right label column\? Else make classes of the numbers, such as "
        rf"low and high",
        r"标签是 \1 个不同的数，从 \2 到 \3：像是回归问题，finegrid 不做回归。标签列选对了吗？若是，请把这些"
        r"数分成类别，例如低和高",
    ),
    # what was found in files
    (
        r"(.+): in (lines? [\d, and more]+) a quoted text begins that holds whole rows, with their "
        r'labels\. If quotation marks are ordinary text here, set quoting = "none"',
        r"\1：<\2>开始的带引号文本中含有整行数据及其标签。如果引号在这里是普通字符，请设置 quoting = "
        r'"none"',
    ),
    (rf"lines? {N}", r"第 \1 行"),
    (rf"lines ([\d, ]+) and {N}", r"第 \1 和 \2 行"),
    (rf"lines ([\d, ]+) and {N} more", r"第 \1 行等（另有 \2 处）"),
    (
        rf"(.+): the first line was read as a header, but its label (.+) is also that of {N} rows?\. If it "
        rf"is data, set header = false",
        r"\1：第一行被当作表头，但其中的标签 \2 也是另外 \3 行的标签。如果第一行是数据，请设置 header = "
        r"false",
    ),
    (
        r'(.+) is not UTF-8 and was read as (\S+), e\.g\. (.+)\. If that reads well, set encoding = "(.+)"; '
        r"if not, save the file as UTF-8",
        r'\1 不是 UTF-8，已按 \2 读取，例如 \3。如果读出的文字正确，请设置 encoding = "\4"；否则请把文件存为 '
        r"UTF-8",
    ),
    (
        r'(.+) was read as (\S+) because encoding = "(.+)", but it is valid UTF-8 too\. If its texts look '
        r'wrong, set encoding = "auto"',
        r'\1 因 encoding = "\3" 而按 \2 读取，但它也是有效的 UTF-8。如果文字不对，请设置 encoding = "auto"',
    ),
    (
        rf"(.+): {N} byte order marks? \(U\+FEFF\) inside the file, the first in line {N}: taken off",
        r"\1：文件中间有 \2 个字节顺序标记（U+FEFF），第一个在第 \3 行：已去掉",
    ),
    # what was found of a checkpoint
    (
        r"model: (\S+) runs padded, since over packed texts its vectors are off by (\S+) of their length "
        r"from those of transformers\.",
        r"模型：\1 按填充后的批次计算：不填充时，其向量与 transformers 的结果相差达长度的 \2",
    ),
    (
        r"model: (\S+) runs padded, since over packed texts attention was called (\d+) times in a pass over "
        r"(\d+) layers\.",
        r"模型：\1 按填充后的批次计算：一次前向经过 \3 层，其中只有 \2 次调用了我们的注意力",
    ),
    (
        r"weights: (.+) are not used, since config\.json does not ask for them\. Is it the config\.json that "
        r"belongs to the weights\?",
        r"权重：\1 没有用到，因为 config.json 中没有它们。这份 config.json 与权重配套吗？",
    ),
    (
        rf"tokenizer: {N} tokens? without an embedding \((.+)\): texts with them are refused\.",
        r"分词器：\1 个词元没有嵌入（\2）：含有它们的文本会被拒绝。",
    ),
    (
        rf"tokenizer: it has {N} tokens, but the encoder has embeddings for {N}\. Are both from the same "
        rf"checkpoint\?",
        r"分词器：它有 \1 个词元，而编码器有 \2 个嵌入。两者来自同一个检查点吗？",
    ),
    (
        r"tokenizer: its vocabulary has no (.+), which go around every text and were added at its end\. Is "
        r"it the tokenizer of this checkpoint\?",
        r"分词器：词表中没有 \1，它们加在每条文本的首尾，是后来补在词表末尾的。这是此检查点的分词器吗？",
    ),
    (
        r"tokenizer: it puts no special tokens around a text, such as \[CLS\] and \[SEP\], with which "
        r"encoders of this family were trained\. Is it the tokenizer of this checkpoint\?",
        r"分词器：它不在文本首尾加 [CLS]、[SEP] 之类的特殊词元，而这一类编码器训练时都有。这是此检查点的分词"
        r"器吗？",
    ),
    (
        rf"tokenizer: {N} of {N} pieces have capitals, such as (.+), and this tokenizer never makes them, "
        rf"since it lowercases\. Is do_lower_case = false missing in tokenizer_config\.json\?",
        r"分词器：\2 个词片中有 \1 个含大写字母，例如 \3，而这个分词器会转成小写，因此从不产生它"
        r"们。tokenizer_config.json 中是否缺少 do_lower_case = false？",
    ),
    (
        r"(.+) was not kept from the training texts of every run: it may have been trained on texts of dev "
        r"or test, and what learns from it would then look better than it is",
        r"\1 并非由每次运行的训练文本训练而来：它可能用验证集或测试集的文本训练过，向它学习的配方就会显得比实"
        r"际更好",
    ),
    # what study.toml says in two ways
    (
        r"study\.toml: (.+) = (.+), but it is varied, and .+ is not its first level: the baseline has (.+), "
        r"the first level\. Write the same value in both places\.",
        r"study.toml：\1 = \2，但它是要改变的因素，而 \2 不是它的第一个水平：基线取第一个水平 \3。请在两处写"
        r"相同的值。",
    ),
    (
        r"study\.toml: (.+) = (.+), but it is varied, and .+ is none of its levels: the baseline has (.+), "
        r"the first level\. Write the same value in both places\.",
        r"study.toml：\1 = \2，但它是要改变的因素，而 \2 不在它的水平之中：基线取第一个水平 \3。请在两处写相"
        r"同的值。",
    ),
    (
        r"study\.toml: optimizer\.rate = (.+) without a warmup\. From (.+) on XLM-RoBERTa often ends with "
        r"one class for all texts\. Set schedule\.warmup_ratio to 0\.1, or the rate to (.+)\.",
        r"study.toml：optimizer.rate = \1 而没有预热。从 \2 起，XLM-RoBERTa 常常把所有文本都判为同一类。请把 "
        r"schedule.warmup_ratio 设为 0.1，或把学习率设为 \3。",
    ),
    (
        r"(.+) has changed since strategies\.json was written, which what follows is of\. `finegrid plan` "
        r"describes it anew\.",
        r"写出 strategies.json 之后，\1 有改动；以下内容依据改动之前的代码。`finegrid plan` 可以重新描述它。",
    ),
    # what a level changes of a run
    (rf"starts {THINGS} from other values", r"改变<\1>的初始值"),
    (rf"trains others of {THINGS}", r"<\1>中训练的张量不同"),
    (rf"trains {THINGS}", r"训练<\1>"),
    (rf"freezes {THINGS}", r"冻结<\1>"),
    (rf"other learning rates for {THINGS}", r"<\1>的学习率不同"),
    (rf"other weight decay for {THINGS}", r"<\1>的权重衰减不同"),
    (rf"other dropout rates at {THINGS}", r"<\1>的丢弃率不同"),
    (rf"switches off {THINGS}", r"关闭<\1>"),
    (rf"switches on {THINGS}", r"打开<\1>"),
    (r"other tokens or batches", "词元或批不同"),
    (r"another pooling", "池化方式不同"),
    (r"other weights to evaluate with", "评估所用的权重不同"),
    (r"another loss from the same model and texts", "模型和文本相同，但损失不同"),
    (rf"other gradients in {THINGS} from the same loss", r"损失相同，但<\1>的梯度不同"),
    (rf"other updates of {THINGS} from the same gradients", r"梯度相同，但<\1>的更新不同"),
    (r"may end before the last epoch", "可能在最后一轮之前结束"),
    (rf"(\d+) tensors? of ({WHERE})", r"<\2>的 \1 个张量"),
    (rf"(\d+) dropout sites? of ({WHERE})", r"<\2>的 \1 个 dropout 位置"),
    (
        r"(.+?) changes more than its own thing: (.+)\. Its effect cannot be told apart\.",
        r"<\1> 改变的不只是它自己那一项：<\2>。它的效应无法单独分辨。",
    ),
    (
        r"(.+?): one step on the model shows no change\. It may do nothing\.",
        r"<\1>：在模型上走一步看不出任何变化，它可能不起作用。",
    ),
    (r"(\S+ = .+) \(with (.+)\)", r"\1（同时 \2）"),
    # why a run has no result
    (rf"the loss was (\S+) at step {N} of {N}", r"第 \2 步（共 \3 步）时损失为 \1"),
    (
        rf"the norm of the gradients was not finite at step {N} of {N}",
        r"第 \1 步（共 \2 步）时梯度的范数不是有限值",
    ),
    (
        rf"the norm of the gradients was not finite at a step of epoch {N}",
        r"第 \1 轮中有一步梯度的范数不是有限值",
    ),
    (rf"a {SPLIT} prediction was not finite after epoch {N}", r"第 \2 轮之后<\1>的预测不是有限值"),
    (rf"a test prediction was not finite at epoch {N}", r"取第 \1 轮的权重时，测试集的预测不是有限值"),
    (r"the worker process ended with (.+); see (.+)", r"训练进程以<\1>结束；见 \2"),
    (
        r"the worker process did nothing for (\d+) s while it began: (.+)",
        r"训练进程在启动时有 \1 秒毫无动静：<\2>",
    ),
    (r"the worker process was not ready after (\d+) h: (.+)", r"训练进程 \1 小时后仍未就绪：<\2>"),
    (
        re.escape("a disk or a driver that hangs, or too little address space (`ulimit -v`)"),
        "磁盘或驱动没有响应，或地址空间太小（`ulimit -v`）",
    ),
    (r"on (\S+) (the worker process .+|no part of a file has come for \d+ s)", r"节点 \1：<\2>"),
    (r"(\S+: )?no part of a file has come for (\d+) s", r"\1有 \2 秒没有收到文件的任何部分"),
    (r"(\d+) workers were lost with it; the last one: (.+)", r"有 \1 个工作进程与它一同丢失；最后一个：<\2>"),
    (r"its process on (\S+) ended with (.+)", r"\1 上的进程以<\2>结束"),
    (r"its worker on (\S+) died", r"\1 上的工作进程已终止"),
    (r"(\S+) died, or cannot be reached", r"\1 已停止，或无法连接"),
    (r"Ray killed it on (\S+), which ran out of memory", r"\1 内存不足，Ray 终止了它"),
    (r"(\S+) has said nothing for (\d+) s", r"\1 已有 \2 秒没有回应"),
    (r"its processor has no bf16 products \((\S+) or (\S+)\)", r"它的处理器没有 bf16 乘法（\1 或 \2）"),
    (r"it has (.+), the others (.+)", r"它是 \1，其他节点是 \2"),
    (r"it has (.+); who started the study has (.+)", r"它有 \1；启动研究的一方有 \2"),
    (r"signal 9 \(killed; often: out of memory\)", "信号 9（被终止，多因内存不足）"),
    (r"signal 9 \(killed; often: out of memory: (.+)\)", r"信号 9（被终止，多因内存不足：<\1>）"),
    (r"(out of memory.*); see (logs\S+)", r"<\1>；见 \2"),
    (r"out of memory: (.+)", r"内存不足：<\1>"),
    (r"out of memory \(tried to allocate (.+)\): (.+)", r"内存不足（申请 \1）：<\2>"),
    (
        re.escape(LESS_MEMORY),
        "设 run.recompute = true，或减小 training.micro_batch、--workers、--memory、"
        "run.family_size，可以少用内存",
    ),
    (
        r"run\.recompute = true \(the results stay the same\), (.+)",
        r"设 run.recompute = true（结果不变）；<\1>",
    ),
    (
        r"training\.micro_batch = (\d+) \(now (\d+) texts at once\), (.+)",
        r"设 training.micro_batch = \1（现在一次 \2 条）；<\3>",
    ),
    (re.escape(OTHERS), "减小 --workers、--memory 或 run.family_size，也可以少用内存"),
    (r"signal (\d+)", r"信号 \1 "),
    (r"exit code (\d+)", r"退出码 \1 "),
    (r"(\w+Error.*); see (logs\S+)", r"\1；见 \2"),
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
    (r"study\.toml has now in \[design\]: (.+)", r"study.toml 的 [design] 现在是：<\1>"),
    (r"no resolution", "不再有 resolution"),
    (r"(kind = .+), no resolution(.*)", r"\1，不再有 resolution\2"),
    (r"a fraction of resolution (\w+)", r"分辨度 \1 的部分设计"),
    (r"study\.toml has this already", "study.toml 已是如此"),
    (
        r"study\.toml varies no more, since they do nothing: (.+)",
        r"study.toml 不再改变以下不起作用的因素：\1",
    ),
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
DURATION = re.compile(r"[\d.]+ (?:s|min|h)(?: \d+ min)?")
GROUP = re.compile(r"<\\(\d)>( ?)|\\(\d)")  # of a Chinese sentence
PLACES = {
    "embeddings": "嵌入层",
    "last norm": "最后的归一化层",
    "pooler": "pooler",
    "head": "分类头",
    "elsewhere": "其他位置",
}
ZH_UNITS = dict(zip(UNITS["en"], UNITS["zh"], strict=True))
# Between quoted texts: files, lines and what they are to each other.
BETWEEN = (
    (r" \((.+) (?:line|row) (\d+)\)", r"（\1 第 \2 行）"),
    (r" \((.+) (?:line|row) (\d+), (.+) (?:line|row) (\d+)\)", r"（\1 第 \2 行、\3 第 \4 行）"),
    (r"^(; |)line (\d+): ", r"\1第 \2 行："),
    (r" (?:line|row) (\d+)", r" 第 \1 行"),
    (r" where that is ", " 对应 "),
    (r"^ is (?=.* 对应 )", "："),
    (r" is like ", " 近似于 "),
    (r" is ", " 等同于 "),
    (r" in ", " 在 "),
    (r" \((\d[\d,]*)\)", r"（\1）"),
    (r" \($", "（"),
    (r"(第 \d+ 行)\)", r"\1）"),
    (r"; and (\d+) more", r"；另有 \1 个"),
    (r" and (\d+) more", r" 等（另有 \1 个）"),
    (r" and ", " 和 "),
    (r"; ", "；"),
    (r", ", "、"),
    (r"） ", "）"),
)
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


@cache
def compile_patterns() -> list[tuple[re.Pattern[str], str]]:
    """Takes tens of milliseconds, which whoever reads English does not wait for."""
    return [(re.compile(pattern, re.DOTALL), chinese) for pattern, chinese in PATTERNS]


def find_chinese(sentence: str) -> str | None:
    """The Chinese of a recorded sentence or method; None where nobody has put it into Chinese."""
    if sentence in METHODS:
        return METHODS[sentence]
    for pattern, chinese in compile_patterns():
        if found := pattern.fullmatch(sentence):
            return fill(chinese, found)
    parts = re.split(rf", (?={ADDED})", sentence)  # of a decision
    if len(parts) > 1 and all(map(find_chinese, parts)):
        return "，".join(map(put_part, parts))
    return None


def fill(chinese: str, found: re.Match[str]) -> str:
    """A Chinese sentence with the groups of an English one, some of them put into Chinese, too."""

    def put(group: re.Match[str]) -> str:
        if group[3]:
            return found[int(group[3])] or ""
        part = put_part(found[int(group[1])] or "")
        return part if part.endswith("）") else part + group[2]

    return GROUP.sub(put, chinese)


def put_part(part: str) -> str:
    """A part of a sentence in Chinese: a split, a time, places of a model, a list; examples from files."""
    if part in SPLITS:
        return SPLITS[part]
    if (chinese := find_chinese(part)) is not None:
        return chinese
    if DURATION.fullmatch(part):
        return re.sub(r"s$|min|h", lambda unit: ZH_UNITS[unit[0]], part)
    if re.fullmatch(WHERE, part):
        return put_places(part)
    for mark, chinese_mark in ((rf", (?={CHANGE})", "，"), (r"; (?=[\w.-]+(?: of \S+ = [^:]+)?: )", "；")):
        if len(parts := re.split(mark, part)) > 1:
            return chinese_mark.join(map(put_part, parts))
    if found := re.fullmatch(r"([\w.-]+(?: of \S+ = [^:]+)?): (.+)", part):  # a setting of a bundle, and why
        return f"{put_part(found[1])}：{put_part(found[2])}"
    return put_examples(part)


def put_places(places: str) -> str:
    """``嵌入层、第 1-6 层、分类头``."""
    each = re.split(r", (?=[a-z])", places)
    return "、".join(
        f"第 {place.split(' ', 1)[1].replace(', ', '、')} 层" if place.startswith("layer") else PLACES[place]
        for place in each
    )


def put_examples(examples: str) -> str:
    """Texts of users as they are, and in Chinese where they stand: ``'a' (train.tsv line 2) is like 'b'``."""
    put, end = "", 0
    for quoted in QUOTED.finditer(examples):
        put += put_between(examples[end : quoted.start()]) + quoted[0]
        end = quoted.end()
    return put + put_between(examples[end:])


def put_between(words: str) -> str:
    for pattern, chinese in BETWEEN:
        words = re.sub(pattern, chinese, words)
    return words


def name_method(method: str, lang: Lang) -> str:
    """Where the noise of a run is estimated from."""
    return METHODS.get(method, method) if lang == "zh" else method


def name_state(state: str, lang: Lang) -> str:
    """Of a run: done, left, diverged or failed; of an imported one, that its result is missing."""
    return STATES.get(state, state) if lang == "zh" else state
