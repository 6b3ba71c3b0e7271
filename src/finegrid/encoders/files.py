"""The files of a checkpoint's folder, and what lies there in their stead, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finegrid.data.content import LFS_POINTER, WEB
from finegrid.data.findings import quote
from finegrid.errors import InputError, Problem, first_line, input_error

# Files that decide what a checkpoint computes; anything else in the folder is ignored.
WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin")
# Formats of weights that finegrid does not read. A pattern, and what it is called.
OTHER_WEIGHTS = {
    "tf_model*.h5": "TensorFlow weights",
    "*.ckpt.index": "a TensorFlow checkpoint",
    "*.ckpt.data-*": "a TensorFlow checkpoint",
    "flax_model*.msgpack": "Flax weights",
    "*.onnx": "an ONNX model",
    "onnx/*.onnx": "an ONNX model",
    "*.gguf": "a GGUF model",
    "openvino_model.*": "an OpenVINO model",
    "rust_model.ot": "weights of rust-bert",
    "*.safetensors": "safetensors of another name",
    "*.bin": "a file of another name",
    "*.pt": "a PyTorch file of another name",
    "*.pth": "a PyTorch file of another name",
}
MOST_JSON = 20_000_000  # bytes of a file of settings: they have a few thousand
MOST_NESTING = 100  # levels; files of Hugging Face have a handful
BY_PYTORCH = (
    "Load it with transformers where it was made, and save it with save_pretrained, or take its PyTorch files"
)


def describe_stand_in(path: Path) -> str | None:
    """What a file is instead of its content; None if nothing of the kind.

    Clones without Git LFS, broken downloads and login pages leave such files.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would never end, nor would a device
            return "is no file. Expected one, or a link to one."
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    again = "Download the file again."
    if not head:
        return f"is empty. {again}"
    if head.startswith(LFS_POINTER):
        return (
            "is a Git LFS pointer, not the file itself. Run git lfs pull in its repository, or download it."
        )
    if head.startswith((b"/annex/objects/", b"../.git/annex")):
        return "is a git-annex pointer, not the file itself. Run git annex get in its repository."
    if WEB.match(head.decode("utf-8", "replace")):
        return f"is an HTML page, not the file itself. {again}"
    return None


def read_config(folder: Path) -> dict[str, Any]:
    """The content of ``config.json``.

    Raises:
        InputError: it is not there, or cannot be read; says what lies there instead.
    """
    config = read_json(folder, "config.json")
    if config is None:
        raise input_error(str(folder), *describe_missing_config(folder))
    return config


def read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """An object from a JSON file of a checkpoint; None where there is no such file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    path = folder / name
    if (instead := describe_stand_in(path)) is not None:
        raise input_error(str(folder), name, instead)
    try:
        if (size := path.stat().st_size) > MOST_JSON:
            what = f"has {size:,} bytes, expected {MOST_JSON:,} at most. Expected a Hugging Face file."
            raise input_error(str(folder), name, what)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise input_error(str(folder), name, f"cannot be read: {first_line(error)}.") from error
    if not isinstance(content, dict):
        raise input_error(str(folder), name, "not a JSON object. Expected a Hugging Face file.")
    if is_deep(content):
        what = f"lists and objects are nested over {MOST_NESTING} deep. Expected a Hugging Face file."
        raise input_error(str(folder), name, what)
    return content


def is_deep(content: object) -> bool:
    """Whether a value of JSON is nested so deeply that to write it, or to copy it, may fail."""
    level: list[Any] = [content]
    for _ in range(MOST_NESTING):
        inside = [value.values() if isinstance(value, dict) else value for value in level]
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def describe_missing_config(folder: Path) -> tuple[str, str]:
    """Where the problem of a folder without ``config.json`` stands, and what it is."""
    if (folder / "adapter_config.json").exists():
        what = (
            "this is an adapter (PEFT), not a whole model. Merge it into the model that it was made for "
            "(merge_and_unload), and save that with save_pretrained."
        )
        return "adapter_config.json", what
    if (inner := find_inner_model(folder)) is not None:
        what = f"a sentence-transformers folder. Its model lies in {quote(inner.name)}: name {inner}."
        return "modules.json", what
    for path in sorted(folder.glob("*_config.json")):
        if path.name not in ("tokenizer_config.json", "generation_config.json"):
            return "config.json", f"missing, but {path.name} lies there. {advise_renaming(folder, path.name)}"
    if others := describe_other_weights(folder):
        return "config.json", f"missing. Expected a Hugging Face model folder. Found {others}. {BY_PYTORCH}."
    inside = sorted(path.parent for path in folder.glob("*/config.json"))
    if inside:
        what = f"missing, but {quote(inside[0].name)} in it has one. Name the folder {inside[0]}."
        return "config.json", what
    return "config.json", "missing. Expected a Hugging Face model folder."


def advise_renaming(folder: Path, name: str) -> str:
    """What to do with a config that is called otherwise, such as Google's ``bert_config.json``."""
    try:
        known = "model_type" in (read_json(folder, name) or {})
    except InputError:
        return "Take the folder of a Hugging Face model."
    family = name.removesuffix("_config.json")
    add = "" if known else f', and add "model_type": "{family}" to it'
    return f"Rename {name} to config.json{add}."


def find_inner_model(folder: Path) -> Path | None:
    """The folder in a sentence-transformers folder that has the model, such as ``0_Transformer``."""
    path = folder / "modules.json"
    try:
        if describe_stand_in(path) is not None:
            return None
        modules = json.loads(path.read_text(encoding="utf-8"))
        paths = [str(module["path"]) for module in modules if str(module["type"]).endswith("Transformer")]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    inner = [folder / path for path in paths if path and Path(path).name == path]
    return next((path for path in inner if (path / "config.json").exists()), None)


def describe_other_weights(folder: Path) -> str:
    """Files of weights that finegrid does not read: ``TensorFlow weights (tf_model.h5)``; empty if none."""
    for pattern, called in OTHER_WEIGHTS.items():
        files = [path for path in sorted(folder.glob(pattern)) if "optimizer" not in path.name]
        files = [path for path in files if path.name not in ("training_args.bin", "adapter_model.bin")]
        if files:
            return f"{called} ({quote(files[0].name)})"
    return ""


def weight_files(folder: Path) -> list[Path]:
    """The weight files that are loaded: safetensors if there are any, else weights-only ``.bin``.

    Raises:
        InputError: there are none, or some of several are missing.
    """
    for pattern in WEIGHT_FILES:
        found = sorted(folder.glob(pattern))
        if "*" in pattern and (problems := list(find_shard_problems(folder, pattern, found))):
            raise InputError(str(folder), problems)
        if problems := [Problem(path.name, "is no file.") for path in found if not path.is_file()]:
            raise InputError(str(folder), problems)
        if found:
            return found
    raise input_error(str(folder), "weights", describe_missing_weights(folder))


def describe_missing_weights(folder: Path) -> str:
    expected = "none found. Expected model.safetensors (or pytorch_model.bin)."
    if (folder / "adapter_config.json").exists():
        return f"{expected} Found an adapter (PEFT): merge it into its model, and save that."
    if others := describe_other_weights(folder):
        return f"{expected} Found {others}. {BY_PYTORCH}."
    return expected


def find_shard_problems(folder: Path, pattern: str, found: list[Path]) -> Iterator[Problem]:
    """Of a model in several files: the index that names them is missing, or files that it names."""
    index = pattern.replace("-*", "") + ".index.json"
    content = read_json(folder, index)
    if content is None:
        if found:
            what = f"missing, but {found[0].name} lies there. Copy it from where that came from."
            yield Problem(index, what)
        return
    named = content.get("weight_map")
    if not isinstance(named, dict) or not named:
        yield Problem(index, "has no weight_map. Copy it anew from where the weights came from.")
        return
    missing = sorted({str(name) for name in named.values()} - {path.name for path in found})
    for name in missing[:3]:
        yield Problem(quote(name), f"missing, but {index} names it. Copy it from where the others came from.")
