"""The README's picture of a finished study: every distinct run, its score against its seconds per epoch.

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
    table = make_table(load_study(folder), load_audit(folder))
    points = []
    for row in table.finished():
        if row.same_as != row.index:
            continue
        seconds = [record["seconds"]["epoch"] for record in row.records if record["status"] == "done"]
        points.append(
            {
                "seconds": sum(seconds) / len(seconds),
                "score": row.mean(table.score),
                "layers": f"{row.levels['reinit.layers']} drawn afresh, {row.levels['freeze.layers']} frozen",
                "warmup": f"warmup {row.levels['schedule.warmup_ratio']}",
                "adam": "Adam" if row.levels["optimizer.bias_correction"] else "BertAdam",
            }
        )
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=points), width=520, height=300)
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(
            x=alt.X("seconds:Q", title="seconds per epoch", scale=alt.Scale(zero=True)),
            y=alt.Y("score:Q", title=f"{table.score} on test", scale=alt.Scale(zero=False)),
            color=alt.Color("layers:N", title="layers"),
            shape=alt.Shape("adam:N", title="bias correction"),
            opacity=alt.Opacity("warmup:N", title="schedule", scale=alt.Scale(range=[0.45, 1])),
        )
        .properties(title=f"{len(points)} runs, one seed each")
    )
    return chart


if __name__ == "__main__":
    picture(Path(sys.argv[1])).save(sys.argv[2])
