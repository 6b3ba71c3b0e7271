"""What `finegrid explain` says beside the cards, in English and Chinese.

What strategies are called in Chinese stands in their listings, and cards in assets/cards.
"""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "count": "{count} strategies: name, evidence, factors, and what a step takes of one without it",
    "evidence": "evidence: A several controlled comparisons, B one paper and a default or replication, "
    "C one paper, D mixed or none",
    "read on": "finegrid explain NAME tells more: a factor (reinit.layers), a part (reinit), or any name of "
    "a strategy (LLRD, warm-up)",
    "step": "  ({step})",
    "factor": "{told} ({levels}; default {default})",
    "between bounds": ", ",
    # types of levels
    "integer": "integer",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
}
CHINESE = {
    "count": "{count} 项策略：名称、证据、因素，以及每步耗时是不用它时的多少倍",
    "evidence": "证据：A 多项对照比较，B 一篇论文，且为常用默认或有人复现，C 仅一篇论文，"
    "D 结果不一，或尚无证据",
    "read on": "finegrid explain NAME 给出详细说明：NAME 是因素（reinit.layers）、配方的一个部分（reinit），"
    "或策略的任何名称（预热、LLRD、warm-up）",
    "step": "（{step}）",
    "factor": "{told}（{levels}；默认 {default}）",
    "between bounds": "，",
    "integer": "整数",
    "number": "数值",
    "string": "字符串",
    "boolean": "true 或 false",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
# What a strategy changes, and what a step of it takes, as listings spell both.
KINDS_IN_CHINESE = {
    "rates": "学习率",
    "decays": "权重衰减",
    "gradients": "梯度",
    "updates": "参数更新",
    "losses": "损失",
    "initial values": "初始值",
    "what trains": "训练哪些参数",
    "architecture": "结构",
    "texts": "文本",
    "schedules": "调度",
    "free": "免费（所有水平在同一次运行中评分）",
}
STEPS_IN_CHINESE = {
    "1.0, and the pre-training before it": "1.0，另加之前的预训练",
    "1.0, and the teacher's one pass before it": "1.0，另加之前教师模型读一遍文本",
    "1.0, and a pass over the texts before it": "1.0，另加之前读一遍文本",
    "1.0, and the baseline's run before it": "1.0，另加之前的基线运行",
    "1.0; an epoch in proportion to texts": "1.0；一轮的耗时与文本数成正比",
    "1.0; Muon 2.4": "1.0；Muon 2.4",
    "1.0; less at rate 0": "1.0；比率为 0 时更少",
    "0.8 at 0.05": "取 0.05 时 0.8",
    "0.95 at 0.1": "取 0.1 时 0.95",
    "0.5 with half of the layers": "冻结一半的层时 0.5",
    "0.7 with biases, 0.3 with the head": "只训练偏置 0.7，只训练分类头 0.3",
    "in proportion to tokens": "与词元数成正比",
}


def name_kind(kind: str, lang: Lang) -> str:
    """What a strategy changes."""
    return KINDS_IN_CHINESE[kind] if lang == "zh" else kind


def name_step(step: str, lang: Lang) -> str:
    """What a step of a strategy takes; a number reads alike in both languages."""
    return STEPS_IN_CHINESE.get(step, step) if lang == "zh" else step
