"""data.group in a verdict: texts of one group are one observation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.pretend import TEXTS, pretend
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun
from finegrid.results.load import load_results
from finegrid.study.audit_file import load_audit, save_audit
from finegrid.study.audited import fitting_audit
from finegrid.study.folder import StudyFolder
from finegrid.study.load import load_study
from finegrid.verdict.verdict import judge

FACTORS = '[factors]\n"optimizer.bias_correction" = [true, false]\n"reinit.layers" = [0, 2]'


def test_an_interval_knows_that_texts_of_a_group_are_not_independent(tmp_path: Path, bert: Path) -> None:
    loaded = open_study(write_study(tmp_path, bert, FACTORS, 'score = "accuracy"\n'))
    folder = loaded.study.folder
    audit = make_audit(loaded)
    assert audit.groups == {} and audit.group is None
    save_audit(folder, audit)
    study = load_study(folder)
    groups = np.arange(TEXTS) // 15  # 20 of 15 texts

    def hits(run: PlannedRun) -> np.ndarray:
        """Whole groups are right or wrong; reinit gets others right than the rest."""
        off = 7 if run.levels.get("reinit.layers") else 0
        right: np.ndarray = (groups * 3 + off) % 20 < 14
        wrong = np.random.default_rng(run.seed).integers(0, TEXTS, 5)
        right[wrong] = False
        return right

    pretend(study, audit, hits, range(4))
    alone = judge(load_results(study))
    settings = StudyFolder(folder).settings
    settings.write_text(settings.read_text().replace("[data]", '[data]\ngroup = "author"'), encoding="utf-8")
    study = load_study(folder)
    assert fitting_audit(study) is None  # made without groups
    each = groups.tolist()
    grouped: dict[str, object] = {"group": "author", "groups": {"dev": each, "test": each}}
    grouped["sizes"] = {"train": 24, "dev": TEXTS, "test": TEXTS}
    save_audit(folder, audit.model_copy(update=grouped))
    assert (read := load_audit(folder)) is not None and read.groups["test"] == each
    together = judge(load_results(study))

    assert (alone.analysis.texts, together.analysis.texts) == (TEXTS, 20)
    one, other = (v.analysis.effects[1] for v in (alone, together))
    assert one.estimate == other.estimate
    assert other.se > 2 * one.se
