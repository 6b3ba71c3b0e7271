"""Checkpoints: what is refused, and by what words; what is loaded, and as what."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.checkpoints import WEIGHTS, as_bin, change_weights, drop, refusal, set_config
from support.studies import KINDS, SYLLABLES, open_study, recipe_of, save_checkpoint, write_study

from finegrid.encoders.families import FAMILIES, inspect, model_fingerprint
from finegrid.encoders.hosted import INTERFACE, PADDED
from finegrid.encoders.tokenizer import load_tokenizer
from finegrid.model.load import Checkpoint


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT that a test may change."""
    return Path(shutil.copytree(bert, tmp_path / "checkpoint"))


@pytest.mark.parametrize("code", [True, False])
def test_families_that_transformers_does_not_know_are_refused_with_the_list_of_those_it_does(
    folder: Path, code: bool
) -> None:
    set_config(folder, model_type="neobert", **({"auto_map": {"AutoModel": "model.NeoBERT"}} if code else {}))

    said = refusal(lambda: inspect(folder))

    assert '"neobert"' in said and all(ours in said for ours in {**FAMILIES, **INTERFACE, **PADDED})
    assert ("runs no code of a checkpoint" in said) == code


def test_a_model_of_two_parts_is_refused(folder: Path) -> None:
    set_config(folder, model_type="t5", is_encoder_decoder=True)

    assert "an encoder and a decoder" in refusal(lambda: inspect(folder))


@pytest.mark.parametrize("what", [{"is_decoder": True}, {"add_cross_attention": True}])
def test_decoders_are_refused(folder: Path, what: dict[str, bool]) -> None:
    set_config(folder, **what)

    assert "decoder" in refusal(lambda: inspect(folder))


def test_relative_positions_are_refused(folder: Path) -> None:
    set_config(folder, position_embedding_type="relative_key")

    assert "relative_key" in refusal(lambda: inspect(folder))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "bert"}', '{"model_type": null}'])
def test_broken_configs_are_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)

    assert str(folder) in refusal(lambda: inspect(folder))


@pytest.mark.parametrize("value", [None, "twelve", [12]])
def test_a_config_whose_numbers_are_none_is_refused(folder: Path, value: object) -> None:
    set_config(folder, num_hidden_layers=value)

    assert "config.json" in refusal(lambda: inspect(folder))


@pytest.mark.parametrize("padding", [None, "one", -1, 10**6])
def test_a_roberta_whose_padding_is_no_number_is_refused(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, padding: object
) -> None:
    folder = Path(shutil.copytree(checkpoint_of("roberta"), tmp_path / "roberta"))
    set_config(folder, pad_token_id=padding)

    assert "pad_token_id" in refusal(lambda: inspect(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_what_config_json_says_is_what_the_model_has(checkpoint_of: Callable[[str], Path], kind: str) -> None:
    info = inspect(checkpoint_of(kind))

    assert (info.layers, info.positions) == (4, 128)
    assert info.has_pooler == (info.family not in ("electra", "distilbert"))


def test_missing_weights_are_refused(folder: Path) -> None:
    change_weights(folder, lambda tensors: drop(tensors, "layer.3.output.dense"))

    assert "layer.3.output.dense" in refusal(lambda: Checkpoint(inspect(folder)))


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    set_config(folder, intermediate_size=64)

    assert str(folder) in refusal(lambda: Checkpoint(inspect(folder)))


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).unlink()

    assert "model.safetensors" in refusal(lambda: Checkpoint(inspect(folder)))


@pytest.mark.parametrize("keep", [0, 5, 400, 20_000])
def test_cut_weights_are_refused(folder: Path, keep: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    assert keep < len(content)
    (folder / WEIGHTS).write_bytes(content[:keep])

    assert "cannot be loaded" in refusal(lambda: Checkpoint(inspect(folder)))


def test_a_missing_pooler_is_drawn_from_the_streams_of_the_run(folder: Path, tmp_path: Path) -> None:
    change_weights(folder, lambda tensors: drop(tensors, "pooler"))
    loaded = open_study(write_study(tmp_path / "study", folder))
    recipe = recipe_of(loaded, model__pooling="pooler")

    def pooler(seed: int) -> torch.Tensor:
        torch.manual_seed(seed + 99)  # of no consequence
        return loaded.classifier(recipe, seed).get_parameter("encoder.pooler.dense.weight").detach()

    assert loaded.checkpoint.missing == ["pooler"]
    assert torch.equal(pooler(0), pooler(0))
    assert not torch.equal(pooler(0), pooler(1))
    assert float(pooler(0).std()) == pytest.approx(0.2, rel=0.15)  # the checkpoint's initializer_range


def test_a_pooler_that_is_there_is_kept(bert: Path) -> None:
    assert Checkpoint(inspect(bert)).missing == []


def test_copies_do_not_share_weights(bert: Path) -> None:
    checkpoint = Checkpoint(inspect(bert))
    copy = checkpoint.copy()
    with torch.no_grad():
        for p in copy.parameters():
            p.zero_()

    assert all(bool(p.detach().any()) for p in checkpoint.encoder.parameters())


def test_weights_only_bin_files_load(folder: Path, bert: Path) -> None:
    as_bin(folder)
    ours, theirs = Checkpoint(inspect(folder)).encoder, Checkpoint(inspect(bert)).encoder

    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "boom"))


@pytest.mark.parametrize("how", ["torch.save", "plain pickle"])
def test_a_pickle_with_code_in_it_is_refused_and_not_executed(folder: Path, tmp_path: Path, how: str) -> None:
    as_bin(folder)
    bomb, path = Bomb(tmp_path / "executed"), folder / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True) | {"bomb": bomb}
    if how == "torch.save":
        torch.save(tensors, path)
    else:
        path.write_bytes(pickle.dumps(tensors, protocol=2))

    said = refusal(lambda: Checkpoint(inspect(folder)))

    assert "cannot be loaded" in said
    assert not bomb.path.exists()


def test_code_that_comes_with_a_checkpoint_is_not_executed(folder: Path, tmp_path: Path) -> None:
    set_config(folder, auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")

    Checkpoint(inspect(folder))  # the family is known, its own code is not asked for

    assert not (tmp_path / "executed").exists()


def test_half_precision_weights_come_out_as_float32(folder: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: t.bfloat16() for name, t in tensors.items()})

    change_weights(folder, halve)
    set_config(folder, dtype="bfloat16")

    assert {p.dtype for p in Checkpoint(inspect(folder)).encoder.parameters()} == {torch.float32}


def test_the_fingerprint_follows_what_is_computed(folder: Path) -> None:
    before = model_fingerprint(folder)
    set_config(folder, layer_norm_eps=1e-6)
    other_config = model_fingerprint(folder)
    change_weights(folder, lambda tensors: tensors["pooler.dense.bias"][0].add_(1e-3))
    other_weight = model_fingerprint(folder)

    assert len({before, other_config, other_weight}) == 3


def test_the_fingerprint_does_not_follow_names_times_or_versions(folder: Path, tmp_path: Path) -> None:
    before = model_fingerprint(folder)
    elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copyfile))
    set_config(elsewhere, transformers_version="9.9.9", _name_or_path="/some/where")
    (elsewhere / "README.md").write_text("about")

    assert model_fingerprint(elsewhere) == before


def test_files_that_are_not_loaded_do_not_change_the_fingerprint(folder: Path) -> None:
    before = model_fingerprint(folder)
    shutil.copy(folder / WEIGHTS, folder / "optimizer.safetensors")

    assert model_fingerprint(folder) == before


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()

    assert "tokenizer" in refusal(lambda: load_tokenizer(folder))


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]"])
def test_a_broken_tokenizer_is_refused(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)

    assert "tokenizer" in refusal(lambda: load_tokenizer(folder))


def test_a_tokenizer_with_only_a_vocabulary_is_built_from_it(folder: Path) -> None:
    """As bert-base-chinese was published in 2018."""
    (folder / "tokenizer.json").unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SYLLABLES]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")

    assert load_tokenizer(folder).encode("ba be").ids == [2, 5, 6, 3]


def test_a_tokenizer_with_numbers_the_model_has_not_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "small", "bert", vocab_size=30)

    assert "30" in refusal(lambda: open_study(write_study(tmp_path / "study", folder)))
