"""Studies on a real Ray cluster of three nodes, which are processes of this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import ENVIRONMENT, FINEGRID, finegrid, records
from support.killed import finished_content
from support.nodes import STORE, cluster_of, on_cluster
from support.pretend import pretend
from support.studies import open_study, save_word_checkpoint, write_data, write_study, write_word_study
from support.waiting import let_pass

import finegrid as finegrid_package
from finegrid.audit.costs import make_audit
from finegrid.study.audit_file import save_audit

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

FACTORS: dict[str, Any] = {
    "freeze.layers": [0, 1],
    "freeze.dropout": [True, False],
    "schedule.warmup_ratio": [0.0, 0.1],
}
SLURM = Path(__file__).parents[2] / "examples" / "cluster" / "slurm.sh"
RUN = "family_size = 2\nthreads = 1\nsave_after_seconds = 0"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, its data beside it, and what it comes to here."""
    home = tmp_path_factory.mktemp("home")
    checkpoint = save_word_checkpoint(home / "checkpoint")
    write_data(home / "data")
    write_word_study(home / "study", checkpoint, FACTORS, design="seeds = 2", run=RUN)
    shutil.copytree(home / "study", home / "local")
    assert finegrid("run", "local", cwd=home).returncode == 0
    return home


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(3, ray_client_server_port=23001) as cluster:
        yield cluster


def copy_of(home: Path, name: str) -> Path:
    return Path(shutil.copytree(home / "study", home / name))


def check_same(home: Path, name: str) -> None:
    """Every file is that of the local study, but for clocks and places, and no record is there twice.

    What workers have cached stays on their nodes.
    """
    local, far = (
        {file: content for file, content in finished_content(home / each).items() if "cache/" not in file}
        for each in ("local", name)
    )
    assert far.keys() == local.keys()
    assert [file for file in local if far[file] != local[file]] == []
    ids = [record["run_id"] for record in records(home / name)]
    assert len(ids) == len({*ids})


@pytest.mark.parametrize("address", ["ray", "ray://127.0.0.1:23001"])
def test_a_study_on_three_nodes_is_the_local_one_bit_for_bit(home: Path, cluster: Any, address: str) -> None:
    name = "far" if address == "ray" else "client"
    folder = copy_of(home, name)
    ended = on_cluster(cluster, "run", name, "--on", address, cwd=home)

    assert ended.returncode == 0, ended.stderr
    check_same(home, name)
    assert {record["node"] for record in records(folder)} != {None}
    assert sorted(path.name for path in (folder / "logs").iterdir())[:2] == ["worker-0.log", "worker-1.log"]


def test_a_study_begun_here_goes_on_there_and_the_other_way_round(home: Path, cluster: Any) -> None:
    for name, first, second in (("out", (), ("--on", "ray")), ("back", ("--on", "ray"), ())):
        copy_of(home, name)
        assert on_cluster(cluster, "run", name, "--seeds", "1", *first, cwd=home).returncode == 0
        ended = on_cluster(cluster, "run", name, "--seeds", "2", *second, cwd=home)

        assert ended.returncode == 0, ended.stderr
        check_same(home, name)


def test_a_model_that_is_fitted_on_a_node_is_the_local_one_and_lies_here(home: Path, cluster: Any) -> None:
    """Whichever recipe: it is trained, kept in full, and brought here in parts."""
    asked = "fit", "local", "--recipe", "2", "--out"
    assert finegrid(*asked, home / "kept-here", cwd=home).returncode == 0
    ended = on_cluster(cluster, *asked, home / "kept-there", "--on", "ray", cwd=home)

    assert ended.returncode == 0, ended.stderr
    here, there = (
        {path.name: path.read_bytes() for path in (home / name).iterdir()}
        for name in ("kept-here", "kept-there")
    )
    assert here.keys() == there.keys() > {"model.safetensors", "finegrid.json"}
    assert [name for name in here if here[name] != there[name]] == []
    assert not [*(home / "local").glob("states/*")]


CONFIRMED = '[design]\nseeds = 3\n[factors]\n"reinit.layers" = [0, 2]\n"schedule.warmup_ratio" = [0.0, 0.5]\n'


def test_a_recipe_is_confirmed_on_the_cluster_as_it_is_here(home: Path, cluster: Any, bert: Path) -> None:
    """Of a study whose ledger says that re-initialising is the best by far."""
    here = write_study(home / "sure-here", bert, CONFIRMED, 'score = "accuracy"\n')
    loaded = open_study(here)
    save_audit(here, audit := make_audit(loaded))
    pretend(loaded.study, audit, lambda run: 120 + 60 * ("reinit.layers" in run.levels) + run.seed, range(3))
    shutil.copytree(here, there := home / "sure-there")
    asked = "--seeds", "2", "--json"
    local = finegrid("confirm", here, *asked)
    far = on_cluster(cluster, "confirm", there, *asked, "--on", "ray", cwd=home)

    assert (local.returncode, far.returncode) == (0, 0), far.stderr
    assert local.stdout == far.stdout
    (folder,) = there.glob("confirm-*")
    assert {record["node"] for record in records(folder)} != {None}


def test_a_plan_counts_the_places_of_the_cluster(home: Path, cluster: Any) -> None:
    copy_of(home, "planned")
    told = on_cluster(cluster, "plan", "planned", "--probe", "--on", "ray", cwd=home)

    assert told.returncode == 0, told.stderr
    assert "left on 3 nodes of the cluster with up to 3 workers of 1 thread" in told.stdout


IN_PYTHON = """
import finegrid as fg
study = fg.Study.load("python")
summary = study.run(on="ray", storage={storage!r})
print(summary.runs.done, [line for line in summary.said if "cluster" in line])
print(len(study.fit("baseline", out="kept-by-python", on="ray").predict(["a b c"])))
"""


def test_python_trains_and_fits_on_a_cluster(home: Path, cluster: Any, tmp_path: Path) -> None:
    copy_of(home, "python")
    code = IN_PYTHON.format(storage=str(tmp_path))
    environment = {**ENVIRONMENT, "RAY_ADDRESS": cluster.address}
    line = [sys.executable, "-c", code]
    ended = subprocess.run(
        line, cwd=home, env=environment, capture_output=True, encoding="utf-8", timeout=600
    )

    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert first == "12 ['the cluster has 3 nodes with room for 3 workers']" and second == "1"
    check_same(home, "python")


def test_the_script_for_slurm_makes_a_cluster_trains_and_leaves_nothing(home: Path, tmp_path: Path) -> None:
    """With an srun that starts everything on this machine."""
    copy_of(home, "slurm")
    pretended = {"scontrol": "echo 127.0.0.1", "srun": 'while [ "$1" != ray ]; do shift; done; exec "$@"'}
    here = Path(sys.executable).parent
    pretended |= {"ray": f'exec "{here}/ray" "$@"', "finegrid": f'exec "{sys.executable}" -m finegrid "$@"'}
    for name, line in pretended.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "n", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"}
    environment = {**ENVIRONMENT, **job, "RAY_PORT": "23079", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("RAY_ADDRESS", None)
    ended = subprocess.run(
        ["bash", SLURM, "slurm"],
        cwd=home,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    check_same(home, "slurm")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 23079))


ANOTHER = """
from pathlib import Path
import finegrid.machine
finegrid.machine.CPUINFO = Path({cpuinfo!r})
"""


@pytest.fixture
def unlike(cluster: Any, tmp_path: Path) -> Iterator[Any]:
    """A further node, whose processor calls itself another one."""
    (tmp_path / "cpuinfo").write_text("model name : Zen 0\n")
    (tmp_path / "sitecustomize.py").write_text(ANOTHER.format(cpuinfo=str(tmp_path / "cpuinfo")))
    path = f"{tmp_path}:{Path(finegrid_package.__file__).parents[1]}"
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars={"PYTHONPATH": path})
    yield node
    cluster.remove_node(node)


def test_a_node_that_differs_is_refused_by_name_or_takes_whole_seeds(
    home: Path, cluster: Any, unlike: Any
) -> None:
    folder = copy_of(home, "mixed")
    refused = on_cluster(cluster, "run", "mixed", "--on", "ray", cwd=home)

    assert refused.returncode == 2 and "Zen 0 (torch" in refused.stderr
    assert not (folder / "runs.jsonl").exists()
    ended = on_cluster(cluster, "run", "mixed", "--on", "ray", "--mix", "--seeds", "30", cwd=home)
    assert ended.returncode == 0, ended.stderr
    kinds = {(record["seed"], record["processor"]) for record in records(folder)}
    assert len(kinds) == 30 and {processor for _, processor in kinds} > {"Zen 0"}


def test_without_a_cluster_one_is_started_for_the_call(home: Path) -> None:
    copy_of(home, "alone")
    apart = tempfile.mkdtemp(dir="/tmp", prefix="r")
    environment = {**ENVIRONMENT, "RAY_TMPDIR": apart}
    environment.pop("RAY_ADDRESS", None)
    line = [*FINEGRID, "run", "alone", "--on", "ray"]
    ended = subprocess.run(
        line, cwd=home, env=environment, capture_output=True, encoding="utf-8", timeout=300
    )
    shutil.rmtree(apart, ignore_errors=True)

    assert ended.returncode == 0, ended.stderr
    check_same(home, "alone")


def test_an_autoscaler_sees_how_much_the_workers_ask_for_that_wait(home: Path, cluster: Any) -> None:
    from ray.autoscaler.v2.sdk import get_cluster_status

    folder, asked = copy_of(home, "grows"), list[dict[str, float]]()
    environment = {**ENVIRONMENT, "RAY_ADDRESS": cluster.address}
    line = [*FINEGRID, "run", "grows", "--seeds", "4", "--on", "ray"]
    with subprocess.Popen(line, cwd=home, env=environment, stderr=subprocess.DEVNULL) as driver:
        while driver.poll() is None:
            for demand in get_cluster_status(cluster.address).resource_demands.ray_task_actor_demand:
                asked += [dict(bundle.bundle) for bundle in demand.bundles_by_count]
            let_pass(0.1)
    costs = json.loads((folder / "audit.json").read_text())["costs"]

    assert driver.returncode == 0 and len(records(folder)) == 4 * 6
    assert max(bundle.get("memory", 0.0) for bundle in asked) >= max(cost["memory"] for cost in costs)
    assert {bundle["CPU"] for bundle in asked} == {1.0}
