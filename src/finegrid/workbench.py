"""What all runs of a study share: tokens, checkpoint, device, precision. The first to import torch."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finegrid.data.batches import Batch, evaluation_batches, pack, training_batches
from finegrid.data.tokens import Tokenised, TokenisedSplit, tokenise
from finegrid.errors import InputError, Problem, input_error
from finegrid.model.classifier import Classifier
from finegrid.model.families import model_fingerprint
from finegrid.model.load import Checkpoint, load_tokenizer
from finegrid.precision import Precision
from finegrid.pretraining.further import Further
from finegrid.recipe import Recipe
from finegrid.streams import Streams
from finegrid.study import RunSettings, Study

# Per batch of evaluation: large enough for full-speed products; on CPUs small enough for the cache.
EVALUATION_TOKENS = {"cpu": 4096, "cuda": 32768}


class Workbench:
    """A study's data and checkpoint, loaded."""

    def __init__(self, study: Study, settings: RunSettings) -> None:
        self.study = study
        self.settings = settings
        self.device = torch.device(settings.device)
        self.precision: Precision = settings.precision
        self.table = study.read_table()
        self.tokens = tokenise(self.table, load_tokenizer(study.checkpoint.folder), study.folder / "cache")
        self.checkpoint = Checkpoint(study.checkpoint)
        check_vocabulary(self.tokens, self.checkpoint)
        lengths = {row.recipe.model.max_length for row in study.rows}
        check_lengths(lengths, self.tokens.train.template.specials, str(study.folder / "study.toml"))
        self.fingerprints = {
            "data": self.table.fingerprint(),
            "tokenizer": self.tokens.fingerprint,
            "model": model_fingerprint(study.checkpoint.folder),
        }

        self.further = Further(
            study.checkpoint.folder,
            self.tokens.train,
            study.folder / "cache",
            self.fingerprints,
            self.precision,
            settings.device,
            settings.threads,
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest text of the study."""
        splits = (self.tokens.train, self.tokens.dev, self.tokens.test)
        return int(max(split.lengths.max() for split in splits))

    def classifier(self, recipe: Recipe, seed: int) -> Classifier:
        """A fresh model, before any strategy has touched it, in training mode."""
        classes = len(self.tokens.labels)
        model = Classifier(self.checkpoint.copy(), classes, recipe.model.pooling, Streams(seed))
        for module in self.checkpoint.missing:
            model.redraw_(model.encoder.get_submodule(module), "missing")
        model.further = self.further
        model.compute = torch.bfloat16 if self.precision == "bf16" else None
        return model.to(self.device).train()

    def training_batches(self, recipe: Recipe, seed: int, epoch: int) -> Iterator[Batch]:
        """The packed batches of one epoch (counted from 0), in the order of the run's own stream."""
        for rows in self.training_rows(recipe, seed, epoch):
            yield self._pack(self.tokens.train, rows, recipe)

    def training_rows(self, recipe: Recipe, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Which texts are in each of those batches."""
        order = Streams(seed).permutation(f"order/{epoch}", len(self.tokens.train))
        return training_batches(order, recipe.training.batch_size)

    def evaluation_batches(self, split: TokenisedSplit, recipe: Recipe) -> Iterator[Batch]:
        """All texts of a split, packed for speed: without dropout the order does not matter."""
        lengths = np.minimum(split.lengths, recipe.model.max_length)
        for rows in evaluation_batches(lengths, EVALUATION_TOKENS[self.device.type]):
            yield self._pack(split, rows, recipe)

    def _pack(self, split: TokenisedSplit, rows: NDArray[np.int64], recipe: Recipe) -> Batch:
        return pack(split, rows, recipe.model.max_length, self.device)

    def steps_per_epoch(self, recipe: Recipe) -> int:
        return -(-len(self.tokens.train) // recipe.training.batch_size)


def check_vocabulary(tokens: Tokenised, checkpoint: Checkpoint) -> None:
    """Refuse a tokeniser whose numbers the embedding table does not have."""
    splits = (tokens.train, tokens.dev, tokens.test)
    largest = max(int(split.tokens.max(initial=0)) for split in splits)
    largest = max([largest, *(piece.token for piece in tokens.train.template.pieces)])
    rows = checkpoint.vocabulary
    if largest >= rows:
        what = f"gives token {largest}, but the encoder has {rows}. Are both from the same checkpoint?"
        raise input_error(str(checkpoint.info.folder), "tokenizer", what)


def check_lengths(lengths: set[int], specials: int, source: str) -> None:
    """Refuse a ``max_length`` that the tokeniser's special tokens alone would fill."""
    problems = [
        Problem(
            "model.max_length", f"{length}, but {specials} special tokens and a word need {specials + 1}."
        )
        for length in sorted(lengths)
        if length <= specials
    ]
    if problems:
        raise InputError(source, problems)


def prepare_process(settings: RunSettings) -> None:
    """Make this process compute the same bits every time, and refuse what the machine cannot do.

    Raises:
        InputError: no such device, or no bf16 products on this processor.
    """
    compute_repeatably()
    torch.set_num_threads(settings.threads)
    check_machine(settings.device, settings.precision)


def compute_repeatably() -> None:
    """Have torch compute the same bits every time, or refuse what it cannot."""
    # cuBLAS reads it when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # not in the stubs
    # Whatever the environment says: fp32 is no TF32, and sums of bf16 products stay in float32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def check_machine(device: str, precision: str) -> None:
    """Refuse what the machine cannot do.

    Raises:
        InputError: no such device, or no bf16 products on this processor.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise input_error("device", "cuda", "torch sees no CUDA device here. Use --device cpu.")
    if precision == "bf16" and not has_bf16(device):
        lacking = (
            "GPU has no bf16" if device == "cuda" else "processor has no bf16 products (AMX or AVX512-BF16)"
        )
        raise input_error("precision", "bf16", f"this {lacking}. Use --precision fp32.")


def has_bf16(device: str) -> bool:
    """Whether bf16 products run in hardware. Elsewhere they are emulated, many times slower than fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def peak_memory(device: torch.device) -> int:
    """Most memory this process has used since `reset_peak_memory`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)  # that of graphs counts as free while they do not run
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows, and there only
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def total_memory(device: torch.device) -> int:
    """Bytes of a GPU; 0 of a CPU, whose memory can be asked for without torch."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0


def give_back_memory() -> None:
    """Let the system have what is free: it would count as used by whatever is measured next."""
    gc.collect()
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring anew. Where the system cannot (macOS), peaks are those of the whole process."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        give_back_memory()
        try:
            clear.write_text("5")  # 5 resets VmHWM: proc(5)
        except OSError:  # a container may forbid it
            return
