"""Proposed settings: what follows from lengths, counts and sizes, and that docs/defaults.md says the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.studies import LIKE_ROBERTA

from finegrid.encoders.size import EncoderSize, measure_size
from finegrid.study.proposals import TextLengths, propose, propose_length, rate_for, scale_levels

DOCS = Path(__file__).parents[2] / "docs" / "defaults.md"
BASE = EncoderSize("bert", 12, 768, 3072, 30_522)
SHORT = TextLengths(train=1_798, percentile_99=30, longest=39, limit=512)


def test_at_most_one_text_in_a_hundred_is_cut_or_the_limit_of_the_model_is_told() -> None:
    long = replace(SHORT, percentile_99=700, longest=2_000, share_over_limit=0.073)
    asked = propose_length(SHORT), propose_length(replace(SHORT, longest=31)), propose_length(long)

    assert [proposal.level for proposal in asked] == [32, 32, 512]
    assert asked[0].reason == "tokens; 99 % of your texts have at most 30, the longest, 39"
    assert asked[1].reason == "tokens; your longest text has 31"
    assert asked[2].reason == (
        "the model's limit; 7.3 % of your texts are longer and are cut (the longest has 2,000)"
    )
    assert propose_length(replace(SHORT, percentile_99=509, limit=510)).level == 510


@pytest.mark.parametrize(
    ("texts", "batch", "epochs"),
    [(60, 16, 20), (1_000, 16, 16), (1_798, 16, 9), (5_000, 32, 7), (20_000, 32, 3), (500_000, 32, 3)],
)
def test_few_texts_train_longer(texts: int, batch: int, epochs: int) -> None:
    found = propose(replace(SHORT, train=texts), BASE, {})

    assert found["training.batch_size"].level == batch
    assert found["training.epochs"].level == epochs
    assert f"{epochs * -(-texts // batch):,} steps" in found["training.epochs"].reason


def test_what_is_set_is_not_proposed_and_the_epochs_fit_it() -> None:
    found = propose(replace(SHORT, train=5_000), BASE, {"training.batch_size": 256, "optimizer.rate": 1e-3})

    assert found.keys() == {"model.max_length", "training.epochs"}
    assert found["training.epochs"].level == 20  # of 20 steps an epoch


def test_smaller_encoders_take_larger_rates() -> None:
    sizes = [replace(BASE, width=width) for width in (192, 384, 768, 1024)]

    assert [rate_for(size) for size in sizes] == [3e-4, 1e-4, 3e-5, 2e-5]
    assert rate_for(replace(BASE, layers=6)) == 5e-5
    assert [rate_for(replace(size, family="electra")) for size in sizes] == [1e-4, 1e-4, 1e-4, 5e-5]
    assert [rate_for(replace(size, family="roberta")) for size in sizes[2:]] == [2e-5, 1e-5]
    assert [rate_for(replace(size, family="xlm-roberta")) for size in sizes] == [3e-4, 1e-4, 1e-5, 1e-5]


def test_the_docs_have_every_rate() -> None:
    rows = re.findall(r"^\| .+ \| .+ \| `(\de-\d)` \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = {float(rate) for rate in rows}

    assert told == {3e-4, 1e-4, 5e-5, 3e-5, 2e-5, 1e-5}


def test_levels_of_a_preset_keep_their_ratio() -> None:
    assert scale_levels([128, 64, 32], 48) == [48, 24, 12]
    assert scale_levels([5e-5, 1e-4], 3e-4) == [3e-4, 6e-4]
    assert scale_levels([3, 2], 1) == [1]


def test_a_size_is_read_off_the_config_of_every_family(checkpoint_of) -> None:  # type: ignore[no-untyped-def]
    for kind in ("bert", "electra", "ernie", "distilbert", *LIKE_ROBERTA):
        size = measure_size(checkpoint_of(kind))
        assert (size.layers, size.width, size.inner) == (4, 16, 32)
        assert size.family == kind and size.vocabulary > 100
