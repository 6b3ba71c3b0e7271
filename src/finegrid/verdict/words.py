"""A verdict in words, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from finegrid.errors import visible
from finegrid.facts.decision_words import factor_words
from finegrid.recipe.identity import Levels
from finegrid.spelling import Lang, format_duration, format_level
from finegrid.statistics.decide import Interval
from finegrid.statistics.effects import Interaction
from finegrid.verdict.diagnose_words import describe
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, mattering
from finegrid.words import SHARED

WIDTH = 160  # where the output is no terminal

ENGLISH = {
    "title": "{score} on test, {recipes} distinct recipes x {seeds} seeds, {texts} texts; effects in points",
    "title without texts": "{score}, {recipes} distinct recipes; effects in points, for these texts alone",
    "noise": "a run's own luck: {sd:.2f} points ({method})",
    "splits": "every seed has a split of its own of the texts ({seen} of {of}): intervals cover the training "
    "sample, too",
    "choice": "chosen by each split's own dev, scored on its own test texts: {score}. The score above is of "
    "texts that took part in the choice, as dev texts of other splits",
    "losses": "{name}, lower is better, decides nothing: {levels}",
    "log_loss": "log loss",
    "brier": "Brier score",
    "each epoch": "{seconds:.1f} s per epoch",
    "interactions": "strategies that depend on each other:",
    "given": "{factor} = {level}: {one} with {other} = {at}, {two} with {other} = {to}",
    "no interactions": "no two strategies are shown to depend on each other",
    "open interactions": "{open} of {all} interactions are open: what a strategy is worth may depend on "
    "another",
    "recommended recipe": "recommended: {levels} (row {row}), {score}{seconds}",
    "the baseline itself": "the baseline itself",
    "best set": "the cheapest of {count} recipes that cannot be told from the best on {split}: rows {rows}",
    "eligible": "the cheapest of {some} that no verdict on {split} speaks against, of {count} recipes that "
    "cannot be told from the best there: rows {rows}",
    "frontier": "score against seconds, the best for its time:",
    "holds at": "all this holds at {levels}",
    "missing": "left out: {missing}",
    "warning": "warning: {what}. {advice}",
    "note": "{levels}: {note}",
}
CHINESE = {
    "title": "测试集 {score}，{recipes} 个不同配方 x {seeds} 个种子，{texts} 条文本；效应以分计",
    "title without texts": "{score}，{recipes} 个不同配方；效应以分计，仅对这些测试文本成立",
    "noise": "单次运行的随机波动：{sd:.2f} 分（{method}）",
    "splits": "每个种子各有一套数据划分（{of} 套中的 {seen} 套）：区间也涵盖训练样本的随机性",
    "choice": "每套划分按自己的开发集选配方、在自己的测试集上计分：{score}。上面那个得分所用的测试文本，"
    "在其他划分中属于开发集，参与过选择",
    "losses": "{name}（越低越好，不参与判断）：{levels}",
    "log_loss": "对数损失",
    "brier": "Brier 分数",
    "each epoch": "每轮 {seconds:.1f} 秒",
    "interactions": "相互依赖的策略：",
    "given": "{factor} = {level}：{other} = {at} 时 {one}，{other} = {to} 时 {two}",
    "no interactions": "没有发现相互依赖的策略",
    "open interactions": "{all} 个交互作用中有 {open} 个尚不能判断：一项策略的价值可能随另一项而变",
    "recommended recipe": "推荐：{levels}（第 {row} 行），{score}{seconds}",
    "the baseline itself": "即基线",
    "best set": "在{split}上与最佳配方无法区分的 {count} 个配方中最省时的一个：第 {rows} 行",
    "eligible": "在{split}上与最佳配方无法区分的 {count} 个配方中，有 {some} 个不违背该处的任何结论，"
    "其中最省时的一个：第 {rows} 行",
    "frontier": "得分与时间的前沿：",
    "holds at": "以上结论的前提：{levels}",
    "missing": "未计入：{missing}",
    "warning": "警告：{what}。{advice}",
    "note": "{levels}：{note}",
}
LANGUAGES: dict[Lang, dict[str, str]] = {
    "en": SHARED["en"] | ENGLISH,
    "zh": SHARED["zh"] | CHINESE,
}
assert ENGLISH.keys() == CHINESE.keys()


def print_verdict(verdict: Verdict, lang: Lang) -> None:
    """To stdout: a table of the strategies, then what else there is to say."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(width=WIDTH, highlight=False, soft_wrap=True)
    for line in head_lines(verdict, lang):
        console.print(Text(visible(line)))
    console.print(strategies(verdict, lang))
    for line in tail_lines(verdict, lang):
        console.print(Text(visible(line)))


def head_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words, analysis = LANGUAGES[lang], verdict.analysis
    title = words["title" if analysis.texts else "title without texts"]
    yield title.format(
        score=verdict.results.score,
        recipes=len(verdict.results.recipes),
        seeds=analysis.seeds,
        texts=f"{analysis.texts:,}",
    )
    if np.isfinite(analysis.run_sd):
        yield words["noise"].format(sd=analysis.run_sd, method=analysis.method)
    if verdict.splits is not None:
        yield words["splits"].format(seen=verdict.splits.seen, of=verdict.splits.of)


def strategies(verdict: Verdict, lang: Lang) -> Table:
    """One row per level of every factor."""
    words = LANGUAGES[lang]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    seconds = f"s per {verdict.results.seconds_per}"
    for name in ("strategy", "effect", "plain", "adjusted", seconds, "memory", "verdict"):
        right = name not in ("strategy", "verdict")
        table.add_column(words[name], justify="right" if right else "left", no_wrap=name != "verdict")
    facts = as_json(verdict)
    for effect, factor in zip(verdict.analysis.effects, facts["factors"], strict=True):
        compared, cost = effect.comparison, verdict.of(effect)
        cells = [
            f"{compared.factor} = {format_level(compared.level)}",
            format_points(effect.estimate),
            format_interval(effect.plain, lang),
            format_interval(effect.adjusted, lang),
            format_change(cost.difference, 1) if cost else "",
            format_mebibytes(verdict.memory(effect)),
            factor_words(factor, facts, lang),
        ]
        table.add_row(*(Text(visible(cell)) for cell in cells))
    return table


def tail_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words, results = LANGUAGES[lang], verdict.results
    yield from note_lines(verdict, lang)
    for factor, reason in results.inert.items():
        yield words["inert"].format(factor=factor, reason=reason)
    yield from loss_lines(verdict, lang)
    yield from interaction_lines(verdict, lang)
    yield from best_lines(verdict, lang)
    missing = {status: len(runs) for status, runs in results.missing().items() if runs}
    if missing:
        yield words["missing"].format(missing=", ".join(f"{count} {name}" for name, count in missing.items()))
    if results.holds_at:
        yield words["holds at"].format(levels=format_levels(results.holds_at))
    for warning in verdict.warnings:
        text = describe(warning, lang)
        yield words["warning"].format(what=text.what, advice=text.advice)
    yield from results.notes


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
        yield words["note"].format(levels=", ".join(levels), note=note)


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
            yield words["losses"].format(name=words[loss], levels=words["comma"].join(levels))


def interaction_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words = LANGUAGES[lang]
    all_ = verdict.analysis.interactions
    found = mattering(all_)
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


def best_lines(verdict: Verdict, lang: Lang) -> Iterator[str]:
    words, results = LANGUAGES[lang], verdict.results
    if verdict.best is None or verdict.recommended is None:
        return
    yield words["recommended recipe"].format(
        levels=moved(verdict, verdict.recommended) or words["the baseline itself"],
        row=results.recipes[verdict.recommended].rows[0],
        **score_and_seconds(verdict, verdict.recommended, lang),
    )
    if verdict.splits is not None and np.isfinite(verdict.splits.choice):
        yield "  " + words["choice"].format(
            score=format_score(verdict.splits.choice, verdict.splits.interval, lang)
        )
    members, eligible = verdict.best.members, verdict.eligible
    rows = sorted(results.recipes[index].rows[0] for index in eligible)
    yield "  " + words["best set" if len(eligible) == len(members) else "eligible"].format(
        some=len(eligible),
        count=len(members),
        split=words[verdict.chosen_on],
        rows=", ".join(map(str, rows)),
    )
    if len(frontier := verdict.frontier()) > 1:
        yield words["frontier"]
        for index in frontier:
            said = score_and_seconds(verdict, index, lang)
            levels = moved(verdict, index) or words["the baseline itself"]
            yield f"  {said['score']}{said['seconds']}: {levels}"


def score_and_seconds(verdict: Verdict, index: int, lang: Lang) -> dict[str, str]:
    words = LANGUAGES[lang]
    score = format_score(*verdict.scores[index], lang)
    seconds = float(verdict.results.run_seconds[index])
    if not np.isfinite(seconds):
        return {"score": score, "seconds": ""}
    per_epoch = verdict.results.seconds_per == "epoch"
    spent = words["each epoch"].format(seconds=seconds) if per_epoch else format_duration(seconds)
    return {"score": score, "seconds": words["comma"] + spent}


def format_score(mean: float, around: Interval, lang: Lang) -> str:
    words = LANGUAGES[lang]
    ends = words["interval"].format(low=f"{around.low:.2f}", high=f"{around.high:.2f}")
    return f"{mean:.2f}" + (words["in brackets"].format(text=ends) if around.is_known else "")


def moved(verdict: Verdict, index: int) -> str:
    """What a recipe has that the baseline has not."""
    factors, levels = verdict.results.factors, verdict.results.recipes[index].levels
    return format_levels({name: level for name, level in levels.items() if level != factors[name][0]})


def format_levels(levels: Levels) -> str:
    return ", ".join(f"{name} = {format_level(level)}" for name, level in levels.items())


def format_points(value: float) -> str:
    return format_change(value, 2)


def format_change(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}" if np.isfinite(value) else "?"


def format_interval(interval: Interval, lang: Lang) -> str:
    ends = {"low": format_points(interval.low), "high": format_points(interval.high)}
    return LANGUAGES[lang]["interval"].format(**ends) if interval.is_known else "?"


def format_mebibytes(value: float) -> str:
    return f"{value / 2**20:+,.0f} MiB" if np.isfinite(value) else ""
