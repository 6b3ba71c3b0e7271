"""Fresh processes compute the same bits, on batches with repeated tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.studies import save_checkpoint, write_study

from finegrid.model.device import compute_repeatably

PROGRAM = """
import hashlib, sys
from pathlib import Path
from finegrid.training.run import Run
from finegrid.study.load import load_study
from finegrid.training.loaded import LoadedStudy, prepare_process

study = load_study(Path(sys.argv[1]))
settings = study.head.run.model_copy(update={"threads": int(sys.argv[2])})
prepare_process(settings)
loaded = LoadedStudy(study, settings)
run = Run(loaded, "run", study.baseline, seed=5)
for step, batch in enumerate(loaded.training_batches(run.recipe, 5, 0)):
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


@pytest.mark.slow
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


def test_products_are_what_the_precision_says_whatever_the_environment() -> None:
    """No TF32 where fp32 was asked for; sums of bf16 products stay in float32."""
    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("high")
    matmul.allow_bf16_reduced_precision_reduction = True
    try:
        compute_repeatably()
        assert torch.get_float32_matmul_precision() == "highest"
        assert not matmul.allow_bf16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision(before[0])
        matmul.allow_bf16_reduced_precision_reduction = before[1]
