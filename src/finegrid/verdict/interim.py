"""Adding seeds until every strategy has its verdict, with interim analyses that are planned beforehand.

Who looks at the results and adds seeds until something shows, finds more than there is. Here study.toml
says, before the first interim analysis, after how many seeds the study is analysed. Each analysis decides at
its share of the 5 %, and what it has decided stays decided (after Pocock, Biometrika 64, 1977; with
Bonferroni's shares, which need not know how the analyses depend on each other). To users, an interim analysis
is a look: ``looks.jsonl`` holds one line for each.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from finegrid.errors import InputError, input_error
from finegrid.facts.decision_words import RecordedDecision, as_recorded, from_recorded
from finegrid.metrics import TOLERANCE
from finegrid.recipe.recipe import Recipe
from finegrid.refusals import saving
from finegrid.results.load import load_results
from finegrid.results.results import Distinct, Results
from finegrid.spelling import Lang, Telling, format_duration
from finegrid.statistics.decide import mark_aliased
from finegrid.statistics.effects import Effect
from finegrid.study.folder import LOOKS_FILE, SETTINGS_FILE, StudyFolder
from finegrid.study.ledger import Journal
from finegrid.study.load import load_study
from finegrid.study.parsing import Lines, describe_misfits, parse_strictly, read_lines
from finegrid.study.settings import LOOKS
from finegrid.study.study import Study
from finegrid.verdict.qualified import limit_to_epochs, qualify
from finegrid.verdict.verdict import Verdict, choose_margin, judge, key

ALPHA = 0.05
LEFT_OUT = "What these looks have decided does not count"
ENGLISH = {
    "look": "look {number} of {looks}, {seeds} seeds: {open} open",
    "spent": "the budget is spent: {seeds} seeds would take {time} more",
    "decided": "every strategy has its verdict after {seeds} seeds",
    "texts": "more seeds would not decide what is open: the test texts are the limit",
    "last": "that was the last of the planned looks, with {seeds} seeds",
}
CHINESE = {
    "look": "期中分析 {number}/{looks}，{seeds} 个种子：{open} 个尚不能判断",
    "spent": "预算已用完：{seeds} 个种子还需要 {time}",
    "decided": "{seeds} 个种子之后，每个策略都有了结论",
    "texts": "再加种子也无法判断尚未有结论的策略：受限于测试文本",
    "last": "计划中的期中分析到此为止，共 {seeds} 个种子",
}
WORDS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}
assert ENGLISH.keys() == CHINESE.keys()


@dataclass(frozen=True)
class InterimDecision:
    """What an analysis decided of one comparison."""

    decision: RecordedDecision
    effect: float  # points
    adjusted: tuple[float, float]  # points


@dataclass(frozen=True)
class InterimAnalysis:
    """One line of ``looks.jsonl``: an analysis of the first so many seeds, and what it decided first."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    seeds: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0, le=ALPHA)]  # this analysis' share of the 5 %
    margin: Annotated[float, Field(ge=0)]  # points; smaller differences are none
    decided: dict[str, InterimDecision]  # by comparison
    schema: Literal[1] = 1


def parse_analysis(line: bytes) -> InterimAnalysis:
    """Read a line of ``looks.jsonl``.

    Raises:
        ValueError: it is none, in words.
    """
    found = parse_strictly(InterimAnalysis, line)
    for one in found.decided.values():
        try:
            from_recorded(one.decision, found.margin)
        except (InputError, LookupError):
            raise ValueError("decided: a decision that no version writes") from None
    return found


def add_seeds(
    study: Study,
    train: Callable[[Study, int], None],
    measure: Callable[[Study], None],
    predict_seconds: Callable[[Study, int], float | None],
    budget: float | None,
    margin: float | None,
    say: Callable[[Telling], None],
) -> Telling:
    """Add seeds until every strategy has its verdict, or no more are to be had.

    Plans the interim analyses first, where the design has none.

    Args:
        study: the study; its study.toml may be added to.
        train: trains what is missing of the first so many seeds.
        measure: measures what a step costs, where that is not known. Called only with a budget.
        predict_seconds: what the rest of the first so many seeds would take; None where nothing was measured.
        budget: seconds of the clock from now on; None: as long as it takes.
        margin: points; smaller differences are none. None: as at the first look, which chooses it.
        say: is given what happens, in words of whichever language.

    Returns:
        Why no more seeds were added, in words.

    Raises:
        InputError: a screen that is not decided, a design that cannot be added to, or interim analyses that
            were made with another margin.
    """
    ends = float("inf") if budget is None else time.monotonic() + budget
    check_decided(study)
    if study.head.design.looks is None:
        plan_interim_analyses(study.folder)
        study = load_study(study.folder)
    if budget is not None:
        measure(study)
    return train_until_decided(
        study,
        partial(train, study),
        lambda seeds: predict_seconds(study, seeds) or 0.0,  # None only where there is no budget
        ends - time.monotonic(),
        margin,
        say,
    )


def check_decided(study: Study) -> None:
    """Seeds are added to a table; that of an undecided screen still grows.

    Raises:
        InputError: the study is a screen that is not decided yet.
    """
    if study.undecided:
        what = "this screen is not decided yet. `finegrid run` without --until-decided does that first."
        raise input_error("command line", "--until-decided", what)


def plan_interim_analyses(folder: Path, seeds: Sequence[int] = LOOKS) -> None:
    """Write after how many seeds to analyse into study.toml: into its ``[design]`` table, or a new one.

    Raises:
        InputError: the design is written in a way that cannot be added to, such as ``design = {seeds = 3}``.
    """
    path = StudyFolder(folder).settings
    text = path.read_text(encoding="utf-8-sig")
    setting = f"looks = {list(seeds)}"
    line = f"{setting}  # seeds after which `run --until-decided` looks; do not change them later"
    header = re.search(r"^\[design\][^\n]*$", text, flags=re.MULTILINE)
    if header:
        text = f"{text[: header.end()]}\n{line}{text[header.end() :]}"
    else:
        text = f"{text.rstrip()}\n\n[design]\n{line}\n"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        what = f"found no [design] table to write the looks into. Add {setting} to the design yourself."
        raise input_error(str(folder), SETTINGS_FILE, what) from None
    with saving(path) as draft:
        draft.write_text(text, encoding="utf-8")


def train_until_decided(
    study: Study,
    train: Callable[[int], None],
    predict_seconds: Callable[[int], float],
    budget: float,
    margin: float | None,
    say: Callable[[Telling], None],
) -> Telling:
    """Train whole seeds, analyse after each of the planned numbers of them, and stop when all is decided.

    Args:
        study: with interim analyses in its design.
        train: trains what is missing of the first so many seeds.
        predict_seconds: what that would take.
        budget: seconds of the clock from now on.
        margin: points; smaller differences are none. None: as at the first look, which chooses it.
        say: is given what happens, in words of whichever language.

    Returns:
        Why no more seeds were added, in words.

    Raises:
        InputError: interim analyses were made with another margin.
    """
    planned = study.head.design.looks
    assert planned is not None
    check_margin(study.folder, margin)
    started = time.monotonic()
    for number, seeds in enumerate(planned):
        left = budget - (time.monotonic() - started)
        needed = predict_seconds(seeds)
        if needed > left or left <= 0:
            return tell_spent(seeds, needed)
        train(seeds)
        verdict = analyse_interim(study, seeds, margin)
        known = read_interim_decisions(study.folder)
        open_ = [effect for effect in verdict.analysis.effects if effect_is_open(effect, known)]
        say(telling("look", number=number + 1, looks=len(planned), seeds=seeds, open=len(open_)))
        if not open_:
            return telling("decided", seeds=seeds)
        # A need is a guess from what was seen: only its absence, everywhere, says that seeds cannot help.
        if all(effect.needs is None or effect.needs.seeds is None for effect in open_):
            return telling("texts")
    return telling("last", seeds=planned[-1])


def telling(key: str, **fields: object) -> Telling:
    return lambda lang: [WORDS[lang][key].format(**fields)]


def tell_spent(seeds: int, seconds: float) -> Telling:
    return lambda lang: [WORDS[lang]["spent"].format(seeds=seeds, time=format_duration(seconds, lang))]


def check_margin(folder: Path, margin: float | None) -> None:
    """Which differences matter is fixed before the first interim analysis, like the analyses themselves.

    Raises:
        InputError: an interim analysis was made with another margin.
    """
    others = {analysis.margin for analysis in read_interim_analyses(folder)} - {margin}
    if margin is not None and others:
        what = (
            f"looks were taken with --margin {others.pop():g}, now asked for: {margin:g}. Go on with that; "
            "`finegrid verdict --margin` judges what has run at any other."
        )
        raise input_error(str(folder), LOOKS_FILE, what)


def effect_is_open(effect: Effect, known: Mapping[str, object]) -> bool:
    return effect.decision is not None and key(effect.contrast) not in known


def analyse_interim(study: Study, seeds: int, margin: float | None) -> Verdict:
    """Judge the first so many seeds at one analysis' share of the 5 %, and record once what that decides."""
    planned = study.head.design.looks or (seeds,)
    results = load_results(study).of_seeds(range(seeds))
    if margin is None:
        first = read_interim_analyses(study.folder)
        margin = first[0].margin if first else choose_margin(results)
    verdict = judge(results, margin, ALPHA / len(planned))
    if seeds not in {analysis.seeds for analysis in read_interim_analyses(study.folder)}:
        before = read_interim_decisions(study.folder)
        Journal(study.files.looks).append(
            {
                "schema": 1,
                "seeds": seeds,
                "alpha": ALPHA / len(planned),
                "margin": margin,
                "decided": {
                    key(effect.contrast): {
                        "decision": as_recorded(effect.decision, margin),
                        "effect": effect.estimate,
                        "adjusted": [effect.adjusted.low, effect.adjusted.high],
                    }
                    for effect in verdict.analysis.effects
                    if effect.decision is not None
                    and effect.decision.kind != "open"
                    and key(effect.contrast) not in before
                },
            }
        )
    return verdict


def with_interim_decisions(
    results: Results, margin: float | None = None, tolerance: float = TOLERANCE
) -> Verdict:
    """A verdict that keeps what interim analyses have decided; it judges the rest at one analysis' share.

    What was decided under another margin is judged anew. Without interim analyses: the verdict at all 5 %.

    Args:
        results: of a study or an imported table.
        margin: points; smaller differences are none. None: that of the interim analyses, or `choose_margin`.
        tolerance: points that a recommended recipe may lose against the baseline.
    """
    analyses, results = read_interim_analyses(results.folder), with_looks_told(results)
    if not analyses:
        return qualify(judge(results, margin, tolerance=tolerance))
    margin = analyses[0].margin if margin is None else margin
    verdict = qualify(judge(results, margin, analyses[-1].alpha, tolerance))
    decisions = read_interim_decisions(results.folder)
    kept = {name: what for name, what in decisions.items() if what["margin"] == margin}
    effects = tuple(
        keep_decision(effect, kept.get(key(effect.contrast))) for effect in verdict.analysis.effects
    )
    return limit_to_epochs(replace(verdict, analysis=replace(verdict.analysis, effects=effects)))


def recommended_recipe(
    study: Study, margin: float | None = None, tolerance: float = TOLERANCE
) -> Recipe | None:
    """What the verdict recommends; None where the baseline has no finished run."""
    if not any(record.done for record in study.ledger):
        return None
    results = load_results(study)
    if not any(results.finished()):
        return None
    chosen = find_recommended(results, margin, tolerance)
    if chosen is None:
        return None
    rows = {row.index: row.recipe for row in study.rows}
    return rows[chosen.rows[0]]


def find_recommended(
    results: Results, margin: float | None = None, tolerance: float = TOLERANCE
) -> Distinct | None:
    """Of the recipes of a study, the one that the verdict recommends; None as `recommended_recipe`."""
    index = with_interim_decisions(results, margin, tolerance).recommended
    return None if index is None else results.recipes[index]


def keep_decision(effect: Effect, what: dict[str, Any] | None) -> Effect:
    """The effect with the decision that an interim analysis has made; as it is where none has."""
    if what is None:
        return effect
    low, high = what["adjusted"]
    note = f"decided at the look with {what['seeds']} seeds, by {low:+.2f} to {high:+.2f}"
    decision = mark_aliased(from_recorded(what["decision"], what["margin"]), effect.contrast)
    return replace(effect, decision=decision, notes=(*effect.notes, note))


def read_interim_analyses(folder: Path) -> list[InterimAnalysis]:
    """The interim analyses that were made, in their order. One that a crash has cut is made again.

    Raises:
        InputError: the file cannot be read.
    """
    return [analysis for _, analysis in read_looks(folder).entries]


def read_looks(folder: Path) -> Lines[InterimAnalysis]:
    """The lines of ``looks.jsonl``, and those that are none.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return read_lines(StudyFolder(folder).looks, parse_analysis)
    except OSError as error:
        raise input_error(str(folder), LOOKS_FILE, f"cannot be read: {error.strerror}.") from None


def with_looks_told(results: Results) -> Results:
    """With a note on the lines of ``looks.jsonl`` that do not fit."""
    told = describe_misfits(LOOKS_FILE, read_looks(results.folder).misfits, LEFT_OUT)
    return replace(results, notes=(*results.notes, *told), unfit=(*results.unfit, *told))


def read_interim_decisions(folder: Path) -> dict[str, dict[str, Any]]:
    """By comparison, what the first analysis that could has decided, with how many seeds and which margin."""
    decisions: dict[str, dict[str, Any]] = {}
    for analysis in read_interim_analyses(folder):
        for name, what in analysis.decided.items():
            decisions.setdefault(name, {**asdict(what), "seeds": analysis.seeds, "margin": analysis.margin})
    return decisions
