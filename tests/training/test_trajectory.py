"""Fifty steps of the real training step against a plain loop over padded transformers, in float32.

The loop is the reference twin of everything that is fast: packing, half layers written by hand, attention in
groups, fused AdamW, masks kept as bytes. With dropout on it replays the very masks that our run draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rarity import rare
from support.studies import recipe_of
from torch import Tensor, nn
from torch.nn import functional as F

from finegrid.model.packing.batches import Batch
from finegrid.model.rows import held_rows, take_rows
from finegrid.recipe.recipe import Recipe
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

STEPS = 50


def batches(loaded: LoadedStudy, recipe: Recipe, seed: int) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from loaded.training_batches(recipe, seed, epoch)
        epoch += 1


class Replay(nn.Module):
    """Dropout that multiplies by our run's masks, brought from packed to padded places."""

    def __init__(self, plain: PlainLoop, site: str) -> None:
        super().__init__()
        self.plain = [plain]  # in a list: not a submodule
        self.site = site

    def forward(self, x: Tensor) -> Tensor:
        return x * self.plain[0].factors(self.site, x)


class PlainLoop:
    """transformers' BertModel, padded and ``eager``, torch's AdamW, one text per row."""

    def __init__(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from transformers import AutoModel
        from transformers.models.bert import modeling_bert

        self.run = run
        self.bert: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
        self.bert.train()
        self.norm = nn.LayerNorm(self.bert.config.hidden_size)
        self.linear = nn.Linear(self.bert.config.hidden_size, 3)
        self.norm.load_state_dict(run.model.get_submodule("head.norm").state_dict())
        self.linear.load_state_dict(run.model.get_submodule("head.linear").state_dict())
        self.head_dropout = Replay(self, "head")
        self.bert.embeddings.dropout = Replay(self, "embeddings")
        for index, layer in enumerate(self.bert.encoder.layer):
            layer.attention.output.dropout = Replay(self, f"layer.{index}.hidden")
            layer.output.dropout = Replay(self, f"layer.{index}.output")
            layer.attention.self.index = index
        monkeypatch.setattr(modeling_bert, "eager_attention_forward", self.attention)
        recipe = run.recipe
        for module in [self.bert.embeddings, *self.bert.encoder.layer][: recipe.freeze.layers + 1]:
            if recipe.freeze.layers:
                module.requires_grad_(False)
        spared = recipe.optimizer.decay_on == "matrices"
        decay = recipe.optimizer.weight_decay
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p], "weight_decay": 0.0 if spared and p.ndim < 2 else decay}
                for p in self.parameters()
            ],
            lr=recipe.optimizer.rate,
        )

    def parameters(self) -> list[Tensor]:
        modules: tuple[nn.Module, ...] = (self.bert, self.norm, self.linear)
        return [p for module in modules for p in module.parameters() if p.requires_grad]

    def attention(
        self, module: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float, **rest: Any
    ) -> tuple[Tensor, Tensor]:
        weights = torch.softmax(q @ k.transpose(2, 3) * scaling + mask, -1)
        weights = weights * self.factors(f"layer.{module.index}.attention", weights)
        return (weights @ v).transpose(1, 2).contiguous(), weights

    def factors(self, site: str, x: Tensor) -> Tensor:
        """Our run's mask of this step for a padded ``[texts, length, width]`` or attention weights."""
        model, batch = self.run.model, self.batch
        layout = batch.layout(self.bert.config.num_attention_heads)
        module = model.dropouts[site]
        if x.ndim == 4:
            count = layout.weights
        else:
            count = x.numel() if site == "head" else len(batch.ids) * x.shape[-1]
        module.forget_()  # the mask of the step's first pass
        dropped = module.draw(count, x.device)
        if dropped is None:
            return torch.ones(1)
        keep = dropped.keep.float() * dropped.scale
        if site == "head":
            return keep.view(x.shape)
        out = torch.ones_like(x)
        first = 0
        for group in layout.groups:
            for text in range(first, first + group.texts):
                length, start = int(batch.lengths[text]), int(batch.starts[text])
                if x.ndim == 3:
                    out[text, :length] = keep.view(-1, x.shape[-1])[start : start + length]
                else:
                    own = keep[group.weights].view(group.texts, layout.heads, group.length, group.length)
                    out[text, :, :length, :length] = own[text - first, :, :length, :length]
            first += group.texts
        return out

    def step(self, batch: Batch, step: int, total: int) -> float:
        self.batch = batch
        self.run.model.clock.turn_to_(step)
        lengths = torch.from_numpy(batch.lengths)
        texts = torch.split(batch.ids[: batch.real_tokens], lengths.tolist())
        ids = nn.utils.rnn.pad_sequence(list(texts), batch_first=True)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        states = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        mean = (((states[1] + states[-1]) / 2) * mask[:, :, None]).sum(1) / lengths[:, None]
        logits = self.linear(self.head_dropout(self.norm(mean)))
        loss = F.cross_entropy(logits, batch.labels)
        for group in self.optimizer.param_groups:
            group["lr"] = self.run.recipe.optimizer.rate * self.run.recipe.schedule.rate_factor(step, total)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


LEVELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "frozen": {"freeze__layers": 2},
    "matrices and warmup": {"optimizer__decay_on": "matrices", "schedule__warmup_ratio": 0.1},
}


@pytest.mark.parametrize(
    ("levels", "dropout"),
    rare(product(LEVELS, [False, True]), [("frozen", False), ("matrices and warmup", True)]),
)
def test_fifty_steps_follow_the_plain_loop(
    loaded: LoadedStudy,
    checkpoint_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    levels: str,
    dropout: bool,
) -> None:
    recipe = recipe_of(loaded, training__epochs=17, **LEVELS[levels])
    run, twin = Run(loaded, "run", recipe, 0), Run(loaded, "twin", recipe, 0)
    plain = PlainLoop(twin, checkpoint_of("bert"), monkeypatch)
    for one in (run, twin):
        for site in one.model.dropouts.values():
            site.silenced = not dropout
    ours, theirs = [], []
    for step, batch in enumerate(islice(batches(loaded, recipe, 0), STEPS)):
        ours.append(run.step(batch, step))
        theirs.append(plain.step(batch, step, run.total_steps))

    assert ours == pytest.approx(theirs, rel=1e-4)
    moved = dict(run.model.named_parameters())
    table, rows = plain.bert.get_input_embeddings().weight, held_rows(run.table)
    for name, p in plain.bert.named_parameters():
        # The pooler gets no gradient. That of the keys' bias is zero but for rounding, which Adam magnifies.
        if "pooler" not in name and not name.endswith("key.bias"):
            values = take_rows(p, rows if p is table else None)
            torch.testing.assert_close(moved[f"encoder.{name}"], values, rtol=1e-3, atol=1e-4)
    assert abs(ours[0] - ours[-1]) > 0.05  # it went somewhere
