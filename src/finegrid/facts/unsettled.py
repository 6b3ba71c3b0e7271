"""A report of a study whose runs are not all there: its numbers, without words of decision.

Whoever looks again and again as runs come in sees every effect above zero at some moment. Words are for a
study that is complete, or for the looks that were planned beforehand (`verdict.interim`).
"""

from __future__ import annotations

from typing import Any

from finegrid.facts.report import Facts
from finegrid.facts.verdict import DecisionFacts, FreeVerdictFacts

OPEN: DecisionFacts = {"kind": "open", "measurable": False, "for_speed": False, "aliased": False}
NO_ROLE: dict[str, Any] = {"recommended": False, "in_best_set": False, "on_frontier": False}


def is_unsettled(facts: Facts) -> bool:
    """Whether planned runs are still to come, and no look was planned."""
    return facts["kind"] == "study" and facts["state"]["runs"]["left"] > 0 and not facts["state"]["looks"]


def without_words(facts: Facts) -> Facts:
    """The same facts where all is settled; else those in which nothing is decided and nothing recommended."""
    if not is_unsettled(facts):
        return facts
    verdict = facts["verdict"]
    commands = {name: line for name, line in facts["commands"].items() if name not in ("fit", "confirm")}
    return {  # type: ignore[return-value]
        **facts,
        "verdict": {
            **verdict,
            "factors": [undecided(one, needs=None, conditions=[]) for one in verdict["factors"]],
            "interactions": [undecided(one, matters=False) for one in verdict["interactions"]],
            "free": free_without_words(verdict["free"]),
            "best": None,
            "frontier": [],
            "ladders": [],
        },
        "recipes": [{**one, **NO_ROLE} for one in facts["recipes"]],
        "commands": commands,
    }


def undecided(one: Any, **changes: Any) -> Any:
    return {**one, "decision": OPEN, **changes}


def free_without_words(free: FreeVerdictFacts | None) -> FreeVerdictFacts | None:
    if free is None:
        return None
    levels = [undecided(one, needs=None) if one["decision"] else one for one in free["levels"]]
    return {**free, "levels": levels}
