"""How often the intervals of `finegrid compare` hold the truth: simulated files of predictions.

    python benchmarks/compared.py --studies 1000

Text t is answered rightly by run r of system s if

    skill[s] + run[s, r] + text[t] + text by system[s, t] + text by run[s, r, t] > 0

with all but the skill normal; the score is accuracy. *Covered* and *wrong word* (a wrong sign of any adjusted
interval) ask for the difference that the intervals are meant to hold: expected over texts and runs; with one
file of each, over texts alone, given the runs. *Wrong of systems* asks for the former in any case: how often
a word says of two systems what only holds of two runs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats

from finegrid.recipe.identity import Level, Levels
from finegrid.statistics.effects import Effect, analyse
from finegrid.statistics.experiment import Experiment
from finegrid.statistics.outcomes import Floats
from finegrid.statistics.repeats import of_runs

TEXT, BY_SYSTEM, BY_RUN = 0.8, 0.3, 0.5  # standard deviations, latent units; a skill of 1 is about 84 % right


@dataclass(frozen=True)
class Case:
    """One kind of comparison.

    Attributes:
        files: Of each system.
        skills: Of each system, latent units.
        run: Standard deviation of a run, latent units; 0.05 are 1.2 points.
    """

    name: str
    files: tuple[int, ...]
    skills: tuple[float, ...] = (1.0, 1.0)
    texts: int = 1000
    run: float = 0.05

    def draw(self, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Whether each answer is right, ``[systems, runs, texts]`` (nan: no such file), and the differences
        from the first system, in points: of what the files can tell, and of the systems."""
        systems, most = len(self.files), max(self.files)
        run = self.run * random.standard_normal((systems, most))
        text = TEXT * random.standard_normal(self.texts)
        by_system = BY_SYSTEM * random.standard_normal((systems, self.texts))
        by_run = BY_RUN * random.standard_normal((systems, most, self.texts))
        skill = np.array(self.skills)
        right = (skill[:, None, None] + run[:, :, None] + text + by_system[:, None] + by_run > 0).astype(
            float
        )
        for system, files in enumerate(self.files):
            right[system, files:] = np.nan
        within = TEXT**2 + BY_SYSTEM**2 + BY_RUN**2
        of_runs = 100 * stats.norm.cdf((skill + run[:, 0]) / np.sqrt(within))
        of_systems = 100 * stats.norm.cdf(skill / np.sqrt(within + self.run**2))
        told = of_runs if most == 1 else of_systems
        return right, told[1:] - told[0], of_systems[1:] - of_systems[0]


CASES = [
    Case("one file of each", (1, 1)),
    Case("one file of each, 300 texts", (1, 1), texts=300),
    Case("one file of each, one better", (1, 1), (1.0, 1.15)),
    Case("2 files of each", (2, 2)),
    Case("3 files of each", (3, 3)),
    Case("3 files of each, one better", (3, 3), (1.0, 1.15)),
    Case("3 files of each, runs differ by 3.6 points", (3, 3), run=0.15),
    Case("3 files of each, runs hardly differ", (3, 3), run=0.01),
    Case("5 files of each, 300 texts", (5, 5), texts=300),
    Case("1 and 4 files", (1, 4)),
    Case("4 systems, 3 files of each", (3, 3, 3, 3), (1.0,) * 4),
]


def simulate(case: Case, studies: int, seed: int) -> str:
    """A row of the table."""
    random = np.random.default_rng([seed, CASES.index(case)])
    names: list[Level] = [f"system {number}" for number in range(len(case.files))]
    recipes: list[Levels] = [{"system": name} for name in names]
    covered, widths, wrong, wrong_of_systems = [], [], 0, 0
    for _ in range(studies):
        right, truth, of_systems = case.draw(random)
        score = 100 * right.mean(axis=2)
        outcomes = of_runs({"system": names}, recipes, score, np.nan_to_num(100 * right - score[:, :, None]))
        effects = analyse(Experiment.of(outcomes)).effects
        for effect, true in zip(effects, truth, strict=True):
            covered.append(effect.plain.low <= true <= effect.plain.high)
            widths.append(effect.plain.high - effect.plain.low)
        wrong += any(map(has_wrong_sign, effects, truth))
        wrong_of_systems += any(map(has_wrong_sign, effects, of_systems))
    share = f"{np.mean(covered):.1%} | {np.mean(widths):.2f} | {wrong / studies:.1%}"
    return f"| {case.name} | {studies} | {share} | {wrong_of_systems / studies:.1%} |"


def has_wrong_sign(effect: Effect, truth: float) -> bool:
    """Whether its adjusted interval is on a side of 0 on which the truth is not."""
    return effect.adjusted.low > 0 >= truth or effect.adjusted.high < 0 <= truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| case | studies | covered | width | wrong word | wrong of systems |\n|" + 6 * " --- |")
    for case in CASES:
        print(simulate(case, asked.studies, asked.seed), flush=True)


if __name__ == "__main__":
    main()
