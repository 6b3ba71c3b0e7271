"""What a study of a given size can find."""

from __future__ import annotations

import numpy as np
from scipy import special

from finegrid.metrics import MARGIN
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.roots import find_root
from finegrid.statistics.variance import MOST_DF, Components, Noise, moderate

POWER = 0.8  # share of studies
DRAWS = 2000  # studies' worth of mean squares; the effect found is good to about 1 %


def detectable(
    components: Components,
    seeds: int,
    texts: int,
    comparisons: int,
    *,
    df_seed: float | None = None,
    margin: float = MARGIN,
    alpha: float = 0.05,
    power: float = POWER,
) -> float:
    """The smallest effect, in points, that is found (*use* or *do not use*) with this power.

    The comparison stands among others at the first step of Holm's test, as one effect among zeros does; where
    others are real too, the power is higher. With narrow intervals, an effect must also not be "no difference
    beyond the margin". Noise is estimated in each study anew, as `analyse` does it, so its mean squares are
    drawn, by a fixed generator; the estimate itself is taken as normal.

    Args:
        components: Of the effect, one value each: of a run times the contrast's size (`scale_run`), or
            measured. All compared effects are taken to be equally noisy.
        texts: 0 leaves the test texts out.
        comparisons: How many effects share ``alpha``.
        df_seed: Only for one seed: degrees of freedom of what stands in for the noise between runs.

    Returns:
        inf where one seed gives no degrees of freedom.
    """
    if seeds == 1 and not df_seed:
        return np.inf
    se = float(np.sqrt(components.variance(seeds, max(texts, 1))))
    if se == 0:
        return margin
    noise = _draw_noise(components, seeds, texts, comparisons, df_seed)
    half = special.stdtrit(noise.df, 1 - alpha / comparisons / 2) * np.sqrt(noise.variance)
    least = np.maximum(half, margin - half)

    def missed(effect: float) -> float:
        return float(special.ndtr((least - effect) / se).mean()) - (1 - power)

    return find_root(missed, 0.0, float(least.max()) + 10 * se, tolerance=1e-9)


def _draw_noise(
    components: Components, seeds: int, texts: int, comparisons: int, df_seed: float | None
) -> Noise:
    """The noise that as many studies would find for one of their effects."""
    random = np.random.default_rng(0)
    sizes = max(seeds, 1), max(texts, 1)
    both = float(components.seed_text) / (sizes[0] * sizes[1])

    def mean_squares(expected: float, df: float, each: int = 1) -> Floats:
        return expected * random.chisquare(max(df, 1.0), (DRAWS, each)) / max(df, 1.0)

    df = df_seed if seeds == 1 and df_seed else seeds - 1.0
    shared = comparisons > 2 and 1 < seeds <= MOST_DF
    seed = mean_squares(float(components.seed) / sizes[0] + both, df, comparisons if shared else 1)
    dfs = np.full(seed.shape, df)
    if shared:
        seed, dfs = moderate(seed, dfs)
    text = mean_squares(float(components.text) / sizes[1] + both, sizes[1] - 1.0)[:, 0]
    seed_text = mean_squares(both, (sizes[0] - 1.0) * (sizes[1] - 1.0))[:, 0]
    if not texts:
        text, seed_text = np.zeros(DRAWS), np.zeros(DRAWS)
    return Noise(seed[:, 0], text, seed_text, dfs[:, 0], seeds, texts, "drawn", np.nan)


def scale_run(run_sd: float, size: float, text_sd: float = 0.0, seed_text_sd: float = 0.0) -> Components:
    """Components of an effect from those of a run, which are independent between recipes.

    Args:
        run_sd: Standard deviation of the score between seeds, beyond single texts, points.
        size: Sum of squared weights of the contrast: 4 / recipes for a main effect of a full two-level
            design,
            2 for one recipe against one other.
        text_sd, seed_text_sd: Of the influence values of one text: what stays over seeds, and what does not.
    """
    return Components(*(np.array(size * sd**2) for sd in (run_sd, text_sd, seed_text_sd)))
