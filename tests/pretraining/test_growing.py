"""Stacking layers, and the schedule that says when."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.studies import config_of

from finegrid.pretraining.growing import grow
from finegrid.pretraining.schedule import RAMP, PretrainSchedule
from finegrid.pretraining.settings import PretrainSettings


def schedule(**settings: object) -> PretrainSchedule:
    return PretrainSchedule(PretrainSettings(corpus=(Path("a"),), **settings), (3, 6, 12))  # type: ignore[arg-type]


def test_a_grown_model_computes_the_old_one_and_then_the_old_layers_again() -> None:
    from transformers import BertForPreTraining

    torch.manual_seed(0)
    old = BertForPreTraining(config_of("bert")).eval()
    new = grow(old, 8).eval()
    ids = torch.randint(5, 30, (2, 9))
    shallow = old.bert(ids, output_hidden_states=True).hidden_states
    deep = new.bert(ids, output_hidden_states=True).hidden_states

    assert all(torch.equal(a, b) for a, b in zip(shallow, deep, strict=False))
    again = old.bert.encoder(shallow[-1]).last_hidden_state
    assert torch.equal(deep[-1], again)
    for head in ("cls", "bert.pooler", "bert.embeddings"):
        pairs = zip(old.get_submodule(head).parameters(), new.get_submodule(head).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert new.config.num_hidden_layers == 8 and old.config.num_hidden_layers == 4


def test_layers_that_do_not_divide_are_refused() -> None:
    from transformers import BertForPreTraining

    with pytest.raises(ValueError, match="no multiple"):
        grow(BertForPreTraining(config_of("bert")), 6)


def test_stages_take_equal_work() -> None:
    by_time, by_tokens = schedule(seconds=10.0), schedule(tokens=700)
    cost = {3: 0.0, 6: 0.0, 12: 0.0}
    for step in range(700):
        layers = by_tokens.layers_at(step / 700)
        cost[layers] += layers

    assert [by_time.layers_at(done) for done in (0, 0.33, 0.34, 0.66, 0.67, 1.2)] == [3, 3, 6, 6, 12, 12]
    assert max(cost.values()) - min(cost.values()) <= 12


def test_the_rate_rises_falls_to_zero_and_rises_anew_after_growing() -> None:
    plan = schedule(tokens=100, rate=2.0e-3, warmup=0.2)

    assert [plan.rate(done, None) for done in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx(
        [0, 1e-3, 2e-3, 1e-3, 0]
    )
    assert plan.rate(0.6, RAMP // 4 - 1) == pytest.approx(0.25e-3)
    assert plan.rate(0.6, RAMP + 5) == pytest.approx(1e-3)
