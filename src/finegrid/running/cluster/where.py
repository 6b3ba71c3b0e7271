"""Where commands train: on this machine, or on the cluster that was asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from finegrid.errors import input_error
from finegrid.running.place import Place, ThisMachine


def place_of(
    on: str | None, storage: str | None, mix: bool, only_nodes: bool = False
) -> AbstractContextManager[Place]:
    """Where to train, of every command that does.

    Args:
        on: a cluster; None: here.
        storage: where states are kept that other nodes of the cluster go on from.
        mix: whether runs of several kinds may stand beside each other.
        only_nodes: whether these could but be kinds of nodes, as of a command with one run.

    Raises:
        InputError: no such place, or something that there is on a cluster only.
    """
    if on is not None:
        from finegrid.running.cluster.session import connected

        return connected(on, storage, mix)
    if storage is not None:
        what = f'found "{storage}" without --on. Here states are kept in the study\'s folder. Leave it out.'
        raise input_error("command line", "--storage", what)
    if mix and only_nodes:
        what = "found without --on. Here it is about nodes of a cluster, which may then differ. Leave it out."
        raise input_error("command line", "--mix", what)
    return nullcontext(ThisMachine())
