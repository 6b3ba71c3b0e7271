"""The runs of a recipe as dots on one scale: an inline SVG a line high."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from finegrid.facts.report import ReportRecipe, RunFacts

WIDTH, HEIGHT, PAD = 132, 18, 7  # CSS pixels


@dataclass(frozen=True)
class DotStrip:
    """A scale for all recipes of a page, from ``low`` to ``high`` points."""

    low: float
    high: float
    digits: int = 2

    @classmethod
    def of(cls, recipes: list[ReportRecipe], digits: int = 2) -> DotStrip:
        """From the lowest run to the highest."""
        tests = [run.get("test") for recipe in recipes for run in recipe["runs"]]
        known = [test for test in tests if test is not None]
        low, high = min(known, default=0.0), max(known, default=100.0)
        return cls(low, high, digits) if low < high else cls(low - 0.5, high + 0.5, digits)

    def x(self, score: float) -> float:
        return PAD + (WIDTH - 2 * PAD) * (score - self.low) / (self.high - self.low)

    def draw(self, recipe: ReportRecipe) -> Markup:
        """Dots of finished runs, the mean as a line; crosses and rings of runs without a score."""
        middle = HEIGHT / 2
        marks = [f'<path class="axis" d="M{PAD} {middle}H{WIDTH - PAD}"/>']
        if recipe["test"] is not None:
            marks.append(f'<path class="mean" d="M{self.x(recipe["test"]):.1f} 2v{HEIGHT - 4}"/>')
        lost = 0
        for run in recipe["runs"]:
            test = run.get("test")
            if test is not None:
                title, x = f"{run['seed']}: {test:.{self.digits}f}", self.x(test)
                marks.append(f'<circle cx="{x:.1f}" cy="{middle}" r="3"><title>{title}</title></circle>')
            else:
                marks.append(lost_mark(run, 4 + 8 * lost, middle))
                lost += 1
        label = ", ".join(
            f"{run['test']:.{self.digits}f}" for run in recipe["runs"] if run.get("test") is not None
        )
        return Markup(
            f'<svg class="strip" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{label or "–"}">{"".join(marks)}</svg>'
        )


def lost_mark(run: RunFacts, x: float, y: float) -> str:
    title = f"<title>{int(run['seed'])}: {'…' if run['status'] == 'left' else '×'}</title>"
    if run["status"] == "left":
        return f'<circle class="left" cx="{x}" cy="{y}" r="2.5">{title}</circle>'
    return f'<path class="lost" d="M{x - 2.5} {y - 2.5}l5 5m0 -5l-5 5">{title}</path>'
