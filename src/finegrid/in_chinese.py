"""Sentences that files keep in English (reasons, notes, findings about data), told in Chinese.

The audit, the ledger and imported tables are written once, in English, whoever reads them. Here each kind of
their sentences has its Chinese, with the names and numbers that it holds. What has none stays English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from finegrid.spelling import Lang

SPLITS = {"train": "训练集", "dev": "验证集", "test": "测试集"}
N = r"([\d,]+)"
SPLIT = r"(train|dev|test)"
EG = r", e\.g\. (.*)"
# By pattern of the whole sentence, the same in Chinese; {1} is the first group.
PATTERNS: Sequence[tuple[str, str]] = (
    # why a level does nothing
    (
        r'(.+) never (?:reach|reaches) the loss under model\.pooling = "(.+)"',
        "在 model.pooling = {2} 下，{1} 不影响损失",
    ),
    (
        r'the head pools by "(.+)", whatever model\.pooling says',
        "无论 model.pooling 为何，分类头都按 {1} 池化",
    ),
    (
        "it changes no tensor, rate, decay or dropout site that reaches the loss",
        "它不改变任何影响损失的参数、学习率、权重衰减或 dropout 位置",
    ),
    (
        "first-last pooling never reads the pooler, so it gets no gradient",
        "首末层平均池化不用到 pooler，因此它得不到梯度",
    ),
    ("declared to be without effect when the table was imported", "导入表格时已声明它不起作用"),
    # what must be known of an effect
    (r"not estimable: the runs that finished do not show it", "无法估计：已完成的运行看不出它的作用"),
    (
        r"not estimable: (.+) are the same in every recipe that ran",
        "无法估计：在所有运行过的配方中，{1} 总是同时出现",
    ),
    (r"not estimable: (\S+) and (\S+) are one run here(.*)", "无法估计：在这里 {1} 与 {2} 是同一次运行{3}"),
    (r"aliased: this design cannot tell it from (.+)", "混杂：这种设计无法把它与 {1} 区分开"),
    (
        r"decided at the look with (\d+) seeds, by (.+) to (.+)",
        "在 {1} 个随机种子的期中分析中已判定，依据 {2} 至 {3}",
    ),
    # of a table from elsewhere
    ("results were taken as 0 to 1", "结果按 0 至 1 读取"),
    ("results were taken as 0 to 100", "结果按 0 至 100 读取"),
    (
        r"its columns are those of the preset (\S+), and were given its factors' names",
        "各列与预设 {1} 相同，已按其因子命名",
    ),
    (
        r"a public study of THUCNews titles with bert-base-chinese on one RTX 3090 Ti: 54,000 / 10,000 / "
        r"10,000 titles of 10 classes, batch 256, rate 5e-5, 32 epochs",
        "一项公开研究：THUCNews 新闻标题，bert-base-chinese，单张 RTX 3090 Ti；训练/验证/测试集为 "
        "54,000/10,000/10,000 条标题，10 个类别，批大小 256，学习率 5e-5，32 轮",
    ),
    ("one run of each row, and no seed was set", "每行只运行一次，没有固定随机种子"),
    (
        r"the best epoch was chosen on test \(best-test\), so results are a little too high",
        "最佳轮次是在测试集上选出的（best-test），因此结果略微偏高",
    ),
    (
        "seconds per epoch are averages that the study's text tells, with and without frozen layers; they "
        "were not measured row by row",
        "每轮秒数是该研究正文给出的平均值（分冻结与不冻结两种），并非逐行测得",
    ),
    (
        r"as that study wrote it, weight_decay also moved Adam's eps \(1e-8 against 1e-6\)",
        "按该研究的写法，weight_decay 还同时改变了 Adam 的 eps（1e-8 与 1e-6）",
    ),
    # what is odd about the data
    (
        rf"{SPLIT}: {N} repeated rows?, same text and same label{EG}",
        "{1}：{2} 行重复，文本和标签都相同，例如 {3}",
    ),
    (rf"{SPLIT}: {N} texts? with more than one label{EG}", "{1}：{2} 条文本有不止一个标签，例如 {3}"),
    (
        rf"{SPLIT}: {N} texts? with more than one label in rows that are equal but for case and blanks{EG}",
        "{1}：{2} 条文本有不止一个标签（只差大小写或空格的行），例如 {3}",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with the same label{EG}",
        "{1}：{2} 条文本也在{3}中，标签相同，例如 {4}",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, with another label{EG}",
        "{1}：{2} 条文本也在{3}中，标签不同，例如 {4}",
    ),
    (
        rf"{SPLIT}: {N} texts? also in {SPLIT}, but for case and blanks, with (?:the same|another) label{EG}",
        "{1}：{2} 条文本也在{3}中（只差大小写或空格），例如 {4}",
    ),
    (
        rf"{SPLIT}: {N} texts? nearly like one of {SPLIT} \(similarity from (.+?)\){EG}",
        "{1}：{2} 条文本与{3}中的某条几乎相同（相似度 {4} 以上），例如 {5}",
    ),
    (
        rf"{SPLIT}: {N} class(?:es)? with fewer than {N} texts{EG}",
        "{1}：{2} 个类别的文本少于 {3} 条，例如 {4}",
    ),
    (
        rf"{SPLIT}: no text of {N} class(?:es)? that train has{EG}",
        "{1}：训练集中的 {2} 个类别在此没有文本，例如 {3}",
    ),
)
COMPILED = [(re.compile(pattern, re.DOTALL), chinese) for pattern, chinese in PATTERNS]
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
STATES = {"left": "尚缺", "diverged": "发散", "failed": "失败", "done": "完成"}


def translate(sentence: str, lang: Lang) -> str:
    """A recorded sentence in a language; as it is where it has no Chinese."""
    if lang == "en":
        return sentence
    for pattern, chinese in COMPILED:
        if found := pattern.fullmatch(sentence):
            groups = (SPLITS.get(group, group) for group in found.groups())
            return chinese.format("", *groups)
    return sentence


def name_method(method: str, lang: Lang) -> str:
    """Where the noise of a run is estimated from."""
    return METHODS.get(method, method) if lang == "zh" else method


def name_state(state: str, lang: Lang) -> str:
    """Of a run: done, left, diverged or failed."""
    return STATES.get(state, state) if lang == "zh" else state
