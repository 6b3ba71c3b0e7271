"""Writes the design that a budget buys into study.toml."""

from __future__ import annotations

from finegrid.errors import input_error
from finegrid.machine import PRECISIONS
from finegrid.planning.runs import plan_runs
from finegrid.spelling import count_noun
from finegrid.study.edit import change_design
from finegrid.study.load import read_study
from finegrid.study.toml import format_toml
from finegrid.verdict.budget.budget import BudgetPlan, Option
from finegrid.verdict.budget.words import make_design_table


def apply_plan(plan: BudgetPlan) -> list[str]:
    """Make the chosen design and seeds those of the study.

    Returns:
        What was changed, in words.

    Raises:
        InputError: nothing fits the budget, or runs have finished that the design does not have.
    """
    study = plan.status.study
    if plan.chosen is None:
        what = "nothing fits this budget, so there is nothing to write. Ask for more time."
        raise input_error("command line", "--apply", what)
    if dropped := count_dropped(plan, plan.chosen):
        what = (
            f"{count_noun(dropped, 'finished run')} would be no part of the chosen design any more. Choose "
            "rows and seeds yourself in study.toml, or plan in a new folder."
        )
        raise input_error(str(study.folder), "--apply", what)
    table = make_design_table(plan, plan.chosen)
    before = study.head.design
    wanted = {"kind": table["kind"], "resolution": table.get("resolution"), "seeds": table["seeds"]}
    had = {
        "kind": before.kind,
        "resolution": before.resolution if "resolution" in before.model_fields_set else None,
        "seeds": before.seeds,
    }
    changes = {name: value for name, value in wanted.items() if name == "resolution" or had[name] != value}
    without = plan.chosen.candidate.without
    change_design(study.folder, changes, without, read_study)
    told = [
        f"{name} = {format_toml(value)}" if value is not None else f"no {name}"
        for name, value in changes.items()
        if value is not None or had[name] is not None
    ]
    lines = [f"study.toml has now in [design]: {', '.join(told)}"] if told else []
    if without:
        lines.append(f"study.toml varies no more, since they do nothing: {', '.join(without)}")
    return lines or ["study.toml has this already"]


def count_dropped(plan: BudgetPlan, chosen: Option) -> int:
    """Runs with a result that the chosen design does not have."""
    status, candidate = plan.status, chosen.candidate
    assert status.audit is not None
    kept = {
        run.run_id
        for precision in PRECISIONS
        for run in plan_runs(candidate.study, status.audit, precision, chosen.seeds)
    }
    records = (record for record in status.records().values() if record is not None)
    return sum(record.status != "failed" and record.run_id not in kept for record in records)
