"""What to use, in words: the same sentences on the terminal, in Markdown and on the page."""

from __future__ import annotations

from finegrid.facts.decision_words import decision_of, decision_words, epochs_words
from finegrid.facts.verdict import (
    AgainstFacts,
    AlternativeFacts,
    BestFacts,
    ExpectedFacts,
    LocalFacts,
    RecipeFacts,
    VerdictFacts,
)
from finegrid.recipe.identity import Levels
from finegrid.spelling import Lang, format_duration, format_level
from finegrid.words import SHARED

ENGLISH = {
    "missing runs": "nothing is decided yet: {left} of {runs} runs are missing",
    "use recipe": "use: {levels} (row {row})",
    "use recipe at": "use at {epochs}: {levels} (row {row})",
    "keep": "keep what you have: the baseline (row {row})",
    "speed": "But at {epochs} the baseline was still rising, so this may be speed and not quality. "
    "Before you rely on it, add to [factors]: {factors}.",
    "expected": "Expected on {split}: {gain} points against the baseline ({interval} with a probability of "
    "95 %). The chance that it loses more than {tolerance:g} points is {chance}.",
    "none better": "No recipe is expected to be better.",
    "tempting": "Most is expected of {levels} (row {row}): {gain} points on {split} ({interval}). But the "
    "chance that it loses more than {tolerance:g} points is {chance}.",
    "not whole": "With so many recipes, interactions of three and more strategies were not looked at.",
    "unknown": "Nothing tells yet how far two runs of one recipe differ. A second seed would.",
    "chosen": "Its score on test is not corrected for the choice: dev and test share the luck of a run, so "
    "it is rather too high. `finegrid confirm` measures it on fresh seeds.",
    "chosen by splits": "Chosen by each split's own dev and scored on its own test texts, a recipe has "
    "{score}. Scores of single recipes on test are of texts that took part in the choice, as dev texts of "
    "other splits.",
    "chosen on test": "It was chosen on test, so its own score there is too high.",
    "cheaper": "Cheaper: {levels} (row {row}) saves {time} ({share}). The chance that it loses more than "
    "{tolerance:g} points against what is recommended is {chance}; expected: {gain}.",
    "against its word": '{factor} = {level}: "{word}" is said of the mean over all recipes ({effect}). '
    "In the recommended recipe it is worth {local} ({interval}), by the scores on test.",
    "against its word unknown": '{factor} = {level}: "{word}" is said of the mean over all recipes '
    "({effect}), not of the recommended recipe.",
}
CHINESE = {
    "missing runs": "尚不能下结论：{runs} 次运行中还缺 {left} 次",
    "use recipe": "建议使用：{levels}（第 {row} 行）",
    "use recipe at": "建议在训练 {epochs}时使用：{levels}（第 {row} 行）",
    "keep": "保持现状：使用基线（第 {row} 行）",
    "speed": "但训练 {epochs}时基线仍在上升，因此可能只是学得快，而不是学得好。"
    "请先在 [factors] 中加入：{factors}。",
    "expected": "在{split}上预计与基线相差 {gain} 个点（有 95 % 的概率在 {interval} 之间）；"
    "比基线低 {tolerance:g} 个点以上的概率为 {chance}。",
    "none better": "没有哪个配方预计会更好。",
    "tempting": "预期最高的是 {levels}（第 {row} 行）：{split}上 {gain} 个点（{interval}），"
    "但它比基线低 {tolerance:g} 个点以上的概率为 {chance}。",
    "not whole": "配方太多，没有考虑三项及以上策略之间的交互作用。",
    "unknown": "目前还不知道同一配方的两次运行会相差多少；再加一个种子即可知道。",
    "chosen": "其测试得分没有针对挑选作校正：同一次运行的运气同时影响验证集和测试集，因此偏高。"
    "`finegrid confirm` 会用新的种子重新测量。",
    "chosen by splits": "每套划分按自己的验证集选配方、在自己的测试集上计分，得 {score}。"
    "单个配方的测试得分所用的文本，在其他划分中属于验证集，参与过选择。",
    "chosen on test": "它是在测试集上选出的，因此其测试得分偏高。",
    "cheaper": "更省时：{levels}（第 {row} 行），可省 {time}（{share}）。"
    "比推荐配方低 {tolerance:g} 个点以上的概率为 {chance}，预计相差 {gain} 个点。",
    "against its word": "{factor} = {level}：“{word}”说的是所有配方的平均（{effect}）。"
    "按测试得分，它在推荐配方中的作用为 {local}（{interval}）。",
    "against its word unknown": "{factor} = {level}：“{word}”说的是所有配方的平均（{effect}），"
    "并非针对推荐配方。",
}
WORDS: dict[Lang, dict[str, str]] = {"en": SHARED["en"] | ENGLISH, "zh": SHARED["zh"] | CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


def headline(verdict: VerdictFacts, lang: Lang) -> str:
    """What to use, and its row of the table; or how many runs are missing; empty where none has finished."""
    best, waiting = verdict["best"], verdict["waiting"]
    if waiting is not None:
        return WORDS[lang]["missing runs"].format(**waiting)
    if best is None:
        return ""
    short = verdict["undertrained"]
    key = "keep" if best["keep_baseline"] else "use recipe" if short is None else "use recipe at"
    epochs = "" if short is None else epochs_words(short["epochs"], WORDS[lang])
    return WORDS[lang][key].format(**name_recipe(best["recommended"], verdict, lang), epochs=epochs)


def speed_or_quality(verdict: VerdictFacts, lang: Lang) -> str:
    """That the baseline was still rising, and what would tell; empty where it had levelled out."""
    short = verdict["undertrained"]
    if short is None:
        return ""
    factors = WORDS[lang]["comma"].join(f"`{factor}`" for factor in short["factors"][-1:])
    return WORDS[lang]["speed"].format(epochs=epochs_words(short["epochs"], WORDS[lang]), factors=factors)


def reasons(verdict: VerdictFacts, lang: Lang) -> list[str]:
    """How sure that is, and what else could be used: sentences."""
    best = verdict["best"]
    if best is None:
        return []
    found = [why(verdict, lang), *filter(None, [speed_or_quality(verdict, lang)])]
    if not best["whole"]:
        found.append(WORDS[lang]["not whole"])
    found += _say_chosen(best, verdict, lang)
    if best["cheaper"] is not None:
        found.append(_say_cheaper(best["cheaper"], best, verdict, lang))
    return [*found, *(_say_against(one, verdict, lang) for one in best["against_words"])]


def _say_chosen(best: BestFacts, verdict: VerdictFacts, lang: Lang) -> list[str]:
    """What the choice does to the score on test."""
    words, splits = WORDS[lang], verdict["splits"]
    if splits is not None and splits["choice"] is not None:
        low, high = splits["choice_interval"]
        ends = "" if low is None else words["interval"].format(low=f"{low:.2f}", high=f"{high:.2f}")
        around = words["in brackets"].format(text=ends) if ends else ""
        return [words["chosen by splits"].format(score=f"{splits['choice']:.2f}{around}")]
    if best["keep_baseline"]:
        return []
    return [words["chosen" if best["chosen_on"] == "dev" else "chosen on test"]]


def why(verdict: VerdictFacts, lang: Lang) -> str:
    """What is expected of the recommended recipe, or of the most tempting one: a sentence or two."""
    best = verdict["best"]
    if best is None:
        return ""
    words, expected, tempting = WORDS[lang], best["expected"], best["tempting"]
    if expected is None:
        return words["unknown"]
    split = words[best["chosen_on"]]
    if not best["keep_baseline"]:
        return words["expected"].format(split=split, **describe_gain(expected, best["tolerance"], lang))
    if tempting is None:
        return words["none better"]
    return words["tempting"].format(
        split=split,
        **name_recipe(tempting["recipe"], verdict, lang),
        **describe_gain(tempting["expected"], best["tolerance"], lang),
    )


def _say_cheaper(cheaper: AlternativeFacts, best: BestFacts, verdict: VerdictFacts, lang: Lang) -> str:
    saved, whole = cheaper["seconds_saved"] or 0.0, best["recommended"]["seconds"] or 1.0
    return WORDS[lang]["cheaper"].format(
        time=format_duration(saved, lang),
        share=f"{100 * saved / whole:.0f} %",
        **name_recipe(cheaper["recipe"], verdict, lang),
        **describe_gain(cheaper["expected"], best["tolerance"], lang),
    )


def _say_against(one: AgainstFacts, verdict: VerdictFacts, lang: Lang) -> str:
    words, local = WORDS[lang], one["at_recommended"]
    said = {
        "factor": one["factor"],
        "level": format_level(one["level"]),
        "word": decision_words(decision_of(one["decision"]), verdict["margin"], lang),
        "effect": format_signed(one["effect"]),
    }
    if local is None:
        return words["against its word unknown"].format(**said)
    effect, interval = format_signed(local["effect"]), between(local, lang)
    return words["against its word"].format(local=effect, interval=interval, **said)


def name_recipe(recipe: RecipeFacts, verdict: VerdictFacts, lang: Lang) -> dict[str, object]:
    """A recipe by what it has that the baseline has not, and by its first row."""
    return {"levels": moved_words(recipe["levels"], verdict, lang), "row": recipe["rows"][0]}


def moved_words(levels: Levels, verdict: VerdictFacts, lang: Lang) -> str:
    """``reinit.layers = 6, freeze.layers = 6``; of the baseline, that it is the baseline."""
    best, words = verdict["best"], WORDS[lang]
    baseline = best["baseline"]["levels"] if best else {}
    first = {factor["factor"]: factor["levels"][0] for factor in verdict["factors"]} | baseline
    moved = [
        f"{name} = {format_level(level)}" for name, level in levels.items() if level != first.get(name, level)
    ]
    return words["comma"].join(moved) or words["the baseline"]


def describe_gain(expected: ExpectedFacts, tolerance: float, lang: Lang) -> dict[str, object]:
    return {
        "gain": format_signed(expected["gain"]),
        "interval": between(expected, lang),
        "chance": format_chance(expected["chance_worse"]),
        "tolerance": tolerance,
    }


def between(ends: ExpectedFacts | LocalFacts, lang: Lang) -> str:
    low, high = format_signed(ends["low"]), format_signed(ends["high"])
    return WORDS[lang]["interval"].format(low=low, high=high)


def format_signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.2f}"


def format_chance(chance: float) -> str:
    """In whole percent, never 0 or 100."""
    if chance < 0.005:
        return "< 1 %"
    return "> 99 %" if chance > 0.995 else f"{100 * chance:.0f} %"
