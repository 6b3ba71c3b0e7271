"""Functions of fixed tensors, captured as CUDA graphs after a few calls, and replayed from then on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

WARM_CALLS = 3  # ordinary ones first: libraries load kernels, choose algorithms and make workspaces in them


class Graphs:
    """What the graphs of a family have in common: a stream, and the memory they work in.

    One memory suffices: nothing that a graph makes there is looked at once another one is replayed.
    """

    def __init__(self, device: torch.device) -> None:
        self.capturing = device.type == "cuda"  # until a capture fails
        self.stream = torch.cuda.Stream(device) if self.capturing else None
        self.pool: Any = torch.cuda.graph_pool_handle() if self.capturing else None
        self.failed: list[torch.cuda.CUDAGraph] = []  # kept: torch's allocator may still point to them

    def capture(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
        """Record the function, which computes nothing. None, and word of it, where that cannot be done."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                function()
        except Exception as error:  # of many kinds, and none of them a reason not to train
            self.capturing = False
            self.failed.append(graph)
            torch.cuda.set_stream(stream)  # a capture that ends badly leaves its own one in place
            torch.cuda.synchronize()
            cause = error.__context__ or error
            first = str(cause).partition("\n")[0]
            print(f"no CUDA graph ({type(cause).__name__}: {first}): stepping without", file=sys.stderr)
            return None
        return graph

    def call_aside(self, function: Callable[[], None]) -> None:
        """On the stream of the captures, so that the tensors autograd keeps belong to it."""
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            function()
        torch.cuda.current_stream().wait_stream(self.stream)


class Replayed:
    """Calls a function itself where there is no CUDA, and where it cannot be captured."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs
        self.calls_left = WARM_CALLS
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, function: Callable[[], None]) -> None:
        """Call it, or replay what it did.

        Args:
            function: the same every time. It is not kept: whoever owns this would never be freed.
        """
        if self.graph is None and self.graphs.capturing:
            if self.calls_left == 0:
                self.graph = self.graphs.capture(function)
            self.calls_left -= 1
        if self.graph is not None:
            self.graph.replay()
        elif self.graphs.stream is not None:
            self.graphs.call_aside(function)
        else:
            function()
