"""A verdict in words, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.text import Text

from finegrid.errors import visible
from finegrid.facts.decision_words import bundle_lines, ensemble_words, ladder_words
from finegrid.facts.failure_words import failure_lines
from finegrid.facts.free_words import free_lead, free_title
from finegrid.facts.recommendation_words import format_signed, headline, moved_words, reasons
from finegrid.facts.verdict import VerdictFacts
from finegrid.in_chinese import name_method, name_state, translate
from finegrid.recipe.identity import Levels
from finegrid.spelling import (
    Lang,
    agree,
    format_duration,
    format_level,
    format_points,
    json_number,
    seconds_digits,
)
from finegrid.statistics.effects import Interaction
from finegrid.terminal import fold_lines, open_console, print_lines
from finegrid.verdict.diagnose_words import describe
from finegrid.verdict.strategy_lines import format_interval, free_level_lines, strategy_lines
from finegrid.verdict.verdict import Verdict, mattering
from finegrid.words import SHARED

MOST_AGAINST = 6  # recipes of those that differ from the baseline

ENGLISH = {
    "title": "{score} on test, {recipes} distinct recipes x {seeds} seeds, {texts} texts; effects in points",
    "title without texts": "{score}, {recipes} distinct recipes; effects in points, for these texts alone",
    "noise": "a run's own luck: {sd:.2f} points ({method})",
    "splits": "every seed has a split of its own of the texts ({seen} of {of}): intervals cover the training "
    "sample, too",
    "losses": "{name}, lower is better, decides nothing: {levels}",
    "noise of learned": "a run's own luck, of runs that learned: {sd:.2f} points ({method})",
    "each epoch": "{seconds} s per epoch",
    "interactions": "strategies that depend on each other:",
    "given": "{factor} = {level}: {one} with {other} = {at}, {two} with {other} = {to}",
    "no interactions": "no two strategies are shown to depend on each other",
    "open interactions": "{open} of {all} interactions are open: what a strategy is worth may depend on "
    "another",
    "on test": "on test it has {score}{seconds}; the baseline {baseline}",
    "kept on test": "on test the baseline has {score}{seconds}",
    "best set": "{count} recipes cannot be told from the best on {split}: rows {rows}",
    "frontier item": "  {seconds}: {gain}, {levels}",
    "frontier": "the best for its time, by what is expected on {split} against the baseline:",
    "margin": "differences within {margin:g} points count as none; however many seeds there are, these test "
    "texts can show no margin below {least} to {most} points",
    "margin one": "differences within {margin:g} points count as none; however many seeds there are, these "
    "test texts can show no margin below {most} points",
    "recipes differ": "against the baseline, of {count} recipes {better} are better and {worse} worse "
    "(intervals hold together, 95 %):",
    "recipes alike": "no recipe is shown to differ from the baseline ({count} compared, intervals hold "
    "together, 95 %)",
    "recipe differs": "{effect} ({interval}): {levels} (row {row})",
    "more recipes differ": "and {count} more: `finegrid verdict --json`, `finegrid report`",
    "holds at": "all this holds at {levels}",
    "missing": "left out: {missing}",
    "of state": "{count} {state}",
    "warning": "warning: {what}. {advice}",
    "note": "{levels}: {note}",
}
CHINESE = {
    "title": "测试集 {score}，{recipes} 个不同配方 × {seeds} 个随机种子，{texts} 条文本；效应以点计",
    "title without texts": "{score}，{recipes} 个不同配方；效应以点计，仅对这些测试文本成立",
    "noise": "单次运行的随机波动：{sd:.2f} 个点（{method}）",
    "noise of learned": "学会的运行中，单次运行的随机波动：{sd:.2f} 个点（{method}）",
    "each epoch": "每轮 {seconds} 秒",
    "splits": "每个种子各有一套数据划分（{of} 套中的 {seen} 套）：区间也涵盖训练样本的随机性",
    "losses": "{name}（越低越好，不参与判断）：{levels}",
    "interactions": "相互依赖的策略：",
    "given": "{factor} = {level}：{other} = {at} 时 {one}，{other} = {to} 时 {two}",
    "no interactions": "没有发现相互依赖的策略",
    "open interactions": "{all} 个交互作用中有 {open} 个尚不能判断：一项策略的价值可能随另一项而变",
    "on test": "所推荐配方的测试集得分：{score}{seconds}；基线 {baseline}",
    "kept on test": "基线的测试集得分：{score}{seconds}",
    "best set": "在{split}上与最佳配方无法区分的配方有 {count} 个：第 {rows} 行",
    "frontier item": "  {seconds}：{gain}，{levels}",
    "frontier": "同等耗时下的最佳选择（{split}上预计比基线高出的点数）：",
    "margin": "{margin:g} 个点以内的差别视为没有差别；仅凭这些测试文本，即使再加随机种子，也"
    "无法排除 {least} 至 {most} 个点（因策略而异）以内的差别",
    "margin one": "{margin:g} 个点以内的差别视为没有差别；仅凭这些测试文本，即使再加随机种子，"
    "也无法排除 {most} 个点以内的差别",
    "recipes differ": "与基线相比，{count} 个配方中有 {better} 个更好、{worse} 个更差（各区间同时成立的概率"
    "为 95 %）：",
    "recipes alike": "没有发现与基线有差别的配方（共比较 {count} 个，各区间同时成立的概率为 95 %）",
    "recipe differs": "{effect}（{interval}）：{levels}（第 {row} 行）",
    "more recipes differ": "另有 {count} 个：见 `finegrid verdict --json` 或 `finegrid report`",
    "holds at": "以上结论的前提：{levels}",
    "missing": "未计入：{missing}",
    "of state": "{state} {count} 次",
    "warning": "警告：{what}。{advice}",
    "note": "{levels}：{note}",
}
LANGUAGES: dict[Lang, dict[str, str]] = {
    "en": SHARED["en"] | ENGLISH,
    "zh": SHARED["zh"] | CHINESE,
}
assert ENGLISH.keys() == CHINESE.keys()


def print_verdict(verdict: Verdict, facts: VerdictFacts, lang: Lang) -> None:
    """To stdout: what to use, every strategy with its word, then what else there is to say.

    Args:
        verdict: of a study.
        facts: the same, of `as_json`.
        lang: of the sentences.
    """
    console = open_console()
    print_lines(console, verdict_lines(verdict, facts, lang, console.width))


def verdict_lines(verdict: Verdict, facts: VerdictFacts, lang: Lang, width: int) -> Iterator[Text]:
    """All of it, in lines of at most ``width`` columns."""
    head = (*best_lines(verdict, facts, lang), "", *head_lines(verdict, lang))
    yield from fold_lines((visible(agree(line)) for line in head), width)
    yield from strategy_lines(verdict, facts, lang, width)
    yield from fold_lines((visible(agree(line)) for line in tail_lines(verdict, facts, lang)), width)
    if facts["free"] is not None:
        lead = ("", free_title(lang), *free_lead(facts["free"], lang))
        yield from fold_lines(map(visible, lead), width)
        yield from free_level_lines(facts, facts["free"], lang, width)


def head_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words, analysis = LANGUAGES[lang], verdict.analysis
    title = words["title" if analysis.texts else "title without texts"]
    yield title.format(
        score=verdict.results.score,
        recipes=len(verdict.results.recipes),
        seeds=analysis.seeds,
        texts=f"{analysis.texts:,}",
    )
    if verdict.results.scale.lower_is_better:
        yield words["lower is better"].format(score=verdict.results.score)
    if np.isfinite(analysis.run_sd):
        noise = words["noise of learned" if verdict.failures else "noise"]
        yield noise.format(sd=analysis.run_sd, method=name_method(analysis.method, lang))
    if verdict.splits is not None:
        yield words["splits"].format(seen=verdict.splits.seen, of=verdict.splits.of)
    yield from margin_lines(verdict, lang)


def tail_lines(verdict: Verdict, facts: VerdictFacts, lang: Lang) -> Iterator[str]:
    words, results = LANGUAGES[lang], verdict.results
    yield from bundle_lines(facts, lang)
    yield from note_lines(verdict, lang)
    for factor, reason in results.inert.items():
        yield words["inert"].format(factor=translate(factor, lang), reason=translate(reason, lang))
    yield from failure_lines(facts, lang)
    yield from (ladder_words(ladder, lang) for ladder in facts["ladders"])
    yield from (ensemble_words(ensemble, lang) for ensemble in facts["ensembles"])
    yield from loss_lines(verdict, lang)
    yield from interaction_lines(verdict, lang)
    yield from against_lines(verdict, facts, lang)
    missing = {status: len(runs) for status, runs in results.missing().items() if runs}
    if verdict.failures:
        missing.pop("diverged", None)  # they count
    if missing:
        yield words["missing"].format(
            missing=words["list comma"].join(
                words["of state"].format(count=count, state=name_state(name, lang))
                for name, count in missing.items()
            )
        )
    if results.holds_at:
        yield words["holds at"].format(levels=format_levels(results.holds_at))
    for warning in verdict.warnings:
        text = describe(warning, lang)
        yield words["warning"].format(what=text.what, advice=text.advice)
    yield from (translate(note, lang) for note in results.notes)


def note_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    """What a reader must know of single effects, each note once."""
    words = LANGUAGES[lang]
    noted: dict[str, list[str]] = {}
    for effect in verdict.analysis.effects:
        for note in effect.notes:
            noted.setdefault(note, []).append(
                f"{effect.comparison.factor} = {format_level(effect.comparison.level)}"
            )
    for note, levels in noted.items():
        yield words["note"].format(levels=words["list comma"].join(levels), note=translate(note, lang))


def loss_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    """Log loss and Brier score of the levels whose plain interval leaves out zero."""
    words = LANGUAGES[lang]
    for loss, effects in verdict.calibration.items():
        levels = [
            f"{effect.comparison.factor} = {format_level(effect.comparison.level)} {effect.estimate:+.4f}"
            + words["in brackets"].format(
                text=words["interval"].format(
                    low=f"{effect.plain.low:+.4f}", high=f"{effect.plain.high:+.4f}"
                )
            )
            for effect in effects
            if effect.plain.low > 0 or effect.plain.high < 0
        ]
        if levels:
            yield words["losses"].format(
                name=words[loss.replace("_", " ")], levels=words["comma"].join(levels)
            )


def interaction_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words = LANGUAGES[lang]
    all_ = verdict.analysis.interactions
    found = mattering(all_)
    if verdict.waiting is not None:
        return
    if found:
        yield words["interactions"]
        yield from (f"  {line}" for one in found for line in conditional_lines(one, lang))
    elif all_:
        yield words["no interactions"]
    still_open = sum(one.effect.decision is not None and one.effect.decision.kind == "open" for one in all_)
    if still_open:
        yield words["open interactions"].format(open=still_open, all=len(all_))


def conditional_lines(one: Interaction, lang: Lang) -> Iterator[str]:
    """The effect of either factor at both levels of the other."""
    for first, second in (one.conditional[:2], one.conditional[2:]):
        assert first.contrast.given is not None and second.contrast.given is not None
        compared = first.comparison
        other, at = first.contrast.given
        _, to = second.contrast.given
        yield LANGUAGES[lang]["given"].format(
            factor=compared.factor,
            level=format_level(compared.level),
            other=other,
            at=format_level(at),
            to=format_level(to),
            one=format_points(first.estimate),
            two=format_points(second.estimate),
        )


def best_lines(verdict: Verdict, facts: VerdictFacts, lang: Lang) -> Iterator[str]:
    """What to use, how sure that is, what it costs, and what else could be used."""
    words = LANGUAGES[lang]
    if told := headline(facts, lang):
        yield told
    if verdict.best is None or verdict.recommended is None:
        return
    yield from (f"  {sentence}" for sentence in reasons(facts, lang))
    at_baseline = score_and_seconds(verdict, verdict.results.baseline, lang)
    said = score_and_seconds(verdict, verdict.recommended, lang)
    key = "kept on test" if verdict.recommended == verdict.results.baseline else "on test"
    yield "  " + words[key].format(baseline=at_baseline["score"] + at_baseline["seconds"], **said)
    members = verdict.best.members
    rows = sorted(verdict.results.recipes[index].rows[0] for index in members)
    split = words[verdict.chosen_on]
    yield "  " + words["best set"].format(
        count=len(members), split=split, rows=words["list comma"].join(map(str, rows))
    )
    if len(facts["frontier"]) > 1:
        yield words["frontier"].format(split=split)
        for recipe in facts["frontier"]:
            seconds = format_seconds(recipe["seconds"], verdict, lang)
            gain, levels = format_signed(recipe["gain"]), moved_words(recipe["levels"], facts, lang)
            yield words["frontier item"].format(seconds=seconds, gain=gain, levels=levels)


def against_lines(verdict: Verdict, facts: VerdictFacts, lang: Lang) -> Iterator[str]:
    """The recipes that are shown to differ from the baseline: better ones first, then the worst."""
    words, against = LANGUAGES[lang], verdict.against_baseline
    if not against.compared or verdict.waiting is not None:
        return
    if not (better := against.better) and not against.worse:
        yield words["recipes alike"].format(count=against.compared)
        return
    shown = (*better, *against.worse)
    yield words["recipes differ"].format(count=against.compared, better=len(better), worse=len(against.worse))
    for index in shown[:MOST_AGAINST]:
        difference = against.differences[index]
        assert difference is not None  # the baseline does not differ from itself
        yield "  " + words["recipe differs"].format(
            effect=format_points(difference.estimate),
            interval=format_interval(difference.simultaneous, lang),
            levels=moved_words(verdict.results.recipes[index].levels, facts, lang),
            row=verdict.results.recipes[index].rows[0],
        )
    if len(shown) > MOST_AGAINST:
        yield "  " + words["more recipes differ"].format(count=len(shown) - MOST_AGAINST)


def score_and_seconds(verdict: Verdict, index: int, lang: Lang) -> dict[str, str]:
    words = LANGUAGES[lang]
    mean, around = verdict.scores[index]
    digits = verdict.results.scale.digits
    ends = words["interval"].format(low=f"{around.low:.{digits}f}", high=f"{around.high:.{digits}f}")
    if around.is_known and around.high - around.low > verdict.results.scale.widest:
        ends = words["too wide"].format(interval=ends)
    score = f"{mean:.{digits}f}" + (words["in brackets"].format(text=ends) if around.is_known else "")
    seconds = json_number(float(verdict.results.run_seconds[index]))
    if seconds is None:
        return {"score": score, "seconds": ""}
    return {"score": score, "seconds": words["comma"] + format_seconds(seconds, verdict, lang)}


def format_seconds(seconds: float | None, verdict: Verdict, lang: Lang) -> str:
    """What a run, or an epoch, takes."""
    if seconds is None:
        return "?"
    per_epoch = verdict.results.seconds_per == "epoch"
    digits = seconds_digits(seconds)
    each = LANGUAGES[lang]["each epoch"].format(seconds=f"{seconds:.{digits}f}")
    return each if per_epoch else format_duration(seconds, lang)


def margin_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    """What is too small to matter, and what is too small to be shown."""
    least = [verdict.smallest_margin(effect) for effect in verdict.analysis.effects]
    known = sorted(value for value in least if np.isfinite(value))
    if known:
        ends = {"least": f"{known[0]:.2f}", "most": f"{known[-1]:.2f}"}
        key = "margin" if ends["least"] != ends["most"] else "margin one"
        yield LANGUAGES[lang][key].format(margin=verdict.margin, **ends)


def format_levels(levels: Levels) -> str:
    return ", ".join(f"{name} = {format_level(level)}" for name, level in levels.items())
