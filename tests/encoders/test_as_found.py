"""Checkpoints of every family as they are found: other files, heads, names and types, the same encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils._paths import filter_repo_objects
from safetensors.torch import load_file
from support.checkpoints import as_bin, as_shards, change_weights, refusal, rename_weights
from support.rarity import rare
from support.tiny import KINDS, make_config, make_tiny, save_real_tokenizer

from finegrid.encoders.families import download, inspect
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.model.load import Checkpoint

# One of each tier, and those whose layers, norms or words are not as most have them.
OFTEN = ("bert", "xlm-roberta", "modernbert", "qwen3", "albert", "deberta-v2")
HEADS = (
    *("MASKED_LM", "CAUSAL_LM", "PRETRAINING", "SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION"),
    *("QUESTION_ANSWERING", "MULTIPLE_CHOICE"),
)
# Decoders whose inner model has another name there, so that transformers' own AutoModel draws all of it.
OTHER_PREFIX = {"qwen2", "qwen3", "qwen3-embedding", "llama"}
# Whose norms are not called LayerNorm, so that nothing of TensorFlow's has such names.
OTHER_NORMS = {
    *("modernbert", "mmbert", "modernbert-decoder", "eurobert", "nomic_bert"),
    *("jina_embeddings_v3", "qwen2", "qwen3", "qwen3-embedding", "llama"),
}


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_tiny(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    loaded = Checkpoint(inspect(folder))
    assert all(p.dtype == torch.float32 for p in loaded.encoder.parameters())
    drawn = tuple(f"{name}." for name in loaded.missing)
    return {
        name: t for name, t in loaded.encoder.state_dict().items() if not name.startswith(drawn or ("-",))
    }


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found and found.keys() <= expected.keys()
    assert not [name for name in expected.keys() - found.keys() if not name.startswith("pooler.")]
    for name, t in found.items():
        assert torch.equal(t, expected[name]), name


@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_the_encoder_of_a_model_with_a_head_is_found(tmp_path: Path, kind: str) -> None:
    import transformers

    save_real_tokenizer(kind, tmp_path)
    config, found = make_config(kind, tmp_path), []
    for head in HEADS:
        classes: Any = getattr(transformers, f"MODEL_FOR_{head}_MAPPING")
        if type(config) not in classes:
            continue
        folder = copied(tmp_path, tmp_path / head)
        model = classes[type(config)](config)
        model.save_pretrained(folder)
        if head == "QUESTION_ANSWERING" and kind in OTHER_PREFIX:
            assert "no weights for embed_tokens.weight" in refusal(partial(tensors_of, folder))
            continue
        assert_same(tensors_of(folder), model.base_model.state_dict())
        found.append(head)

    assert "SEQUENCE_CLASSIFICATION" in found and {"MASKED_LM", "CAUSAL_LM"} & {*found}


def copied(folder: Path, to: Path) -> Path:
    """The files of a folder, in a new one."""
    to.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, to / path.name)
    return to


def as_bin_shards(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"pytorch_model-{1 + place % 2:05}-of-00002.bin" for place, name in enumerate(tensors)}
    for file in set(where.values()):
        torch.save({name: t for name, t in tensors.items() if where[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


FILES: dict[str, Callable[[Path], object]] = {"bin": as_bin, "shards": as_shards, "bin shards": as_bin_shards}


@pytest.mark.parametrize(("how", "kind"), rare(product(FILES, KINDS), [*product(FILES, OFTEN)]))
def test_files_of_other_kinds_hold_the_same(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, kind: str, how: str
) -> None:
    folder = copied(checkpoint_of(kind), tmp_path)
    FILES[how](folder)

    assert not (folder / "model.safetensors").exists()
    assert_same(tensors_of(folder), tensors_of(checkpoint_of(kind)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", rare(KINDS, OFTEN))
def test_half_precision_is_read_as_float32(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, kind: str, dtype: torch.dtype
) -> None:
    folder = copied(checkpoint_of(kind), tmp_path)

    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: t.to(dtype) for name, t in tensors.items() if t.is_floating_point()})

    change_weights(folder, halve)
    expected = {name: t.to(dtype).float() for name, t in tensors_of(checkpoint_of(kind)).items()}

    assert_same(tensors_of(folder), expected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OTHER_NORMS])
def test_norms_as_tensorflow_called_them_are_found(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    folder = copied(checkpoint_of(kind), tmp_path)
    renamed = []

    def rename(name: str) -> str:
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed.append(old != name)
        return old

    rename_weights(folder, rename)

    assert any(renamed)
    assert_same(tensors_of(folder), tensors_of(checkpoint_of(kind)))


FOUND_ON_A_HUB = {
    *("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("sentencepiece.bpe.model", "model.safetensors.index.json"),
    *("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
}
OF_NO_USE = {"README.md", "modeling_xlm.py", "pytorch_model.bin", "flax_model.msgpack", "training_args.bin"}


def test_a_hub_id_is_fetched_with_all_that_its_encoder_needs_and_no_code(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = copied(checkpoint_of("xlm-roberta"), tmp_path / "hub")
    (hub / "tokenizer.json").unlink()
    as_shards(hub)
    for name in FOUND_ON_A_HUB | OF_NO_USE:
        if not (hub / name).exists():
            (hub / name).write_text("{}")

    def fetch(hub_id: str, allow_patterns: list[str] | None = None, local_files_only: bool = False) -> str:
        if allow_patterns is None:
            raise LocalEntryNotFoundError("not in the cache")
        there = tmp_path / "cache"
        there.mkdir(exist_ok=True)
        for path in filter_repo_objects(
            sorted(hub.iterdir()), allow_patterns=allow_patterns, key=lambda p: p.name
        ):
            shutil.copyfile(path, there / path.name)
        return str(there)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    folder = download("someone/xlm")

    assert {path.name for path in folder.iterdir()} == FOUND_ON_A_HUB
    assert_same(tensors_of(folder), tensors_of(checkpoint_of("xlm-roberta")))
    assert (
        load_tokenizer(folder).encode("ba").ids
        == load_tokenizer(checkpoint_of("xlm-roberta")).encode("ba").ids
    )
