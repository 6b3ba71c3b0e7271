"""A Ray cluster whose nodes are processes of this machine, and the command line that works on it."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.command_line import ENVIRONMENT, FINEGRID

MIB = 2**20
STORE = 100 * MIB  # of objects, a node


@contextmanager
def cluster_of(nodes: int, store: int = STORE, **of_head: Any) -> Iterator[Any]:
    """So many nodes of one processor each, the head among them: Ray's own `Cluster`.

    Args:
        nodes: how many.
        store: bytes of a node's object store.
        of_head: further settings of the head.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray has some for itself
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        about = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": store}
        cluster = Cluster(initialize_head=True, head_node_args={**about, **of_head})
        try:
            for _ in range(nodes - 1):
                add_node(cluster, store)
            yield cluster
        finally:
            with suppress(Exception):  # what was killed
                cluster.shutdown()


def add_node(cluster: Any, store: int = STORE) -> Any:
    """A further node of one processor."""
    return cluster.add_node(num_cpus=1, object_store_memory=store)


def on_cluster(
    cluster: Any, *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command line that finds the cluster by ``RAY_ADDRESS``."""
    return subprocess.run(
        [*FINEGRID, *map(str, arguments)],
        cwd=cwd,
        env={**ENVIRONMENT, "RAY_ADDRESS": cluster.address, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
