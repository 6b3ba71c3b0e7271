"""Chinese for what a page takes over from files in English: recorded sentences, cards, names of facts.

What has no Chinese stays in English, and is marked as English for those who hear the page.
"""

from __future__ import annotations

from markupsafe import Markup

from finegrid.in_chinese import SPLITS, find_chinese
from finegrid.report.page.bilingual import Both, user

MACHINE = {"processor": "处理器", "cores": "核数", "memory": "内存", "system": "系统", "gpu": "GPU"}
NAMES = (
    SPLITS
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
    "Patience": "早停",
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
    if (chinese := find_chinese(text)) is not None:
        return Both(user(text), user(chinese))
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
