"""Chinese for sentences that audits, data checks and imports have written down in English.

They are kept in files as they were found, so a page knows them by their pattern. What it does not know stays
in English, and is marked as English for those who hear the page.
"""

from __future__ import annotations

import re

from markupsafe import Markup

from finegrid.report.page.bilingual import Both, user

PARTS = {"train": "训练集", "dev": "验证集", "test": "测试集"}
N = r"([\d,]+)"
SPLIT = r"(train|dev|test)"
# In this order: the first that fits a whole sentence.
PATTERNS: tuple[tuple[str, str], ...] = (
    # where noise is from
    ("between seeds", "种子之间"),
    ("between seeds, moderated", "种子之间，方差经收缩"),
    ("between splits", "数据划分之间"),
    ("true repeats", "重复运行"),
    ("true repeats and high-order interactions", "重复运行与高阶交互作用"),
    ("pooled high-order interactions", "合并的高阶交互作用"),
    ("Lenth's method", "Lenth 方法"),
    ("repeats", "重复运行"),
    ("texts alone", "仅文本"),
    ("none", "未知"),
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
    (r"results were taken as (.+), lower is better", r"结果按 \1 读取，越低越好"),
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
        rf"{SPLIT}: {N} texts? with more than one label(?:, but for case and blanks)?, e\.g\. (.+)",
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
)
COMPILED = tuple((re.compile(pattern, re.DOTALL), chinese) for pattern, chinese in PATTERNS)
MACHINE = {"processor": "处理器", "cores": "核数", "memory": "内存", "system": "系统", "gpu": "GPU"}
NAMES = (
    PARTS
    | MACHINE
    | {"data": "数据", "model": "模型", "checkpoint": "检查点", "tokens": "词元", "code": "代码"}
)
# The paragraphs of a card.
HEADS = {
    "Paper": "论文",
    "Idea": "思路",
    "Off": "关闭",
    "Exactly": "定义",
    "Differs": "差异",
    "Reduces": "归约",
    "Evidence": "证据",
    "Note": "注意",
    "Path": "执行",
    "Pooling": "池化",
    "Length": "长度",
    "Keep": "保留",
    "Head": "分类头",
    "Depth": "深度",
    "Samples": "采样",
    "Weights": "权重",
    "Prior": "先验",
    "Smooth": "平滑",
    "Focal": "Focal",
    "Rate": "学习率",
    "Epochs": "轮数",
    "Batch": "批",
}
# What each part of a recipe does: the first sentence of its card.
CARDS = {
    "model": "文本如何变成一个向量：池化方式，以及能完整读入的最长文本。",
    "texts": "减少或增加训练文本：只用其中一部分，或加入第二个文件。",
    "head": "把文本向量变成 logits 的分类头：finegrid 自己的，或 Hugging Face 分类器的。",
    "dropout": "编码器和分类头的 dropout 比率。",
    "pretrain": "微调之前，先用本研究的训练文本（不用标签）继续预训练编码器。",
    "noise": "NoisyTune：微调之前给预训练权重一次性加入少量噪声。",
    "reinit": "微调之前重新初始化 pooler 和最上面几层。",
    "probe": "先线性探测再微调（LP-FT）：先只训练分类头，使它不从随机状态开始。",
    "freeze": "冻结嵌入层和最下面几层。",
    "loss": "一条文本的损失由什么构成：类别权重、类别先验、标签平滑，以及降低易分样本的比重。",
    "distil": "知识蒸馏：除标签外，还学习教师模型对训练文本的预测。",
    "contrast": "有监督对比损失：同一批中同类文本的向量相互靠近。",
    "train": "只训练模型的一小部分：偏置、偏置和归一化层，或仅分类头。",
    "optimizer": "AdamW，以及各 BERT 微调论文做法不一之处：偏差校正、衰减对象、beta 和 eps。",
    "rates": "模型各部分使用不同的学习率：下层学得慢，新的分类头学得快。",
    "prior": "让编码器向检查点的权重衰减，而不是向 0 衰减。",
    "clip": "一次运行所有张量的梯度范数过大时进行裁剪。",
    "schedule": "学习率调度：先预热，再按某种方式下降；默认线性降至 0。",
    "training": "训练多久，以及批的大小。",
    "average": "用平均后的权重预测：最近若干步、最近若干轮，或最好的几轮。",
    "posthoc": "训练之后的处理：采用哪一轮，以及如何处理它的 logits。",
}


def translate(text: str) -> Both:
    """A sentence in both languages; in English alone where nobody has put it into Chinese."""
    for pattern, chinese in COMPILED:
        if found := pattern.fullmatch(text):
            words = re.sub(r"<(\w+)>", lambda part: PARTS.get(part[1], part[0]), found.expand(chinese))
            return Both(user(text), user(words))
    return Both(user(text), Markup('<span lang="en">{}</span>').format(user(text)))


def name_fact(name: str) -> Both:
    """What a fact of a machine, a split or a fingerprint is called."""
    return Both(user(name), user(NAMES.get(name, name)))


def card_summary(part: str, english: Markup) -> Both:
    """The first sentence of a card."""
    chinese = CARDS.get(part)
    return Both(english, user(chinese) if chinese else Markup('<span lang="en">{}</span>').format(english))


def card_head(name: str) -> Both:
    """Of a paragraph of a card."""
    return Both(Markup.escape(name), Markup.escape(HEADS.get(name, name)))
