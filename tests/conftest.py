"""Checkpoints and studies on disk, made once per session: see support/studies.py."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis  # noqa: F401  before objects are frozen: it looks for who refers to random numbers
import pytest
import torch
from support.hosted import save_hosted
from support.studies import LoadedOf, make_lesson_, open_study, save_checkpoint, studies_of, write_study

from finegrid.planning import rough
from finegrid.statistics.power import detectable
from finegrid.statistics.variance import Components
from finegrid.training.loaded import LoadedStudy
from finegrid.user_cache import OFF, VARIABLE
from finegrid.verdict.budget import budget

if TYPE_CHECKING:
    from support.command_line import Call

# Background jobs of a shell ignore Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
if not torch.cuda.is_available():  # Triton reads it when it is imported
    os.environ["TRITON_INTERPRET"] = "1"
# What the program prints depends on the width of the terminal, on colours and on the locale. Who tests these
# sets them.
os.environ |= {"COLUMNS": "160", "LC_ALL": "C.UTF-8"}
os.environ[VARIABLE] = OFF  # no test leaves anything among the user's caches, or finds anything there
for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_search() -> None:
    """Takes what stays anyway, such as all of torch, from the searches for garbage.

    The product searches whenever it measures memory. A worker of its own holds little; this process holds
    all tests and libraries, and searching them took most of the time of every audit.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache of its own, which is not there yet: what is found out is kept, as for users."""
    folder = tmp_path / "user-cache"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def forecast_once() -> Iterator[None]:
    """How fast this machine is, and what a study of some size can find: `init` and `plan` ask for each anew.

    They ask for the latter of a hundred designs at a time, and tests for the same ones again and again.
    """
    found: dict[tuple[object, ...], float] = {}

    def find(components: Components, *sizes: int, df_seed: float | None = None) -> float:
        asked = (*map(float, (components.seed, components.text, components.seed_text)), *sizes, df_seed)
        if asked not in found:
            found[asked] = detectable(components, *sizes, df_seed=df_seed)
        return found[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rough, "time_products", cache(rough.time_products))
        patch.setattr(budget, "detectable", find)
        yield


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint of some kind (one of ``studies.KINDS``)."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_checkpoint(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def bert(checkpoint_of: Callable[[str], Path]) -> Path:
    return checkpoint_of("bert")


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    """A study of short texts on the tiny BERT. Shared: never change it."""
    return open_study(write_study(tmp_path_factory.mktemp("study"), bert))


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    """The same with all that a factor may ask of the training texts: classes of unlike size. Shared."""
    return open_study(make_lesson_(write_study(tmp_path_factory.mktemp("taught"), bert)))


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    """The same study on tiny encoders that transformers computes, by their family. Shared."""
    return studies_of(tmp_path_factory, lambda family, model: save_hosted(model, family))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """The command line in this process, for the tests in `cli`."""
    from support.command_line import caller, torch_put_back

    with torch_put_back():
        yield caller(monkeypatch, capsys)
