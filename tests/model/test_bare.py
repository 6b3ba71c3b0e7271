"""BERT made without transformers' models is BERT as transformers makes it, to the last bit."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.studies import KINDS
from transformers import MODEL_MAPPING

from finegrid.encoders.families import inspect
from finegrid.model.bare import BareBert, can_be_bare
from finegrid.model.load import Checkpoint, load_pretrained

IDS = torch.tensor([[2, 9, 14, 3, 0], [2, 7, 3, 11, 3]])
MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
TYPES = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]])


def bare_of(folder: Path) -> Any:
    """As finegrid makes it."""
    made = Checkpoint(inspect(folder)).encoder
    assert isinstance(made, BareBert)
    return made


def whole_of(folder: Path) -> Any:
    """As transformers loads it."""
    return load_pretrained(MODEL_MAPPING, inspect(folder))[0]


def test_names_values_and_modules_are_those_of_transformers(bert: Path) -> None:
    bare, whole = bare_of(bert), whole_of(bert)

    assert [name for name, _ in bare.named_modules()] == [name for name, _ in whole.named_modules()]
    assert [name for name, _ in bare.named_parameters()] == [name for name, _ in whole.named_parameters()]
    state = whole.state_dict()
    assert [*bare.state_dict()] == [*state]
    assert all(torch.equal(value, state[name]) for name, value in bare.state_dict().items())
    dropouts = {name: m.p for name, m in whole.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert {name: m.p for name, m in bare.named_modules() if isinstance(m, torch.nn.Dropout)} == dropouts


def test_embeddings_and_pooler_compute_the_same_bits(bert: Path) -> None:
    bare, whole = bare_of(bert), whole_of(bert)
    positions = torch.arange(5)[None]
    own = [m.embeddings(input_ids=IDS, position_ids=positions, token_type_ids=TYPES) for m in (bare, whole)]

    assert torch.equal(*own)
    assert torch.equal(bare.pooler(own[0]), whole.pooler(own[0]))


def test_its_own_pass_is_that_of_transformers_over_its_own_parameters(bert: Path) -> None:
    bare, whole = bare_of(bert), whole_of(bert)
    asked = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": TYPES}
    assert torch.equal(bare(**asked)[0], whole(**asked)[0])

    with torch.no_grad():
        twin = copy.deepcopy(bare)
        twin.embeddings.word_embeddings.weight += 1
    assert not torch.equal(twin(**asked)[0], bare(**asked)[0])
    assert torch.equal(bare(**asked)[0], whole(**asked)[0])


def test_what_finegrid_does_not_read_of_a_config_is_asked_of_transformers(bert: Path, tmp_path: Path) -> None:
    config, whole = bare_of(bert).config, whole_of(bert).config

    assert config.hidden_size == whole.hidden_size and config.model_type == "bert"
    assert config.chunk_size_feed_forward == whole.chunk_size_feed_forward
    for name, one in (("bare", config), ("whole", whole)):
        one.save_pretrained(tmp_path / name)
    bare, own = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("bare", "whole"))
    rest = {"architectures": None, "dtype": None}  # which finegrid sets or takes out itself
    assert {**bare, **rest} == {**own, **rest}
    with pytest.raises(AttributeError):
        _ = config.no_such_setting


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_as_files_have_them_are_found(bert: Path, tmp_path: Path, prefix: str) -> None:
    """With a head's prefix, in half precision, with the names of TensorFlow, and without a pooler."""
    shutil.copytree(bert, tmp_path, dirs_exist_ok=True)
    tensors = {
        prefix + name.replace("LayerNorm.weight", "LayerNorm.gamma"): value.half()
        for name, value in load_file(bert / "model.safetensors").items()
        if not name.startswith("pooler.")
    }
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    found, whole = Checkpoint(inspect(tmp_path)), whole_of(tmp_path)

    assert isinstance(found.encoder, BareBert) and found.missing == ["pooler"]
    state = whole.state_dict()
    assert [*found.encoder.state_dict()] == [*state]
    assert all(
        torch.equal(value, state[name])
        for name, value in found.encoder.state_dict().items()
        if not name.startswith("pooler.")
    )
    assert {p.dtype for p in found.encoder.parameters()} == {torch.float32}


def test_others_are_loaded_by_transformers(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    assert [kind for kind in KINDS if can_be_bare(inspect(checkpoint_of(kind)))] == ["bert"]

    for changed in ({"hidden_act": "gelu_new"}, None):
        shutil.copytree(checkpoint_of("bert"), tmp_path, dirs_exist_ok=True)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, **(changed or {})}))
        if changed is None:
            weights = tmp_path / "model.safetensors"
            torch.save(load_file(weights), tmp_path / "pytorch_model.bin")
            weights.unlink()
        assert not can_be_bare(inspect(tmp_path))


def test_loading_it_imports_neither_transformers_nor_the_compiler_of_torch(bert: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from finegrid.encoders.families import inspect\n"
        "from finegrid.model.device import compute_repeatably\n"
        "from finegrid.model.load import Checkpoint\n"
        "compute_repeatably()\n"
        f"Checkpoint(inspect(Path({str(bert)!r}))).copy()\n"
        "print([name for name in ('transformers', 'torch._dynamo', 'scipy', 'sympy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_what_cannot_be_repeated_is_refused_all_the_same() -> None:
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_deterministic_debug_mode() == 2
