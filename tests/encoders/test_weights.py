"""What is said of weights that cannot be used, before any model is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import (
    POINTER,
    WEIGHTS,
    Tensors,
    as_bin,
    as_shards,
    change_weights,
    refusal,
    rename_weights,
    set_config,
    unset_config,
)
from support.studies import KINDS, LIKE_ROBERTA

from finegrid.encoders import tensors
from finegrid.encoders.families import inspect
from finegrid.encoders.tensors import read_safetensors
from finegrid.encoders.weights import CheckedWeights, check_weights
from finegrid.model.load import Checkpoint

CheckpointOf = Callable[[str], Path]
DENSE = "encoder.layer.1.output.dense.weight"
BIN = "pytorch_model.bin"


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT that a test may change."""
    return Path(shutil.copytree(bert, tmp_path / "checkpoint"))


def check(folder: Path) -> CheckedWeights:
    return check_weights(inspect(folder))


def said_of(folder: Path) -> str:
    return refusal(lambda: check(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_whole_checkpoints_pass_without_a_word(checkpoint_of: CheckpointOf, kind: str) -> None:
    assert check(checkpoint_of(kind)) == CheckedWeights(384 if kind in LIKE_ROBERTA else 128, ())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("how", ["safetensors", "bin"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(
    folder: Path, dtype: torch.dtype, how: str, value: float
) -> None:
    change_weights(folder, lambda tensors: tensors.update({n: t.to(dtype) for n, t in tensors.items()}))
    if how == "bin":
        as_bin(folder)
    assert check(folder).warnings == ()

    def spoil(tensors: Tensors) -> None:
        tensors[DENSE][3, 5] = value

    if how == "bin":
        content = torch.load(folder / BIN, weights_only=True)
        spoil(content)
        torch.save(content, folder / BIN)
    else:
        change_weights(folder, spoil)

    assert f"{DENSE} is not finite (1 of 512 values" in said_of(folder)


def test_values_beyond_float32_are_not_finite(folder: Path) -> None:
    def grow(tensors: Tensors) -> None:
        tensors[DENSE] = tensors[DENSE].double()
        tensors[DENSE][0, 0] = 1e300

    change_weights(folder, grow)

    assert f"{DENSE} is not finite" in said_of(folder)


def test_weights_that_no_encoder_uses_may_be_anything(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({"classifier.weight": torch.full((5, 2), np.nan)}))

    assert check(folder).warnings == ()


def test_values_are_read_in_small_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "PIECE", 100)
    stored = read_safetensors(folder / WEIGHTS)[DENSE]
    pieces = list(stored.pieces())

    assert max(map(len, pieces)) == 100
    assert np.array_equal(np.concatenate(pieces), load_file(folder / WEIGHTS)[DENSE].numpy().reshape(-1))


def test_weights_of_zeros_are_refused_but_biases_may_be(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors["encoder.layer.1.output.dense.bias"].zero_())
    assert check(folder).warnings == ()

    change_weights(folder, lambda tensors: tensors[DENSE].zero_())

    assert f"{DENSE} (1 tensor) are all zeros" in said_of(folder)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_layers_that_the_config_leaves_out_are_named(
    checkpoint_of: CheckpointOf, tmp_path: Path, kind: str
) -> None:
    folder = Path(shutil.copytree(checkpoint_of(kind), tmp_path / "cut"))
    set_config(folder, **{"n_layers" if kind == "distilbert" else "num_hidden_layers": 2})
    place = "transformer" if kind == "distilbert" else "encoder"

    said = said_of(folder)

    assert f"weights of {place}.layer.2 to {place}.layer.3 are not used" in said
    assert "config.json says 2 layers, the weights have 4" in said


def test_layers_that_the_weights_lack_are_named(folder: Path) -> None:
    set_config(folder, num_hidden_layers=6)

    assert "config.json says 6 layers, the weights have 4: no encoder.layer.4" in said_of(folder)


@pytest.mark.parametrize(
    ("setting", "ours", "theirs", "shown"),
    [
        ("intermediate_size", 64, 32, "intermediate.dense.weight is [32, 16], expected [64, 16]"),
        ("vocab_size", 200, 128, "word_embeddings.weight is [128, 16], expected [200, 16]"),
        ("max_position_embeddings", 512, 128, "position_embeddings.weight is [128, 16], expected [512, 16]"),
        ("type_vocab_size", 4, 2, "token_type_embeddings.weight is [2, 16], expected [4, 16]"),
        ("hidden_size", 32, 16, "word_embeddings.weight is [128, 16], expected [128, 32]"),
    ],
)
def test_shapes_are_told_against_the_config(
    folder: Path, setting: str, ours: int, theirs: int, shown: str
) -> None:
    set_config(folder, **{setting: ours})

    said = said_of(folder)

    assert f"config.json says {setting} = {ours}, the weights have {theirs}" in said and shown in said
    assert "1 problem" in said


def test_empty_tensors_are_told_from_zero_3(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({n: torch.zeros(0) for n in [DENSE]}))

    said = said_of(folder)

    assert f"{DENSE} is [0], expected [16, 32]" in said and "zero_to_fp32.py" in said


def test_adapters_in_the_layers_are_refused(folder: Path) -> None:
    name = "encoder.layer.0.attention.self.query.lora_A.weight"
    change_weights(folder, lambda tensors: tensors.update({name: torch.ones(2, 16)}))

    said = said_of(folder)

    assert f"1 tensor in the layers that no bert has: '{name[:39]}" in said and "merge_and_unload" in said


@pytest.mark.parametrize("how", ["integers", "scales", "config"])
def test_quantised_weights_are_refused(folder: Path, how: str) -> None:
    if how == "integers":
        change_weights(folder, lambda tensors: tensors.update({DENSE: tensors[DENSE].to(torch.int8)}))
    elif how == "scales":
        change_weights(folder, lambda tensors: tensors.update({f"{DENSE}.absmax": torch.ones(4)}))
    else:
        set_config(folder, quantization_config={"quant_method": "bitsandbytes"})

    assert "quantised" in said_of(folder)


def test_embeddings_that_the_config_does_not_ask_for_are_warned_of(folder: Path) -> None:
    name = "embeddings.language_embeddings.weight"
    change_weights(folder, lambda tensors: tensors.update({name: torch.ones(3, 16)}))

    (warning,) = check(folder).warnings

    assert name in warning and "not used" in warning


def test_norms_as_tensorflow_called_them_are_found(folder: Path) -> None:
    rename_weights(
        folder,
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ),
    )

    assert check(folder).rows == 128
    assert Checkpoint(inspect(folder)).missing == []


@pytest.mark.parametrize(("kind", "called"), [("roberta", "bert"), ("bert", "roberta"), ("electra", "bert")])
def test_a_prefix_tells_another_family(
    checkpoint_of: CheckpointOf, tmp_path: Path, kind: str, called: str
) -> None:
    folder = Path(shutil.copytree(checkpoint_of(kind), tmp_path / "other"))
    rename_weights(folder, lambda name: f"{kind}.{name}")
    assert check(folder).rows

    set_config(folder, model_type=called)

    said = said_of(folder)

    assert f'the names of the weights begin with "{kind}."' in said
    assert f'Write "model_type": "{kind}"' in said


def test_a_roberta_that_is_called_bert_is_told_by_its_positions(
    checkpoint_of: CheckpointOf, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "other"))
    set_config(folder, model_type="bert")

    assert "the weights are RoBERTa's: the weights have one token type, and 130 positions" in said_of(folder)


def test_a_bert_that_is_called_roberta_is_told_by_its_positions(folder: Path) -> None:
    set_config(folder, model_type="roberta", pad_token_id=1)

    assert "the weights are BERT's: 128 positions and 2 token types, and position 1 is trained" in said_of(
        folder
    )


def test_names_of_a_wrapped_model_are_told(folder: Path) -> None:
    rename_weights(folder, lambda name: f"module.{name}")

    said = said_of(folder)

    assert "all names begin with 'module.'" in said and "bert.embeddings" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (POINTER.encode(), "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html><title>Log in</title></html>", "is an HTML page"),
        (b"/annex/objects/MD5-s4--ab", "is a git-annex pointer"),
    ],
)
@pytest.mark.parametrize("name", [WEIGHTS, BIN, "config.json"])
def test_what_lies_there_instead_of_a_file_is_told(
    folder: Path, name: str, content: bytes, words: str
) -> None:
    if name == BIN:
        as_bin(folder)
    (folder / name).write_bytes(content)

    said = said_of(folder)

    assert words in said and name in said


def test_a_cut_file_is_told_with_its_sizes(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-100])

    said = said_of(folder)

    assert f"it is cut: {len(content) - 100:,} bytes, but its header speaks of {len(content):,}" in said


def test_a_pickle_under_the_name_of_safetensors_is_told(folder: Path) -> None:
    as_bin(folder)
    (folder / BIN).rename(folder / WEIGHTS)

    assert "a pickle of PyTorch under another name" in said_of(folder)


def test_a_config_of_a_million_layers_is_refused_at_once(folder: Path) -> None:
    set_config(folder, num_hidden_layers=10**9)
    assert "num_hidden_layers is 1000000000, expected less than or equal to 1000" in said_of(folder)

    set_config(folder, num_hidden_layers=1000)
    assert "config.json says 1,000 layers" in said_of(folder)


@pytest.mark.parametrize(
    ("shape", "offsets"),
    [([10**15], [0, 4]), ([-1], [0, 4]), ([1], [-8, -4]), ([1], [8, 4]), ([2], [0, 4])],
)
def test_a_header_that_contradicts_itself_is_refused(
    folder: Path, shape: list[int], offsets: list[int]
) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))

    assert "shape and size of 'a' contradict each other" in said_of(folder)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": []}}', b"\xff"],
)
def test_a_header_of_nonsense_is_refused(folder: Path, header: bytes) -> None:
    (folder / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)

    assert "cannot be loaded" in said_of(folder)


def test_a_pickled_module_is_told_in_one_line_without_colours(folder: Path) -> None:
    as_bin(folder)
    torch.save(torch.nn.Linear(2, 2), folder / BIN)

    said = said_of(folder)

    assert "it is a pickled module ('Linear'), not weights" in said and "state_dict() alone" in said
    assert len(said.splitlines()) == 2 and "\x1b" not in said and "\\x1b" not in said


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_names_more_than_tensors_is_refused_by_that_name(folder: Path, legacy: bool) -> None:
    as_bin(folder)
    tensors = torch.load(folder / BIN, weights_only=True)
    content = {**tensors, "made": Path("somewhere")}
    torch.save(content, folder / BIN, _use_new_zipfile_serialization=not legacy)

    assert "it is a pickle that names 'pathlib" in said_of(folder)


def test_a_training_checkpoint_is_told_where_its_weights_lie(folder: Path) -> None:
    as_bin(folder)
    tensors = torch.load(folder / BIN, weights_only=True)
    torch.save({"epoch": 3, "state_dict": tensors}, folder / BIN)

    assert "whose weights lie under 'state_dict'" in said_of(folder)


def test_a_list_of_tensors_is_no_state_dict(folder: Path) -> None:
    as_bin(folder)
    torch.save([torch.ones(2)], folder / BIN)

    assert "it holds a list, not a state dict" in said_of(folder)


def test_shards_pass_and_a_missing_one_is_named(folder: Path) -> None:
    first, second = as_shards(folder)
    assert check(folder).rows == 128
    assert Checkpoint(inspect(folder)).missing == []

    second.unlink()

    said = said_of(folder)

    assert second.name in said and first.name not in said and "model.safetensors.index.json names it" in said


def test_shards_without_their_index_are_refused(folder: Path) -> None:
    as_shards(folder)
    (folder / "model.safetensors.index.json").unlink()

    assert "model.safetensors.index.json    missing" in said_of(folder)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("tf_model.h5", "TensorFlow weights ('tf_model.h5')"),
        ("flax_model.msgpack", "Flax weights"),
        ("model.onnx", "an ONNX model"),
        ("onnx/model.onnx", "an ONNX model"),
        ("model-q4.gguf", "a GGUF model"),
        ("openvino_model.bin", "an OpenVINO model"),
        ("bert_model.ckpt.index", "a TensorFlow checkpoint"),
        ("best.pt", "a PyTorch file of another name"),
        ("weights.safetensors", "safetensors of another name"),
        ("adapter_config.json", "Found an adapter (PEFT)"),
    ],
)
def test_other_formats_of_weights_are_called_by_their_names(folder: Path, file: str, words: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("{}")

    assert words in said_of(folder)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra-narrow", "ernie-tasks", "distilbert"])
@pytest.mark.parametrize("by", ["weights", "architectures"])
def test_a_config_without_model_type_is_told_which(
    checkpoint_of: CheckpointOf, tmp_path: Path, family: str, by: str
) -> None:
    folder = Path(shutil.copytree(checkpoint_of(family), tmp_path / "nameless"))
    unset_config(folder, "model_type", *(["architectures"] if by == "weights" else []))

    assert f'Add "model_type": "{family.partition("-")[0]}" to it' in said_of(folder)


def test_a_config_by_googles_name_is_to_be_renamed(folder: Path) -> None:
    (folder / "config.json").rename(folder / "bert_config.json")
    assert "Rename bert_config.json to config.json." in said_of(folder)

    config = json.loads((folder / "bert_config.json").read_text())
    del config["model_type"]
    (folder / "bert_config.json").write_text(json.dumps(config))

    assert 'Rename bert_config.json to config.json, and add "model_type": "bert" to it.' in said_of(folder)


@pytest.mark.parametrize("outer", [None, {"__version__": {"sentence_transformers": "0.4.1"}}])
def test_the_model_of_a_sentence_transformers_folder_is_named(
    bert: Path, tmp_path: Path, outer: object
) -> None:
    folder = tmp_path / "sentences"
    shutil.copytree(bert, folder / "0_Transformer")
    kinds = [("0_Transformer", "models.Transformer"), ("1_Pooling", "models.Pooling")]
    modules = [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    if outer is not None:
        (folder / "config.json").write_text(json.dumps(outer))

    assert f"Its model lies in '0_Transformer': name {folder / '0_Transformer'}" in said_of(folder)


def test_a_folder_with_an_adapter_only_is_told(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file({"base_model.model.x": torch.ones(2)}, tmp_path / "adapter_model.safetensors")

    said = said_of(tmp_path)

    assert "this is an adapter (PEFT)" in said and "merge_and_unload" in said


def test_a_folder_around_the_model_is_told(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "outer" / "checkpoint-500")

    assert "Name the folder" in said_of(tmp_path / "outer")
