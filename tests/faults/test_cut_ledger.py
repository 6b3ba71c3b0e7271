"""The ledger cut at every byte, and bytes of it turned: all other lines are read, and the study goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.attack import chance_of, share_of
from support.command_line import Call
from support.pretend import pretend
from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit
from finegrid.study.audit_file import save_audit
from finegrid.study.ledger import Journal, Ledger

PARTS = 2  # for two cores
TURNED = share_of(1_000)  # bytes turned
NEW = {"run_id": "new", "seed": 0, "status": "failed"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study of two runs that has ended."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert)
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)
    pretend(loaded.study, audit, lambda run: 200 + 10 * len(run.levels), range(1))
    return folder


@pytest.fixture
def study(ended: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ended, tmp_path / "study"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_ledger_cut_at_any_byte_is_read_up_to_there_and_goes_on(part: int, study: Path, call: Call) -> None:
    ledger = study / "runs.jsonl"
    raw = ledger.read_bytes()
    ends = [place for place, byte in enumerate(raw) if byte == ord("\n")]
    first, last = json.loads(raw[: ends[0]]), json.loads(raw[ends[-2] : ends[-1]])
    cuts = range(part, len(raw) + 1, PARTS)
    for cut in sorted(chance_of("cuts", part).sample(cuts, share_of(len(cuts)))):
        ledger.write_bytes(raw[:cut])
        whole = [record for record, end in zip((first, last), ends, strict=True) if cut >= end]
        assert count_done(study, call) == (len(whole), len(whole)), cut

        Journal(ledger).append(NEW)
        assert ledger.read_bytes().startswith(raw[:cut]), cut  # it only grows
        found = [record.run_id for record in Ledger(ledger)]
        assert found == [*(record["run_id"] for record in whole), "new"], cut


@pytest.mark.slow
def test_a_ledger_with_a_turned_byte_loses_at_most_that_line(study: Path, call: Call) -> None:
    ledger, chance = study / "runs.jsonl", chance_of("turned bytes")
    raw = ledger.read_bytes()
    for _ in range(TURNED):
        content, place = bytearray(raw), chance.randrange(len(raw))
        content[place] ^= chance.randrange(1, 256)
        ledger.write_bytes(content)
        in_status, in_table = count_done(study, call)
        # A turned line end takes both of its lines with it.
        assert in_status >= 1 or raw[place] == ord("\n"), (place, content[place])
        assert in_table >= 1 or raw[place] == ord("\n"), (place, content[place])


def count_done(study: Path, call: Call) -> tuple[int, int]:
    """Finished runs, as `status` and `table` count them."""
    status, table = call("status", study, "--json"), call("table", study, "--format", "json")
    assert (status.returncode, table.returncode) == (0, 0), status.stderr + table.stderr
    rows = json.loads(table.stdout)["rows"]
    done = {run["run_id"] for row in rows for run in row["runs"] if run["status"] == "done"}
    return json.loads(status.stdout)["runs"]["done"], len(done)
