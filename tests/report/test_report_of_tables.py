"""Reports of tables from elsewhere: of errors the least comes first, and nothing is to be trained."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from support.reported import Facts, chart

from finegrid.report.chart.charts import charts
from finegrid.report.facts.facts import report_facts
from finegrid.report.markdown import markdown
from finegrid.report.page.figure_set import Figures
from finegrid.report.page.page import best_first, render_page
from finegrid.spelling import LANGS
from finegrid.study.imported import save_imported
from finegrid.study.importing.examples import load_example
from finegrid.study.importing.importing import ImportOptions, import_table


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Three rates and a switch with seeds 0 and 1; one cell is missing."""
    folder = tmp_path_factory.mktemp("losses")
    gain = {"1e-05": 0.0, "3e-05": 0.04, "5e-05": 0.045}
    rows = [
        f"{rate},{on},{seed},{0.42 - more - 0.01 * on + 0.003 * seed + 0.001 * ((on + seed) % 2):.4f}"
        for (rate, more), on, seed in product(gain.items(), (0, 1), (0, 1))
        if (rate, on, seed) != ("5e-05", 1, 1)
    ]
    (folder / "table.csv").write_text("\n".join(["rate,on,seed,log_loss", *rows]))
    save_imported(
        folder, import_table(folder / "table.csv", ImportOptions(result="log_loss", lower_is_better=True))
    )
    return report_facts(folder)


def test_recipes_with_the_least_loss_come_first_wherever_they_are_listed(losses: Facts) -> None:
    tests = [one["test"] or 0.0 for one in best_first(losses)]
    rows = chart(losses, "seeds")["datasets"]["rows"]

    assert 0.0 not in tests and tests == sorted(tests)
    assert [row["test"] for row in rows] == tests
    best = losses["verdict"]["best"]
    assert (
        best is not None and best["set"][0]["test"] == tests[0] and (best["recommended"]["test"] or 1) < 0.38
    )


def test_scores_are_the_users_numbers_with_their_digits(losses: Facts) -> None:
    first = losses["recipes"][0]
    page = render_page(losses, figures=Figures())

    assert f"{first['test']:.4f}" in page and f"{first['test']:.4f}" in markdown(losses)
    assert {run["test"] for run in losses["recipes"][0]["runs"]} == {0.42, 0.424}


def test_the_page_and_markdown_say_that_less_is_better_and_name_the_best_level(losses: Facts) -> None:
    (ladder,) = losses["verdict"]["ladders"]
    assert ladder["best"] == 5e-05 and ladder["effects"][0] > 0
    for lang, less, best in (
        ("en", "Less log_loss is better", "rate: 5e-05 is best, +"),
        ("zh", "log_loss 越低越好", "rate：5e-05 最好"),
    ):
        for text in (render_page(losses, figures=Figures()), markdown(losses, lang).replace("\\", "")):  # type: ignore[arg-type]
            assert less in text and best in text, (lang, less)


def test_nothing_tells_to_train(losses: Facts) -> None:
    assert losses["state"]["runs"] == {"planned": 12, "done": 11, "left": 1, "diverged": 0, "failed": 0}
    assert set(losses["commands"]) == {"report", "verdict"}
    for lang in LANGS:
        shown = render_page(losses, lang, figures=Figures()).partition("<script")[0] + markdown(losses, lang)
        shown += str(charts(losses, lang))
        for advice in ("finegrid run", "been trained", "not run yet", "have not", "尚未运行", "没有训练"):
            assert advice not in shown, advice
    assert "1 without a result" in markdown(losses)
    assert "progress max" not in render_page(losses, figures=Figures())


def test_of_repeats_only_those_that_are_there_are_shown(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,f1\n0,0.8\n0,0.81\n0,0.79\n1,0.9\n2,\n")
    save_imported(tmp_path, import_table(tmp_path / "table.csv"))
    facts = report_facts(tmp_path)

    assert [len(one["runs"]) for one in facts["recipes"]] == [3, 1, 1]
    assert facts["state"]["runs"] == {"planned": 5, "done": 4, "left": 1, "diverged": 0, "failed": 0}
    assert [warning["kind"] for warning in facts["warnings"]] == ["no-results"]


def test_markdown_tells_averages_of_seconds_without_an_interval(tmp_path: Path) -> None:
    save_imported(tmp_path, load_example("thucnews64-published"))
    text = markdown(report_facts(tmp_path))
    (line,) = [line for line in text.splitlines() if line.startswith("| freeze.layers = ")]

    assert line.split(" | ")[6].strip() == "−24.0"
