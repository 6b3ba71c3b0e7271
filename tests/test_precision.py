"""``precision = "auto"`` is bf16 where the processor has bf16 products; settled before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.studies import write_study

from finegrid import machine
from finegrid.machine import fastest_precision, processor, processor_kind
from finegrid.study.load import load_study, override
from finegrid.study.settings import RunSettings

CPUS = {
    "AMX": ("flags\t\t: fpu sse2 avx512f avx512_bf16 amx_bf16 amx_tile\n", "bf16"),
    "Zen 4": ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\nflags\t: none\n", "bf16"),
    "Zen 3": ("flags\t\t: fpu sse2 avx avx2 fma\n", "fp32"),
    "ARM": ("Features\t: fp asimd bf16\n", "fp32"),
    "nothing": ("", "fp32"),
}


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize("cpu", CPUS)
def test_the_processor_decides(cpuinfo: Path, cpu: str) -> None:
    text, expected = CPUS[cpu]
    cpuinfo.write_text(text)

    assert fastest_precision("cpu") == expected
    assert fastest_precision("cuda") == "bf16"


def test_a_system_that_does_not_tell_gets_the_reference(cpuinfo: Path) -> None:
    assert fastest_precision("cpu") == "fp32"


HIDDEN = "model name\t: AMD EPYC\ncpu family\t: 25\nmodel\t\t: {}\nflags\t\t: fpu {}\n"


def test_processors_of_one_name_are_told_apart(cpuinfo: Path) -> None:
    def told(model: int, flags: str) -> tuple[str, str]:
        cpuinfo.write_text(HIDDEN.format(model, flags))
        return processor(), processor_kind.__wrapped__()

    name, kind = told(17, "sse2 avx2")
    assert name == "AMD EPYC (family 25, model 17)"
    assert told(17, "sse2 avx2 lately_named") == (name, kind)
    assert told(17, "sse2 avx2 avx512f")[0] == name
    assert told(17, "sse2 avx2 avx512f")[1] != kind
    assert told(1, "sse2 avx2")[0] != name
    cpuinfo.unlink()
    assert processor()


def test_auto_is_resolved_in_study_toml_and_on_the_command_line(
    cpuinfo: Path, tmp_path: Path, bert: Path
) -> None:
    cpuinfo.write_text(CPUS["AMX"][0])
    settings = '[run]\nprecision = "auto"\n[factors]\n"reinit.layers" = [0, 1]'
    study = load_study(write_study(tmp_path / "study", bert, settings))

    assert study.head.run.precision == "bf16"
    assert override(RunSettings(), precision="auto").precision == "bf16"
    assert override(study.head.run, precision="fp32").precision == "fp32"
    assert RunSettings().precision == "fp32"


def test_auto_asks_the_device_that_the_command_line_chooses(
    cpuinfo: Path, tmp_path: Path, bert: Path
) -> None:
    cpuinfo.write_text(CPUS["Zen 3"][0])
    settings = '[run]\nprecision = "{}"\n[factors]\n"reinit.layers" = [0, 1]'
    auto, fp32 = (
        load_study(write_study(tmp_path / name, bert, settings.format(name))).head.run
        for name in ("auto", "fp32")
    )

    assert auto.precision == "fp32"
    assert override(auto, device="cuda").precision == "bf16"
    assert override(auto, device="cuda", precision="fp32").precision == "fp32"
    assert override(override(auto, device="cuda", precision="fp32"), memory=4.0).precision == "fp32"
    assert override(fp32, device="cuda").precision == "fp32"
