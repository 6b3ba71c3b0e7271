"""A report of a study whose runs are not all there: its numbers, without words of decision.

Whoever looks again and again as runs come in sees every effect above zero at some moment. Words are for a
study that is complete, or for the looks that were planned beforehand (`verdict.interim`).
"""

from __future__ import annotations

from typing import Any

from finegrid.facts.report import Facts, ReportRecipe
from finegrid.facts.verdict import DecisionFacts, FreeVerdictFacts

OPEN: DecisionFacts = {"kind": "open", "measurable": False, "for_speed": False, "aliased": False}


def is_unsettled(facts: Facts) -> bool:
    """Whether planned runs are still to come, and no look was planned."""
    return facts["kind"] == "study" and facts["state"]["runs"]["left"] > 0 and not facts["state"]["looks"]


def without_words(facts: Facts) -> Facts:
    """The same facts where all is settled; else those in which nothing is decided and nothing recommended."""
    if not is_unsettled(facts):
        return facts
    verdict = facts["verdict"].copy()
    verdict["factors"] = [undecided(one, needs=None, conditions=[]) for one in verdict["factors"]]
    verdict["interactions"] = [undecided(one, matters=False) for one in verdict["interactions"]]
    verdict["free"] = free_without_words(verdict["free"])
    verdict["best"] = None
    verdict["frontier"] = []
    verdict["ladders"] = []
    commands = facts["commands"].copy()
    commands.pop("fit", None)
    commands.pop("confirm", None)
    return {
        **facts,
        "verdict": verdict,
        "recipes": [without_role(one) for one in facts["recipes"]],
        "commands": commands,
    }


def without_role(recipe: ReportRecipe) -> ReportRecipe:
    return {**recipe, "recommended": False, "in_best_set": False, "on_frontier": False}


def undecided(one: Any, **changes: Any) -> Any:
    return {**one, "decision": OPEN, **changes}


def free_without_words(free: FreeVerdictFacts | None) -> FreeVerdictFacts | None:
    if free is None:
        return None
    levels = [undecided(one, needs=None) if one["decision"] else one for one in free["levels"]]
    return {**free, "levels": levels}
