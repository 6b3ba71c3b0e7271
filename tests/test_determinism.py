"""Fresh processes compute the same bits, on batches with repeated tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import save_checkpoint, write_study

PROGRAM = """
import hashlib, sys
from pathlib import Path
from finegrid.run import Run
from finegrid.study import load_study
from finegrid.workbench import Workbench, prepare_process

study = load_study(Path(sys.argv[1]))
settings = study.head.run.model_copy(update={"threads": int(sys.argv[2])})
prepare_process(settings)
bench = Workbench(study, settings)
run = Run(bench, "run", study.baseline, seed=5)
for step, batch in enumerate(bench.training_batches(run.recipe, 5, 0)):
    assert len(batch.ids.unique()) < 0.8 * len(batch.ids), "tokens must repeat"
    run.step(batch, step)
digest = hashlib.sha256()
for name, p in run.model.named_parameters():
    digest.update(p.detach().numpy().tobytes())
print(digest.hexdigest())
"""


def weights_hash(study: Path, threads: int) -> str:
    command = [sys.executable, "-c", PROGRAM, str(study), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_processes_train_to_the_same_bits(tmp_path: Path, bert: Path) -> None:
    study = write_study(tmp_path / "study", bert)

    assert weights_hash(study, 1) == weights_hash(study, 1)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_agree_at_base_width(tmp_path: Path, threads: int) -> None:
    base: dict[str, Any] = {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "num_hidden_layers": 2,
        "vocab_size": 21128,
        "initializer_range": 0.02,
    }
    study = write_study(tmp_path / "study", save_checkpoint(tmp_path / "base", "bert", **base))

    assert weights_hash(study, threads) == weights_hash(study, threads)
