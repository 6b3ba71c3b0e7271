"""Runs that failed to learn, in words: the same lines on the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Iterator

from finegrid.facts.verdict import FailedRunsFacts, FailingGroupFacts, FailuresFacts, VerdictFacts
from finegrid.recipe.identity import Levels
from finegrid.spelling import Lang, format_level
from finegrid.words import SHARED

ENGLISH = {
    "diverged runs in": "diverged: {failed} of {runs} runs with {levels}",
    "unlearned runs in": "did not learn: {failed} of {runs} runs with {levels} end at {low} to {high} "
    "{score} on {split}",
    "against others": "; {failed} of {runs} others (exact test p = {p}; {adjusted} for looking at {count} "
    "groups)",
    "diverged runs": "diverged: {failed} of {runs} runs",
    "unlearned runs": "did not learn: {failed} of {runs} runs end at {low} to {high} {score} on {split}",
    "nothing stands out": "; no level and no pair of levels stands out",
    "and level": " and ",
    "diverged count": "a run that diverged counts with the majority class's score, {points:.2f}",
    "learned": "among runs that learned, which decides nothing: {effects}",
    "learned effect": "{factor} = {level} {effect}",
    "learned unknown": "too few of them for an estimate",
}
CHINESE = {
    "diverged runs in": "发散：{levels} 的 {runs} 次运行中有 {failed} 次",
    "unlearned runs in": "没有学会：{levels} 的 {runs} 次运行中有 {failed} 次，{split}上的 {score} "
    "只有 {low} 至 {high}",
    "against others": "；其余 {runs} 次中有 {failed} 次（精确检验 p = {p}；按比较了 {count} 组"
    "校正后为 {adjusted}）",
    "diverged runs": "发散：{runs} 次运行中有 {failed} 次",
    "unlearned runs": "没有学会：{runs} 次运行中有 {failed} 次，{split}上的 {score} 只有 {low} 至 {high}",
    "nothing stands out": "；没有哪个水平或哪两个水平的组合特别突出",
    "and level": " 且 ",
    "diverged count": "发散的运行按多数类的得分计入：{points:.2f}",
    "learned": "仅在学会的运行之间比较（不用于决定）：{effects}",
    "learned effect": "{factor} = {level} {effect}",
    "learned unknown": "运行太少，无法估计",
}
WORDS: dict[Lang, dict[str, str]] = {"en": SHARED["en"] | ENGLISH, "zh": SHARED["zh"] | CHINESE}


def failure_lines(verdict: VerdictFacts, lang: Lang) -> list[str]:
    """Nothing where every run that ended has learned."""
    failures = verdict["failures"]
    if failures is None:
        return []
    return [
        *(line for kind in failures["kinds"] for line in kind_lines(kind, verdict["score"], failures, lang)),
        *counted_line(failures, lang),
        learned_line(failures, lang),
    ]


def kind_lines(kind: FailedRunsFacts, score: str, failures: FailuresFacts, lang: Lang) -> Iterator[str]:
    """Of one way to fail: where its runs are, and how few there are elsewhere."""
    words, cut = WORDS[lang], failures["cut"]
    ends = {} if cut is None else {"low": f"{cut['low']:.0f}", "high": f"{cut['high']:.0f}"}
    where = {**ends, "score": score, "split": words[failures["split"]]}
    for group in kind["groups"]:
        levels = join_levels(group["levels"], lang)
        line = words[f"{kind['kind']} runs in"].format(
            failed=group["failed"], runs=group["runs"], levels=levels, **where
        )
        yield line + others_words(group, lang)
    if not kind["groups"]:
        line = words[f"{kind['kind']} runs"].format(failed=kind["failed"], runs=kind["runs"], **where)
        yield line + words["nothing stands out"]


def others_words(group: FailingGroupFacts, lang: Lang) -> str:
    return WORDS[lang]["against others"].format(
        failed=group["others_failed"],
        runs=group["others"],
        p=format_p(group["p"]),
        adjusted=format_p(group["p_adjusted"]),
        count=group["looked_at"],
    )


def format_p(p: float) -> str:
    """One digit that counts: ``0.007``, ``6e-14``."""
    return f"{float(f'{p:.1g}'):g}"


def join_levels(levels: Levels, lang: Lang) -> str:
    """``(a = 1 and b = 2)``."""
    each = [f"{factor} = {format_level(level)}" for factor, level in levels.items()]
    return each[0] if len(each) == 1 else f"({WORDS[lang]['and level'].join(each)})"


def counted_line(failures: FailuresFacts, lang: Lang) -> Iterator[str]:
    if failures["majority"] is not None and any(kind["kind"] == "diverged" for kind in failures["kinds"]):
        yield WORDS[lang]["diverged count"].format(points=failures["majority"])


def learned_line(failures: FailuresFacts, lang: Lang) -> str:
    """Every level's effect among runs that learned."""
    words, each = WORDS[lang], []
    for one in failures["levels"]:
        effect, (low, high) = one["learned"], one["learned_interval"]
        told = words["learned unknown"] if effect is None else f"{effect:+.2f}"
        if low is not None and high is not None:
            ends = words["interval"].format(low=f"{low:+.2f}", high=f"{high:+.2f}")
            told += words["in brackets"].format(text=ends)
        level = format_level(one["levels"][1])
        each.append(words["learned effect"].format(factor=one["factor"], level=level, effect=told))
    return words["learned"].format(effects=words["list comma"].join(each))
