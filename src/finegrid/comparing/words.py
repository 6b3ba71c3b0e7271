"""A comparison in words, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from finegrid.comparing.compare import Loss, SystemsCompared
from finegrid.comparing.paired import Remark, RemarkKind
from finegrid.errors import visible
from finegrid.facts.comparison import CompareFacts, RemarkWords
from finegrid.facts.decision_words import factor_told
from finegrid.spelling import Lang, format_points
from finegrid.statistics.decide import Interval
from finegrid.terminal import align, fold_lines, open_console, print_lines
from finegrid.verdict.strategy_lines import Told, format_interval, lay_out
from finegrid.verdict.to_json import as_json
from finegrid.words import SHARED

ENGLISH = {
    "title": "{score}, {texts:,} texts of {gold}; points",
    "against": "against {baseline}:",
    "system": "system",
    "files": "files",
    "score": "score",
    "difference": "difference",
    "noise": "a run's own luck: {sd:.2f} points (standard deviation)",
    "best set": "cannot be told from the best: {systems}",
    "losses": "log loss and Brier score (lower is better) are told beside the score and never decide",
    "remark": "{what}. {advice}",
    # what the intervals cover
    "covers texts": "one file of each system: intervals cover other texts like these, not another run of the "
    "same system. Several files of each (name=file, again) would show how far its runs differ",
    "covers runs and texts": "several files of a system are runs with nothing in common: intervals cover "
    "other runs and other texts like these",
    "covers seeds and texts": "the n-th files of all systems share a seed: intervals cover other seeds and "
    "other texts like these",
}
CHINESE = {
    "title": "{score}，{gold} 的 {texts:,} 条文本；以点计",
    "against": "与 {baseline} 相比：",
    "system": "系统",
    "files": "文件数",
    "score": "得分",
    "difference": "差值",
    "noise": "单次运行的随机波动：{sd:.2f} 个点（标准差）",
    "best set": "与最佳系统无法区分：{systems}",
    "losses": "对数损失和 Brier 分数（越低越好）只作参考，不参与判断",
    "remark": "{what}。{advice}",
    "covers texts": "每个系统只有一个文件：区间只涵盖换用同类文本的情形，不涵盖同一系统的另一次运行。每个系统"
    "给出多个文件（重复写 名称=文件），才能看出各次运行相差多少",
    "covers runs and texts": "同一系统的多个文件视为互不相关的多次运行：区间涵盖其他运行和其他同类文本",
    "covers seeds and texts": "各系统的第 n 个文件共用一个种子：区间涵盖其他种子和其他同类文本",
}
WORDS: dict[Lang, dict[str, str]] = {"en": SHARED["en"] | ENGLISH, "zh": SHARED["zh"] | CHINESE}
assert ENGLISH.keys() == CHINESE.keys()

# By kind: what was found, and what it means or asks for.
REMARKS: dict[Lang, dict[RemarkKind, tuple[str, str]]] = {
    "en": {
        "unknown-labels": (
            "{file}: {count} answers are labels that gold does not have ({labels})",
            "They count as wrong. If they are other spellings, spell labels alike.",
        ),
        "no-probabilities": (
            "{file}: its numbers are no probabilities (0 to 1, together 1)",
            "The highest is the answer. Without probabilities there is no log loss.",
        ),
        "disagreeing": (
            "{file}: in {count} texts the predicted label is not the most probable class",
            "The score is of the label.",
        ),
        "same-answers": (
            "{one} and {other} give the same answer on every text",
            "Two runs seldom do. Is one a copy of the other?",
        ),
        "one-file": (
            "there is only one file of {systems}",
            "How far its runs differ is taken from the other systems.",
        ),
    },
    "zh": {
        "unknown-labels": (
            "{file}：有 {count} 个回答是标准答案中没有的标签（{labels}）",
            "按答错计。如果只是写法不同，请统一标签的写法。",
        ),
        "no-probabilities": (
            "{file}：其中的数字不是概率（0 至 1，合计为 1）",
            "以最大者为回答。没有概率，就没有对数损失。",
        ),
        "disagreeing": ("{file}：有 {count} 条文本的预测标签不是概率最高的类别", "得分按预测标签计算。"),
        "same-answers": (
            "{one} 与 {other} 对每条文本的回答都相同",
            "两次运行很少如此。是否其中一个是另一个的副本？",
        ),
        "one-file": ("{systems} 只有一个文件", "其运行之间的差异借用其他系统的。"),
    },
}


def remark_words(remark: Remark, lang: Lang) -> RemarkWords:
    what, advice = REMARKS[lang][remark.kind]
    return {"what": what.format(**remark.values), "advice": advice.format(**remark.values)}


def print_comparison(compared: SystemsCompared, facts: CompareFacts, lang: Lang) -> None:
    """To stdout: every system, every difference with its decision, and what they rest on.

    Args:
        facts: of `comparing.to_json.compare_json`.
    """
    console = open_console()
    print_lines(console, comparison_lines(compared, facts, lang, console.width))


def comparison_lines(
    compared: SystemsCompared, facts: CompareFacts, lang: Lang, width: int
) -> Iterator[Text]:
    """All of it, in lines of at most ``width`` columns."""
    words = WORDS[lang]
    title = words["title"].format(score=facts["score"], texts=facts["texts"], gold=facts["gold"])
    yield from fold_lines([visible(title)], width)
    yield from system_lines(compared, lang, width)
    yield from fold_lines([visible(words["against"].format(baseline=facts["baseline"]))], width)
    yield from difference_lines(compared, lang, width)
    yield from fold_lines(map(visible, tail_lines(compared, facts, lang)), width)


def system_lines(compared: SystemsCompared, lang: Lang, width: int) -> list[Text]:
    """Every system with its score: a table where the terminal carries one."""
    words, verdict = WORDS[lang], compared.verdict
    losses = LOSSES if any(compared.log_loss) else []
    heads = [words[name] for name in ("system", "files", "score", "plain", *losses)]
    rows = []
    for index, system in enumerate(compared.answers.systems):
        mean, around = verdict.scores[index]
        ends = words["interval"].format(low=f"{around.low:.2f}", high=f"{around.high:.2f}")
        told = [compared.log_loss[index], compared.brier[index]] if losses else []
        cells = [
            system.name,
            str(len(system.files)),
            f"{mean:.2f}",
            ends if around.is_known else "?",
            *("" if loss is None else f"{loss.mean:.4f}" for loss in told),
        ]
        rows.append([visible(cell) for cell in cells])
    table = [[Text(head, style="bold") for head in heads], *([Text(cell) for cell in row] for row in rows)]
    whole = max(cell.cell_len for cell in list(zip(*table, strict=True))[-1])
    aligned = align(table, [False, *[True] * (len(heads) - 1)], width, whole)
    if aligned is None:
        blocks = (
            Text(row[0], style="bold").append(
                words["colon"]
                + words["comma"].join(
                    f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True) if cell
                ),
                "not bold",
            )
            for row in rows
        )
        aligned = list(fold_lines(blocks, width))
    return [Text(), *aligned, Text()]


def difference_lines(compared: SystemsCompared, lang: Lang, width: int) -> list[Text]:
    """Every system less the first, with the decision."""
    words, verdict = WORDS[lang], compared.verdict
    with_losses = any(loss and loss.between for loss in compared.log_loss)
    facts, told = as_json(verdict), []
    rows = zip(
        verdict.analysis.effects, facts["factors"], compared.log_loss[1:], compared.brier[1:], strict=True
    )
    for effect, factor, log_loss, brier in rows:
        losses = {"log loss": log_loss, "brier": brier} if with_losses else {}
        told.append(
            Told(
                str(effect.comparison.level),
                factor_told(factor, facts, lang),
                format_points(effect.estimate),
                format_interval(effect.plain, lang),
                {
                    words["adjusted"]: format_interval(effect.adjusted, lang),
                    **{words[name]: format_loss(one, lang) for name, one in losses.items()},
                },
                {},
            )
        )
    return lay_out(told, "", lang, width, words["system"])


LOSSES = ["log loss", "brier"]


def format_loss(loss: Loss | None, lang: Lang) -> str:
    """The difference with its interval."""
    if loss is None or loss.difference is None or loss.between is None:
        return ""
    around = WORDS[lang]["in brackets"].format(text=format_ends(loss.between, lang))
    return f"{loss.difference:+.4f}{around}"


def format_ends(interval: Interval, lang: Lang) -> str:
    return WORDS[lang]["interval"].format(low=f"{interval.low:+.4f}", high=f"{interval.high:+.4f}")


def tail_lines(compared: SystemsCompared, facts: CompareFacts, lang: Lang) -> Iterator[str]:
    words = WORDS[lang]
    if len(facts["systems"]) > 2:
        best = [one["system"] for one in facts["systems"] if one["in_best_set"]]
        yield words["best set"].format(systems=words["list comma"].join(best))
    if (sd := facts["noise"]["run_sd"]) is not None:
        yield words["noise"].format(sd=sd)
    yield words[f"covers {facts['covers']}"]
    if any(compared.log_loss):
        yield words["losses"]
    for remark in compared.answers.remarks:
        said = remark_words(remark, lang)
        yield words["remark"].format(what=said["what"], advice=said["advice"])
