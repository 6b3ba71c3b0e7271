"""The comments of a new study.toml, in English and Chinese. Nothing reads them: they are for people."""

from __future__ import annotations

import re

from finegrid.spelling import Lang

ENGLISH = {
    # of the file
    "run it": "A finegrid study. Run it with `finegrid run` and this folder's name; running again resumes.",
    "explain": "`finegrid explain FACTOR` tells what a factor does.",
    "schema": "schema of this file",
    "label": "<label>",
    "protocol": 'dev chooses the epoch. "best-test" repeats the old way and marks every output',
    "paths": "paths are relative to this folder",
    "share": "of the training file, stratified; the split is written to split.tsv",
    "train size": "draw so many training texts, stratified",
    "model": 'a folder, a hub id, or "mini-zh" (comes with finegrid)',
    "baseline": "The baseline: what every run has unless a factor says otherwise. What does not stand here "
    "is at its default:",
    "strategies": "`finegrid explain` lists all strategies.",
    "factors of preset": "What the study varies. The preset brings these; add others, or change levels, in "
    "the same way.",
    "factors": "What the study varies. The first level of each is the baseline's.",
    "left out": "left out: {what}",
    "design": '"full": every combination | "fractional" | "one-at-a-time" | "screen"',
    "resolution": "3, 4 or 5 (III, IV or V): at 5, effects and interactions of two are clear of each other",
    "seeds": "replicates that all recipes share; fewer than 3 tell little of luck",
    "threads": "per run; part of what makes results repeatable",
    "bf16": "this processor has bf16 products; fp32 is the reference, and slower",
    "precision": 'of products: "bf16" where the processor has it; "auto": bf16 if so, else fp32',
    # why a level is what it is
    "by preset": "as the preset {preset} has it",
    "by trial": "suits {model}, by a trial on dev",
    "by user": "as you have set it",
    "varied": "the first of the levels that you vary",
    "limit": "the model's limit; {share:.2g} % of your texts are longer and are cut (the longest has "
    "{longest:,})",
    "length of all": "tokens; your longest text has {longest:,}",
    "length of most": "tokens; 99 % of your texts have at most {most:,}, the longest, {longest:,}",
    "small batch": "{texts:,} texts for training; fewer than {few:,}: small batches",
    "batch": "{texts:,} texts for training; the usual batch",
    "more epochs": "{steps:,} steps ({epoch:,} an epoch); few texts need more epochs",
    "epochs": "{steps:,} steps ({epoch:,} an epoch); enough for so many texts",
    "rate": "for {size}; smaller encoders take larger rates",
}
CHINESE = {
    "run it": "finegrid 的一项研究。用 `finegrid run` 加本文件夹的名称运行；再次运行即接着训练。",
    "explain": "`finegrid explain 因素` 说明一个因素的作用。",
    "schema": "本文件的格式版本",
    "label": "<标签>",
    "protocol": '由验证集选择轮次。"best-test" 沿用旧做法（用测试集选择），并在所有输出中注明',
    "paths": "路径相对于本文件夹",
    "share": "从训练文件中分层划出；划分写在 split.tsv 中",
    "train size": "只分层抽取这么多条训练文本",
    "model": '文件夹、hub 上的名称，或 "mini-zh"（finegrid 自带）',
    "baseline": "基线：除非因素另有规定，每次运行都用这些设置。这里没有写出的都取默认值：",
    "strategies": "`finegrid explain` 列出全部策略。",
    "factors of preset": "研究中变化的因素。下面这些来自预设；可按同样写法增加因素或改变水平。",
    "factors": "研究中变化的因素。每个因素的第一个水平是基线的水平。",
    "left out": "未列入：{what}",
    "design": '"full"：全部组合 | "fractional"：部分组合 | "one-at-a-time"：每次改一个 | "screen"：筛选',
    "resolution": "3、4 或 5（即 III、IV、V）：为 5 时，各效应与两两交互作用互不混杂",
    "seeds": "所有配方共用的随机种子数；少于 3 个难以看出偶然波动的大小",
    "threads": "每次运行的线程数；结果可重复的条件之一",
    "bf16": "此处理器支持 bf16 乘法；fp32 是参照，但较慢",
    "precision": '乘法的精度："bf16" 需要处理器支持；"auto"：支持则用 bf16，否则用 fp32',
    "by preset": "依预设 {preset}",
    "by trial": "适合 {model}，由验证集上的试验得出",
    "by user": "你指定的值",
    "varied": "你要变化的水平中的第一个",
    "limit": "模型的上限；有 {share:.2g} % 的文本更长，会被截断（最长的有 {longest:,} 个词元）",
    "length of all": "词元数；最长的文本有 {longest:,} 个",
    "length of most": "词元数；99 % 的文本不超过 {most:,} 个，最长的有 {longest:,} 个",
    "small batch": "训练文本 {texts:,} 条，不到 {few:,} 条，因此用小批",
    "batch": "训练文本 {texts:,} 条；常用的批大小",
    "more epochs": "共 {steps:,} 步（每轮 {epoch:,} 步）；文本少，需要更多轮",
    "epochs": "共 {steps:,} 步（每轮 {epoch:,} 步）；对这么多文本已经足够",
    "rate": "适合 {size}；编码器越小，学习率可以越大",
}
PHRASES: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()

# Why a factor or level is left out: what presets say, and what `Recipe.problems` says of a checkpoint.
OBSTACLES = (
    (r"the encoder has too few layers\.", "编码器层数太少"),
    (r"the encoder has no pooler\.", "编码器没有 pooler"),
    (
        r"the head does not read the pooler, so this would do nothing\.",
        "分类头不读取 pooler，因此不会有任何作用",
    ),
    (r'(?:true|"pooler"), but (\S+) has no pooler\.', r"\1 没有 pooler"),
    (
        r'"(.+)" reads (\d+) layers, but the encoder has (\d+) layers?\. Take another\.',
        r"需要读取 \2 层，但编码器只有 \3 层",
    ),
    (
        r'"(.+)" reads the first token, which in (\S+), a decoder, sees nothing but itself\. Take '
        r'"last-token" or "last-mean"\.',
        r"\2 是解码器，第一个词元看不到后面的内容",
    ),
    (
        r"(?:level \S+, but )?the layers of (\S+) share one set of weights\.(?: Freeze none, or all \d+\.)?",
        r"\1 的各层共用一组权重",
    ),
    (
        r"level (\S+), but the layers of (\S+) share one set of weights: none can begin before another\. "
        r"Leave it at 0\.",
        r"\2 的各层共用一组权重，不能一层比另一层先开始",
    ),
    (
        r'(\S+) with "(.+)", whose steps cannot be masked number by number\. Set child\.share = 1, or take '
        r"another optimizer\.",
        r"\2 的更新不能逐个数值地遮住",
    ),
    (
        r"(\S+) with pretrain\.tokens (\d+): fine-tuning does not start from the checkpoint's values, "
        r"which mixout mixes in\. Leave one of the two at 0\.",
        "微调不从检查点的数值开始，而 mixout 混入的正是这些数值",
    ),
    (
        r"(\S+) with rank (\d+), but what LoRA leaves at the checkpoint's values has nothing to be mixed "
        r"with\. Leave one of the two at 0\.",
        "LoRA 让这些数值停在检查点处，没有什么可混合的",
    ),
    (r'"(.+)", but for (\S+) finegrid has its own head only\.', r"\2 只能用 finegrid 自己的分类头"),
    (r"level (\d+), but the encoder has (\d+) positions\.", r"编码器只有 \2 个位置"),
    (r"level (\d+), but the encoder has (\d+) layers?\.", r"编码器只有 \2 层"),
    (r"level (\S+): expected greater than or equal to (\S+)\.", r"至少要 \2"),
    (r"level (\d+), but only BERT can be pre-trained, not (\S+)\.", r"只有 BERT 可以继续预训练，\2 不行"),
    (r'"(.+)", but (\S+) has no biases\. Expected "all" or "head"\.', r"\2 没有偏置"),
    (
        r"(\S+), but distil\.teacher names nobody\. Give it the folder of a kept model \(finegrid fit\), or "
        r'"columns"\.',
        "distil.teacher 没有指定教师",
    ),
    (
        r'"(.+)" and (\d+) units, but that head is as deep as transformers makes it\. Take one of the two '
        r"out\.",
        "这种分类头的层数由 transformers 决定，不能再加隐藏层",
    ),
    (
        r'"(.+)", but in (\S+) the matrices of queries, keys and values are not told apart\. Expected '
        r'"all-linear"\.',
        r"\2 的查询、键和值不是三个单独的矩阵，只能取 all-linear",
    ),
    (
        r"level (\d+), but the layers of (\S+) are not made of linear layers\. Leave it at 0\.",
        r"\2 的层不是由线性层构成的",
    ),
    (
        r'rank (\d+) and "(.+)", but each decides what trains\. Leave one of the two out\.',
        "两者都决定训练哪些参数",
    ),
    (
        r"rank (\d+), but all (\d+) layers are frozen: no matrix is left to add to\. Freeze fewer layers, or "
        r"leave one of the two out\.",
        r"\2 层全部冻结，没有可加低秩矩阵的层",
    ),
    (
        r"rank (\d+), but layers that are drawn afresh need all of their numbers to learn\. Leave one of the "
        r"two out\.",
        "重新初始化的层需要训练全部参数",
    ),
    (
        r"rank (\d+) with prior decay, but the checkpoint has no value for what trains\. Weight decay pulls "
        r"it to nothing added\. Leave one of the two out\.",
        "所训练的低秩矩阵在检查点中没有对应的值",
    ),
    (
        r"(\S+(?:, \S+)+), but each reads a batch once more, at other words or other weights, and would undo "
        r"what another has done\. Keep one, and leave the others at their defaults\.",
        "它们都要换一处词嵌入或权重把一批再读一遍，会相互抵消，只能保留一项",
    ),
    (
        r"two kinds of averages, but one set of weights predicts\. Keep one\.",
        "用来预测的权重只有一组，不能同时取两种平均",
    ),
    (
        r"a teacher says nothing of texts from another file\. Take one of the two out\.",
        "教师没有给出另一个文件中文本的预测",
    ),
    (
        r"(\d+) samples, but the head drops nothing: all would be the same\. Set dropout\.head above 0, or "
        r"leave "
        r"samples at 1\.",
        "分类头没有 dropout，多次采样的结果都一样",
    ),
    (
        r'"(.+)" and (\S+), but each corrects for the sizes of classes: both would correct twice\. Leave '
        r"one of "
        r"them out\.",
        "两者都在校正类别大小，同时使用会重复校正",
    ),
    (
        r"(\S+) and (\d+), but the loss compares all texts of a batch, and only so many are in memory at "
        r"once\. Leave one of them out; run\.recompute = true saves memory, too\.",
        r"对比损失要比较整批文本，而内存里一次只有 \2 条；run.recompute = true 也能节省内存",
    ),
    (
        r"(\S+) and 1, but a text is mixed with another one of its batch\. Let a batch have two texts or "
        r"more, or leave alpha at 0\.",
        "文本要与同批的另一条混合，而每批只有一条",
    ),
    (
        r"(\S+) and (\d+), but texts are mixed with any others of their batch, and only so many are in "
        r"memory at once\. Leave one of them out; run\.recompute = true saves memory, too\.",
        r"文本可能与整批中的任意一条混合，而内存里一次只有 \2 条；run.recompute = true 也能节省内存",
    ),
    (
        r"a soup is made of the best epochs, and the last one is asked for\. Keep one of the two\.",
        "soup 取最佳的几轮，与取最后一轮矛盾",
    ),
    (
        r"both correct for the sizes of classes, so together they do it twice\. Keep one of the two\.",
        "两者都在校正类别大小，同时使用会重复校正",
    ),
    (
        r"(\S+) with pretrain\.tokens (\d+): prior decay without an anchor, since fine-tuning does not "
        r"start from "
        r"the checkpoint's values\. Leave one of the two at 0\.",
        "微调不从检查点的数值开始，向先验衰减没有参照",
    ),
    (
        r"(?:\d+ layers?|the pooler is) drawn afresh, so the head would be probed on noise\. Leave one of "
        r"the two "
        r"out\.",
        "有部分要重新初始化，先单独训练分类头只会学到噪声",
    ),
    (
        r"(\d+) \+ (\d+) layers, but the encoder has (\d+): some would be drawn afresh and then never "
        r"trained\.",
        r"\1 + \2 层，但编码器只有 \3 层：有些层会在重新初始化后被冻结，得不到训练",
    ),
    (
        r"one-cycle with warmup_ratio (\S+), but one-cycle has a warmup of its own\. Leave the ratio at 0 "
        r"with it\.",
        "one-cycle 自带预热，不能再设 warmup_ratio",
    ),
    (
        r'"(.+)", but all (\d+) layers are frozen: nothing is left to choose from\. Freeze fewer layers, '
        r"or leave "
        r"one of the two out\.",
        r"全部 \2 层都已冻结，没有可训练的部分可选",
    ),
    (
        r'"(.+)": (?:layers|the pooler) would be drawn afresh, and (?:their matrices|its matrix) then never '
        r"trained\. Leave one of the two out\.",
        "有部分会在重新初始化后得不到训练",
    ),
    (
        r"the last epoch of a run that ends early is one that dev found worse\. Keep one of the two\.",
        "提前停止时，最后一轮正是验证集上变差的一轮",
    ),
)


def say(key: str, lang: Lang, **fields: object) -> str:
    """A comment, without its ``#``."""
    return PHRASES[lang][key].format(**fields)


def tell_left_out(told: str, lang: Lang) -> str:
    """Which factor or level is left out, and why: ``reinit.pooler at true: true, but ...``."""
    found = re.fullmatch(r"(\S+)(?: at (.+?))?: (.+)", told) if lang == "zh" else None
    if found is None:
        return told
    factor, level, why = found.groups()
    return f"{factor}{'' if level is None else f' = {level}'}：{explain_obstacle(why)}"


def explain_obstacle(why: str) -> str:
    """The Chinese of an obstacle; as it is where nobody has put it into Chinese."""
    for english, chinese in OBSTACLES:
        if found := re.fullmatch(english, why):
            return found.expand(chinese)
    return why
