"""Absurd values in ``config.json``: those that matter are refused by name, the others do not matter."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import WEIGHTS, as_bin, refusal, set_config
from support.studies import same_tensors
from transformers.activations import ACT2FN

from finegrid.encoders import pickles, weights
from finegrid.encoders.config import ACTIVATIONS
from finegrid.encoders.families import inspect, model_fingerprint
from finegrid.encoders.files import MOST_JSON
from finegrid.encoders.layout import TABLE
from finegrid.encoders.size import measure_size
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.encoders.weights import check_weights
from finegrid.model.load import load_encoder, make_config

SILLY: dict[str, Any] = {
    "use_cache": {},
    "chunk_size_feed_forward": 3,
    "id2label": 3,
    "dtype": [],
    "torch_dtype": "import os",
    "_name_or_path": 5,
    "architectures": 7,
    "auto_map": {"AutoModel": "evil.Model"},
    "attn_implementation": "stranger/kernel",
    "_attn_implementation": "stranger/kernel",
    "transformers_weights": "other.safetensors",
    "fusion_config": {"a": 1},
    "pruned_heads": {"0": [0]},
    "tie_word_embeddings": "x",
    "tokenizer_class": 3,
    "bos_token_id": "x",
}


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "checkpoint"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pad_token_id", "x"),
        ("pad_token_id", 128),
        ("vocab_size", 1e9),
        ("hidden_size", -4),
        ("num_attention_heads", 3),
        ("layer_norm_eps", "a"),
        ("layer_norm_eps", float("nan")),
        ("type_vocab_size", 0),
        ("hidden_act", "xyz"),
        ("hidden_act", []),
        ("max_position_embeddings", 2**40),
        ("hidden_dropout_prob", 10**400),
        ("intermediate_size", True),
    ],
)
def test_a_value_that_no_encoder_has_is_refused_by_name(folder: Path, name: str, value: object) -> None:
    set_config(folder, **{name: value})

    said = refusal(lambda: inspect(folder))

    assert f"config.json    {name} is " in said and said.count("\n") == 1


def test_all_values_that_no_encoder_has_are_told_at_once(folder: Path) -> None:
    set_config(folder, hidden_size="x", type_vocab_size=None)

    assert refusal(lambda: inspect(folder)).startswith(f"{folder}: 2 problems")


def test_values_that_finegrid_does_not_use_do_not_matter(folder: Path, bert: Path) -> None:
    before, _ = load_encoder(inspect(folder))
    set_config(folder, **SILLY)

    after, missing = load_encoder(inspect(folder))

    assert same_tensors(before.state_dict(), after.state_dict()) and missing == []
    assert make_config(folder, "bert").to_dict() == make_config(bert, "bert").to_dict()
    assert load_tokenizer(folder).encode("ba").ids


def test_transformers_opens_no_file_of_a_folder(folder: Path) -> None:
    """It would load adapters, and shards of other names, which nobody has checked."""
    before, _ = load_encoder(inspect(folder))
    others = {name: torch.zeros_like(t) for name, t in load_file(folder / WEIGHTS).items()}
    save_file(others, folder / "shard-00000-model-00001-of-00001.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "../other"}')

    after, _ = load_encoder(inspect(folder))

    assert same_tensors(before.state_dict(), after.state_dict())


def test_activations_are_those_of_transformers() -> None:
    assert {*ACTIVATIONS} < ACT2FN.keys()


def test_no_padding_token_stays_none(folder: Path) -> None:
    set_config(folder, pad_token_id=None)

    encoder: Any = load_encoder(inspect(folder))[0]

    assert encoder.config.pad_token_id is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "not a JSON object"),
        ("[" * 100_000, "cannot be read"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested over 100 deep"),
        (f'{{"a": {"9" * 5000}}}', "cannot be read"),
        ("{" + " " * MOST_JSON + "}", "expected 20,000,000 at most"),
    ],
    ids=["list", "deep", "nested", "number", "large"],
)
def test_a_config_that_is_none_is_refused_in_a_line(folder: Path, text: str, expected: str) -> None:
    (folder / "config.json").write_text(text)

    said = refusal(lambda: inspect(folder))

    assert expected in said and said.count("\n") == 1


def test_a_byte_order_mark_and_a_key_that_stands_twice_do_not_matter(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace("{", '{"hidden_size": 3, ', 1), encoding="utf-8-sig")

    assert inspect(folder).layers == 4 and measure_size(folder).width == 16 and model_fingerprint(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "modules.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    if name == "modules.json":
        (folder / "config.json").unlink()

    said = refusal(lambda: (model_fingerprint(folder), inspect(folder), load_tokenizer(folder)))

    assert "no file" in said or name == "modules.json"


def test_more_tensors_than_any_encoder_has_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be read, and told, one by one."""
    monkeypatch.setattr(weights, "MOST_TENSORS", 50)

    assert "71 tensors, expected 50 at most" in refusal(lambda: check_weights(inspect(folder)))


def test_a_pickle_is_not_unpacked_to_many_times_its_size(folder: Path) -> None:
    as_bin(folder)
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, held in content.items():
            archive.writestr(name, held)

    assert "is compressed, as torch never saves it" in refusal(lambda: check_weights(inspect(folder)))


def test_a_pickle_of_more_steps_than_weights_need_is_not_walked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "MOST_OPCODES", 10_000)
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02" + b"]" * 11_000 + b".")

    assert "its pickle has over 1,000,000 steps" in refusal(lambda: check_weights(inspect(folder)))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: torch.zeros(1).expand(2**31, 16),
        lambda t: t.to_sparse(),
        lambda t: t.to("meta"),
        lambda t: torch.nested.nested_tensor([t, t[:3]]),
    ],
    ids=["expanded", "sparse", "nowhere", "nested"],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_a_tensor_without_its_values_is_refused(
    folder: Path, change: Callable[[torch.Tensor], object]
) -> None:
    content = load_file(folder / WEIGHTS)
    content[TABLE] = change(content[TABLE])  # type: ignore[assignment]
    (folder / WEIGHTS).unlink()
    torch.save(content, folder / "pytorch_model.bin")

    assert "has not all of its values in the file" in refusal(lambda: check_weights(inspect(folder)))


def test_a_state_dict_of_parameters_is_read(folder: Path) -> None:
    before = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save({name: torch.nn.Parameter(t) for name, t in before.items()}, folder / "pytorch_model.bin")

    info = inspect(folder)

    assert check_weights(info).rows == 128
    assert torch.equal(load_encoder(info)[0].state_dict()[TABLE], before[TABLE])
