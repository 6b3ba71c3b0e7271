"""Which family the weights of a checkpoint are of, by their names and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from finegrid.encoders.files import weight_files
from finegrid.encoders.layout import FIRST_QUERY, OWN, POSITIONS, PREFIXES, TABLE, TYPES, rename_norms
from finegrid.encoders.tensors import StoredTensor, read_safetensors
from finegrid.errors import InputError

# What the names of a family's classes begin with.
CLASSES = {"Bert": "bert", "Roberta": "roberta", "Electra": "electra", "Ernie": "ernie"} | {
    "DistilBert": "distilbert",
    "XLMRoberta": "xlm-roberta",
    "Camembert": "camembert",
    "Data2VecText": "data2vec-text",
}
Evidence = tuple[str, str]  # a family, and what speaks for it


def read_all_safetensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """The tensors of one model's files. Raises `InputError` where one cannot be read."""
    return {name: tensor for path in files for name, tensor in read_safetensors(path).items()}


def find_prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the encoder's names: ``bert.`` in a model with a head, else nothing."""
    return sorted(name.removesuffix(TABLE) for name in names if name.endswith(TABLE))


def find_evidence(stored: Mapping[str, StoredTensor]) -> Evidence | None:
    """The family that names and shapes tell for sure; None where they leave it open."""
    for family, prefix in PREFIXES.items():
        if prefix in find_prefixes(stored):
            return family, f'the names of the weights begin with "{prefix}"'
    for beginning, family in OWN.items():
        if name := next((name for name in stored if name.startswith(beginning)), None):
            return family, f"there is {name}"
    types, positions = (stored[name].shape if name in stored else () for name in (TYPES, POSITIONS))
    if types[:1] == (1,) and positions and positions[0] % 8 == 2:
        return (
            "roberta",
            f"the weights have one token type, and {positions[0]} positions: two more than BERT's",
        )
    return None


def guess_family(folder: Path, config: Mapping[str, Any]) -> Evidence | None:
    """The family of a checkpoint whose config names none; None where nothing tells it."""
    architectures = config.get("architectures")
    for architecture in architectures if isinstance(architectures, list) else []:
        name = str(architecture).removesuffix("Model").partition("For")[0]
        if (family := CLASSES.get(name)) is not None:
            return family, f"its architectures are {architecture}"
    try:
        stored = {rename_norms(name): t for name, t in read_all_safetensors(weight_files(folder)).items()}
    except InputError:  # told where weights are asked for
        return None
    if (evidence := find_evidence(stored)) is not None:
        return evidence
    if FIRST_QUERY in stored:
        return "bert", "the names of the weights are BERT's"
    return None
