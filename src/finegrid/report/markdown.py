"""The tables of a report as Markdown, for papers and issues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finegrid.data.markdown import escape_line
from finegrid.facts.comparison import LossFacts
from finegrid.facts.decision_words import bundle_lines, ensemble_words, factor_words, ladder_words
from finegrid.facts.failure_words import failure_lines
from finegrid.facts.free_words import (
    free_cost,
    free_cost_head,
    free_decision,
    free_lead,
    free_loss,
    free_title,
)
from finegrid.facts.recommendation_words import headline, reasons
from finegrid.facts.report import Facts, ReportRecipe
from finegrid.facts.verdict import AgainstBaselineFacts, LocalFacts
from finegrid.in_chinese import translate
from finegrid.report.chart.forest import interval_text, missing, sample
from finegrid.report.chart.style import Look, fit_line, format_signed, level_name, plain, score_label
from finegrid.spelling import Lang, seconds_digits

MOST = 20  # recipes of the best set


def markdown(facts: Facts, lang: Lang = "en") -> str:
    """The verdict with its intervals, the recommended recipe, and the best ones."""
    look = Look(lang, "light", compared=facts["kind"] == "comparison")
    blocks = [
        f"# {escape_text(translate(facts['title'], look.lang) if facts['title'] else facts['name'])}",
        quote_note(facts["note"]),
        "\n".join(intro(facts, look)),
        table(*verdict_table(facts, look)),
        *losses_tables(facts, look),
        "\n".join(remarks(facts, look)),
        *free_blocks(facts, look),
        f"## {look.word('md best')}",
        *best_blocks(facts, look),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape_text(text: str) -> str:
    """The user's words as words: no markup of Markdown or HTML, one line, control characters spelled out."""
    return escape_line(fit_line(text, 400))


def quote_note(note: str | None) -> str:
    """What study.toml says to readers, as a quotation with its line breaks; empty where it says nothing."""
    return "  \n".join(f"> {escape_text(line.strip())}".rstrip() for line in (note or "").splitlines())


def table(heads: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]) -> str:
    """Cells are escaped already. No rows: nothing."""
    if not rows:
        return ""
    marks = ["---:" if to_the_right else "---" for to_the_right in right]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, marks, *rows))


def intro(facts: Facts, look: Look) -> Iterator[str]:
    verdict = facts["verdict"]
    yield look.sentences(
        look.word("md score", score=escape_text(score_label(verdict["score"]))),
        sample(facts, look),
        missing(facts, look),
    )
    if verdict["lower_is_better"]:
        yield escape_text(look.word("lower is better", score=score_label(verdict["score"])))
    if verdict["holds_at"]:
        named = (level_name(name, level) for name, level in verdict["holds_at"].items())
        levels = look.word("list comma").join(named)
        yield look.word("holds", levels=escape_text(levels))


def verdict_table(facts: Facts, look: Look) -> tuple[list[str], list[bool], list[list[str]]]:
    """Every strategy: effect, both intervals, the effect in context, seconds, decision."""
    verdict = facts["verdict"]
    per = "seconds per epoch" if verdict["seconds_per"] == "epoch" else "seconds per run"
    names = [
        "strategy",
        "tip effect_text",
        "tip interval_text",
        "tip adjusted_text",
        *([] if look.compared else ["as recommended", "as baseline", per]),
        "tip decision_text",
    ]
    rows = []
    for one in verdict["factors"]:
        (low, high), spent = one["adjusted"], one["seconds_interval"]
        timed = [] if look.compared else [seconds(one["seconds"], spent, look)]
        local = [] if look.compared else [one["at_recommended"], one["at_baseline"]]
        rows.append(
            [
                escape_text(level_name(one["factor"], one["levels"][1])),
                format_signed(one["effect"]) if one["low"] is not None else "",
                interval_text(one, look),
                "" if low is None or high is None else look.between(low, high),
                *(local_text(there, look) for there in local),
                *timed,
                escape_text(factor_words(one, verdict, look.lang)),
            ]
        )
    right = [name != "strategy" and name != "tip decision_text" for name in names]
    return [look.word(name) for name in names], right, rows


def free_blocks(facts: Facts, look: Look) -> Iterator[str]:
    """Levels that were scored in every run; nothing where there are none."""
    verdict, lang = facts["verdict"], look.lang
    if (free := verdict["free"]) is None:
        return
    yield f"## {escape_text(free_title(lang))}"
    yield escape_text(look.sentences(*free_lead(free, lang)))
    names = ["strategy", "tip effect_text", "tip interval_text", "tip adjusted_text", "log loss", "brier"]
    rows = [
        [
            escape_text(level_name(one["factor"], one["levels"][1])),
            format_signed(one["effect"]) if one["low"] is not None else "",
            look.between(one["low"], one["high"]) if one["decision"] else "",
            look.between(one["adjusted"][0], one["adjusted"][1]) if one["decision"] else "",
            *(escape_text(free_loss(loss, lang)) for loss in (one["log_loss"], one["brier"])),
            escape_text(free_cost(one, lang)),
            escape_text(free_decision(one, verdict, lang)),
        ]
        for one in free["levels"]
    ]
    heads = [*map(look.word, names), free_cost_head(lang), look.word("tip decision_text")]
    yield table(heads, [False, *[True] * 5, False, False], rows)


def local_text(local: LocalFacts | None, look: Look) -> str:
    """What a level does in one recipe; empty where that is not known."""
    if local is None:
        return ""
    around = look.word("in brackets", text=look.between(local["low"], local["high"]))
    return format_signed(local["effect"]) + around


def losses_tables(facts: Facts, look: Look) -> Iterator[str]:
    """Of compared systems whose probabilities are known: how good these are."""
    rows = []
    for one in facts["comparison"]["systems"] if "comparison" in facts else []:
        losses = [loss for loss in (one["log_loss"], one["brier"]) if loss is not None]
        cells = [cell for loss in losses for cell in (f"{loss['mean']:.4f}", loss_difference(loss, look))]
        if cells:
            rows.append([escape_text(one["system"]), *cells])
    names = ["strategy", "log loss", "loss difference", "brier", "loss difference"]
    yield table([look.word(name) for name in names], [False, True, True, True, True], rows)


def loss_difference(loss: LossFacts, look: Look) -> str:
    if loss["difference"] is None or loss["difference_interval"] is None:
        return ""
    low, high = loss["difference_interval"]
    around = look.between(low, high, 4)
    return format_signed(loss["difference"], 4) + look.word("in brackets", text=around)


def seconds(mean: float | None, interval: Sequence[float | None] | None, look: Look) -> str:
    if mean is None:
        return ""
    low, high = interval or (None, None)
    ends = look.between(low, high, seconds_digits(low, high))
    around = "" if low is None or high is None else look.word("in brackets", text=ends)
    return format_signed(mean, seconds_digits(mean)) + around


def remarks(facts: Facts, look: Look) -> Iterator[str]:
    """What must be known of single strategies, and the warnings."""
    verdict = facts["verdict"]
    for line in bundle_lines(verdict, look.lang):
        yield f"- {escape_text(line)}"
    for one in verdict["factors"]:
        told = [translate(note, look.lang) for note in one["notes"]]
        told += [look.word("alias", other=other) for other in one["aliases"]]
        if told:
            name = escape_text(level_name(one["factor"], one["levels"][1]))
            yield f"- {name}{look.word('colon')}{escape_text(look.word('list semi').join(told))}"
    for ladder in verdict["ladders"]:
        yield f"- {escape_text(ladder_words(ladder, look.lang))}"
    for ensemble in verdict["ensembles"]:
        yield f"- {escape_text(ensemble_words(ensemble, look.lang))}"
    for factor, reason in verdict["inert"].items():
        why = escape_text(translate(reason, look.lang))
        yield f"- {look.word('inert', factor=escape_text(factor), reason=why)}"
    for line in failure_lines(verdict, look.lang):
        yield f"- {escape_text(line)}"
    for warning in facts["warnings"]:
        said = warning[look.lang]
        what, advice = escape_text(said["what"]), escape_text(said["advice"])
        yield f"- {look.word('md warning', what=what, advice=advice)}"


def best_blocks(facts: Facts, look: Look) -> Iterator[str]:
    best = facts["verdict"]["best"]
    if best is None:
        yield look.word("md unsettled" if facts["state"]["runs"]["done"] else "md no best")
        return
    if not look.compared:
        answer = [headline(facts["verdict"], look.lang), *reasons(facts["verdict"], look.lang)]
        yield "\n".join(f"- {escape_text(sentence)}" for sentence in answer)
    digits = facts["verdict"]["score_digits"]
    split, count = look.word(best["chosen_on"]), len(best["set"])
    yield look.word("md best set", count=count, split=split, shown=min(count, MOST))
    marks = {tuple(best["recommended"]["rows"]): "recommended", tuple(best["baseline"]["rows"]): "baseline"}
    recipes = {tuple(one["rows"]): one for one in facts["recipes"]}
    against = {tuple(one["rows"]): one for one in facts["verdict"]["against_baseline"]}
    chosen = list(dict.fromkeys([*(tuple(one["rows"]) for one in best["set"][:MOST]), *marks]))
    rows = []
    for numbers in chosen:
        one = recipes[numbers]
        low, high = one["test_interval"]
        known = low is not None
        rows.append(
            [
                look.rows(numbers),
                escape_text(look.levels(one["moved"])),
                plain(one["test"], digits) if known else "",
                look.between(low, high, digits, sign=False),
                *([] if look.compared else recipe_cells(one, against.get(numbers), look)),
                look.word(marks[numbers]) if numbers in marks else "",
            ]
        )
    per = "seconds per epoch" if facts["verdict"]["seconds_per"] == "epoch" else "seconds per run"
    heads = [
        "head rows",
        "tip recipe",
        "tip test_text",
        "tip interval_text",
        *([] if look.compared else ["against", "together", per]),
    ]
    right = [name != "tip recipe" for name in heads]
    yield table([*map(look.word, heads), ""], [*right, False], rows)


def recipe_cells(one: ReportRecipe, against: AgainstBaselineFacts | None, look: Look) -> list[str]:
    """What a recipe is worth against the baseline, and what it takes."""
    return [*against_cells(against, look), plain(one["seconds"], seconds_digits(one["seconds"]))]


def against_cells(one: AgainstBaselineFacts | None, look: Look) -> list[str]:
    """What a recipe is worth against the baseline, and the interval that holds with all others."""
    if one is None or None in one["adjusted"]:
        return ["", ""]
    low, high = one["adjusted"]
    return [format_signed(one["effect"]), look.between(low, high)]
