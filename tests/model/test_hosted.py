"""Encoders that transformers computes, over packed texts or padded ones, against its own padded pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.checkpoints import refusal
from support.hosted import (
    DEPEND_ON_PADDING,
    HOSTED,
    IN_FLOAT32,
    LAYERS,
    config_of,
    hosted_classifier,
    open_hosted,
    save_hosted,
)
from support.studies import pack_all, random_split
from torch import Tensor

from finegrid.encoders.families import inspect
from finegrid.encoders.hosted import plain_values
from finegrid.model import hosted_attention
from finegrid.model.classifier import Classifier
from finegrid.model.dropout import Notes
from finegrid.model.initial import find_initials
from finegrid.model.load import Checkpoint
from finegrid.model.packing.batches import Batch
from finegrid.model.tier_proof import NEAR, prove_tier

TEXTS = [(5,), (1,), (9,), (5,), (20,), (1,), (17,)]
HostedOf = Callable[[str], Path]
DRAWING = ["gte", "albert", "deberta-v2", "mpnet", "gpt2"]  # whose checkpoints drop something


@pytest.fixture(scope="module")
def hosted_of(tmp_path_factory: pytest.TempPathFactory) -> HostedOf:
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = save_hosted(tmp_path_factory.mktemp(family), family)
        return made[family]

    return folder


@pytest.fixture
def random_batch(bert: Path) -> Batch:
    """Texts of random tokens between the special ones that BERT has."""
    return pack_all(random_split(bert, TEXTS))


def levels_of(model: Classifier, batch: Batch, step: int | None = None) -> list[Tensor]:
    """All levels of a batch, without the tokens that belong to no text."""
    model.clock.turn_to_(step)
    found: list[Tensor] = []
    every = range(len(model.parts.layers))
    last = model.engine.run(batch, every, lambda level, hidden: found.append(hidden))
    return [level[: batch.real_tokens] for level in (*found, last)]


def padded_levels(folder: Path, family: str, batch: Batch) -> tuple[list[Tensor], Any]:
    """The same by transformers, in float64, and its encoder."""
    from transformers import AutoModel

    name = "sdpa" if family in IN_FLOAT32 else "eager"
    encoder = AutoModel.from_pretrained(folder, attn_implementation=name, dtype=torch.float64).eval()
    longest, texts = int(batch.lengths.max()), len(batch.lengths)
    ids = torch.full((texts, longest), encoder.config.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, (start, n) in enumerate(zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)):
        ids[row, :n], mask[row, :n] = batch.ids[start : start + n], 1
    out = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    levels = (*out.hidden_states[:LAYERS], out[0])
    return [level[mask.bool()] for level in levels], encoder


def gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.detach() - theirs.detach()).abs().max() / theirs.detach().abs().max().clamp(min=1e-12))


@pytest.mark.parametrize("family", HOSTED)
def test_all_levels_and_all_gradients_equal_the_padded_model(
    hosted_of: HostedOf, family: str, random_batch: Batch
) -> None:
    folder = hosted_of(family)
    batch = random_batch
    model = hosted_classifier(folder).double().eval()
    ours, (theirs, encoder) = levels_of(model, batch), padded_levels(folder, family, batch)
    draw = torch.Generator().manual_seed(0)
    shares = [torch.randn(level.shape, generator=draw, dtype=torch.float64) for level in ours]
    for levels in (ours, theirs):
        sums = [(level * share).sum() for level, share in zip(levels, shares, strict=True)]
        torch.stack(sums).sum().backward()
    expected = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    grads = {name: p.grad for name, p in model.encoder.named_parameters() if p.grad is not None}
    largest = max(float(grad.abs().max()) for grad in expected.values())
    rounding = 3e-6 if family in IN_FLOAT32 else 1e-11  # some compute a rotation or a norm in float32

    assert max(map(gap, ours, theirs)) < rounding
    assert grads.keys() == {name for name in expected if "pooler" not in name}
    unlike = {name: float((grads[name] - expected[name]).abs().max()) / largest for name in grads}
    assert max(unlike.values()) < rounding


@pytest.mark.parametrize("frozen", [1, LAYERS])
@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "qwen3", "mpnet", "albert"])
def test_a_frozen_bottom_is_computed_once_and_gives_the_same_bits(
    hosted_of: HostedOf, family: str, frozen: int, random_batch: Batch
) -> None:
    folder = hosted_of(family)
    batch = random_batch
    model = hosted_classifier(folder, "weighted")
    whole = model(batch, 0).detach()
    model.frozen_layers = frozen
    for site in model.dropouts.values():
        site.forget_()
    by_parts = model(batch, 0)
    shared = model(model.shared(batch, 1), 1)
    for site in model.dropouts.values():
        site.forget_()

    assert torch.equal(whole, by_parts)
    assert torch.equal(shared, model(batch, 1))


@pytest.mark.parametrize("family", DRAWING)
def test_a_step_has_masks_of_its_own_and_always_the_same(
    hosted_of: HostedOf, family: str, random_batch: Batch
) -> None:
    folder = hosted_of(family)
    batch = random_batch
    model, other = hosted_classifier(folder), hosted_classifier(folder, seed=1)
    first = levels_of(model, batch, 0)[-1]
    again = levels_of(hosted_classifier(folder), batch, 0)[-1]

    assert torch.equal(first, again)
    assert not torch.equal(first, levels_of(model, batch, 1)[-1])
    assert not torch.equal(first, levels_of(other, batch, 0)[-1])
    for site in model.parts.dropouts:
        site.silenced = True
    assert torch.equal(levels_of(model, batch, 2)[-1], levels_of(model.eval(), batch)[-1])


def test_a_second_pass_in_one_step_has_masks_of_its_own(hosted_of: HostedOf, random_batch: Batch) -> None:
    folder = hosted_of("deberta-v2")
    batch = random_batch
    model = hosted_classifier(folder)

    assert not torch.equal(levels_of(model, batch, 0)[-1], levels_of(model, batch, 0)[-1])


def test_padded_texts_lose_what_they_lose_packed(
    checkpoint_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, random_batch: Batch
) -> None:
    """Every family that can be run both ways loses the same, down to single attention weights."""
    from finegrid.model import hosted_engine
    from finegrid.model.kernels.layout import cut

    folder = checkpoint_of("ernie")  # whose modules are transformers'; a BERT's are made here
    batch = random_batch
    packed, padded = (hosted_classifier(folder, tier=tier).double() for tier in ("interface", "padded"))
    monkeypatch.setattr(
        hosted_engine, "cut_buckets", lambda lengths: cut(lengths, packed.parts.layers[0].heads)
    )
    assert len({*packed.dropouts}) == len({*padded.dropouts}) > 10

    for step in range(2):
        ours, theirs = levels_of(packed, batch, step), levels_of(padded, batch, step)
        assert max(map(gap, ours, theirs)) < 1e-12


def test_layers_that_share_their_weights_have_masks_of_their_own(
    hosted_of: HostedOf, random_batch: Batch
) -> None:
    folder = hosted_of("albert")
    batch = random_batch
    model = hosted_classifier(folder)
    notes = Notes()
    with notes.note_down():
        levels_of(model, batch, 0)
    sites = [site.site for site in model.parts.hidden_dropouts if site.site.startswith("encoder.")]
    own = [[mask for mask in notes.masks if mask and mask.site.startswith(site)] for site in sites]

    assert own and all(len({mask.site for mask in masks}) == LAYERS for masks in own)
    assert not torch.equal(own[0][0].draw().keep, own[0][1].draw().keep)


def test_layers_are_drawn_afresh_as_the_family_draws_them(hosted_of: HostedOf) -> None:
    model = hosted_classifier(hosted_of("modernbert"))
    layer = model.parts.layers[2].module
    model.redraw_(layer, "reinit")
    std = 0.88 * model.parts.initializer_range  # of a normal distribution that is cut at two deviations
    deep = std / np.sqrt(2 * LAYERS)

    weights = {name: p.detach() for name, p in layer.named_parameters()}
    assert weights["attn.Wqkv.weight"].std() == pytest.approx(std, rel=0.1)
    assert weights["attn.Wo.weight"].std() == pytest.approx(deep, rel=0.1)
    assert 2 * deep < weights["attn.Wo.weight"].abs().max() <= 2 * deep / 0.88
    assert (weights["attn_norm.weight"] == 1).all() and "attn_norm.bias" not in weights


@pytest.mark.parametrize("family", HOSTED)
def test_how_tensors_are_drawn_is_what_transformers_draws(family: str) -> None:
    from transformers import AutoModel

    torch.manual_seed(0)
    fresh = AutoModel.from_config(config_of(family))
    initials = find_initials(fresh)
    named = dict(fresh.named_parameters())

    assert named.keys() - initials.keys() <= {"encoder.embed_positions.weight"}  # of sines, and never trained
    for name, initial in initials.items():
        values = named[name].detach()
        if initial.kind == "constant":
            assert (values == initial.low).all(), name
        elif values.numel() > 500:
            rows = values[1:] if "embed" in name or "wte" in name else values  # that of the padding may be 0
            share = 0.88 if initial.kind == "truncated" else 1.0  # these are cut at two deviations
            assert rows.std() == pytest.approx(share * initial.high, rel=0.15), name


@pytest.mark.parametrize("family", HOSTED)
def test_a_tier_is_proved_on_the_checkpoint(hosted_of: HostedOf, family: str, random_batch: Batch) -> None:
    folder = hosted_of(family)
    checkpoint = open_hosted(folder)
    proof = prove_tier(checkpoint, checkpoint.tier, random_batch)

    assert proof.problem(family) == ""
    assert proof.layers == LAYERS and proof.texts == len(TEXTS) and proof.draws_nothing
    assert proof.sees_ahead != checkpoint.info.is_decoder
    assert proof.attentions == LAYERS or checkpoint.tier == "padded"


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet"])
def test_a_family_that_does_not_leave_attention_to_us_is_found_out(
    hosted_of: HostedOf, family: str, random_batch: Batch
) -> None:
    folder = hosted_of(family)
    proof = prove_tier(open_hosted(folder), "interface", random_batch)

    assert proof.against_padded is not None and proof.against_padded > 10 * NEAR
    assert "off by" in proof.problem(family)


@pytest.mark.parametrize("family", DEPEND_ON_PADDING)
def test_a_family_whose_texts_depend_on_their_company_is_refused(
    tmp_path: Path, family: str, random_batch: Batch
) -> None:
    folder = save_hosted(tmp_path / family, family)
    proof = prove_tier(open_hosted(folder), "padded", random_batch)

    assert "depend on the texts beside it" in proof.problem(family)


def test_texts_that_see_each_other_are_found_out(
    hosted_of: HostedOf, random_batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By transformers' vectors, and by those that a text has alone."""

    def attend_all(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Tensor:
        weights = torch.einsum("qhd,khd->hqk", q, k).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, v)

    monkeypatch.setattr(hosted_attention, "attend_varlen", attend_all)
    proof = prove_tier(open_hosted(hosted_of("modernbert")), "interface", random_batch)

    assert proof.against_padded is not None and proof.against_padded > 10 * NEAR
    assert proof.alone is not None and proof.alone > 10 * NEAR
    assert proof.alone_padded is not None and proof.alone_padded < NEAR


def test_what_draws_unseen_is_refused(hosted_of: HostedOf, random_batch: Batch) -> None:
    checkpoint = Checkpoint(inspect(hosted_of("modernbert")))
    own = checkpoint.encoder.get_submodule("layers.1.mlp.act")
    own.register_forward_hook(lambda module, _, out: torch.dropout(out, 0.5, module.training))
    proof = prove_tier(checkpoint, "interface", random_batch)

    assert "draws random numbers" in proof.problem("modernbert")


def test_attention_of_a_kind_that_ours_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = save_hosted(tmp_path / "gemma2", "gemma2", head_dim=8, num_key_value_heads=2)

    assert "attention with softcap" in refusal(lambda: Checkpoint(inspect(folder)))


@pytest.mark.parametrize("family", HOSTED)
def test_whether_layers_have_biases_is_known_before_they_are_loaded(hosted_of: HostedOf, family: str) -> None:
    checkpoint = open_hosted(hosted_of(family))
    layers = hosted_classifier(hosted_of(family)).parts.layers
    names = {name for layer in layers for name, _ in layer.module.named_parameters()}

    assert checkpoint.info.has_biases == any(name.endswith("bias") for name in names)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_hosted(tmp_path / "model", "modernbert")
    weights = load_file(folder / "model.safetensors")
    weights["layers.1.attn.Wo.weight"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    assert "layers.1.attn.Wo.weight is not finite" in refusal(lambda: Checkpoint(inspect(folder)))


def test_weights_of_other_sizes_than_the_configs_are_refused(tmp_path: Path) -> None:
    folder = save_hosted(tmp_path / "model", "modernbert")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"intermediate_size": 48', '"intermediate_size": 40'))

    assert "cannot be loaded" in refusal(lambda: Checkpoint(inspect(folder)))


def test_only_harmless_values_of_a_config_reach_transformers() -> None:
    kept = plain_values(
        {
            "hidden_size": 32,
            "rope_parameters": {"full_attention": {"rope_theta": 1e4}},
            "auto_map": {"AutoModel": "evil.Model"},
            "attn_implementation": "someone/kernel",
            "_attn_implementation_internal": "someone/kernel",
            "hidden_act": "someone/activation",
            "quantization_config": {"quant_method": "gptq"},
            "layer_norm_eps": float("nan"),
            "deep": {"a": {"b": {"c": {"d": 1}}}},
        }
    )

    assert kept == {"hidden_size": 32, "rope_parameters": {"full_attention": {"rope_theta": 1e4}}}
