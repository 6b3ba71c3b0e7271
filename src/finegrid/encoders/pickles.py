"""Weights in PyTorch's ``.bin`` files: read without running code, and what else a pickle is, in words."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from finegrid.data.findings import quote
from finegrid.encoders.files import describe_stand_in
from finegrid.encoders.tensors import PIECE, StoredTensor, Values
from finegrid.errors import first_line, input_error
from finegrid.refusals import lacks_memory

if TYPE_CHECKING:
    from torch import Tensor

KINDS = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
# What pickles of tensors name; whatever else they name is not weights.
OF_TENSORS = ("torch._utils.", "torch.storage.", "torch.serialization.", "collections.", "torch._tensor.")
MODULES = ("torch.nn.", "transformers.", "sentence_transformers.", "__main__.", "pytorch_pretrained_bert.")
MOST_OPCODES = 1_000_000  # of a pickle: BERT's weights take 6,000
TOO_MUCH = f"its pickle has over {MOST_OPCODES:,} steps, which no weights need. Take another copy."


def read_pickled(path: Path) -> dict[str, StoredTensor]:
    """What a ``.bin`` file holds, by name. No code of the file is run.

    Raises:
        InputError: it is cut, no state dict, or asks for more than tensors.
    """
    import torch
    from transformers.modeling_utils import load_state_dict

    source, where = str(path.parent), path.name
    if (instead := describe_stand_in(path)) is not None:
        raise input_error(source, where, f"cannot be loaded: it {instead}")
    if (bomb := describe_bomb(path)) is not None:
        raise input_error(source, where, f"cannot be loaded: {bomb}")
    try:
        content: Any = load_state_dict(path, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise kinds of their own; the remedy is the same
        if lacks_memory(error):
            raise  # the checkpoint is not to blame
        reason = describe_pickle(path) or f"{first_line(error)} Download it again."
        raise input_error(source, where, f"cannot be loaded: {reason}") from error
    tensors = content if isinstance(content, Mapping) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise input_error(source, where, f"cannot be loaded: {describe_content(content)}")
    if odd := [str(name) for name, tensor in tensors.items() if not is_plain(tensor)]:
        what = f"{quote(odd[0])} has not all of its values in the file. Save it with save_pretrained."
        raise input_error(source, where, f"cannot be loaded: {what}")
    return {
        str(name): StoredTensor(
            KINDS.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype)),
            tuple(tensor.shape),
            piecewise(tensor.detach()),
        )
        for name, tensor in tensors.items()
    }


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor holds each of its values: not if it is sparse, nested, on no device, or expanded."""
    import torch

    if tensor.is_nested or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def describe_bomb(path: Path) -> str | None:
    """What would take very long to read, or very much memory; None if nothing."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return TOO_MUCH if count_opcodes(file) > MOST_OPCODES else None
        with zipfile.ZipFile(path) as archive:
            for inside in archive.infolist():
                if inside.compress_type != zipfile.ZIP_STORED:
                    return f"{quote(inside.filename)} in it is compressed, as torch never saves it."
                if inside.filename.endswith("data.pkl"):
                    with archive.open(inside) as pickled:
                        if count_opcodes(pickled) > MOST_OPCODES:
                            return TOO_MUCH
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        pass  # told by who loads it
    return None


def count_opcodes(file: IO[bytes]) -> int:
    """Of all pickles that follow each other at the beginning of a file, as far as `MOST_OPCODES`."""
    count = 0
    try:
        while count <= MOST_OPCODES:
            for _ in pickletools.genops(file):
                count += 1
                if count > MOST_OPCODES:
                    break
    except Exception:  # the end of the file, or of its pickles: tensors follow
        pass
    return count


def piecewise(tensor: Tensor) -> Callable[[], Iterator[Values]]:
    def pieces() -> Iterator[Values]:
        for piece in tensor.reshape(-1).split(PIECE):
            yield piece.double().numpy() if tensor.element_size() > 4 else piece.float().numpy()

    return pieces


def describe_content(content: object) -> str:
    """What a pickle holds that is no state dict."""
    import torch

    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, Mapping) and any(isinstance(item, torch.Tensor) for item in value.values()):
                return (
                    f"it is a checkpoint of a training program, whose weights lie under {quote(str(key))}. "
                    "Save these alone, with torch.save."
                )
        return "it is no state dict: not all of its values are tensors. Save model.state_dict() alone."
    return f"it holds a {type(content).__name__}, not a state dict. Save model.state_dict()."


def describe_pickle(path: Path) -> str | None:
    """What a pickle asks for beside tensors, told from its opcodes without running them; None if nothing."""
    others = [name for name in list_names(path) if not is_of_tensors(name)]
    if not others:
        return None
    for name in others:
        if name.startswith(MODULES) and name.rpartition(".")[2][:1].isupper():
            kind = quote(name.rpartition(".")[2])
            return (
                f"it is a pickled module ({kind}), not weights. Where it was made, save it with "
                "save_pretrained, or save its state_dict() alone."
            )
    return (
        f"it is a pickle that names {quote(others[0])}, which is no tensor. finegrid runs no code of a "
        "checkpoint. Save the state_dict() alone, or safetensors."
    )


def is_of_tensors(name: str) -> bool:
    """Whether pickles of tensors name it: ``torch.FloatStorage``, ``collections.OrderedDict``."""
    of_torch = name.startswith("torch.") and name.count(".") == 1
    return of_torch or name.startswith(OF_TENSORS)


def list_names(path: Path) -> list[str]:
    """The classes and functions that the pickles of a file name, each once, in order."""
    names: list[str] = []
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return list(dict.fromkeys(find_names(file)))
        with zipfile.ZipFile(path) as archive:
            for inside in archive.namelist():
                if inside.endswith("data.pkl"):
                    with archive.open(inside) as pickled:
                        names += find_names(pickled)
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        pass
    return list(dict.fromkeys(names))


def find_names(file: IO[bytes]) -> Iterator[str]:
    """What GLOBAL opcodes name, in all pickles that follow each other in a file."""
    strings: list[str] = []
    try:
        while True:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if count > MOST_OPCODES:
                    return
                if opcode.name in ("GLOBAL", "INST"):
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(strings[-2:])
                elif isinstance(argument, str):
                    strings = [*strings[-1:], argument]
    except Exception:  # the end of the file, or of its pickles: tensors follow
        return
