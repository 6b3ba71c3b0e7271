"""The verdict in sentences, and what a report cannot show: from facts to words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from finegrid.report.page import numerals
from finegrid.report.page.bilingual import Both, code, join, same, say, user
from finegrid.report.page.words import ENGLISH
from finegrid.statistics.decide import DO_NOT_USE, FOR_SPEED, INTERACT, MEASURABLE, OPEN, USE

Facts = dict[str, Any]
ROMAN = {3: "III", 4: "IV", 5: "V"}


def decision(verdict: Facts, one: Facts) -> Both:
    """Of a strategy or an interaction: its word and what goes with it."""
    word, *added = one["verdict"].split(", ")
    if is_same(one):
        said = say("no difference", margin=f"{verdict['margin']:g}")
    else:
        said = say(word) if word in (USE, DO_NOT_USE, OPEN, INTERACT) else say("not judged")
    return join([said, *(say(each) for each in added if each in (MEASURABLE, FOR_SPEED))])


def shape(one: Facts) -> str:
    """The class that gives a decision its colour."""
    if is_same(one):
        return "same"
    return {USE: "use", DO_NOT_USE: "avoid", INTERACT: "use"}.get(one["verdict"], "open")


def is_same(one: Facts) -> bool:
    return bool(one["verdict"].startswith("no difference"))


def needs(verdict: Facts, one: Facts) -> Both | None:
    """What would settle an open strategy."""
    if one["verdict"] != OPEN:
        return None
    found = one.get("needs")
    if found is None:
        return None if one["notes"] else say("needs nothing")
    if found["seeds"] and found["texts"]:
        return say("needs both", seeds=found["seeds"], texts=numerals.count(found["texts"]))
    if found["texts"]:
        now = numerals.count(verdict["texts"])
        return say("needs texts", texts=numerals.count(found["texts"]), now=now)
    hours = found["hours"]
    return say(
        "needs seeds",
        more=(found["seeds"] or 0) - verdict["seeds"],
        runs=numerals.count(found["runs"]),
        time=numerals.time(None if hours is None else 3600 * hours),
    )


def verdict_sentences(verdict: Facts) -> Iterator[Both]:
    """What to use, what not, what makes no difference, what is open: every strategy once."""
    every = verdict["factors"]
    yield from (use_sentence("s use", one) for one in every if one["verdict"] == USE)
    yield from (avoid_sentence(verdict, one) for one in every if one["verdict"] == DO_NOT_USE)
    fast = [one for one in every if is_same(one) and FOR_SPEED in one["verdict"]]
    yield from (
        say("s speed", **said_of(one), **saved(verdict, one), margin=f"{verdict['margin']:g}") for one in fast
    )
    if alike := [one for one in every if is_same(one) and one not in fast]:
        yield say("s same", names=listed(alike), margin=f"{verdict['margin']:g}")
    if unclear := [one for one in every if one["verdict"] == OPEN]:
        yield say("s open", names=listed(unclear))
    if verdict["inert"]:
        yield say("s inert", names=join(code(name) for name in verdict["inert"]))
    looked_at = sum(one["effect"] is not None for one in every)  # interactions are a family of their own
    if looked_at > 1:
        yield say("s intervals", count=looked_at)


def use_sentence(key: str, one: Facts, **more: Any) -> Both:
    return say(key, **said_of(one), **more)


def avoid_sentence(verdict: Facts, one: Facts) -> Both:
    """With what it would have saved, where that is sure."""
    spent = one["seconds_interval"]
    if numerals.known(spent) and spent[1] < 0:
        return say("s avoid saves", **said_of(one), **saved(verdict, one))
    return use_sentence("s avoid", one)


def said_of(one: Facts) -> dict[str, Any]:
    return {
        "name": numerals.level(one["factor"], one["levels"][1]),
        "effect": Markup("<b>{}</b>").format(numerals.signed(one["effect"])),
        "interval": numerals.between(one["adjusted"]),
    }


def saved(verdict: Facts, one: Facts) -> dict[str, Both]:
    return {"time": numerals.time(abs(one["seconds"])), "per": say(f"per {verdict['seconds_per']}")}


def listed(several: list[Facts]) -> Both:
    """Each with its effect, if there is one."""
    return join(
        (
            numerals.level(one["factor"], one["levels"][1])
            if one["effect"] is None
            else say("s item", **said_of(one))
            for one in several
        ),
        "list semi",
    )


def notes(verdict: Facts) -> list[Both]:
    """What a reader must know of single effects, each note once."""
    noted: dict[str, list[Markup]] = {}
    for one in verdict["factors"]:
        for note in one["notes"]:
            noted.setdefault(note, []).append(numerals.level(one["factor"], one["levels"][1]))
    return [say("note", names=join(names), note=user(note)) for note, names in noted.items()]


def lacking(facts: Facts) -> list[Both]:
    """What the reader must not look for here, and why. Warnings are told elsewhere."""
    state, told = facts["state"], {warning["kind"] for warning in facts["warnings"]}
    runs, verdict = state["runs"], facts["verdict"]
    found: list[Both] = []
    if facts["kind"] == "imported":
        found.append(say("l imported", source=code(facts["source"] or "")))
        if state["repeats"]:
            found.append(say("l repeats"))
    if runs["left"] and "unfinished" not in told:
        found.append(say("l unfinished", left=runs["left"], planned=runs["planned"]))
    if runs["failed"] + runs["diverged"]:
        found.append(say("l failed", failed=runs["failed"], diverged=runs["diverged"]))
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


def design_limits(state: Facts, verdict: Facts) -> Iterator[Both]:
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
        reached = ROMAN.get(design["resolution"], str(design["resolution"]))
        pairs = [alias for alias in design["aliases"] if alias["measured_with"] and alias["effect"]]
        each = [say("l alias", name=product(one["effect"]), others=others(one)) for one in pairs[:12]]
        more = [same("…")] if len(pairs) > 12 else []
        said = join([*each, *more], "list semi") if pairs else say("l clear")
        yield join([say("l fraction", resolution=reached), said], "space")


def level_of(interaction: Facts, factor: str) -> Any:
    """The level of one of its two factors that is compared with the first."""
    return interaction["levels"][interaction["factors"].index(factor)][1]


def product(effect: list[str]) -> Both:
    return same(Markup(" × ").join(map(code, effect)))


def others(alias: Facts) -> Both:
    return join(product(twin["effect"]) if twin["effect"] else same("1") for twin in alias["measured_with"])


assert {USE, DO_NOT_USE, OPEN, INTERACT, MEASURABLE, FOR_SPEED} <= ENGLISH.keys()
