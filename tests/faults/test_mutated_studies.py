"""20,000 mutated files of a study are read or refused: no traceback, nothing takes long, memory is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.attack import SEED, chance_of, held_by, share_of
from support.damage import mutate_bytes
from support.mutations import READERS, copied, mutate
from support.older_predictions import make_family
from support.pretend import pretend
from support.studies import open_study, write_study
from support.toml_mutations import find_faults, read_as_commands_do

from finegrid.audit.costs import make_audit
from finegrid.data.settings import DataSettings
from finegrid.data.table import load_table
from finegrid.errors import InputError
from finegrid.inference.fitted import Fitted, format_fitted, load_fitted
from finegrid.study.audit_file import save_audit
from finegrid.study.kept_files import FILE
from finegrid.study.load import load_study
from finegrid.study.screen import Screen, ScreenedFactor, find_screen_problems, load_screen, save_screen
from finegrid.study.study import Study

CHUNKS = 4  # of every kind
TOMLS = share_of(2_250)  # by hands
COUNTS = {"study.toml": 250, "runs.jsonl": 1_250, "audit.json": 750}  # by hands and disks
COUNTS |= {"family": 300, "predictions": 200}  # a family's file, and a run's own
FAMILY = "0" * 12
READ_BY = 2  # of all that reads a study, in turns: all of them take three times as long
LONGEST = 1.0  # seconds of a core
GROWTH = 32.0  # MiB
SETTINGS = """[design]
kind = "full"
seeds = 2
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 1]
[run]
threads = 1
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A study that has ended."""
    folder = write_study(tmp_path_factory.mktemp("study"), bert, SETTINGS)
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)
    pretend(loaded.study, audit, lambda run: 200 + 10 * len(run.levels) + run.seed, range(2))
    make_family(folder, FAMILY, [record.run_id for record in loaded.study.ledger if record.seed == 0])
    return folder


def find_file(study: Path, kind: str) -> Path:
    """The file of a study; of predictions one."""
    if kind == "family":
        return study / "predictions" / f"{FAMILY}.npz"
    return max((study / kind).iterdir()) if kind == "predictions" else study / kind


def change(kind: str, base: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Other bytes of a file, and what was changed."""
    if kind == "study.toml":
        return mutate_bytes(base, chance), "bytes"
    return mutate(base, ".npz" if kind in ("predictions", "family") else Path(kind).suffix, chance)


def read(study: Path, kind: str, chance: random.Random) -> None:
    """Read a study with some of all that reads it. What ends in an `InputError` has been told."""
    readers = (read_as_commands_do,) if kind == "study.toml" else chance.sample(READERS, READ_BY)
    for reader in readers:
        with suppress(InputError):
            reader(study)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_mutated_settings_are_read_or_refused(chunk: int, ended: Path, tmp_path: Path) -> None:
    study, first = copied(ended, tmp_path / "study"), int(SEED) * CHUNKS * TOMLS + chunk * TOMLS
    start, settings = time.monotonic(), (study / "study.toml").read_text(encoding="utf-8")
    faults = list(find_faults(study, [settings], range(first, first + TOMLS)))
    print(f"{TOMLS} times study.toml in {time.monotonic() - start:.0f} s")
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", COUNTS)
def test_mutated_files_of_a_study_are_read_or_refused_and_memory_does_not_grow(
    kind: str, chunk: int, ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    study = copied(ended, tmp_path / "study")
    path, number = find_file(study, kind), share_of(COUNTS[kind])
    base, start, slowest, settled = path.read_bytes(), time.monotonic(), 0.0, 0.0
    for case in range(number):
        chance = chance_of(kind, chunk, case)
        content, what = change(kind, base, chance)
        path.write_bytes(content)
        before = time.process_time()
        try:
            read(study, kind, chance)
        except Exception as error:
            raise AssertionError(f"{kind}, chunk {chunk}, case {case}: {what}: {content[:2000]!r}") from error
        seconds = time.process_time() - before
        assert seconds < LONGEST, f"{kind}, chunk {chunk}, case {case}: {what}: {seconds:.2f} s"
        slowest = max(slowest, seconds)
        if case == number // 5:
            settled = held_by().memory
    growth = held_by().memory - settled
    print(
        f"{number} times {kind} in {time.monotonic() - start:.0f} s, the slowest in {slowest:.2f} s; "
        f"memory grew by {growth:.1f} MiB after the first {number // 5}"
    )
    assert growth < GROWTH


WRITTEN = share_of(1_500)  # of each kind


def write_others(study: Path, loaded: Study) -> dict[str, Callable[[], object]]:
    """Files that only some studies have, each with what reads it."""
    recipe = {"model.pooling": "cls"}
    named = {"score": "macro-f1", "protocol": "dev-best", "precision": "fp32", "device": "cpu"}
    fitted = Fitted.model_validate(dict(
        labels=["a", "b"], pooling="cls", max_length=12, texts=1, columns=["text", "label"], recipe=recipe,
        seed=0, run_id="0", stands_for=[1], best_epoch=1, dev={}, test={}, threads=1, fingerprints={},
        versions={}, **named,
    ))  # fmt: skip
    (study / FILE).write_text(format_fitted(fitted), encoding="utf-8")
    factor = ScreenedFactor(level=1, effect=0.5, adjusted=(0.1, None), decision="helps", survives=True)
    terms = replace(loaded, screen=None).asked
    decided = dict.fromkeys(terms.factors, factor)
    save_screen(
        study,
        Screen(asked=terms, fingerprints={}, margin=0.2, seeds=[0], rows=2, factors=decided),
    )
    settings = DataSettings(train=Path("own.tsv"))
    rows = [f"text {number}\t{'ab'[number % 2]}" for number in range(60)]
    (study / "own.tsv").write_text("\n".join(["text\tlabel", *rows]))
    load_table(settings, study, study / "split.tsv")

    def read_screen() -> None:
        if (found := load_screen(study)) is not None:
            find_screen_problems(found, terms)

    return {
        FILE: lambda: load_fitted(study),
        "screen.json": read_screen,
        "split.tsv": lambda: load_table(settings, study, study / "split.tsv"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [FILE, "screen.json", "split.tsv"])
def test_mutated_files_that_some_studies_have_are_read_or_refused(
    name: str, ended: Path, tmp_path: Path
) -> None:
    study = copied(ended, tmp_path / "study")
    read_it = write_others(study, load_study(study))[name]
    base = (study / name).read_bytes()
    read_it()
    for case in range(WRITTEN):
        content, what = mutate(base, Path(name).suffix, chance_of(name, case))
        (study / name).write_bytes(content)
        before = time.process_time()
        try:
            with suppress(InputError):
                read_it()
        except Exception as error:
            raise AssertionError(f"{name}, case {case}: {what}: {content[:2000]!r}") from error
        assert time.process_time() - before < LONGEST, f"{name}, case {case}: {what}"
