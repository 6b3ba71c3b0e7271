"""Workers, nodes, drivers and heads of a Ray cluster, killed at any moment: a study ends as if nobody had."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors import SafetensorError, safe_open
from support.attack import SEED, chance_of, share_of
from support.command_line import ENVIRONMENT, FINEGRID, finegrid
from support.killed import check_whole, finished_content, ledgers
from support.nodes import MIB, add_node, cluster_of, on_cluster
from support.studies import save_word_checkpoint, write_data, write_word_study
from support.waiting import let_pass, wait_until

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

VICTIMS = ("worker", "actor", "node", "driver", "head")
KILLS = 35
NODES = 3
ENDS_WITHIN = 300.0  # seconds; a machine may be busy
LEFT_WITHIN = 60.0  # seconds, in which what belonged to a driver must end
LEVELS: dict[str, Any] = {"freeze.layers": [0, 1], "schedule.warmup_ratio": [0.0, 0.1]}
LONG = {"training.epochs": 60}
RUN = "family_size = 1\nthreads = 1\nsave_after_seconds = 0"


@dataclass
class Attack:
    """A cluster that is mended after each kill, and a study on it."""

    home: Path
    cluster: Any = None
    seconds: float = 0.0  # that a command takes which nobody disturbs
    _open: Any = field(default=None)

    def renew(self) -> None:
        """A cluster of new nodes."""
        self.close()
        self._open = cluster_of(NODES)
        self.cluster = self._open.__enter__()

    def close(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """`finegrid run` on the cluster."""
        with (self.home / "log").open("wb") as log:
            process = subprocess.Popen(
                [*FINEGRID, "run", "study", "--on", "ray", *options],
                cwd=self.home,
                env={**ENVIRONMENT, "RAY_ADDRESS": self.cluster.address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def told(self) -> str:
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def folder(self) -> Path:
        return self.home / "study"

    def begin(self) -> None:
        """A fresh copy of the study."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.home / "fresh", self.folder)

    def kill(self, victim: str, driver: subprocess.Popen[bytes], chance: random.Random) -> None:
        """Kill one of a kind, where one is alive."""
        if victim == "node":
            self.cluster.remove_node(chance.choice(list(self.cluster.worker_nodes)), allow_graceful=False)
        elif victim == "head":
            self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)
        else:
            found: dict[str, Callable[[], list[Any]]] = {"worker": self.workers, "actor": self.actors}
            alive = found.get(victim, lambda: [driver])()
            with suppress(ProcessLookupError):
                for one in alive and [chance.choice(alive)]:
                    os.kill(one.pid, signal.SIGKILL)

    def processes(self, said: str) -> list[psutil.Process]:
        """Those of this cluster's nodes that say something in their command lines."""
        found = []
        for node in [self.cluster.head_node, *self.cluster.worker_nodes]:
            for about in (node and node.all_processes.get("raylet")) or ():
                with suppress(psutil.Error):
                    found += psutil.Process(about.process.pid).children(recursive=True)
        return [one for one in found if said in line_of(one)]

    def workers(self) -> list[psutil.Process]:
        return self.processes("finegrid-nodes")

    def actors(self) -> list[psutil.Process]:
        return self.processes("ray::Node")

    def mend(self, victim: str) -> None:
        """Make the cluster whole."""
        if victim == "node":
            add_node(self.cluster)
        if victim == "head":
            self.renew()


def line_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    home = tmp_path_factory.mktemp("cluster")
    write_data(home / "data")
    write_word_study(
        home / "fresh", save_word_checkpoint(home / "model"), LEVELS, design="seeds = 2", recipe=LONG, run=RUN
    )
    shutil.copytree(home / "fresh", home / "local")
    assert finegrid("run", "local", cwd=home).returncode == 0
    made = Attack(home)
    made.renew()
    made.begin()
    began = time.monotonic()
    assert on_cluster(made.cluster, "run", "study", "--on", "ray", cwd=home).returncode == 0
    made.seconds = time.monotonic() - began
    yield made
    made.close()


def check_finished(attack: Attack) -> None:
    """The study is the local one in all but clocks and places, and no run was recorded twice as done."""
    local, far = (
        {name: content for name, content in finished_content(folder).items() if "cache/" not in name}
        for folder in (attack.home / "local", attack.folder)
    )
    assert sorted(far.keys() ^ local.keys()) == []
    assert [name for name in local if far[name] != local[name]] == []
    lines = (attack.folder / "runs.jsonl").read_bytes().splitlines()
    assert len(lines) == len({*lines}) == 8


def finish(attack: Attack) -> None:
    """The same command ends what was stopped, and the study is as if nobody had."""
    with attack.started() as process:
        assert process.wait(ENDS_WITHIN) == 0, attack.told
    check_finished(attack)


def run_with(attack: Attack, kills: list[tuple[float, str]], chance: random.Random) -> int:
    """Run the command, kill somebody at each moment (a share of what it takes), and mend. Its exit code."""
    began = time.monotonic()
    with attack.started() as process:
        for moment, victim in sorted(kills):
            let_pass(max(0.0, moment * attack.seconds - (time.monotonic() - began)))
            print(f"seed {SEED}: {victim} at {moment:.0%} of {attack.seconds:.0f} s")
            attack.kill(victim, process, chance)
        code = process.wait(ENDS_WITHIN)
    print(f"  exit code {code}: {(attack.told.splitlines() or [''])[-1]}")
    for _, victim in kills:
        attack.mend(victim)
    assert "Traceback" not in attack.told, attack.told
    check_whole(attack.folder, ledgers(attack.folder), 1)
    if code:
        wait_until(lambda: not attack.workers(), LEFT_WITHIN, "the end of workers without a driver")
    return code


@pytest.mark.parametrize("part", range(-(-share_of(KILLS) // len(VICTIMS))))
def test_whoever_is_killed_the_study_ends_as_if_nobody_had(attack: Attack, part: int) -> None:
    """First a worker, its actor and a node of one command; then a driver, and the head of the next one."""
    chance = chance_of("cluster", part)
    attack.begin()
    survived = run_with(attack, [(chance.random(), victim) for victim in VICTIMS[:3]], chance)
    assert survived == 0, attack.told
    check_finished(attack)
    attack.begin()
    for victim in VICTIMS[3:]:
        code = run_with(attack, [(chance.random(), victim)], chance)
        assert code in (0, 2, -signal.SIGKILL), attack.told
    finish(attack)


def has_begun(attack: Attack) -> bool:
    return (attack.folder / "runs.jsonl").exists()


def at_work(attack: Attack, act: Callable[[subprocess.Popen[bytes]], None], *options: str) -> str:
    """Begin the study, do something once a run has ended, and let it end. Returns what was told."""
    attack.begin()
    with attack.started(*options) as process:
        wait_until(lambda: has_begun(attack), ENDS_WITHIN, "the first record")
        act(process)
        assert process.wait(ENDS_WITHIN) == 0, attack.told
    check_finished(attack)
    return attack.told


def test_a_worker_that_answers_no_more_is_given_up_and_its_family_trained_elsewhere(attack: Attack) -> None:
    stopped = []

    def stop(driver: subprocess.Popen[bytes]) -> None:
        stopped.append(next(one for one in attack.actors() if one.children()))
        stopped[0].suspend()

    assert "has said nothing for 60 s" in at_work(attack, stop)


def test_a_node_that_joins_late_gets_work(attack: Attack) -> None:
    joined = []
    for node in list(attack.cluster.worker_nodes):
        attack.cluster.remove_node(node)
    told = at_work(attack, lambda driver: joined.append(add_node(attack.cluster)))
    assert "lost" not in told
    names = sorted(path.name for path in (attack.folder / "logs").iterdir())
    attack.renew()
    assert "worker-1.log" in names


def test_ctrl_c_ends_in_one_line_and_leaves_nothing_behind(attack: Attack) -> None:
    attack.begin()
    with attack.started() as process:
        wait_until(lambda: has_begun(attack), ENDS_WITHIN, "the first record")
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_WITHIN) == 130
    assert attack.told.splitlines()[-1] == "stopped; the same command goes on"
    wait_until(lambda: not attack.workers(), LEFT_WITHIN, "the end of workers without a driver")
    finish(attack)


def find_saved(attack: Attack, storage: Path) -> tuple[Any, str] | None:
    """A node other than the head that is in the middle of a run whose state is kept, and the run's id."""
    nodes = {node.node_id[:16]: node for node in attack.cluster.worker_nodes}
    for worker in attack.workers():
        home = next(Path(part) for part in line_of(worker).split() if "finegrid-nodes" in part)
        node = next((node for each, node in nodes.items() if each in str(home)), None)
        for path in (home / "state").glob("*.safetensors") if node else ():
            with suppress(OSError, SafetensorError), safe_open(storage / path.name, "np") as file:
                (run,) = json.loads(file.metadata()["runs"])
                if int(file.metadata()["epochs_done"]) < 40:
                    return node, run
    return None


def test_where_a_node_died_a_family_goes_on_from_its_last_epoch_elsewhere(attack: Attack) -> None:
    storage = attack.home / "storage"
    killed: list[str] = []

    def kill(driver: subprocess.Popen[bytes]) -> None:
        while not killed and driver.poll() is None:
            if (found := find_saved(attack, storage)) is not None:
                attack.cluster.remove_node(found[0], allow_graceful=False)
                killed.append(found[1])

    told = at_work(attack, kill, "--storage", str(storage))
    attack.mend("node")
    assert "begins again elsewhere" in told
    assert list(storage.iterdir()) == []
    log = "".join(path.read_text() for path in sorted((attack.folder / "logs").glob("worker-*.log")))
    assert log.count(f"{killed[0]} begins with seed") == 2
    assert log.count(f"{killed[0]} epoch 1 of 60:") == 1


@contextmanager
def another_cluster(attack: Attack, nodes: int, **about: Any) -> Iterator[None]:
    """A cluster of its own for one command; afterwards there is a usual one again."""
    attack.close()
    with cluster_of(nodes, **about) as attack.cluster:
        yield
    attack.renew()


def stops_with(attack: Attack) -> str:
    """What is told where the study cannot be trained; then it goes on where it can."""
    attack.begin()
    with attack.started() as process:
        assert process.wait(ENDS_WITHIN) == 2, attack.told
    assert "Traceback" not in attack.told
    return attack.told


def test_workers_that_ray_kills_for_lack_of_memory_end_in_a_message(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")  # as if the node had next to none
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    with another_cluster(attack, 1):
        told = stops_with(attack)
        monkeypatch.undo()
    assert "has no memory left, and Ray kills what starts there" in told
    finish(attack)


def test_a_full_object_store_ends_in_a_message(attack: Attack) -> None:
    large = [attack.home / "model" / f"large-{number}.txt" for number in range(6)]
    for number, path in enumerate(large):
        path.write_bytes(bytes([number]) * 19 * MIB)  # beside the checkpoint, and so sent with it
    full = {"local_fs_capacity_threshold": 0.01, "local_fs_monitor_interval_ms": 100}  # nor room on the disk
    with another_cluster(attack, 1, store=80 * MIB, _system_config=full):
        told = stops_with(attack)
        for path in large:
            path.unlink()
    assert "Ray's object store is full" in told
    finish(attack)
