"""`finegrid compare`: predictions from anywhere, judged as a study's are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from schemas import SCHEMAS
from scipy import stats
from support.command_line import ENVIRONMENT, Call
from support.compared import (
    IDS,
    LABELS,
    TEXTS,
    TRUTH,
    answer,
    write_gold,
    write_labels,
    write_probabilities,
    write_rows,
    write_systems,
)
from support.pretend import CLASSES, GOLD
from support.reported import audited_study, fill

from finegrid.comparing.answers import AnswerColumns
from finegrid.comparing.compare import SystemsCompared, compare_systems
from finegrid.comparing.page import comparison_facts
from finegrid.comparing.paired import read_paired
from finegrid.comparing.systems import parse_systems
from finegrid.comparing.to_json import compare_json
from finegrid.comparing.words import REMARKS
from finegrid.comparing.words import WORDS as TERMINAL
from finegrid.planning.runs import PlannedRun
from finegrid.report.chart.compared_words import COMPARED_CHART_WORDS
from finegrid.report.chart.words import CHART_WORDS
from finegrid.report.page.compared_words import COMPARED_WORDS
from finegrid.report.page.page import render_page
from finegrid.report.page.words import WORDS
from finegrid.study.predictions import read_run
from finegrid.verdict.to_json import as_json
from finegrid.verdict.verdict import judge


def compare(
    *arguments: str, gold: Path | None, score: str = "accuracy", paired: bool = False
) -> SystemsCompared:
    answers = read_paired(parse_systems(arguments, paired), gold, AnswerColumns())
    return compare_systems(answers, score, paired_seeds=paired)


def told(call: Call, *arguments: str | Path) -> Any:
    done = call("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_file_of_each_has_the_interval_of_textbooks(tmp_path: Path, call: Call) -> None:
    said = [answer(skill, run).argmax(axis=1) for run, skill in enumerate((0.6, 1.0))]
    files = [
        f"{name}={write_labels(tmp_path / f'{name}.csv', each)}"
        for name, each in zip("ab", said, strict=True)
    ]
    right = [100.0 * (each == TRUTH) for each in said]
    differences = right[1] - right[0]

    facts = told(call, *files, "--gold", write_gold(tmp_path / "gold.csv"), "--score", "accuracy")

    low, high = stats.t.interval(0.95, TEXTS - 1, differences.mean(), stats.sem(differences))
    (one,) = facts["differences"]
    assert (one["effect"], one["low"], one["high"]) == pytest.approx(
        (differences.mean(), low, high), abs=1e-5
    )
    assert [system["score"] for system in facts["systems"]] == pytest.approx([each.mean() for each in right])
    assert facts["covers"] == "texts" and facts["noise"]["run_sd"] is None


def test_paired_seeds_give_what_a_study_with_the_same_predictions_gets(tmp_path: Path, bert: Path) -> None:
    factor = "optimizer.bias_correction"
    settings = f'[design]\nseeds = 3\n[factors]\n"{factor}" = [true, false]\n'
    study = audited_study(tmp_path / "study", bert, settings)

    def hits(run: PlannedRun) -> Any:
        off = run.levels.get(factor, True) is False
        return np.random.default_rng([run.seed, off]).random(len(GOLD)) < 0.7 - 0.1 * off

    expected = fill(study, hits)["verdict"]
    labels = [str(number) for number in range(CLASSES)]
    ids = range(len(GOLD))
    gold = write_rows(tmp_path / "gold.csv", ["id", "label"], [(row, labels[GOLD[row]]) for row in ids])
    files: dict[str, list[str]] = {"yes": [], "no": []}
    for record in study.ledger.latest().values():
        said = read_run(study.folder, record)["test"].logits.argmax(axis=1)
        name = "no" if record.recipe.get(factor, True) is False else "yes"
        rows = [(row, labels[said[row]]) for row in ids]
        path = write_rows(tmp_path / f"{name}{record.seed}.csv", ["id", "label"], rows)
        files[name].append(f"{name}={path}")

    facts = compare_json(compare(*sorted(files["yes"]), *sorted(files["no"]), gold=gold, paired=True))

    (one,), (effect,) = facts["differences"], expected["factors"]
    for field in ("effect", "low", "high", "adjusted", "se", "df", "p", "decision"):
        assert one[field] == pytest.approx(effect[field], abs=1e-5), field
    assert facts["covers"] == "seeds and texts"
    assert facts["noise"]["run_sd"] == pytest.approx(expected["noise"]["run_sd"], abs=1e-5)


def test_unpaired_files_are_repeats_whose_order_says_nothing(tmp_path: Path) -> None:
    files = write_systems(tmp_path)
    other = [*files[:3], files[5], files[3], files[4]]
    gold = tmp_path / "gold.csv"

    one, again = (compare_json(compare(*each, gold=gold))["differences"][0] for each in (files, other))
    paired = compare_json(compare(*files, gold=gold, paired=True))["differences"][0]

    assert one["se"] == pytest.approx(again["se"]) and one["se"] != pytest.approx(paired["se"], rel=1e-3)


def test_the_score_of_a_system_with_several_files_is_their_mean(tmp_path: Path) -> None:
    facts = compare_json(compare(*write_systems(tmp_path), gold=tmp_path / "gold.csv"))

    for number, (system, skill) in enumerate(zip(facts["systems"], (0.6, 1.4), strict=True)):
        runs = [100 * (answer(skill, 10 * number + run).argmax(axis=1) == TRUTH).mean() for run in range(3)]
        assert system["runs"] == pytest.approx(runs, abs=1e-5)
        assert system["score"] == pytest.approx(np.mean(runs), abs=1e-5)


def test_losses_are_paired_by_text_and_decide_nothing(tmp_path: Path) -> None:
    files = write_systems(tmp_path, runs=1)
    probabilities = [answer(0.6, 0), answer(1.4, 10)]
    log = [-np.log(each[np.arange(TEXTS), TRUTH]) for each in probabilities]
    brier = [np.square(each - np.eye(3)[TRUTH]).sum(axis=1) for each in probabilities]

    facts = compare_json(compare(*files, gold=tmp_path / "gold.csv"))

    for name, losses in (("log_loss", log), ("brier", brier)):
        base, new = (system[name] for system in facts["systems"])  # type: ignore[literal-required]
        assert (base["mean"], new["mean"]) == pytest.approx([each.mean() for each in losses])
        gain = losses[1] - losses[0]
        assert base["difference"] is None and new["difference"] == pytest.approx(gain.mean())
        ends = stats.t.interval(0.95, TEXTS - 1, gain.mean(), stats.sem(gain))
        assert new["difference_interval"] == pytest.approx(ends, abs=1e-5)


def test_probabilities_do_not_change_a_word(tmp_path: Path) -> None:
    """The same answers with probabilities that are twice as sure."""
    files, gold = write_systems(tmp_path), tmp_path / "gold.csv"
    before = compare_json(compare(*files, gold=gold))
    for run in range(3):
        sharper = np.square(answer(1.4, 10 + run))
        write_probabilities(tmp_path / f"new{run}.csv", sharper / sharper.sum(axis=1, keepdims=True))

    after = compare_json(compare(*files, gold=gold))

    assert after["differences"] == before["differences"]
    assert after["systems"][1]["log_loss"] != before["systems"][1]["log_loss"]


def test_two_paths_of_one_name_are_two_systems(tmp_path: Path, call: Call) -> None:
    files = []
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        said = answer(0.6 + number, number).argmax(axis=1)
        files.append(write_labels(tmp_path / folder / "test.csv", said))
    facts = told(call, *files, "--gold", write_gold(tmp_path / "gold.csv"))

    assert [system["system"] for system in facts["systems"]] == [str(path.with_suffix("")) for path in files]


def test_a_pattern_gives_all_its_files_to_a_system(tmp_path: Path, call: Call) -> None:
    write_systems(tmp_path)
    facts = told(
        call, f"base={tmp_path}/base*.csv", f"new={tmp_path}/new?.csv", "--gold", tmp_path / "gold.csv"
    )

    assert [len(system["files"]) for system in facts["systems"]] == [3, 3]


def test_every_system_is_held_against_the_first_and_the_best_are_named(tmp_path: Path, call: Call) -> None:
    files = write_systems(tmp_path)
    same = f"same={write_probabilities(tmp_path / 'same.csv', answer(1.4, 33))}"

    done = call("compare", *files, same, "--gold", tmp_path / "gold.csv")
    facts = told(call, *files, same, "--gold", tmp_path / "gold.csv")

    assert [one["system"] for one in facts["differences"]] == ["new", "same"]
    assert [one["in_best_set"] for one in facts["systems"]] == [False, True, True]
    assert "cannot be told from the best: new, same" in done.stdout
    assert "there is only one file of same" in done.stdout


@pytest.mark.parametrize(
    ("lang", "runs", "options", "said"),
    [
        ("en", 1, [], "one file of each system: intervals cover other texts like these, not another run"),
        ("zh", 1, [], "每个系统只有一个文件：区间只涵盖换用同类文本的情形"),
        ("en", 2, [], "intervals cover other runs and other texts"),
        ("zh", 2, ["--paired-seeds"], "区间涵盖其他种子和其他同类文本"),
    ],
)
def test_it_says_what_the_interval_covers(
    tmp_path: Path, call: Call, lang: str, runs: int, options: list[str], said: str
) -> None:
    files = write_systems(tmp_path, runs)

    done = call("compare", *files, "--gold", tmp_path / "gold.csv", "--lang", lang, *options)

    assert done.returncode == 0 and said in " ".join(done.stdout.split())  # unfolded
    assert ("run's own luck" in done.stdout or "随机波动" in done.stdout) == (runs > 1)


def test_one_file_never_asks_for_seeds(tmp_path: Path, call: Call) -> None:
    write_gold(tmp_path / "gold.csv")
    files = [write_labels(tmp_path / f"s{n}.csv", answer(1.0 + 0.2 * n, n).argmax(axis=1)) for n in range(2)]

    done = call("compare", *files, "--gold", tmp_path / "gold.csv", "--margin", "0.2")

    assert "cannot tell yet" in done.stdout and "texts would decide" in done.stdout.replace("\n", " ")
    assert "seed" not in done.stdout


def test_a_comparison_is_a_page_with_texts_classes_and_losses(tmp_path: Path, call: Call) -> None:
    files = write_systems(tmp_path)
    page, table = tmp_path / "report.html", tmp_path / "report.md"
    for out in (page, table):
        assert call("compare", *files, "--gold", tmp_path / "gold.csv", "--out", out).returncode == 0

    html, facts = page.read_text(encoding="utf-8"), json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert facts["kind"] == "comparison" and facts["comparison"]["baseline"] == "base"
    assert 'id="losses"' in html and 'id="classes"' in html and "text t" in html
    for absent in ('id="frontier"', 'id="interactions"', 'id="curves"', 'id="cards"', "recipe of", "None"):
        assert absent not in html.split("<script")[0]
    assert facts["state"]["runs"]["done"] == 6
    assert "| system = new | +" in table.read_text(encoding="utf-8")
    assert "| new | 0." in table.read_text(encoding="utf-8") and "seconds" not in table.read_text("utf-8")


def test_names_and_labels_are_no_markup(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    labels = [hostile, "b"]
    rows = [(name, labels[number % 2]) for number, name in enumerate(IDS)]
    gold = write_rows(tmp_path / "gold.csv", ["id", "label"], rows)
    for name, step in (("x", 3), ("y", 5)):
        said = [(each, label if n % step else labels[0]) for n, (each, label) in enumerate(rows)]
        write_rows(tmp_path / f"{name}.csv", ["id", "label"], said)
    compared = compare(f"{hostile}={tmp_path / 'x.csv'}", str(tmp_path / "y.csv"), gold=gold)

    page = render_page(comparison_facts(compared, compare_json(compared), "r", f"finegrid compare {hostile}"))

    assert hostile not in page and "&lt;script&gt;alert(1)" in page


def test_the_words_of_a_comparison_replace_words_that_are_there() -> None:
    for own, all_ in ((COMPARED_WORDS, WORDS), (COMPARED_CHART_WORDS, CHART_WORDS)):
        assert own["en"].keys() == own["zh"].keys() and own["en"].keys() <= all_["en"].keys()
        assert all(own["en"][key] != all_["en"][key] for key in own["en"])
    assert REMARKS["en"].keys() == REMARKS["zh"].keys() and TERMINAL["en"].keys() == TERMINAL["zh"].keys()


@pytest.mark.slow
def test_a_comparison_imports_no_torch(tmp_path: Path) -> None:
    files = write_systems(tmp_path)
    code = (
        "import atexit, sys; from finegrid.cli import app; "
        "slow = ('torch', 'transformers'); "
        "atexit.register(lambda: print([name for name in slow if name in sys.modules])); "
        f"sys.argv = ['finegrid', 'compare', *{files!r}, '--gold', {str(tmp_path / 'gold.csv')!r}, "
        f"'--out', {str(tmp_path / 'r.html')!r}]; app.main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120)

    assert done.returncode == 0 and done.stdout.endswith("[]\n"), done.stderr
    assert (tmp_path / "r.html").exists()


def test_a_comparison_is_judged_as_any_results_are(tmp_path: Path) -> None:
    compared = compare(*write_systems(tmp_path), gold=tmp_path / "gold.csv")

    again = as_json(judge(compared.verdict.results))

    assert again["factors"] == as_json(compared.verdict)["factors"]
    assert again["texts"] == TEXTS and again["seeds"] == 3 and again["missing"]["left"] == 0
    assert list(compared.answers.labels) == list(LABELS)


def test_what_programs_read_is_as_the_schemas_say(tmp_path: Path) -> None:
    for name, runs in (("one", 1), ("several", 2)):
        (tmp_path / name).mkdir()
        files = write_systems(tmp_path / name, runs)
        compared = compare(*files, gold=tmp_path / name / "gold.csv")
        facts = compare_json(compared)
        for schema, value in (
            ("compare.schema.json", facts),
            ("report.schema.json", comparison_facts(compared, facts, "r", "finegrid compare")),
        ):
            Draft202012Validator(SCHEMAS[schema]()).validate(json.loads(json.dumps(value, allow_nan=False)))
