"""What is installed: the wheel holds the program with its assets, and works where nothing else of ours is."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from support.compared import write_systems

from finegrid import __version__

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "finegrid"
NO_INDEX = ("No matching distribution", "NewConnectionError", "Could not fetch URL", "getaddrinfo")


def test_the_wheel_holds_the_sources_and_the_assets_and_nothing_else() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling comes with the extra dev")
    packed = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    there = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert packed == there
    assert {"finegrid/assets/mini-zh/model.safetensors", "finegrid/assets/study.toml.jinja"} <= packed


class Installed:
    """An environment that holds the wheel and what it needs, seen from elsewhere."""

    def __init__(self, home: Path) -> None:
        self.home, self.bin = home, home / "env" / ("Scripts" if os.name == "nt" else "bin")
        venv.create(home / "env", with_pip=True)

    def pip(self, *arguments: str | Path) -> None:
        """Install something; without a package index the test is skipped."""
        done = self("python", "-m", "pip", "install", "--quiet", *arguments)
        if done.returncode and any(sign in done.stderr for sign in NO_INDEX):
            pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr

    def __call__(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs. No other program is on the path: no make, no compiler."""
        unset = ("PYTHONPATH", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.run(
            [str(self.bin / program), *map(str, arguments)],
            cwd=self.home,
            env={**environment, "PATH": str(self.bin), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"},
            capture_output=True,
            encoding="utf-8",
        )


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(build, capture_output=True, encoding="utf-8")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    there = Installed(tmp_path)
    there.pip("--constraint", ROOT / "constraints.txt", "torch")
    there.pip("--constraint", ROOT / "constraints.txt", wheel)

    assert there("finegrid", "--version").stdout == f"{__version__}\n"

    prepare = (
        "from pathlib import Path; from finegrid.study.demo import prepare_demo; prepare_demo(Path('demo'))"
    )
    assert there("python", "-c", prepare).returncode == 0
    ran = there("finegrid", "run", "demo", "--rows", "1")
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "demo" / "runs.jsonl").read_text(encoding="utf-8").splitlines()) == 1

    there("finegrid", "example", "thucnews64-published", "--out", "published")
    verdict = there("finegrid", "verdict", "published")
    assert verdict.returncode == 0 and "baseline" in verdict.stdout, verdict.stderr

    files = write_systems(tmp_path)
    compared = there("finegrid", "compare", *files, "--gold", tmp_path / "gold.csv")
    assert compared.returncode == 0 and compared.stdout, compared.stderr

    refused = there("finegrid", "export", "published", "--to", "parquet")
    assert refused.returncode == 2 and "pip install 'finegrid[parquet]'" in refused.stderr
