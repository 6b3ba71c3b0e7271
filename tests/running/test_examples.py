"""Scripts that make a cluster, as far as they can be tried without one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

import finegrid
from finegrid.running.cluster.session import check_on

ROOT = Path(finegrid.__file__).parents[2]
EXAMPLES = ROOT / "examples" / "cluster"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_whole_and_say_how_they_are_used(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    alone = subprocess.run(["bash", script], capture_output=True, encoding="utf-8")

    assert alone.returncode != 0 and "usage: " in alone.stderr
    assert f"examples/cluster/{script.name}" in (ROOT / "docs" / "cluster.md").read_text()


def test_the_job_for_kubernetes_trains_a_study_with_a_ray_that_finegrid_is_tested_with() -> None:
    job = yaml.safe_load((EXAMPLES / "rayjob.yaml").read_text())
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    program, command, _, option, on = spec["entrypoint"].split()
    head = cluster["headGroupSpec"]["template"]["spec"]

    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert (program, command, option) == ("finegrid", "run", "--on") and check_on(on) == "ray"
    assert f"ray[client]>={cluster['rayVersion'].rpartition('.')[0]}" in (ROOT / "pyproject.toml").read_text()
    assert [each["name"] for each in head["volumes"]] == [
        each["name"] for each in head["containers"][0]["volumeMounts"]
    ]
    assert cluster["workerGroupSpecs"][0]["template"]["spec"].keys() == {"containers"}  # no shared disk
