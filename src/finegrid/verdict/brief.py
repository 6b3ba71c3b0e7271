"""A verdict in three lines, for the end of a command: what to use, how sure that is, what to do next."""

from __future__ import annotations

from pathlib import Path

from finegrid.facts.recommendation_words import headline, why
from finegrid.facts.verdict import VerdictFacts
from finegrid.results.load import any_results
from finegrid.spelling import Lang
from finegrid.verdict.diagnose import Warning
from finegrid.verdict.interim import with_interim_decisions
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict

ENGLISH = {
    "missing": "nothing is decided yet: {left} of {total} runs are missing",
    "nothing": "nothing is decided: the baseline has no finished run",
    "still-rising": "But the baseline was still rising at its last epoch: this may be speed, not quality. "
    "Raise training.epochs before you rely on it.",
    "go on": "next: finegrid run {folder} trains what is missing",
    "look": "next: finegrid status {folder} says what failed",
    "second seed": "next: finegrid run {folder} --seeds {seeds}",
    "confirm": "next: finegrid confirm {folder} compares the two on seeds that chose nothing",
    "add seeds": "next: finegrid run {folder} --until-decided adds seeds where nothing is decided; "
    "finegrid verdict {folder} says what is",
    "verdict": "next: finegrid verdict {folder} says what each strategy is worth",
}
CHINESE = {
    "missing": "尚不能下结论：{total} 次运行中还缺 {left} 次",
    "nothing": "尚不能下结论：基线还没有完成的运行",
    "still-rising": "但基线在最后一轮仍在上升：差别可能只是学得快，而不是学得好。请先增大 training.epochs。",
    "go on": "下一步：finegrid run {folder} 训练缺少的运行",
    "look": "下一步：finegrid status {folder} 查看哪些运行失败",
    "second seed": "下一步：finegrid run {folder} --seeds {seeds}",
    "confirm": "下一步：finegrid confirm {folder} 用没有参与选择的随机种子比较两者",
    "add seeds": "下一步：finegrid run {folder} --until-decided 为尚不能判断的策略增加随机种子；"
    "finegrid verdict {folder} 查看各策略的结论",
    "verdict": "下一步：finegrid verdict {folder} 查看各策略的结论",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()
ENOUGH_SEEDS = 3  # to ask for where one has run: fewer tell little of how far runs differ


def tell_briefly(folder: Path, margin: float | None = None, lang: Lang = "en") -> list[str]:
    """`brief_lines` of a study as its files stand.

    Raises:
        InputError: a study that has not been started, or files that cannot be read.
    """
    return brief_lines(with_interim_decisions(any_results(folder), margin), folder, lang)


def brief_lines(verdict: Verdict, folder: Path, lang: Lang = "en") -> list[str]:
    """At most three lines. While runs are missing they say how many, and no word of a decision.

    Args:
        verdict: of the study, as `finegrid verdict` has it.
        folder: as the user has named it: the commands are for it.
        lang: en or zh.
    """
    words, results = WORDS[lang], verdict.results
    if left := len(results.missing()["left"]):
        total = len(results.recipes) * len(results.seeds)
        return [words["missing"].format(left=left, total=total), words["go on"].format(folder=folder)]
    if verdict.best is None or verdict.recommended is None:
        return [words["nothing"], words["look"].format(folder=folder)]
    facts = as_json(verdict)
    next_ = words[find_next(verdict, facts)].format(folder=folder, seeds=ENOUGH_SEEDS)
    return [headline(facts, lang), how_sure(facts, verdict.warnings, lang), next_]


def how_sure(facts: VerdictFacts, warnings: tuple[Warning, ...], lang: Lang) -> str:
    """The expected gain and the chance to lose; and what makes both doubtful."""
    doubt = any(warning.kind == "still-rising" for warning in warnings)
    sentences = [why(facts, lang), WORDS[lang]["still-rising"] if doubt else ""]
    return ("" if lang == "zh" else " ").join(filter(None, sentences))


def find_next(verdict: Verdict, facts: VerdictFacts) -> str:
    """Which command helps most now, by its name in `WORDS`."""
    best = facts["best"]
    assert best is not None
    if verdict.recommendation is None:
        return "second seed"
    if not best["keep_baseline"]:
        return "confirm"
    decided = all(effect.decision and effect.decision.kind != "open" for effect in verdict.analysis.effects)
    too_small = all(
        factor["needs"] is None or factor["needs"]["reason"] == "too-small" for factor in facts["factors"]
    )
    can_add = verdict.results.screen is None and verdict.results.audit is not None
    return "verdict" if decided or too_small or not can_add else "add seeds"
