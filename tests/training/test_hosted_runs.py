"""Runs of encoders that transformers computes: steps, families, crashes, names, kept models."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.hosted import IN_FLOAT32, save_hosted
from support.rarity import rare
from support.stacks import kill_and_resume
from support.studies import LoadedOf, assert_same_run, open_study, recipe_of, studies_of, train, write_study
from torch import nn
from torch.nn import functional as F

from finegrid.audit.costs import make_audit
from finegrid.model.device import has_bf16
from finegrid.model.rows import held_rows, take_rows
from finegrid.recipe.identity import run_id
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import can_stack

FAMILIES = ["modernbert", "deberta-v2", "qwen3", "albert"]
FACTORS = '[factors]\n"schedule.warmup_ratio" = [0.0, 0.1]\n'
STEPS = 50


@pytest.fixture(scope="module")
def loaded_of(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    return studies_of(tmp_path_factory, lambda family, model: save_hosted(model, family), FACTORS)


def plain_steps(run: Run, family: str) -> dict[str, torch.Tensor]:
    """The weights after as many steps of a plain loop: padded transformers, torch's AdamW, no dropout."""
    from transformers import AutoModel

    name = "sdpa" if family in IN_FLOAT32 else "eager"
    folder = run.loaded.study.checkpoint.folder
    encoder: Any = AutoModel.from_pretrained(folder, attn_implementation=name, dtype=torch.float32)
    norm, linear = nn.LayerNorm(encoder.config.hidden_size), nn.Linear(encoder.config.hidden_size, 3)
    for name, module in {"norm": norm, "linear": linear}.items():
        module.load_state_dict(run.model.head.get_submodule(name).state_dict())
    whole = nn.ModuleDict({"encoder": encoder.eval(), "norm": norm, "linear": linear})
    known = {name for name, _ in run.model.encoder.named_parameters()}
    params = [p for name, p in whole.named_parameters() if name[:8] != "encoder." or name[8:] in known]
    optimizer = torch.optim.AdamW(params, lr=run.recipe.optimizer.rate, weight_decay=0.01)
    for batch in first_batches(run):
        texts = [*zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)]
        ids = torch.full((len(texts), int(batch.lengths.max())), encoder.config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, (start, n) in enumerate(texts):
            ids[row, :n], mask[row, :n] = batch.ids[start : start + n], 1
        hidden = encoder(input_ids=ids, attention_mask=mask)[0] * mask[:, :, None]
        logits = linear(norm(hidden.sum(1) / mask.sum(1, keepdim=True)))
        optimizer.zero_grad()
        F.cross_entropy(logits, batch.labels).backward()
        optimizer.step()
    return {name: p.detach() for name, p in whole.named_parameters()}


def first_batches(run: Run) -> Any:
    epochs = range(100)
    every = (b for epoch in epochs for b in run.loaded.training_batches(run.recipe, run.seed, epoch))
    return islice(every, STEPS)


@pytest.mark.parametrize("family", rare(FAMILIES, ["modernbert", "deberta-v2"]))
def test_fifty_steps_follow_a_plain_loop_over_padded_texts(loaded_of: LoadedOf, family: str) -> None:
    loaded = loaded_of(family)
    recipe = recipe_of(loaded, model__pooling="last-mean", optimizer__rate=1e-4, training__epochs=STEPS)
    run = Run(loaded, "run", recipe, 0)
    expected = plain_steps(run, family)
    for site in run.model.dropouts.values():
        site.silenced = True
    for step, batch in enumerate(first_batches(run)):
        run.backward(batch, step)
        run.spend_by_([recipe.optimizer.rate] * len(run.optimizer.groups), count(run, step))

    for name, p in run.model.named_parameters():
        if name.endswith("key.bias"):
            continue  # shifts all scores of a query alike: its gradient is nothing but rounding
        rows = held_rows(run.table) if p is run.table.weight else None
        there = take_rows(expected[name.removeprefix("head.")], rows)
        # Adam divides by the root of the mean square: where that is rounding, so is the step.
        assert float((p - there).detach().abs().mean()) < 2e-6, name


def count(run: Run, step: int) -> list[int]:
    """The number of the update, of every group."""
    return [step + 1] * len(run.optimizer.groups)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_in_company_has_the_bits_that_it_has_alone(loaded_of: LoadedOf, family: str) -> None:
    loaded = loaded_of(family)
    whole = {"model__pooling": "last-mean", "training__epochs": 2}
    frozen = {} if family == "albert" else {"freeze__layers": 2}  # whose layers share their weights
    recipes = [recipe_of(loaded, **whole, **frozen, schedule__warmup_ratio=ratio) for ratio in (0.0, 0.1)]
    together = train(loaded, *recipes)

    for recipe, run in zip(recipes, together, strict=True):
        assert_same_run(run, train(loaded, recipe)[0])
        assert run.progress.status == "done" and run.progress.path == "plain" and not can_stack(run)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    loaded_of: LoadedOf, tmp_path: Path, family: str
) -> None:
    loaded = loaded_of(family)
    recipe = recipe_of(loaded, model__pooling="last-mean", training__epochs=3)

    assert_same_run(kill_and_resume(loaded, recipe, tmp_path), train(loaded, recipe)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_products_in_bf16_give_nearly_the_same_and_always_the_same(tmp_path: Path, family: str) -> None:
    if not has_bf16("cpu"):
        pytest.skip("this processor has no bf16 products")
    study = write_study(tmp_path / "study", save_hosted(tmp_path / "model", family), FACTORS)
    runs = []
    for precision in ("bf16", "bf16", "fp32"):
        loaded = open_study(study, precision=precision)
        recipe = recipe_of(loaded, model__pooling="last-mean", training__epochs=1, optimizer__rate=1e-4)
        runs += train(loaded, recipe)
    assert_same_run(runs[0], runs[1])
    gap = np.abs(runs[0].logits["dev"] - runs[2].logits["dev"]).max()

    assert 0 < gap < 0.2 and all(p.dtype == torch.float32 for p in runs[0].model.parameters())


def test_how_an_encoder_is_run_is_part_of_the_names_of_its_runs(
    loaded_of: LoadedOf, loaded: LoadedStudy
) -> None:
    about = {"precision": "fp32", "protocol": "best-dev", "score": "macro-f1"}
    prints = loaded_of("modernbert").fingerprints
    without = {name: value for name, value in prints.items() if name != "tier"}

    assert prints["tier"] == "interface" and loaded_of("deberta-v2").fingerprints["tier"] == "padded"
    assert "tier" not in loaded.fingerprints  # of encoders that finegrid computes, names are as ever
    names = {run_id({}, 0, fingerprints=one, **about) for one in (prints, without)}
    assert len(names) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_audit_has_the_tier_and_what_was_measured(loaded_of: LoadedOf, family: str) -> None:
    audit = make_audit(loaded_of(family))

    assert audit.tier is not None and audit.checkpoint is not None
    assert audit.tier.tier == audit.checkpoint.tier == loaded_of(family).checkpoint.tier
    assert audit.tier.against_padded is not None and 0 <= audit.tier.against_padded < 1e-5
    assert not any("more than its own thing" in warning for warning in audit.warnings)


def test_an_encoder_whose_attention_is_not_ours_runs_padded_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finegrid.encoders import hosted

    monkeypatch.setitem(hosted.INTERFACE, "deberta-v2", "DeBERTa")
    checkpoint = save_hosted(tmp_path / "model", "deberta-v2")
    loaded = open_study(write_study(tmp_path / "study", checkpoint, FACTORS))

    assert loaded.study.checkpoint.tier == "interface" and loaded.checkpoint.tier == "padded"
    assert loaded.fingerprints["tier"] == "padded"
    assert any("deberta-v2 runs padded" in warning for warning in loaded.warnings)
    audited = make_audit(loaded).tier
    assert audited is not None and audited.tier == "padded" and audited.attentions == 0
    (run,) = train(loaded, recipe_of(loaded, model__pooling="last-mean", training__epochs=1))
    assert run.progress.status == "done" and np.isfinite(run.logits["dev"]).all()
