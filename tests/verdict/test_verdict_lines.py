"""The verdict on terminals of any width: every letter of every word, in English and Chinese."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from finegrid.facts.decision_words import factor_words
from finegrid.results.load import any_results
from finegrid.results.score_scale import ScoreScale
from finegrid.spelling import LANGS, Lang
from finegrid.statistics.decide import Interval
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.terminal import print_lines
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import Verdict, judge
from finegrid.verdict.words import score_and_seconds, verdict_lines


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder: Path = tmp_path_factory.mktemp("table")
    save_imported(folder, load_example("thucnews64-published"))
    return judge(any_results(folder))


def whole(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_every_word_of_the_verdict_is_whole_at_every_width(verdict: Verdict, width: int, lang: Lang) -> None:
    lines = [line.plain for line in verdict_lines(verdict, as_json(verdict), lang, width)]
    said, facts = whole("".join(lines)), as_json(verdict)

    assert max(map(cell_len, lines)) <= width
    assert "…" not in said
    for factor in facts["factors"]:
        name = f"{factor['factor']} = "
        assert whole(name) in said
        if width < 120:  # in a table the words of a strategy may stand beside its numbers
            assert whole(factor_words(factor, facts, lang)) in said
    for effect in verdict.analysis.effects:
        assert f"{effect.estimate:+.2f}" in said


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_has_the_word_right_behind_the_name(verdict: Verdict, width: int) -> None:
    lines = [line.plain for line in verdict_lines(verdict, as_json(verdict), "en", width)]
    at = lines.index("reinit.layers = 6: do not use")

    assert lines[at + 1].startswith("  effect -0.51 (95 % interval -0.56 to -0.46)")


def test_words_are_coloured_by_what_they_say_on_a_terminal_alone(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def shown(terminal: bool) -> str:
        written = io.StringIO()
        console = Console(file=written, width=80, force_terminal=terminal, highlight=False)
        print_lines(console, verdict_lines(verdict, as_json(verdict), "en", 80))
        return written.getvalue()

    assert "\x1b[1;31mdo not use\x1b[0m" in shown(terminal=True)
    assert "\x1b" not in shown(terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in shown(terminal=True)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(28.82, 100.0, "73.37 (too little has run: 28.82 to 100.00)"), (71.0, 75.0, "73.37 (71.00 to 75.00)")],
)
def test_a_score_of_which_little_is_known_says_so(low: float, high: float, said: str) -> None:
    results = SimpleNamespace(scale=ScoreScale(), run_seconds=np.array([np.nan]))
    one = SimpleNamespace(scores=[(73.37, Interval(low, high))], results=results)

    assert score_and_seconds(cast(Verdict, one), 0, "en") == {"score": said, "seconds": ""}
