"""The warnings of `diagnose` in words: what was found, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from finegrid.spelling import Lang, agree, format_duration
from finegrid.verdict.diagnose import Kind, Warning


@dataclass(frozen=True)
class Words:
    """Two templates; their fields are the warning's values."""

    what: str
    advice: str


ENGLISH: dict[Kind, Words] = {
    "unfinished": Words(
        "{left} of {total} runs have not been trained",
        "`finegrid run {folder}` trains them; until then, intervals rest on what is there.",
    ),
    "gaps": Words(
        "{left} of {total} combinations of recipe and seed are not in the table, or have no result",
        "Effects are worked out around them; intervals are wider for it.",
    ),
    "no-results": Words(
        "{count} recipes have no result: rows {rows}",
        "What would be compared with them is left out.",
    ),
    "unconnected": Words(
        "{count} recipes ran with none of the seeds of the others: rows {rows}",
        "Recipes are compared inside seeds, so these are left out until they share one.",
    ),
    "diverged": Words(
        "{count} runs diverged: {runs}",
        "They count with the majority class's score. Try a lower optimizer.rate, or warmup.",
    ),
    "failed": Words(
        "{count} runs failed: {runs}",
        "Look into logs/ of the study folder; `finegrid run` tries them again.",
    ),
    "degenerate": Words(
        "{count} runs are no better on dev than always naming the majority class: {runs}",
        "They learned nothing, and pull every effect they are part of. Try a lower optimizer.rate, warmup, "
        "or more epochs.",
    ),
    "still-rising": Words(
        "the baseline is best at its last epoch with {last} of {curves} seeds ({gain:+.2f} points over the "
        "best epoch before, on dev)",
        "What is shown at {epochs} epochs may be speed and not quality. To tell them apart, add one of these "
        "to [factors]: {factors}.",
    ),
    "one-epoch": Words(
        "the baseline was trained for one epoch, and nothing tells whether it had levelled out",
        "What is shown at 1 epoch may be speed and not quality. To tell them apart, add one of these to "
        "[factors]: {factors}.",
    ),
    "one-seed": Words(
        "only one seed has run: what a strategy does and the luck of a run can hardly be told apart",
        "`finegrid run {folder} --seeds 3` adds two: {runs} more runs, {took} of one worker.",
    ),
    "unplanned-seeds": Words(
        "seeds {seeds} are not in study.toml: they were added later",
        "If they were added after a look at the results, intervals are too narrow. `run --until-decided` "
        "adds seeds at looks fixed beforehand.",
    ),
    "best-test": Words(
        "protocol best-test: epochs are chosen on the test set, so test scores are too high",
        "Compare recipes with each other, not with other people's scores.",
    ),
    "shared-pretraining": Words(
        "pretrain.shared = true: all seeds start from one pre-trained encoder, and intervals leave out the "
        "chance of pre-training",
        "Another pre-training may shift what they enclose; pretrain.shared = false makes one for each seed.",
    ),
    "shared-teacher": Words(
        "distil.teacher: all seeds learn from one teacher, and intervals leave out the chance of training it",
        "Another teacher may shift what they enclose. No factor makes one for each seed.",
    ),
    "mixed": Words(
        "runs differ in {name}: {values}",
        "Their last digits differ, and their seconds cannot be compared.",
    ),
    "engine-paths": Words(
        "levels of {factor} were trained on different paths of the engine: {ways}",
        "Their seconds tell the engine's paths apart too, not only the strategy. With stack = 1 in [run] all "
        "take the same path.",
    ),
    "never-clipped": Words(
        "clip.norm clipped 0 % of the steps: rows {rows}",
        "No gradient was as long: clip.norm did nothing there, and has no effect to show. Lower it, or leave "
        "it out.",
    ),
    "always-clipped": Words(
        "clip.norm clipped 100 % of the steps: rows {rows}",
        "Every gradient was cut to one length, and Adam takes little notice of lengths: clip.norm did nearly "
        "nothing there. Raise it to clip the longest only.",
    ),
    "identical": Words(
        "rows {rows} predict the same to the last bit with seed {seed}",
        "They differ in a level that does nothing, and the audit has not seen it. Please report it.",
    ),
    "no-pseudo-labels": Words(
        "rows {rows} predict the same to the last bit with seed {seed}",
        "Pseudo-labels did nothing there, most likely because the teacher of that seed was sure of no text. "
        "Lower pseudo.threshold.",
    ),
    "few-gold-texts": Words(
        'the score is the F1 of "{label}", and {count} test texts have that label: fewer than {least}',
        "So few cannot show that nothing differs: what looks equal is open. Add test texts of it, or judge "
        "by another score.",
    ),
    "one-rate": Words(
        "{kinds} trained at the rate of another optimizer",
        "Each kind needs a rate of its own, so this compares rates, too. Give every kind its rate in a "
        "bundle, as the preset optimizers does.",
    ),
}
CHINESE: dict[Kind, Words] = {
    "unfinished": Words(
        "{total} 次运行中还有 {left} 次没有训练",
        "`finegrid run {folder}` 会接着训练；在此之前，区间只依据已有的运行。",
    ),
    "gaps": Words(
        "{total} 个配方与种子的组合中有 {left} 个不在表中，或没有结果",
        "效应已据其余的组合算出，区间因此更宽。",
    ),
    "no-results": Words(
        "{count} 个配方没有结果：第 {rows} 行",
        "要与它们比较的都未计入。",
    ),
    "unconnected": Words(
        "{count} 个配方与其余配方没有共同的种子：第 {rows} 行",
        "配方只在同一种子内比较；在有共同的种子之前，它们不计入。",
    ),
    "diverged": Words(
        "{count} 次运行发散：{runs}",
        "它们按多数类的得分计入。请调低 optimizer.rate 或加入预热。",
    ),
    "failed": Words(
        "{count} 次运行失败：{runs}",
        "请查看研究文件夹中的 logs/；`finegrid run` 会重试。",
    ),
    "degenerate": Words(
        "{count} 次运行在验证集上不比总是回答多数类更好：{runs}",
        "它们什么也没学到，并会拉动所涉及的每个效应。请调低 optimizer.rate、加入预热或增加轮数。",
    ),
    "still-rising": Words(
        "基线在 {curves} 个种子中有 {last} 个在最后一轮才最好（在验证集上比之前最好的一轮 {gain:+.2f} 个点）",
        "{epochs} 轮时的差别可能只是学得快，而不是学得好。要区分两者，请在 [factors] 中加入其中一"
        "项：{factors}。",
    ),
    "one-epoch": Words(
        "基线只训练了一轮，无法知道它是否已经学到头",
        "1 轮时的差别可能只是学得快，而不是学得好。要区分两者，请在 [factors] 中加入其中一项：{factors}。",
    ),
    "one-seed": Words(
        "只运行了一个种子：策略的作用和单次运行的运气几乎无法区分",
        "`finegrid run {folder} --seeds 3` 再加两个：{runs} 次运行，单进程 {took}。",
    ),
    "unplanned-seeds": Words(
        "种子 {seeds} 不在 study.toml 中：它们是后来加入的",
        "如果是看过结果之后才加的，区间就偏窄。`run --until-decided` 只在事先定好的时点增加种子。",
    ),
    "best-test": Words(
        "协议 best-test：轮次在测试集上选择，因此测试得分偏高",
        "只在配方之间比较，不要与他人的得分比较。",
    ),
    "shared-pretraining": Words(
        "pretrain.shared = true：所有种子都从同一个预训练编码器出发，区间不包含预训练本身的偶然性",
        "换一次预训练，结果可能移出区间；pretrain.shared = false 会为每个种子各预训练一次。",
    ),
    "shared-teacher": Words(
        "distil.teacher：所有种子都向同一个教师模型学习，区间不包含训练教师本身的偶然性",
        "换一个教师，结果可能移出区间；没有因素能为每个种子各训练一个教师。",
    ),
    "mixed": Words(
        "各次运行的 {name} 不同：{values}",
        "它们的末位数字会不同，所用秒数也不能比较。",
    ),
    "engine-paths": Words(
        "{factor} 的各水平走了引擎的不同路径：{ways}",
        "秒数之差因此也包含引擎路径之差，不只是策略的代价。在 [run] 中设 stack = 1，所有运行就走同一路径。",
    ),
    "never-clipped": Words(
        "clip.norm 裁剪了 0 % 的步：第 {rows} 行",
        "没有梯度达到这个长度：clip.norm 在那里不起作用，也就没有效应。请调低，或不用它。",
    ),
    "always-clipped": Words(
        "clip.norm 裁剪了 100 % 的步：第 {rows} 行",
        "那里每个梯度都被裁到同一长度，而 Adam 几乎不受梯度长度影响：clip.norm 几乎不起作用。请调高，只裁剪最"
        "长的梯度。",
    ),
    "identical": Words(
        "种子 {seed} 下，第 {rows} 行的预测逐位相同",
        "它们只差一个不起作用的水平，而审计没有发现。请报告此问题。",
    ),
    "no-pseudo-labels": Words(
        "种子 {seed} 下，第 {rows} 行的预测逐位相同",
        "伪标签在那里不起作用，很可能是因为该种子的教师模型对任何文本都没有足够的把握。"
        "请降低 pseudo.threshold。",
    ),
    "few-gold-texts": Words(
        "得分是“{label}”类的 F1，而测试集中只有 {count} 条文本属于该类，少于 {least} 条",
        "这么少的文本无法证明没有差别：看似相同的只能算尚不能判断。请增加该类的测试文本，或换一种得分。",
    ),
    "one-rate": Words(
        "{kinds} 用的是另一种优化器的学习率",
        "每种优化器都需要自己的学习率，因此这里也在比较学习率。请像预设 optimizers 那样，"
        "在配方组合中为每种优化器设定学习率。",
    ),
}
WORDS: dict[Lang, dict[Kind, Words]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def describe(warning: Warning, lang: Lang) -> Words:
    """What was found, and what to do, with the warning's figures."""
    words, values = WORDS[lang][warning.kind], {**warning.values}
    if isinstance(took := values.get("took"), float):
        values["took"] = format_duration(took, lang)
    if isinstance(runs := values.get("runs"), str) and lang == "zh":
        values["runs"] = put_runs(runs)
    what, advice = words.what.format(**values), words.advice.format(**values)
    return Words(agree(what), agree(advice)) if lang == "en" else Words(what, advice)


def put_runs(runs: str) -> str:
    """``row 1 seed 0, row 2 seed 0, ... (8)`` in Chinese: the evidence of a warning is English."""
    named = re.sub(r"row (\d+) seed (\d+)", r"第 \1 行种子 \2", runs)
    return re.sub(r", \.\.\. \((\d+)\)", r" 等（共 \1 次）", named).replace(", ", "、")
