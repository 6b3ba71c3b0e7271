"""What a study of a given size can find."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from finegrid.decide import MARGIN, reach
from finegrid.variance import FEW_SEEDS, Components, expected_chance


def detectable(
    one: Components,
    seeds: int,
    texts: int,
    comparisons: int,
    *,
    df_seed: float | None = None,
    margin: float = MARGIN,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """The smallest effect, in points, that is found (*use* or *do not use*) with this power.

    The comparison stands among others at the first step of Holm's test, as one effect among zeros does;
    where others are real too, the power is higher.

    Args:
        one: Components of the effect, one value each: of a run times the contrast's size (`of_run`), or
            measured.
        texts: 0 leaves the test texts out.
        comparisons: How many effects share ``alpha``.
        df_seed: Degrees of freedom of the noise between seeds. By default what moderation gives below six
            seeds when all effects are equally noisy, and seeds - 1 from there.

    Returns:
        inf where one seed gives no degrees of freedom.
    """
    if df_seed is None:
        shared = comparisons if comparisons > 2 and seeds < FEW_SEEDS else 1
        df_seed = shared * (seeds - 1.0)
    if df_seed <= 0:
        return np.inf
    se, df = expected_chance(one, seeds, texts, df_seed)
    if se == 0:
        return margin
    clear = reach(1.0, df, alpha / comparisons)  # in standard errors, away from zero

    def missed(effect: float) -> float:
        return float(stats.nct.cdf(clear, df, effect)) - (1 - power)

    found = se * float(optimize.brentq(missed, 0.0, clear + 20.0))
    # With a narrow interval, an effect must also not be "no difference beyond the margin": its upper bound
    # is above.
    beyond = margin - se * clear + se * float(stats.norm.isf(1 - power))
    return max(found, beyond)


def of_run(run_sd: float, size: float, text_sd: float = 0.0, seed_text_sd: float = 0.0) -> Components:
    """Components of an effect from those of a run, which are independent between recipes.

    Args:
        run_sd: Standard deviation of the score between seeds, beyond single texts, points.
        size: Sum of squared weights of the contrast: 4 / recipes for a main effect of a full two-level
            design, 2 for one recipe against one other.
        text_sd, seed_text_sd: Of the influence values of one text: what stays over seeds, and what does not.
    """
    return Components(*(np.array(size * sd**2) for sd in (run_sd, text_sd, seed_text_sd)))
