"""A function of fixed tensors, captured as a CUDA graph after a few calls, and replayed from then on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

WARM_CALLS = 3  # ordinary ones first: libraries load kernels, choose algorithms and make workspaces in them


class Replayed:
    """Calls the function itself where there is no CUDA, and where it cannot be captured; says so once."""

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self.function = function
        self.calls_left = WARM_CALLS
        self.graph: torch.cuda.CUDAGraph | None = None
        self.capturing = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if self.capturing else None

    def __call__(self) -> None:
        if self.capturing and self.graph is None:
            if self.calls_left == 0:
                self._capture()
            self.calls_left -= 1
        if self.graph is not None:
            self.graph.replay()
        elif self.stream is not None:
            self._call_aside(self.stream)
        else:
            self.function()

    def _call_aside(self, stream: torch.cuda.Stream) -> None:
        """On the stream of the capture, so that the tensors autograd keeps belong to it."""
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.function()
        torch.cuda.current_stream().wait_stream(stream)

    def _capture(self) -> None:
        """Record the function; that computes nothing yet."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.function()
        except Exception as error:  # of many kinds, and none of them a reason not to train
            self.capturing = False
            first = str(error).partition("\n")[0]
            print(f"no CUDA graph ({type(error).__name__}: {first}): stepping without", file=sys.stderr)
            torch.cuda.synchronize()
        else:
            self.graph = graph
