"""Words that hold for something: none while runs are missing, and at so many epochs of a rising baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pretend import pretend
from support.reported import audited, audited_study

from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.spelling import LANGS
from finegrid.study.audit_file import load_audit
from finegrid.study.record import Epoch, Seconds
from finegrid.study.study import Study
from finegrid.verdict.interim import recommended_recipe, with_interim_decisions
from finegrid.verdict.to_json import as_json
from finegrid.verdict.words import verdict_lines

SETTINGS = '[design]\nseeds = 3\n[factors]\n"reinit.layers" = [0, 2]\n"schedule.warmup_ratio" = [0.0, 0.1]\n'
WORDS = ("use", "recommended", "are better", "no difference", "cannot tell")
CHINESE = ("使用", "更好", "更差", "差别不超过", "尚不能判断", "无法区分")


@pytest.fixture
def study(tmp_path: Path, bert: Path) -> Study:
    return audited_study(tmp_path / "study", bert, SETTINGS)


def fill(study: Study, seeds: range, curve: tuple[float, ...] = (0.6, 0.6), points: int = 30) -> None:
    """Runs that get 60 of 100 texts right, with fresh layers so many texts of 300 more."""

    def hits(run: PlannedRun) -> int:
        return 180 + points * ("reinit.layers" in run.levels) + run.seed

    audit = load_audit(study.folder)
    assert audit is not None
    epochs: Any = tuple(
        Epoch(epoch=number, dev={"accuracy": share, "macro_f1": share})
        for number, share in enumerate(curve, start=1)
    )
    pretend(study, audit, hits, seeds, epochs=epochs)


def told(study: Study, lang: Any = "en") -> str:
    verdict = with_interim_decisions(load_results(study))
    return "\n".join(line.plain for line in verdict_lines(verdict, as_json(verdict), lang, 1000))


def facts_of(study: Study) -> Any:
    return as_json(with_interim_decisions(load_results(study)))


def test_while_runs_are_missing_there_are_estimates_and_no_decision_words(study: Study) -> None:
    fill(study, range(2))
    facts, said, chinese = facts_of(study), told(study), told(study, "zh")

    assert facts["waiting"] == {"left": 4, "runs": 12}
    assert facts["best"] is None and facts["frontier"] == []
    assert {one["decision"]["kind"] for one in facts["factors"]} == {"open"}
    assert all(one["decision"]["waiting"] for one in (*facts["factors"], *facts["against_baseline"]))
    assert said.startswith("nothing is decided yet: 4 of 12 runs are missing\n")
    assert "+10." in said and "+10." in chinese  # the effect
    assert [word for word in WORDS if word in said] == []
    assert [word for word in CHINESE if word in chinese] == []
    assert recommended_recipe(study) is None


def test_when_the_last_run_has_ended_there_are_words(study: Study) -> None:
    fill(study, range(3))
    facts = facts_of(study)

    assert facts["waiting"] is None and facts["undertrained"] is None
    assert facts["factors"][0]["decision"]["kind"] == "use"
    assert "waiting" not in facts["factors"][0]["decision"]
    assert told(study).startswith("use: reinit.layers = 2")


def test_a_run_that_failed_is_not_waited_for(study: Study) -> None:
    fill(study, range(3))
    last = list(study.ledger.latest().values())[-1]
    study.ledger.append(replace(last, status="failed", reason="no memory"))

    assert facts_of(study)["waiting"] is None


@pytest.mark.parametrize("lang", LANGS)
def test_of_a_baseline_that_was_still_rising_every_word_says_after_how_many_epochs(
    study: Study, lang: Any
) -> None:
    fill(study, range(3), curve=(0.5, 0.6))
    facts, said = facts_of(study), told(study, lang)

    assert facts["undertrained"]["epochs"] == 2 and facts["undertrained"]["gain"] == pytest.approx(10)
    assert facts["factors"][0]["decision"] | {"at_epochs": 2} == facts["factors"][0]["decision"]
    if lang == "en":
        assert said.startswith("use at 2 epochs: reinit.layers = 2")
        assert "use at 2 epochs, the baseline was still rising, so this may be speed and not quality" in said
    else:
        assert said.startswith("建议在训练 2 轮时使用：reinit.layers = 2")
        assert "2 轮时使用，基线仍在上升，因此可能只是学得快，而不是学得好" in said
    assert '`"training.epochs" = [2, 4]`' in said and '`"optimizer.rate" = [0.002, 0.008]`' in said


def test_one_epoch_counts_as_still_rising(tmp_path: Path, bert: Path) -> None:
    study = audited_study(tmp_path / "study", bert, SETTINGS)
    file = study.files.settings
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 1"))
    study = audited(study.folder)
    fill(study, range(3), curve=(0.6,))
    facts = facts_of(study)

    assert facts["undertrained"] == {
        "epochs": 1,
        "last": None,
        "curves": None,
        "gain": None,
        "factors": ['"training.epochs" = [1, 2]', '"optimizer.rate" = [0.002, 0.008]'],
    }
    assert "one-epoch" in {warning["kind"] for warning in facts["warnings"]}
    assert told(study).startswith("use at 1 epoch: reinit.layers = 2")


def test_a_factor_of_epochs_asks_for_more_of_them(tmp_path: Path, bert: Path) -> None:
    settings = SETTINGS + '"training.epochs" = [2, 4]\n'
    study = audited_study(tmp_path / "study", bert, settings)
    fill(study, range(3), curve=(0.5, 0.6))

    assert facts_of(study)["undertrained"]["epochs"] == 4
    assert '"training.epochs" = [2, 4, 8]' in facts_of(study)["undertrained"]["factors"]


def test_a_run_without_scores_of_an_epoch_is_no_curve(study: Study) -> None:
    """They are absent where predictions were not finite."""
    fill(study, range(3), curve=(0.4, 0.5))
    last = [*study.ledger][-1]
    study.ledger.append(replace(last, epochs=(last.epochs[0], replace(last.epochs[1], dev=None))))

    assert facts_of(study)["undertrained"]["epochs"] == 2


def test_a_run_that_took_no_time_at_all_is_one_whose_time_nobody_knows(study: Study) -> None:
    fill(study, range(3))
    last = [*study.ledger][-1]
    study.ledger.append(replace(last, seconds=Seconds()))

    assert np.isnan(load_results(study).seconds()).sum() == 1
    assert facts_of(study)["factors"][0]["seconds"] is not None
