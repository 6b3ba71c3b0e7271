"""XLM-RoBERTa, CamemBERT and Data2Vec, with their own tokenizers: steps, stacks, crashes, kept models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.kept import keep_run, logits_of, texts_of, tokens_of
from support.rarity import rare
from support.stacks import batches, kill_and_resume_all, runs_of, varied
from support.studies import LoadedOf, assert_same_run, recipe_of, studies_of, train, weights
from support.tiny import make_tiny
from torch.nn import functional as F

from finegrid.encoders.layout import ROBERTA_LIKE
from finegrid.model.packing.batches import Batch
from finegrid.model.rows import held_rows, take_rows
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run
from finegrid.training.stack import Stack, can_stack

FAMILIES = sorted(ROBERTA_LIKE - {"roberta"})
STEPS = 50
NEAR = 1e-5


@pytest.fixture(scope="module")
def loaded_of(tmp_path_factory: pytest.TempPathFactory) -> LoadedOf:
    return studies_of(tmp_path_factory, make_tiny)


def take_batches(loaded: LoadedStudy, recipe: Recipe) -> Iterator[Batch]:
    return islice(batches(loaded, recipe), STEPS)


def plain_steps(run: Run) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of transformers' own classifier: padded, ``eager``, torch's AdamW, no dropout."""
    from transformers import AutoModelForSequenceClassification

    folder = run.loaded.study.checkpoint.folder
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=3, attn_implementation="eager", dtype=torch.float32
    )
    head = run.model.head
    model.classifier.dense.load_state_dict(head.get_submodule("dense").state_dict())
    model.classifier.out_proj.load_state_dict(head.get_submodule("linear").state_dict())
    optimizer = torch.optim.AdamW(model.eval().parameters(), lr=run.recipe.optimizer.rate, weight_decay=0.01)
    losses = []
    for batch in take_batches(run.loaded, run.recipe):
        ids = torch.full((len(batch.lengths), int(batch.lengths.max())), model.config.pad_token_id)
        for row, text in enumerate(torch.split(batch.ids[: batch.real_tokens], batch.lengths.tolist())):
            ids[row, : len(text)] = text
        mask = torch.arange(ids.shape[1]) < torch.as_tensor(batch.lengths)[:, None]
        loss = F.cross_entropy(model(input_ids=ids, attention_mask=mask.long()).logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, {name: p.detach() for name, p in model.base_model.named_parameters()}


@pytest.mark.parametrize("family", rare(FAMILIES, ["xlm-roberta"]))
def test_fifty_steps_follow_transformers_own_classifier(loaded_of: LoadedOf, family: str) -> None:
    loaded = loaded_of(family)
    recipe = recipe_of(
        loaded, head__kind="huggingface", optimizer__rate=1e-4, training__epochs=STEPS // 3 + 1
    )
    run = Run(loaded, "run", recipe, 0)
    losses, expected = plain_steps(run)
    for site in run.model.dropouts.values():
        site.silenced = True
    ours = []
    for step, batch in enumerate(take_batches(loaded, recipe)):
        ours.append(float(run.backward(batch, step)))
        run.spend_by_(
            [recipe.optimizer.rate] * len(run.optimizer.groups), [step + 1] * len(run.optimizer.groups)
        )

    assert len(ours) == STEPS and ours == pytest.approx(losses, rel=1e-4)
    assert abs(ours[0] - ours[-1]) > 0.02  # it went somewhere
    for name, p in run.model.encoder.named_parameters():
        if name.endswith("key.bias") or name.startswith("pooler"):
            continue  # no gradient but rounding, which Adam magnifies; and none
        rows = held_rows(run.table) if p is run.table.weight else None
        assert float((p - take_rows(expected[name], rows)).detach().abs().mean()) < 2e-6, name


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_a_stack_are_those_of_running_alone(loaded_of: LoadedOf, family: str) -> None:
    """With another start, rate, pooler and decay; in float64, where nothing but rounding could hide."""
    loaded = loaded_of(family)
    recipes = varied(loaded, freeze__layers=1)
    stacked, alone = runs_of(loaded, recipes, torch.float64), runs_of(loaded, recipes, torch.float64)
    assert all(map(can_stack, stacked))
    batch = batches(loaded, recipes[0])[0]
    Stack(stacked).backward(stacked[0].model.shared(batch, 0), 0)
    for one, other in zip(stacked, alone, strict=True):
        other.backward(other.model.shared(batch, 0), 0)
        for (name, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            if p.grad is not None and q.grad is not None:
                torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_runs_in_company_and_after_a_kill_have_the_bits_of_a_run_alone(
    loaded_of: LoadedOf, tmp_path: Path, family: str
) -> None:
    loaded = loaded_of(family)
    recipes = [
        recipe_of(loaded, freeze__layers=2, reinit__layers=layers, training__epochs=2) for layers in (0, 1)
    ]
    alone = [train(loaded, recipe)[0] for recipe in recipes]
    again = kill_and_resume_all(loaded, recipes, tmp_path)

    for one, other in zip(again, alone, strict=True):
        assert_same_run(one, other)
    assert not np.array_equal(alone[0].logits["dev"], alone[1].logits["dev"])


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_layers_and_frozen_ones_are_what_they_say(loaded_of: LoadedOf, family: str) -> None:
    loaded = loaded_of(family)
    before = weights(Run(loaded, "plain", recipe_of(loaded), 0))
    fresh = weights(Run(loaded, "fresh", recipe_of(loaded, reinit__layers=1, reinit__pooler=True), 0))
    changed = {name for name in before if not torch.equal(before[name], fresh[name])}
    (run,) = train(loaded, recipe_of(loaded, freeze__layers=2, training__epochs=1))
    moved = {name for name, p in weights(run).items() if not torch.equal(before[name], p)}

    assert changed and all("encoder.layer.3." in name or "pooler" in name for name in changed)
    assert moved and not any(f"layer.{frozen}." in name for name in moved for frozen in (0, 1))
    assert not any("embeddings" in name for name in moved)


@pytest.mark.parametrize("levels", [{}, {"head__kind": "huggingface"}], ids=["ours", "theirs"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_kept_model_is_one_of_transformers_and_its_tokenizer_too(
    loaded_of: LoadedOf, tmp_path: Path, family: str, levels: dict[str, Any]
) -> None:
    from transformers import AutoModel, AutoModelForSequenceClassification

    loaded = loaded_of(family)
    folder = keep_run(loaded, tmp_path / "kept", **levels)
    opens = AutoModelForSequenceClassification if levels else AutoModel
    model, report = opens.from_pretrained(folder, output_loading_info=True)
    found = logits_of(folder, loaded.study.folder / "dev.tsv")

    assert not {*report["missing_keys"]} - {"pooler.dense.weight", "pooler.dense.bias"}
    assert {path.name for path in folder.glob("*.model")} == {
        path.name for path in loaded.study.checkpoint.folder.glob("*.model")
    }
    if levels:
        with torch.no_grad():
            theirs = model(**tokens_of(folder, texts_of(loaded))).logits.numpy()
        np.testing.assert_allclose(theirs, found, atol=NEAR)
    else:
        assert model.config.model_type == family and np.isfinite(found).all()
