"""What free factors are worth in words: the same ones on the terminal, in tables and on the page."""

from __future__ import annotations

from finegrid.facts.decision_words import ToldWord, decision_of, decision_parts, needs_words, told_word
from finegrid.facts.verdict import FreeLevelFacts, FreeVerdictFacts, LossEffectFacts, VerdictFacts
from finegrid.spelling import Lang, count_noun, format_duration
from finegrid.words import SHARED

ENGLISH = {
    "free title": "scored in the same runs (no run of their own)",
    "free lead": "Scored at every level: {run_words} with {seed_words}. Differences are taken inside runs, "
    "and these effects are decided among themselves.",
    "free none": "No run was scored at these levels yet.",
    "free lacking": "Finished runs that were not scored at all levels yet: {count}. `finegrid run` trains "
    "them again.",
    "free left out": "Left out: {count}, which would do twice what a level does, such as correct for the "
    "sizes of classes.",
    "free seconds": "Scoring takes {time} beside a run.",
    "free cost": "beside the run",
    "free passes": "{dev} x dev, {test} x test",
    "free copies": "copies of the weights: {count}",
    "free looks": "choices on dev: {looks}",
    "free nothing": "nothing",
    "keeps answers": "cannot move the score: every answer stays",
}
CHINESE = {
    "free title": "在同一批运行中评分（无需另外训练）",
    "free lead": "{seeds} 个种子的 {runs} 次运行按每个水平评了分。差值在每次运行内部计算，"
    "这些效应自成一族，单独校正。",
    "free none": "还没有运行按这些水平评分。",
    "free lacking": "有 {count} 次已完成的运行尚未按全部水平评分：`finegrid run` 会重新训练它们。",
    "free left out": "未计入 {count} 个组合：它们与某个水平重复做了同一件事（例如两次校正类别比例）。",
    "free seconds": "每次运行另需 {time} 评分。",
    "free cost": "额外开销",
    "free passes": "预测验证集 {dev} 遍、测试集 {test} 遍",
    "free copies": "{count} 份权重副本",
    "free looks": "用验证集选择了 {looks} 次",
    "free nothing": "无",
    "keeps answers": "不会改变得分：每条预测都不变",
}
FREE_WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def free_title(lang: Lang) -> str:
    """Of the section."""
    return FREE_WORDS[lang]["free title"]


def free_cost_head(lang: Lang) -> str:
    """Of the column that says what a level takes."""
    return FREE_WORDS[lang]["free cost"]


def free_lead(free: FreeVerdictFacts, lang: Lang) -> list[str]:
    """What the effects rest on, in sentences."""
    words = FREE_WORDS[lang]
    key = "free lead" if free["runs"] else "free none"
    runs, seeds = free["runs"], free["seeds"]
    spelled = {"run_words": count_noun(runs, "run"), "seed_words": count_noun(seeds, "seed")}
    said = [words[key].format(runs=runs, seeds=seeds, **spelled)]
    if free["seconds"] is not None:
        said.append(words["free seconds"].format(time=format_duration(free["seconds"], lang)))
    if free["left_out"]:
        left_out = free["left_out"]
        count = count_noun(left_out, "recipe") if lang == "en" else left_out
        said.append(words["free left out"].format(count=count))
    if free["lacking"]:
        said.append(words["free lacking"].format(count=free["lacking"]))
    return said


def free_cost(level: FreeLevelFacts, lang: Lang) -> str:
    """What a level takes beside the run: passes over texts, copies of weights, choices on dev."""
    words, parts = FREE_WORDS[lang], []
    if level["dev_passes"] or level["test_passes"]:
        parts.append(words["free passes"].format(dev=level["dev_passes"], test=level["test_passes"]))
    if level["copies"]:
        parts.append(words["free copies"].format(count=level["copies"]))
    if level["dev_looks"] is not None:
        parts.append(words["free looks"].format(looks=f"{level['dev_looks']:g}"))
    return SHARED[lang]["comma"].join(parts) or words["free nothing"]


def free_decision(level: FreeLevelFacts, verdict: VerdictFacts, lang: Lang) -> str:
    """What was decided on a level, and where that is open what would settle it."""
    return "".join(one.word + one.rest for one in free_told(level, verdict, lang))


def free_told(level: FreeLevelFacts, verdict: VerdictFacts, lang: Lang) -> tuple[ToldWord, ...]:
    """The same, for who colours it."""
    free, decision = verdict["free"], level["decision"]
    if decision is None or free is None:
        return (ToldWord("same", FREE_WORDS[lang]["keeps answers"]),)
    parts = decision_parts(decision_of(decision), verdict["margin"], SHARED[lang])
    if decision["kind"] == "open" and level["needs"] is not None:
        parts.append(needs_words(level["needs"], free["seeds"], verdict["texts"], lang))
    return (told_word(decision["kind"], parts, lang),)


def free_loss(loss: LossEffectFacts | None, lang: Lang) -> str:
    """A change of log loss or Brier score, with its interval; empty where it is not known."""
    if loss is None or loss["effect"] is None:
        return ""
    if loss["low"] is None or loss["high"] is None:
        return f"{loss['effect']:+.4f}"
    words = SHARED[lang]
    ends = words["interval"].format(low=f"{loss['low']:+.4f}", high=f"{loss['high']:+.4f}")
    return f"{loss['effect']:+.4f}" + words["in brackets"].format(text=ends)
