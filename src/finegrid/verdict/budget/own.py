"""What a study can show as it is planned."""

from __future__ import annotations

import numpy as np

from finegrid.planning.status import StudyStatus
from finegrid.results.load import load_results
from finegrid.statistics.power import POWER
from finegrid.verdict.budget.budget import make_candidate
from finegrid.verdict.budget.noise import estimate_noise
from finegrid.verdict.budget.words import describe_clarity


def shows_lines(status: StudyStatus) -> list[str]:
    """The smallest effect that its runs can show; nothing where nobody has probed it."""
    study, audit = status.study, status.audit
    if audit is None or not study.factors or study.head.design.resample is not None:
        return []
    results = load_results(study)
    noise = estimate_noise(results, audit)
    own = make_candidate(study, results, list(results.factors))
    points = own.detects(noise, len(status.seeds), audit.sizes["test"])
    if not np.isfinite(points):
        return ["can show: no size of effect can be promised"]
    guess = "" if noise.percent_wrong is None else "; noise assumed, two finished seeds replace that"
    return [
        f"can show: main effects of {points:.1f} points or more, in {100 * POWER:.0f} % of studies{guess}",
        f"  {describe_clarity(own)}",
    ]
