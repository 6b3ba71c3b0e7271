"""What the card of a kept model says of the study that it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from finegrid.errors import InputError
from finegrid.facts.decision_words import factor_words
from finegrid.facts.recommendation_words import format_signed
from finegrid.facts.verdict import RecipeFacts, VerdictFacts
from finegrid.metrics import TOLERANCE
from finegrid.recipe.recipe import Recipe
from finegrid.report.chart.style import level_name
from finegrid.report.markdown import escape_text, table
from finegrid.results.load import load_results
from finegrid.spelling import count_noun
from finegrid.study.study import Study
from finegrid.verdict import interim
from finegrid.verdict.to_json import as_json, recipe_json
from finegrid.verdict.verdict import Verdict

NOTHING = (
    "No run of the study had finished when this model was kept: nothing is known of how its recipe compares "
    "with others, nor of how far its scores would move with another seed."
)


def study_blocks(
    study: Study, recipe: Recipe, margin: float | None = None, tolerance: float = TOLERANCE
) -> str:
    """Markdown: the recipe's score over seeds, what was tried and dropped, and what a reader must know.

    Args:
        study: the study, as its ledger is now.
        recipe: of the model.
        margin: points; smaller differences are none. None: as the verdict chooses it.
        tolerance: points that a recommended recipe may lose against the baseline.
    """
    if not any(record.done for record in study.ledger):
        return NOTHING
    try:
        results = load_results(study)
        if not any(results.finished()):
            return NOTHING
        verdict = interim.with_interim_decisions(results, margin, tolerance)
    except InputError as error:
        return f"The study has no verdict: {escape_text(error.problems[0].what)}"
    facts = as_json(verdict)
    blocks = [*score_blocks(verdict, facts, study, recipe), *tried_blocks(facts), *warning_blocks(facts)]
    return "\n\n".join(blocks)


def score_blocks(verdict: Verdict, facts: VerdictFacts, study: Study, recipe: Recipe) -> Iterator[str]:
    """The recipe's mean over seeds, and the baseline's."""
    results = verdict.results
    rows = {row.index for row in study.rows if row.recipe == recipe}
    found = next((i for i, one in enumerate(results.recipes) if rows & set(one.rows)), None)
    yield f"Over the seeds of the study, {escape_text(facts['score'])} on test, in points of 100:"
    lines = []
    if found is not None:
        lines.append(score_line("this recipe", recipe_json(verdict, found), seeds_of(verdict, found)))
    else:
        lines.append("- This recipe is no row of the study's table: no other seed of it has been trained.")
    if (base := results.baseline) != found:
        lines.append(score_line("the baseline", recipe_json(verdict, base), seeds_of(verdict, base)))
    yield "\n".join(lines)


def seeds_of(verdict: Verdict, index: int) -> int:
    """How many seeds a recipe has finished runs with."""
    one = verdict.results.recipes[index]
    return sum(one.done(seed) is not None for seed in verdict.results.seeds)


def score_line(name: str, one: RecipeFacts, seeds: int) -> str:
    if one["test"] is None or not seeds:
        return f"- {name}: no run has finished."
    if seeds == 1:
        return f"- {name}: {one['test']:.2f}, from one run; its luck is not known."
    low, high = one["test_interval"]
    sure = "" if low is None or high is None else f" (95 % interval {low:.2f} to {high:.2f})"
    return f"- {name}: {one['test']:.2f}{sure}, mean of {seeds} seeds."


def tried_blocks(facts: VerdictFacts) -> Iterator[str]:
    """Every strategy with its effect and the words of its verdict."""
    if not facts["factors"]:
        return
    yield "## What was tried, and what was dropped"
    yield (
        "Each line compares two levels of one setting over all recipes of the study, with "
        f"{count_noun(facts['seeds'], 'seed')}. "
        f"Differences below {facts['margin']:g} points count as none."
    )
    rows = []
    for one in facts["factors"]:
        low, high = one["low"], one["high"]
        between = "not known" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
        first, second = (level_name(one["factor"], level) for level in one["levels"])
        name = f"{second}, not {first.partition(' = ')[2]}"
        effect = format_signed(one["effect"]) if one["effect"] is not None else ""
        rows.append([escape_text(name), effect, between, escape_text(factor_words(one, facts, "en"))])
    yield table(["strategy", "effect", "95 % interval", "verdict"], [False, True, True, False], rows)


def warning_blocks(facts: VerdictFacts) -> Iterator[str]:
    """What a reader of the verdict must know beyond that; without advice, which names the user's folders."""
    if not facts["warnings"]:
        return
    yield "What limits these words:"
    yield "\n".join(f"- {escape_text(one['what'])}" for one in facts["warnings"])
