"""The README's picture: the score of every distinct run of a finished ``thucnews64`` study.

python benchmarks/picture.py STUDY_FOLDER OUT.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import altair as alt

from finegrid.audit import load_audit
from finegrid.study import load_study
from finegrid.table import make_table


def picture(folder: Path) -> alt.Chart:
    """One point per distinct run of a finished ``thucnews64`` study."""
    table = make_table(load_study(folder), load_audit(folder))
    points = [
        {
            "score": row.mean(table.score),
            "layers": f"{row.levels['reinit.layers']} drawn afresh, {row.levels['freeze.layers']} frozen",
            "warmup": f"warmup {row.levels['schedule.warmup_ratio']}",
            "adam": "Adam" if row.levels["optimizer.bias_correction"] else "BertAdam",
        }
        for row in table.finished()
        if row.same_as == row.index
    ]
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=points), width=560, height=200)
        .mark_point(filled=True, size=90)
        .encode(
            x=alt.X("score:Q", title=f"{table.score} on test", scale=alt.Scale(zero=False)),
            y=alt.Y("layers:N", title=None),
            color=alt.Color("adam:N", title="bias correction"),
            shape=alt.Shape("warmup:N", title="schedule"),
            opacity=alt.value(0.75),
        )
        .properties(title=f"The {len(points)} distinct runs, one seed each")
    )
    return chart


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(sys.argv[2])
