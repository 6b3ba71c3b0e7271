"""The verdict in sentences, and what a report cannot show: from facts to words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

from finegrid.facts.decision_words import (
    bundle_lines,
    condition_words,
    decision_of,
    decision_words,
    ensemble_words,
    factor_needs,
    failing_of,
    failing_words,
    ladder_words,
)
from finegrid.facts.failure_words import failure_lines
from finegrid.facts.free_words import (
    free_cost,
    free_cost_head,
    free_decision,
    free_lead,
    free_loss,
    free_title,
)
from finegrid.facts.recommendation_words import reasons
from finegrid.facts.report import AliasFacts, Facts, StateFacts
from finegrid.facts.verdict import (
    FactorFacts,
    FreeLevelFacts,
    FreeVerdictFacts,
    InteractionFacts,
    LossEffectFacts,
    SplitsFacts,
    VerdictFacts,
)
from finegrid.report.page import numerals
from finegrid.report.page.bilingual import Both, code, join, same, say, user
from finegrid.report.page.translated import translate
from finegrid.spelling import LANGS
from finegrid.statistics.decide import KINDS
from finegrid.words import SHARED

ROMAN = {3: "III", 4: "IV", 5: "V"}


def decision(verdict: VerdictFacts, one: FactorFacts | InteractionFacts) -> Both:
    """Of a strategy or an interaction, in words."""
    decision = decision_of(one["decision"])
    return Both(*(escape(decision_words(decision, verdict["margin"], lang)) for lang in LANGS))


def strategy_decision(verdict: VerdictFacts, one: FactorFacts) -> Both:
    """Of a strategy; where it depends on another, what holds at either level of that."""
    told = [escape(condition_words(one, verdict["margin"], lang)) for lang in LANGS]
    return Both(*told) if all(told) else decision(verdict, one)


def shape(one: FactorFacts | InteractionFacts) -> str:
    """The class that gives a decision its colour."""
    kind: str = one["decision"]["kind"]
    return "use" if kind == "interact" else kind


def needs(verdict: VerdictFacts, one: FactorFacts) -> Both | None:
    """What would settle an open strategy; nothing of one that depends on another."""
    if condition_words(one, verdict["margin"], "en"):
        return None
    words = [factor_needs(one, verdict, lang) for lang in LANGS]
    return Both(*map(escape, words)) if all(words) else None


def verdict_sentences(verdict: VerdictFacts) -> Iterator[Both]:
    """What to use, what not, what makes no difference, what is open: every strategy once."""
    factors, margin = verdict["factors"], f"{verdict['margin']:g}"
    kinds: dict[str, list[FactorFacts]] = {kind: [] for kind in KINDS}
    depending = [factor for factor in factors if condition_words(factor, verdict["margin"], "en")]
    for factor in factors:
        if factor not in depending:
            kinds[factor["decision"]["kind"]].append(factor)
    yield from (say("s use", **describe(factor)) for factor in kinds["use"])
    yield from (avoid_sentence(verdict, factor) for factor in kinds["avoid"])
    yield from (depending_sentence(verdict, factor) for factor in depending)
    for measurable in (False, True):
        key = "s speed measurable" if measurable else "s speed"
        for factor in with_flags(kinds["same"], for_speed=True, measurable=measurable):
            yield say(key, **describe(factor), **saved(verdict, factor), margin=margin)
    for measurable in (False, True):
        key = "s same measurable" if measurable else "s same"
        if alike := with_flags(kinds["same"], for_speed=False, measurable=measurable):
            yield say(key, names=list_factors(alike), margin=margin)
    if kinds["open"]:
        yield say("s open", names=list_factors(kinds["open"]))
    if verdict["inert"]:
        yield say("s inert", names=join(code(name) for name in verdict["inert"]))
    # Interactions are a family of their own.
    looked_at = sum(factor["effect"] is not None for factor in factors)
    if looked_at > 1:
        yield say("s intervals", count=looked_at)


def recommendation_sentences(verdict: VerdictFacts) -> list[Both]:
    """How sure the recommendation is, what it costs, and what else could be used."""
    english, chinese = (reasons(verdict, lang) for lang in LANGS)
    pairs = zip(english, chinese, strict=True)
    return [Both(*(numerals.ticks(numerals.with_minus(sentence)) for sentence in pair)) for pair in pairs]


def loss_sentences(factors: list[FactorFacts]) -> Iterator[Both]:
    """What levels do to how sure the models are, of those whose interval leaves out zero."""
    for key in ("log_loss", "brier"):
        moved = []
        for factor in factors:
            loss = factor["log_loss" if key == "log_loss" else "brier"]
            if loss is None or loss["low"] is None or loss["high"] is None:
                continue
            if loss["low"] > 0 or loss["high"] < 0:
                named = numerals.level(factor["factor"], factor["levels"][1])
                around = numerals.between([loss["low"], loss["high"]], 4)
                moved.append(
                    say("s item", name=named, effect=numerals.signed(loss["effect"], 4), interval=around)
                )
        if moved:
            yield say(f"s {key}", names=join(moved, "list semi"))


def free_heading() -> Both:
    """Of the section on levels that were scored in every run."""
    return Both(*(escape(free_title(lang).capitalize()) for lang in LANGS))


def free_sentences(free: FreeVerdictFacts) -> Both:
    """What these effects rest on."""
    return Both(
        *(numerals.ticks(SHARED[lang]["between sentences"].join(free_lead(free, lang))) for lang in LANGS)
    )


def free_costs(level: FreeLevelFacts | None = None) -> Both:
    """What a level takes beside the run; without one, the head of the column."""
    words = ((free_cost_head(lang) if level is None else free_cost(level, lang)) for lang in LANGS)
    return Both(*map(escape, words))


def free_words(verdict: VerdictFacts, level: FreeLevelFacts) -> Both:
    """What was decided on a level."""
    return Both(*(escape(free_decision(level, verdict, lang)) for lang in LANGS))


def free_losses(loss: LossEffectFacts | None) -> Both:
    """A change of log loss or Brier score."""
    return Both(*(escape(free_loss(loss, lang)) for lang in LANGS))


def splits_sentences(splits: SplitsFacts | None) -> Iterator[Both]:
    """Of seeds with splits of their own."""
    if splits is None:
        return
    yield say("s splits", seen=str(splits["seen"]), of=str(splits["of"]))


def with_flags(factors: list[FactorFacts], *, for_speed: bool, measurable: bool) -> list[FactorFacts]:
    flags = {"for_speed": for_speed, "measurable": measurable}
    return [factor for factor in factors if flags.items() <= factor["decision"].items()]


def depending_sentence(verdict: VerdictFacts, one: FactorFacts) -> Both:
    """Where it depends on another strategy: what holds at either level of that one, and the mean."""
    words = Both(*(escape(condition_words(one, verdict["margin"], lang)) for lang in LANGS))
    return say("s depends", words=words, **describe(one))


def avoid_sentence(verdict: VerdictFacts, one: FactorFacts) -> Both:
    """With why, if runs fail, or with what it would have saved, where that is sure."""
    if "because" in one["decision"]:
        counts = failing_of(one["decision"]["because"])
        why = Both(*(escape(failing_words(counts, SHARED[lang])) for lang in LANGS))
        return say("s avoid fails", name=describe(one)["name"], why=why)
    low, high = one["seconds_interval"] or (None, None)
    if low is not None and high is not None and high < 0:
        return say("s avoid saves", **describe(one), **saved(verdict, one))
    return say("s avoid", **describe(one))


def describe(one: FactorFacts) -> dict[str, Any]:
    return {
        "name": name_strategy(one),
        "effect": Markup("<b>{}</b>").format(numerals.signed(one["effect"])),
        "interval": numerals.between(one["adjusted"]),
    }


def name_strategy(one: FactorFacts) -> Both:
    """With what the design measures together with it, where something was decided on them all."""
    name = same(numerals.level(one["factor"], one["levels"][1]))
    if not one["decision"]["aliased"]:
        return name
    key = "s with aliases" if one["decision"]["kind"] == "same" else "s or aliases"
    return say(key, name=name, aliases=join(code(alias) for alias in one["aliases"]))


def saved(verdict: VerdictFacts, one: FactorFacts) -> dict[str, Both]:
    return {"time": numerals.time(abs(one["seconds"] or 0.0)), "per": say(f"per {verdict['seconds_per']}")}


def list_factors(several: list[FactorFacts]) -> Both:
    """Each with its effect, if there is one."""
    return join(
        (
            numerals.level(one["factor"], one["levels"][1])
            if one["effect"] is None
            else say("s item", **describe(one))
            for one in several
        ),
        "list semi",
    )


def notes(verdict: VerdictFacts) -> list[Both]:
    """What a reader must know of the splits, of bundles and of single effects, each note once."""
    noted: dict[str, list[Markup]] = {}
    for one in verdict["factors"]:
        for note in one["notes"]:
            noted.setdefault(note, []).append(numerals.level(one["factor"], one["levels"][1]))
    found = [say("note", names=join(names), note=translate(note)) for note, names in noted.items()]
    sets = [
        Both(*map(user, said)) for said in zip(*(bundle_lines(verdict, lang) for lang in LANGS), strict=True)
    ]
    return [*splits_sentences(verdict["splits"]), *sets, *found, *loss_sentences(verdict["factors"])]


def ranking(verdict: VerdictFacts) -> Both | None:
    """Factors by how far their best and worst levels are apart; None where there is little to rank."""
    reach: dict[str, list[float]] = {}
    for one in verdict["factors"]:
        if one["effect"] is not None and one["low"] is not None:
            reach.setdefault(one["factor"], [0.0]).append(one["effect"])
    spans = {name: max(effects) - min(effects) for name, effects in reach.items()}
    if len(spans) < 3:
        return None
    ordered = sorted(spans, key=lambda name: -spans[name])
    named = (say("s span", name=code(name), points=numerals.points(spans[name])) for name in ordered)
    return say("s ranking", names=join(named))


def failures(verdict: VerdictFacts) -> list[Both]:
    """Runs that failed to learn: where, and what is left among the others."""
    each = [failure_lines(verdict, lang) for lang in LANGS]
    return [Both(*map(user, lines)) for lines in zip(*each, strict=True)]


def ladders(verdict: VerdictFacts) -> list[Both]:
    """Of factors with three levels or more: which is best."""
    return [Both(*(user(ladder_words(one, lang)) for lang in LANGS)) for one in verdict["ladders"]]


def ensembles(verdict: VerdictFacts) -> list[Both]:
    """Of recipes with several seeds: what their models score together."""
    return [Both(*(user(ensemble_words(one, lang)) for lang in LANGS)) for one in verdict["ensembles"]]


def lacking(facts: Facts) -> list[Both]:
    """What the reader must not look for here, and why. Warnings are told elsewhere."""
    state, told = facts["state"], {warning["kind"] for warning in facts["warnings"]}
    runs, verdict = state["runs"], facts["verdict"]
    found: list[Both] = []
    if facts["kind"] == "imported":
        found.append(say("l imported", source=code(facts["source"] or "")))
        if state["repeats"]:
            found.append(say("l repeats"))
    if "comparison" in facts:
        return [say("l texts alone")] if facts["comparison"]["covers"] == "texts" else []
    if runs["left"] and "unfinished" not in told and facts["kind"] == "study":
        found.append(say("l unfinished", left=runs["left"], planned=runs["planned"]))
    if runs["failed"]:
        found.append(say("l failed", failed=runs["failed"]))
    if len(state["seeds"]) == 1 and "one-seed" not in told and not state["repeats"]:
        found.append(say("l one seed"))
    if facts["protocol"]["protocol"] == "best-test" and "best-test" not in told:
        found.append(say("l best-test"))
    found += design_limits(state, verdict)
    if facts["why_no_texts"] and facts["kind"] == "study":
        found.append(say("l texts", why=say(f"why {facts['why_no_texts']}")))
    if facts["recipes"] and all(recipe["seconds"] is None for recipe in facts["recipes"]) and runs["done"]:
        found.append(say("l seconds"))
    return found


def design_limits(state: StateFacts, verdict: VerdictFacts) -> Iterator[Both]:
    """Of designs that leave combinations out."""
    design = state["design"]
    if state["undecided_screen"]:
        yield say("l screen")
    elif verdict["screen"]:
        kept, of = verdict["screen"]["survivors"], verdict["screen"]["rows"]
        key = "l screened" if kept else "l screened none"
        yield say(key, survivors=join(map(code, kept)), rows=of)
    if design is None:
        return
    if design["kind"] == "one-at-a-time":
        yield say("l one at a time")
    elif design["aliases"] or (design["resolution"] and design["kind"] == "fractional"):
        reached = ROMAN.get(design["resolution"] or 0, str(design["resolution"]))
        pairs = [alias for alias in design["aliases"] if alias["measured_with"] and alias["effect"]]
        each = [say("l alias", name=product(one["effect"]), others=others(one)) for one in pairs[:12]]
        more = [same("…")] if len(pairs) > 12 else []
        said = join([*each, *more], "list semi") if pairs else say("l clear")
        yield join([say("l fraction", resolution=reached), said], "between sentences")


def level_of(interaction: InteractionFacts, factor: str) -> Any:
    """The level of one of its two factors that is compared with the first."""
    return interaction["levels"][interaction["factors"].index(factor)][1]


def product(effect: list[str]) -> Both:
    return same(Markup(" × ").join(map(code, effect)))


def others(alias: AliasFacts) -> Both:
    return join(product(twin["effect"]) if twin["effect"] else same("1") for twin in alias["measured_with"])
