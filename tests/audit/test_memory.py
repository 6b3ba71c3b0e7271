"""What families are planned with: the bytes that a member holds, and those that are not a process's own."""

from __future__ import annotations

import sys
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

import pytest
import torch
from support.levels import base, on
from torch import Tensor

from finegrid.audit.costs import measure, member_memory
from finegrid.model.device import mapped_memory, peak_memory, reset_peak_memory
from finegrid.study.audit_file import Cost
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

CPU = torch.device("cpu")
SIZE = 2**26
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc/self/status")


@pytest.mark.parametrize("factor", ["", "freeze.layers", "lora.rank"])
def test_between_steps_a_member_holds_what_the_audit_says(loaded: LoadedStudy, factor: str) -> None:
    run = Run(loaded, "run", on(loaded, factor) if factor else base(loaded), 0)
    for step, batch in enumerate(islice(loaded.training_batches(run.recipe, 0, 0), 2)):
        run.step(batch, step)
    trained: list[Tensor] = [*run.trained().values()]
    state = run.optimizer.state
    moments = [value for each in state.values() for value in each.values()]
    without = [p for p in trained if p not in state] * 2  # a pooler that nothing reads never gets any
    gradients = [p.grad for p in trained if p.grad is not None]
    best = trained  # kept beside them from the first epoch on

    assert sum(one.nbytes for one in (*trained, *moments, *without, *gradients, *best)) == member_memory(run)


@linux
def test_mapped_files_are_no_memory_of_the_process(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(SIZE))
    reset_peak_memory(CPU)
    own, mapped = peak_memory(CPU) - mapped_memory(CPU), mapped_memory(CPU)
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as pages:
        assert not any(pages[:: 2**12])  # which reads every page
        assert mapped_memory(CPU) - mapped >= 0.9 * SIZE
        assert peak_memory(CPU) - mapped_memory(CPU) - own <= 0.1 * SIZE


@linux
def test_a_run_costs_what_the_process_has_without_mapped_files(loaded: LoadedStudy) -> None:
    found = measure(loaded, loaded.study.baseline)

    assert 0 < found.memory <= peak_memory(CPU) - mapped_memory(CPU) / 2


@pytest.mark.parametrize(("stacked", "bytes_"), [(False, 100 + 10 + 2 * 40), (True, 3 * (100 + 10))])
def test_every_member_of_a_family_has_its_best_weights(stacked: bool, bytes_: int) -> None:
    cost = Cost(
        shared={},
        step_seconds=1,
        prefix_seconds=0,
        evaluation_seconds=1,
        test_seconds=1,
        memory=100,
        member_memory=40,
        copies=4,
    )

    assert cost.of_family(3, stacked) == bytes_
