"""The words of `finegrid check-strategy`, in English and Chinese."""

from __future__ import annotations

from finegrid.spelling import Lang

ENGLISH = {
    "pass": "pass",
    "FAIL": "FAIL",
    "colon": ": ",
    # promises
    "whole": "the file runs; its card, its factors and its claims are whole",
    "off": "switched off, it is not there: every seam gives back what it was given, and runs keep their bits",
    "on": "switched on, every factor changes the run",
    "claims": "every factor does its own thing and nothing else",
    "seed": "the same seed gives the same bits",
    "chance": "a seed keeps its head, its order of texts and its dropout masks",
    "resume": "a run that is killed goes on to the same bits",
    "stack": "in a stack it computes what it computes alone, or it steps by itself",
    "capture": "in a captured step it reads nothing back from a GPU, or it says capturable = False",
    "bounds": "levels that cannot be are refused",
    "tensors": "the model keeps its tensors, so that it can be kept and loaded",
    "rows": "it sees as much of the table of words as it says",
    "pairs": "beside each of finegrid's strategies it trains, or is refused with a reason",
    # how they are broken
    "raises": "{error}.",
    "not done": "the run {status}: {reason}.",
    "nothing": "{factor} = {level} changes nothing, neither alone nor with all other factors. If another "
    "level does, name it: --level {factor}=...",
    "acts off": "something happens at {seams}.",
    "other bits": "a run has other weights than without the file.",
    "unlike itself": "two runs differ. Draw from setting.streams, never from torch's or numpy's generators.",
    "moves chance": "it moves the {what}, and touches does not say so.",
    "beyond": "{factor} also does this: {more}. Say so in touches, or take it out.",
    "inert": "{factor} does nothing here: {reason}. If it needs another factor, switch that on: "
    "--level model.pooling=pooler.",
    "no change": "a step on the model shows no change by {factor}. If it shows later, say when: acts_at, "
    "shows_after.",
    "forgets": "it ends with other bits. Keep what changes in the averager's tensors or the update rule's "
    "state.",
    "unlike in stacks": "gradients differ. A loss or a gradient must be one run's own.",
    "reads back": "a step reads {count} numbers or shapes back. Compute on tensors, or say capturable = "
    "False.",
    "takes": "{factor} takes {levels}. Bound it with Field(ge=..., le=...).",
    "other tensors": "it adds, removes or reshapes {names}.",
    "reads rows": "runs differ by which words they hold. Take reads_table out, or correct it.",
    "not with": "with {other}: {why}",
    "not finite": "with {other} a weight or a prediction is not finite.",
    "head": "head",
    "order": "order of texts",
    "masks": "dropout masks",
}
CHINESE = {
    "pass": "通过",
    "FAIL": "不通过",
    "colon": "：",
    "whole": "文件能够运行；卡片、因素和声明都完整",
    "off": "关闭时等于不存在：每个接口原样返回，运行逐位不变",
    "on": "打开时，每个因素都会改变运行",
    "claims": "每个因素只做自己的事",
    "seed": "同一个随机种子得到逐位相同的结果",
    "chance": "同一个随机种子的分类头、文本顺序和 dropout 掩码保持不变",
    "resume": "中途被终止的运行可以接着跑，结果逐位相同",
    "stack": "叠在一起计算时与单独计算相同，否则单独走步",
    "capture": "在捕获成图的一步里不从 GPU 读回任何数，否则写明 capturable = False",
    "bounds": "不可能的水平会被拒绝",
    "tensors": "模型的张量保持不变，因此可以保存和载入",
    "rows": "它对词表的读取与声明一致",
    "pairs": "与 finegrid 自带的每个策略同时使用时，能够训练，或者说明理由并拒绝",
    "raises": "{error}。",
    "not done": "运行结果为 {status}：{reason}。",
    "nothing": "{factor} = {level} 什么也没有改变，单独使用和与其他因素同时使用都是如此。如果别的水平有作用，"
    "请用 --level {factor}=... 指定。",
    "acts off": "{seams} 处有动作。",
    "other bits": "运行的权重与没有这个文件时不同。",
    "unlike itself": "两次运行不同。请从 setting.streams 取随机数，不要用 torch 或 numpy 的随机数生成器。",
    "moves chance": "它改变了{what}，而 touches 没有说明。",
    "beyond": "{factor} 还做了这些：{more}。请写进 touches，或者去掉。",
    "inert": "{factor} 在这里不起作用：{reason}。如果它需要另一个因素，请打开那个因素：--level "
    "model.pooling=pooler。",
    "no change": "在模型上走一步，看不出 {factor} 的任何变化。如果稍后才显现，请用 acts_at、shows_after "
    "说明。",
    "forgets": "接着跑的结果不同。会变化的内容请放在 averager 的 tensors 或更新规则的状态里。",
    "unlike in stacks": "梯度不同。损失和梯度只能取决于这次运行本身。",
    "reads back": "一步里读回了 {count} 个数或形状。请写明 capturable = False，或只用张量计算。",
    "takes": "{factor} 接受了 {levels}。请用 Field(ge=..., le=...) 限定范围。",
    "other tensors": "它增加、删除或改变了 {names} 的形状。",
    "reads rows": "运行结果取决于它持有哪些词。请去掉或改正 reads_table。",
    "not with": "与 {other} 同时使用时：{why}",
    "not finite": "与 {other} 同时使用时，有权重或预测不是有限数。",
    "head": "分类头",
    "order": "文本顺序",
    "masks": "dropout 掩码",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def fill(key: str, lang: Lang, **told: object) -> str:
    """Words, with what they tell; a list is of keys."""
    words = WORDS[lang]
    between = ", " if lang == "en" else "、"
    filled = {
        name: between.join(words[one] for one in value) if isinstance(value, list) else value
        for name, value in told.items()
    }
    return words[key].format(**filled)
