"""The README's picture: what each strategy of a study is worth, with both intervals and the decision.

python benchmarks/picture.py STUDY_FOLDER OUT.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import altair as alt

from finegrid.decide import DO_NOT_USE, MARGIN, OPEN, USE
from finegrid.looks import settled
from finegrid.results import any_results
from finegrid.table import written
from finegrid.verdict import as_json

COLOURS = {USE: "#1a7f37", DO_NOT_USE: "#b3261e", OPEN: "#8a6d00", "no difference": "#57606a"}


def picture(folder: Path) -> alt.LayerChart | alt.FacetChart:
    """One line per strategy: thin the adjusted interval, thick the plain one; grey the margin."""
    verdict = as_json(settled(any_results(folder), MARGIN))
    rows = [row_of(one) for one in verdict["factors"]]
    data = alt.InlineData(values=rows)
    y = alt.Y("strategy:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    colour = alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=alt.Legend(orient="bottom"),
    )
    margin = alt.Chart(alt.InlineData(values=[{"low": -MARGIN, "high": MARGIN}])).mark_rect(opacity=0.15)
    thin = alt.Chart(data).mark_rule(strokeWidth=1.5)
    thick = alt.Chart(data).mark_rule(strokeWidth=5)
    point = alt.Chart(data).mark_point(filled=True, size=70, opacity=1)
    title = f"effect in points of {verdict['score']}; {verdict['seeds']} seeds, {verdict['texts']:,} texts"
    return alt.layer(
        margin.encode(x=alt.X("low:Q"), x2="high:Q"),
        thin.encode(x="adjusted low:Q", x2="adjusted high:Q", y=y, color=colour),
        thick.encode(x="low:Q", x2="high:Q", y=y, color=colour),
        point.encode(x=alt.X("effect:Q", title=title), y=y, color=colour),
    ).properties(width=520, height=34 * len(rows))


def row_of(one: dict[str, Any]) -> dict[str, Any]:
    low, high = one["adjusted"]
    word = one["verdict"].split(",")[0]
    return {
        "strategy": f"{one['factor']} = {written(one['levels'][1])}",
        "verdict": word if word in COLOURS else "no difference",
        **{name: one[name] for name in ("effect", "low", "high")},
        "adjusted low": low,
        "adjusted high": high,
    }


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(sys.argv[2])
