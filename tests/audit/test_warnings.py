"""The audit says what only tokens can tell of a study's texts."""

from __future__ import annotations

from pathlib import Path

from support.studies import open_study, write_study

from finegrid.audit.costs import make_audit

ONE = '[factors]\n"reinit.layers" = [0, 2]\n'


def test_texts_that_are_one_to_the_model_are_told_with_the_audit(tmp_path: Path, bert: Path) -> None:
    folder = write_study(tmp_path, bert, settings=ONE)
    for name, text in (("train.tsv", "ba , be"), ("test.tsv", "ba, be")):
        file = folder / name
        label = file.read_text(encoding="utf-8").splitlines()[-1].split("\t")[1]
        file.write_text(f"{file.read_text(encoding='utf-8')}{text}\t{label}\n", encoding="utf-8")
    loaded = open_study(folder)

    told = "test: 1 text with the same tokens as one of train, e.g. 'ba, be' is 'ba , be'"
    assert told in make_audit(loaded).warnings and told not in loaded.table.warnings
