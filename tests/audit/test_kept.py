"""What other studies found out on a machine: used where it is true, looked at anew where it may not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.levels import ON, base, on
from support.studies import (
    SYLLABLES,
    LoadedOf,
    make_lesson_,
    open_study,
    save_checkpoint,
    write_study,
    write_texts,
    write_tsv,
)

from finegrid.audit import costs, kept, proof
from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import make_audit, measure, price
from finegrid.audit.kept import KeptAudits, Measured, SizesOfTexts, sizes_of
from finegrid.audit.proof import Pair, Prover
from finegrid.study.audit_file import Audit, Proof
from finegrid.training.loaded import LoadedStudy

FACTORS = """[factors]
"optimizer.bias_correction" = [true, false]
"freeze.layers" = [0, 2]
"reinit.pooler" = [false, true]
"schedule.warmup_ratio" = [0.0, 0.2]
"""
GAPS = ("against_padded", "alone", "alone_padded")  # which are of the texts
PAIRS = [*product(SYLLABLES[:6], SYLLABLES[6:12])]
MEASURED = Measured(
    sizes=SizesOfTexts(tokens=1.0, longest=1, rows=1),
    step_seconds=0.5,
    prefix_seconds=0.1,
    prefix_is_constant=False,
    seconds_per_token=0.001,
    pretrain_seconds=0.0,
    memory=1000,
    member_memory=100,
    copies=5,
    recomputes=False,
)
Open = Callable[..., LoadedStudy]


@pytest.fixture
def open_anew(user_cache: Path, bert: Path, tmp_path: Path) -> Open:
    """Opens another study each time, of the same texts unless ``seed`` says otherwise."""
    made = 0

    def opened(
        factors: str = FACTORS, seed: int = 0, texts: int = 24, model: Path = bert, **settings: Any
    ) -> LoadedStudy:
        nonlocal made
        made += 1
        folder = write_study(tmp_path / f"study-{made}", model, factors)
        write_texts(folder / "train.tsv", texts, seed)
        return open_study(folder, **settings)

    return opened


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an audit does that takes long, from now on."""
    done: list[str] = []
    for module, name in (
        (costs, "measure"),
        (proof, "take"),
        (Canonicaliser, "prepare"),
        (LoadedStudy, "prove_tier"),
    ):
        monkeypatch.setattr(module, name, note(done, name, getattr(module, name)))
    return done


def note(done: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **named: Any) -> Any:
        done.append(name)
        return function(*args, **named)

    return noted


def decided(audit: Audit) -> Any:
    """All that an audit says, but seconds, bytes, what a step came to, and where it has them from."""
    told = audit.model_dump(exclude={"costs": True, "proofs": True, "tier": {*GAPS, "kept"}})
    told["proofs"] = [*map(said, audit.proofs)]
    return told, [(cost.shared, cost.texts, cost.copies, cost.recomputes) for cost in audit.costs]


def said(proof: Proof) -> Any:
    return proof.model_dump(exclude={"loss", "gradients", "updated", "kept"}), proof.warning


def days_of(audit: Audit) -> set[str]:
    """The days on which what it has was found out; "" of itself."""
    return {*(cost.kept for cost in audit.costs), *(proof.kept for proof in audit.proofs)}


def test_a_second_study_does_nothing_of_it_again_and_decides_the_same(
    open_anew: Open, work: list[str]
) -> None:
    first = make_audit(open_anew())
    assert {*work} == {"measure", "take", "prepare", "prove_tier"}
    work.clear()
    second = make_audit(open_anew())

    assert work == []
    assert decided(second) == decided(first)
    assert days_of(first) == {""}
    (day,) = days_of(second)
    assert len(day) == 10
    assert second.proofs == [one.model_copy(update={"kept": day}) for one in first.proofs]  # losses, too
    assert second.costs == [one.model_copy(update={"kept": day}) for one in first.costs]


def test_other_texts_have_the_levels_and_proofs_that_they_have_when_nothing_is_kept(
    open_anew: Open, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audit(open_anew())
    work.clear()
    others = open_anew(seed=7, texts=27)
    audit = make_audit(others)

    # What an optimizer makes of a step is rounded as the texts are.
    assert {*work} == {"take"}
    assert {one.factor for one in audit.proofs if not one.kept} == {"optimizer.bias_correction"}
    monkeypatch.setenv("FINEGRID_CACHE", "off")
    assert decided(audit) == decided(make_audit(open_study(others.study.folder)))


def test_with_another_rate_only_what_it_decides_is_found_anew(
    open_anew: Open, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audit(open_anew())
    work.clear()
    monkeypatch.setattr(Canonicaliser, "_reaching", note(work, "reach", Canonicaliser._reaching))
    other = open_at_rate(open_anew().study.folder, 7e-4)
    audit = make_audit(other)

    assert {*work} == {"prepare", "take"}  # models are made, and nothing is computed with them
    assert {one.factor for one in audit.proofs if not one.kept} == {"optimizer.bias_correction"}
    monkeypatch.setenv("FINEGRID_CACHE", "off")
    assert decided(audit) == decided(make_audit(open_study(other.study.folder)))


def open_at_rate(folder: Path, rate: float) -> LoadedStudy:
    settings = folder / "study.toml"
    text = settings.read_text(encoding="utf-8")
    assert "rate = 0.002" in text
    settings.write_text(text.replace("rate = 0.002", f"rate = {rate}"), encoding="utf-8")
    return open_study(folder)


def test_a_rate_of_its_own_next_to_other_rates_is_proved_anew(
    taught: LoadedStudy, user_cache: Path, bert: Path, tmp_path: Path
) -> None:
    """Where a level has the very rate that all have, it does nothing."""
    scales = Canonicaliser(taught, 0).scales
    assert scales(on(taught, "rates.layer_decay")) and scales(on(taught, "freeze.layers"))
    assert not scales(on(taught, "train.rate")) and not scales(on(taught, "lora.rate"))

    own = '[train]\nonly = "biases"\n[factors]\n"train.rate" = [0.0, 0.002]'
    audits = []
    for name, rate in (("same", 2e-3), ("other", 7e-4)):
        folder = write_study(tmp_path / name, bert, own)
        audits.append(make_audit(open_at_rate(folder, rate)))

    assert audits[0].proofs[0].reason and audits[0].rows[1].inert
    assert not audits[1].proofs[0].reason and audits[1].proofs[0].changes


def test_a_level_with_the_rate_of_all_is_proved_anew_beside_another_rate(
    user_cache: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Biases that train alone have a rate of their own, which shows where that is not the rate of all."""
    own = '[train]\nrate = 2e-3\n[factors]\n"train.only" = ["all", "biases"]'
    same, other = (
        open_at_rate(write_study(tmp_path / name, bert, own), rate)
        for name, rate in (("same", 2e-3), ("other", 7e-4))
    )
    first = make_audit(same)
    audit = make_audit(other)

    monkeypatch.setenv("FINEGRID_CACHE", "off")
    assert decided(audit) == decided(make_audit(open_study(other.study.folder)))
    shown = [{change.aspect for change in each.proofs[0].changes} for each in (first, audit)]
    assert "rates" not in shown[0] and "rates" in shown[1]


def test_seconds_go_with_the_tokens_and_memory_is_never_told_smaller(open_anew: Open) -> None:
    one, other = open_anew(), open_anew(seed=7, texts=27)
    recipe = one.study.baseline
    mine, theirs = (sizes_of(loaded, recipe) for loaded in (one, other))
    assert mine.tokens != theirs.tokens
    first = measure(one, recipe).model_copy(update={"seconds_per_token": 1e-3})
    keeping = KeptAudits(one, 0)
    keeping.keep_cost(recipe, first)
    keeping.save()
    second = price(other, recipe, KeptAudits(other, 0))

    assert second.kept
    assert second.step_seconds == pytest.approx(first.step_seconds * theirs.tokens / mine.tokens)
    assert second.memory >= first.memory and second.member_memory >= first.member_memory
    assert second.evaluation_seconds == pytest.approx(1e-3 * other.tokens.dev.lengths.sum())


@pytest.mark.parametrize("sizes", [{"tokens": 20.0}, {"longest": 99}, {"rows": 5}])
def test_costs_of_unlike_texts_are_measured_anew(
    open_anew: Open, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, Any]
) -> None:
    keeping = KeptAudits(one := open_anew(), 0)
    recipe = one.study.baseline
    like = sizes_of(one, recipe)
    keeping.keep_cost(recipe, MEASURED.model_copy(update={"sizes": like}))
    assert keeping.find_cost(recipe) is not None

    monkeypatch.setattr(kept, "sizes_of", lambda loaded, recipe: like.model_copy(update=sizes))
    assert keeping.find_cost(recipe) is None


def test_other_weights_have_the_costs_and_nothing_else(
    open_anew: Open, work: list[str], tmp_path: Path
) -> None:
    make_audit(open_anew())
    work.clear()
    model = save_checkpoint(tmp_path / "other", "bert", seed=5)
    audit = make_audit(open_anew(model=model))

    assert {*work} == {"take", "prepare", "prove_tier"}
    assert all(cost.kept for cost in audit.costs)


@pytest.mark.parametrize(
    "changed",
    [
        {"engine": 99},
        {"code": "of another finegrid"},
        {"versions": {"torch": "0.1"}},
        {"machine": {"processor": "another"}},
        {"settings": {"precision": "bf16"}},
        {"kernels": "of another kind"},
    ],
)
def test_nothing_is_used_of_another_program_machine_or_setting(
    loaded: LoadedStudy, user_cache: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    fill(KeptAudits(loaded, 0))
    assert None not in find_all(KeptAudits(loaded, 0))

    facts = kept.describe_process
    monkeypatch.setattr(kept, "describe_process", lambda loaded: {**facts(loaded), **changed})
    assert {*find_all(KeptAudits(loaded, 0))} == {None}


def fill(keeping: KeptAudits) -> None:
    """Keep something of each kind, of a study's baseline."""
    loaded = keeping.loaded
    recipe = loaded.study.baseline
    keeping.keep_tier(loaded.pack_proving(), loaded.prove_tier())
    keeping.keep_words(["model"], "digest")
    keeping.keep_proof(Proof(factor="freeze.layers", level=1, reason="nothing"), ["exact"], ["free"])
    keeping.keep_cost(recipe, MEASURED.model_copy(update={"sizes": sizes_of(loaded, recipe)}))
    keeping.save()


def find_all(keeping: KeptAudits) -> list[object]:
    """What is found of that."""
    loaded = keeping.loaded
    return [
        keeping.find_tier(loaded.pack_proving()),
        keeping.find_words(["model"]),
        keeping.find_proof([], ["free"]),
        keeping.find_proof(["exact"]),
        keeping.find_cost(loaded.study.baseline),
    ]


def test_another_precision_or_number_of_threads_is_another_setting(open_anew: Open) -> None:
    told = [kept.describe_process(open_anew(**one)) for one in ({}, {"threads": 2}, {"precision": "bf16"})]

    assert told[0] != told[1] != told[2] != told[0]


def test_the_code_of_finegrid_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = []
    for content in ("a = 1\n", "a = 2\n"):
        (tmp_path / "module.py").write_text(content)
        monkeypatch.setattr("finegrid.__file__", str(tmp_path / "__init__.py"))
        kept.hash_code.cache_clear()
        hashes.append(kept.hash_code())
    kept.hash_code.cache_clear()

    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: '{"version": 1}',
        lambda text: re.sub('"(step_seconds|beyond|texts)":', '"other":', text).replace('"digest"', "7"),
    ],
)
def test_what_is_damaged_is_as_none(
    loaded: LoadedStudy, user_cache: Path, damage: Callable[[str], str]
) -> None:
    fill(KeptAudits(loaded, 0))
    for path in user_cache.iterdir():
        path.write_text(damage(path.read_text()))

    assert {*find_all(KeptAudits(loaded, 0))} == {None}


def test_a_tier_that_was_proved_on_shorter_texts_is_proved_anew(
    loaded: LoadedStudy, user_cache: Path
) -> None:
    batch, proof = loaded.pack_proving(), loaded.prove_tier()
    others = replace(batch, ids=batch.ids + 1)
    shorter = replace(others, lengths=batch.lengths - 1)
    much_longer = replace(others, lengths=2 * batch.lengths)
    for proved, found in ((batch, True), (others, True), (shorter, False), (much_longer, False)):
        keeping = KeptAudits(loaded, 0)
        keeping.keep_tier(proved, proof)
        assert (keeping.find_tier(batch) is not None) is found


def test_tiers_of_encoders_that_transformers_computes_are_kept_for_their_texts_alone(
    hosted: LoadedOf, user_cache: Path
) -> None:
    loaded = hosted("modernbert")
    keeping, batch = KeptAudits(loaded, 0), loaded.pack_proving()
    keeping.keep_tier(replace(batch, ids=batch.ids + 1), loaded.prove_tier())
    assert keeping.find_tier(batch) is None

    keeping.keep_tier(batch, loaded.prove_tier())
    assert keeping.find_tier(batch) is not None


def test_numbers_that_a_seed_draws_are_its_own(loaded: LoadedStudy, user_cache: Path) -> None:
    fill(KeptAudits(loaded, 0))
    other = KeptAudits(loaded, 1)

    assert other.find_words(["model"]) is None
    assert other.find_proof([], ["free"]) is not None


def test_what_the_texts_decide_is_found_anew(open_anew: Open) -> None:
    """A length that cuts texts of one study, and none of another's."""
    factors = '[factors]\n"model.max_length" = [32, 6]'
    cuts = make_audit(open_anew(factors))
    assert not cuts.rows[1].inert

    short = open_anew(factors).study.folder
    for part in ("train", "dev", "test"):
        rows = [(f"{first} {second}", "xyz"[row % 3]) for row, (first, second) in enumerate(PAIRS)]
        write_tsv(short / f"{part}.tsv", rows[:24] if part == "train" else rows[24:36])
    audit = make_audit(open_study(short))

    assert open_study(short).longest <= 6
    assert audit.rows[1].inert and audit.proofs[0].reason


def test_a_schedule_that_is_over_before_it_acts_is_found_anew(open_anew: Open) -> None:
    """A share of the steps in which rates decay does nothing in a study that has too few of them."""
    factors = '[schedule]\nshape = "wsd"\n[factors]\n"schedule.decay_share" = [0.2, 0.4]'
    enough, few = (make_audit(open_anew(factors, texts=texts)) for texts in (24, 8))

    assert "schedule.decay_share" not in enough.rows[1].inert
    assert "schedule.decay_share" in few.rows[1].inert
    assert few.proofs[0].reason and not few.proofs[0].kept


def test_what_reads_texts_or_acts_in_steps_is_kept_for_these_texts_alone(
    taught: LoadedStudy, user_cache: Path
) -> None:
    keeping = KeptAudits(taught, 0)
    plain = {factor.split(".")[0] for factor in ON if keeping.is_plain(on(taught, factor))}
    free = {factor.split(".")[0] for factor in ON if keeping.free_key(on(taught, factor)) is not None}

    assert free.isdisjoint({"pretrain", "probe", "child"})
    assert plain <= free
    assert plain.isdisjoint({"loss", "distil", "contrast", "mixup", "rdrop", "smart", "fgm", "pgd", "sam"})
    assert plain.isdisjoint({"augment", "pseudo", "texts", "average", "unfreeze", "clip", "freelb"})
    assert {"reinit", "freeze", "optimizer", "rates", "schedule", "dropout", "lora", "train"} <= plain


@pytest.mark.parametrize(("kept_at", "rate"), [(2e-3, 2e-3), (2e-3, 1e-5), (1e-12, 2e-3)])
def test_kept_proofs_of_all_factors_are_those_that_other_texts_and_rates_give(
    user_cache: Path, bert: Path, tmp_path: Path, kept_at: float, rate: float
) -> None:
    """At a rate of 1e-12 no step moves a weight, which says nothing of other rates."""
    taught = open_at_rate(make_lesson_(write_study(tmp_path / "taught", bert)), kept_at)
    other = write_study(tmp_path / "other", bert)
    write_texts(other / "train.tsv", 24, seed=9)
    unlike = open_at_rate(other, rate)
    keeping = [KeptAudits(study, 0) for study in (taught, unlike)]
    factors = [factor for factor in ON if keeping[0].is_plain(on(taught, factor))]
    prove_all(taught, factors, keeping[0])
    keeping[0].save()
    found = prove_all(unlike, factors, KeptAudits(unlike, 0))
    expected = prove_all(unlike, factors)

    known = {name for name, proof in found.items() if proof.kept}
    assert {"freeze.layers", "reinit.layers", "optimizer.decay_on", "schedule.warmup_ratio"} <= known
    assert {name: said(proof) for name, proof in found.items()} == {
        name: said(proof) for name, proof in expected.items()
    }


def prove_all(loaded: LoadedStudy, factors: list[str], keeping: KeptAudits | None = None) -> dict[str, Proof]:
    prover = Prover(loaded, Canonicaliser(loaded, 0, keeping))
    pairs = {factor: Pair(base(loaded, factor), on(loaded, factor), {}) for factor in factors}
    return {factor: prover.prove_pair(factor, ON[factor], pair, "") for factor, pair in pairs.items()}
