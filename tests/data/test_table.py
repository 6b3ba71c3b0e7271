"""The table: what its fingerprint says, and real data."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.data_samples import HEADER, load, rows, three

from finegrid.data.settings import DataSettings
from finegrid.data.table import load_table

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_the_fingerprint_depends_on_content_only(tmp_path: Path) -> None:
    table = load(tmp_path, three())
    (tmp_path / "moved").mkdir()
    as_csv = {name.replace("tsv", "csv"): str(text).replace("\t", ",") for name, text in three().items()}

    assert len(table.fingerprint()) == 16
    assert load(tmp_path / "moved", as_csv).fingerprint() == table.fingerprint()


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_the_fingerprint_moves_with_every_text_and_label(part: str, tmp_path: Path) -> None:
    same = HEADER + rows(part)
    prints = {
        load(tmp_path, three(**{part: text})).fingerprint()
        for text in (same, same.replace(" a 3\t", " a 33\t"), same.replace(" 3\ta", " 3\tb"), same + "x\ta\n")
    }

    assert len(prints) == 4


def test_a_table_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    table = load(tmp_path, three())

    assert table.train.labels.dtype == table.train.ids.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        table.train.labels[0] = 1


def test_loading_does_not_import_torch_or_pyarrow() -> None:
    code = (
        "import sys, finegrid.data.table, finegrid.data.sniff; print({'torch', 'pyarrow'} & {*sys.modules})"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "thucnews").exists(), reason="needs the shared THUCNews titles")
def test_thucnews_loads_in_seconds_with_its_known_faults() -> None:
    started = time.perf_counter()
    table = load_table(
        DataSettings(train=Path("train.tsv"), dev=Path("dev.tsv"), test=Path("test.tsv")), SHARED / "thucnews"
    )

    assert time.perf_counter() - started < 10  # 0.8 s on two shared cores
    assert (len(table.train), len(table.dev), len(table.test)) == (54_000, 10_000, 10_000)
    assert table.labels == tuple("0123456789")
    told = "\n".join(table.warnings)
    for fault in (
        "test: 48 texts also in train",
        "train: 147 repeated rows",
        "train: 225 texts with characters lost",
    ):
        assert fault in told


@pytest.mark.skipif(not (SHARED / "headlines").exists(), reason="needs the shared headlines")
def test_the_headlines_are_faultless(tmp_path: Path) -> None:
    everything = "".join(
        path.read_text(encoding="utf-8") for path in sorted((SHARED / "headlines").iterdir())
    )

    table = load(tmp_path, {"train.tsv": everything}, header=False, text=1, label=2)

    assert (len(table.train), len(table.dev), len(table.test)) == (2100, 300, 600)
    assert np.bincount(table.test.labels).tolist() == [60] * 10
    assert table.warnings == ()
