"""Settings with which an XLM-RoBERTa often learns one class alone are warned of when a study is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.studies import save_checkpoint, write_study

from finegrid.study.load import load_study


@pytest.fixture(scope="module")
def xlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("xlm"), "xlm-roberta", num_hidden_layers=12)


def warned(folder: Path, checkpoint: Path, settings: str) -> str:
    # The study of tests has a rate of 2e-3.
    return "\n".join(load_study(write_study(folder, checkpoint, settings)).warnings)


def test_a_high_rate_without_a_warmup_is_warned_of(xlm: Path, tmp_path: Path) -> None:
    said = warned(tmp_path, xlm, '[factors]\n"schedule.warmup_ratio" = [0.1, 0.0]')

    assert "optimizer.rate = 0.002 without a warmup. From 2e-05 on XLM-RoBERTa often ends with" in said


def test_neither_a_warmup_nor_a_low_rate_is_warned_of(xlm: Path, tmp_path: Path) -> None:
    assert not warned(tmp_path / "warm", xlm, '[factors]\n"schedule.warmup_ratio" = [0.1, 0.06]')
    assert "warmup" not in warned(tmp_path / "low", xlm, '[factors]\n"optimizer.rate" = [1e-5, 5e-6]')


def test_other_families_and_small_encoders_are_not_warned_of(tmp_path: Path, bert: Path) -> None:
    small = save_checkpoint(tmp_path / "small", "xlm-roberta")

    assert not warned(tmp_path / "bert", bert, '[factors]\n"schedule.warmup_ratio" = [0.1, 0.0]')
    assert not warned(tmp_path / "few", small, '[factors]\n"schedule.warmup_ratio" = [0.1, 0.0]')
