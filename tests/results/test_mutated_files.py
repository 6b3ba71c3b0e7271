"""Files of a study that others have changed: read as far as they fit, or refused in words."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from support.export_studies import table_from_elsewhere
from support.mutations import Found, attack, read_everything
from support.older_predictions import make_family
from support.pretend import pretend
from support.reported import audited_study

from finegrid.study.audit_file import load_audit
from finegrid.verdict.interim import analyse_interim

FAMILY = "0" * 12
SETTINGS = """[design]
seeds = 2
looks = [2, 3]
[factors]
"reinit.layers" = [0, 2]
"freeze.layers" = [0, 1]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """Four recipes with two seeds, all done, and looked at once."""
    made = audited_study(tmp_path_factory.mktemp("home") / "study", bert, SETTINGS)
    audit = load_audit(made.folder)
    assert audit is not None
    pretend(made, audit, lambda run: 200 + 20 * len(run.levels) + run.seed, range(2))
    make_family(made.folder, FAMILY, [run.run_id for run in made.ledger if run.seed == 0])
    analyse_interim(made, 2, None)
    read_everything(made.folder)
    return made.folder


@pytest.mark.parametrize("file", ["runs.jsonl", "audit.json", "looks.jsonl", "predictions", "family"])
def test_whatever_a_file_holds_a_study_is_read_or_refused_in_words(study: Path, file: str) -> None:
    named = {"predictions": max((study / "predictions").iterdir()).name, "family": f"{FAMILY}.npz"}
    name = f"predictions/{named[file]}" if file in named else file
    assert found_in(study, name) == []


def test_whatever_a_table_holds_it_is_read_or_refused_in_words(tmp_path: Path) -> None:
    assert found_in(table_from_elsewhere(tmp_path / "table"), "imported.json") == []


def found_in(folder: Path, file: str, count: int = 4) -> list[Found]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers that are large, but possible
        return list(attack(folder, file, random.Random(0), count))
