"""Real long texts, from files to a verdict; slow, and only where the collection of texts is at hand."""

from __future__ import annotations

import lzma
from itertools import islice
from pathlib import Path

import pytest
from support.command_line import Call, records
from support.studies import write_tsv
from support.tiny import make_tiny

from finegrid.study.audit_file import load_audit

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "zh-corpus"
LONGEST, LEAST = 512, 400  # tokens of the study; characters of a text
SIZES = {"train": 48, "dev": 16, "test": 16}


def write_long_texts(folder: Path) -> None:
    """News and encyclopedia, each text of 400 characters and more."""
    wanted = sum(SIZES.values()) // 2
    rows: list[tuple[str, str]] = []
    for source in ("news", "wikipedia"):
        with lzma.open(CORPUS / f"{source}.txt.xz", "rt", encoding="utf-8") as file:
            long = (line.strip() for line in file if len(line) > LEAST and "\t" not in line)
            rows += [(text, source) for text in islice(dict.fromkeys(long), wanted)]
    mixed = [row for pair in zip(rows[:wanted], rows[wanted:], strict=True) for row in pair]
    start = 0
    for part, size in SIZES.items():
        write_tsv(folder / f"{part}.tsv", mixed[start : start + size])
        start += size


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of texts is not here")
@pytest.mark.parametrize("kind", ["mini-zh", "modernbert", "deberta-v2"])
def test_a_study_of_long_texts_reads_512_tokens_of_each(tmp_path: Path, call: Call, kind: str) -> None:
    write_long_texts(tmp_path / "data")
    made = {"max_position_embeddings": LONGEST}
    model = kind if kind == "mini-zh" else make_tiny(kind, tmp_path / "model", std=0.02, **made)
    files = [part for name in SIZES for part in (f"--{name}", tmp_path / "data" / f"{name}.tsv")]
    levels = {"model.max_length": LONGEST, "training.epochs": 1, "training.batch_size": 8}
    set_ = [part for name, level in levels.items() for part in ("--set", f"{name}={level}")]
    study = tmp_path / "study"
    asked = ("--factors", "schedule.warmup_ratio", "--seeds", "1", *set_)
    assert call("init", *files, "--model", model, "--out", study, *asked).returncode == 0

    ran = call("run", study, "--workers", "1")

    assert ran.returncode == 0, ran.stderr
    assert [record["status"] for record in records(study)] == ["done", "done"]
    audit = load_audit(study)
    assert audit is not None and audit.tokens["mean"] > 0.7 * LEAST and audit.tokens["longest"] > LONGEST
    assert audit.tier is not None and (audit.tier.padded_share > 1) == (kind == "deberta-v2")
