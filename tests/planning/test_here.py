"""`finegrid machine`: what is there, what is missing, and what that means."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.command_line import Call

from finegrid import machine
from finegrid.cli import setup
from finegrid.errors import InputError
from finegrid.extras import EXTRAS, need, need_to_train
from finegrid.planning import here
from finegrid.planning.here import Gpu, Torch, look_around
from finegrid.training.loaded import LoadedStudy


def forbid(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    """As if some libraries were not installed."""
    real_version = importlib.metadata.version

    def version(name: str) -> str:
        if name in libraries:
            raise importlib.metadata.PackageNotFoundError(name)
        return real_version(name)

    def find(name: str) -> object:
        return None if name in libraries else object()

    for module in (machine, here):
        monkeypatch.setattr(module, "version", version)
    monkeypatch.setattr("finegrid.extras.find_spec", find)


def test_words_and_json_say_the_same(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(here.OFFLINE, raising=False)
    facts = json.loads(call("machine", "--json").stdout)
    monkeypatch.delenv(here.OFFLINE, raising=False)
    said = call("machine").stdout

    assert facts["schema"] == 1 and facts["trains"] is True
    assert facts["machine"] == machine.machine() and facts["versions"] == machine.versions()
    assert f"{facts['machine']['processor']}, {facts['machine']['cores']} cores" in said
    assert f"auto is {facts['precision']} on the processor" in said
    assert f"workers     {facts['workers']}, a thread each" in said
    assert facts["extras"].keys() == EXTRAS.keys()
    for name, is_there in facts["extras"].items():
        assert (f"{name} is installed" in said) == is_there


def test_gpus_are_told_with_what_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpu("Large", 80.0, "9.0", bf16=True), Gpu("Old", 16.0, "7.5", bf16=False)
    monkeypatch.setattr(here, "ask_torch", lambda: Torch("2.13.0", None, gpus))
    told = "\n".join(look_around(Path()).lines())

    assert "GPU 0       Large, 80 GiB, 80 % of it for runs, capability 9.0, bf16" in told
    assert "GPU 1       Old, 16 GiB, 80 % of it for runs, capability 7.5, no bf16" in told
    assert look_around(Path()).as_json()["torch"]["gpus"][1]["memory_gib"] == 16.0


def test_a_processor_without_bf16_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, precision in (({"avx2"}, "fp32"), ({"amx_bf16", "avx2"}, "bf16")):
        monkeypatch.setattr(machine, "cpu_flags", lambda flags=flags: flags)
        monkeypatch.setattr(here, "cpu_flags", lambda flags=flags: flags)

        assert look_around(Path()).precision == precision
        assert look_around(Path()).bf16_flags == tuple(flags - {"avx2"})


def test_it_says_whether_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} --some-option")
    there = look_around(Path())
    assert there.compiler == sys.executable and f"C++         {sys.executable} compiles" in "\n".join(
        there.lines()
    )
    monkeypatch.setenv("CXX", "no-such-compiler")
    missing = look_around(Path())
    assert missing.compiler is None and "no compiler (no-such-compiler)" in "\n".join(missing.lines())


def test_without_torch_it_says_what_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "torch")
    found = look_around(Path())
    told = "\n".join(found.lines())

    assert not found.trains and "torch" not in found.versions
    assert "training    not possible: torch is not installed. It needs: pip install torch" in told
    assert "verdict, report" in told
    with pytest.raises(InputError, match="torch"):
        need_to_train()


def test_without_torch_nothing_begins_to_train(
    call: Call, monkeypatch: pytest.MonkeyPatch, loaded: LoadedStudy
) -> None:
    forbid(monkeypatch, "torch")
    done = call("plan", loaded.study.folder, "--probe")

    assert done.returncode == 2
    assert "torch" in done.stderr and "pip install torch transformers" in done.stderr


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_command_that_imports_what_is_missing_says_so(
    call: Call, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    def import_it(folder: Path) -> NoReturn:
        raise ModuleNotFoundError(f"No module named '{library}'", name=library)

    monkeypatch.setattr(setup, "read_study", import_it)
    done = call("status", "anywhere")

    assert done.returncode == 2 and done.stderr.startswith(f"{library} is not installed. Training needs it")


def test_a_torch_that_breaks_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def broken() -> int:
        raise RuntimeError("the driver is too old\nmore of it")

    monkeypatch.setattr(torch.cuda, "device_count", broken)
    found = look_around(Path())

    assert not found.trains
    assert "cannot be used (the driver is too old)" in "\n".join(found.lines())


def test_an_extra_that_is_missing_names_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("finegrid.extras.import_module", missing)
    with pytest.raises(InputError) as refused:
        need("parquet", "command line", "--out")

    said = str(refused.value)
    assert "--out" in said and "needs pyarrow" in said and "pip install 'finegrid[parquet]'" in said
