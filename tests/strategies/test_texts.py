"""Fewer training texts, or more of them: which texts a run sees, and what follows from it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.command_line import Call
from support.studies import open_study, recipe_of, sentence, train, write_study, write_tsv

from finegrid.audit.canonical import Canonicaliser
from finegrid.audit.costs import make_audit
from finegrid.data.extra import count_share, find_first, take_rows
from finegrid.errors import InputError
from finegrid.planning.families import plan_families
from finegrid.planning.forecast import steps_of
from finegrid.planning.runs import plan_run, plan_runs
from finegrid.recipe.recipe import Recipe
from finegrid.results.load import load_results
from finegrid.study.audit_file import Audit, load_audit, save_audit
from finegrid.study.load import load_study, read_study
from finegrid.training.captured import CapturedSteps
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import Run

FACTORS = '[factors]\n"texts.share" = [1.0, 0.5]\n"texts.extra" = ["", "extra.tsv"]'
Make = Callable[..., LoadedStudy]


@pytest.fixture
def make(tmp_path: Path, bert: Path) -> Make:
    """A study of 24 training texts, whose extra file has these rows if any are given."""

    def make(*rows: tuple[str, ...], settings: str = FACTORS, **changed: Any) -> LoadedStudy:
        folder = write_study(tmp_path / "study", bert, settings=settings)
        if rows:
            write_tsv(folder / "extra.tsv", rows)
        return open_study(folder, **changed)

    return make


def refused(make: Make, *rows: tuple[str, ...]) -> list[str]:
    with pytest.raises(InputError) as caught:
        make(*rows)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def seen(loaded: LoadedStudy, **levels: Any) -> list[tuple[list[int], int]]:
    """Tokens and labels of all texts of an epoch, in the order of the texts."""
    recipe = recipe_of(loaded, **levels)
    found: dict[int, tuple[list[int], int]] = {}
    for batch in loaded.training_batches(recipe, 0, 1):
        for place, row in enumerate(batch.rows.tolist()):
            begin = int(batch.starts[place])
            ids = batch.ids[begin : begin + int(batch.lengths[place])].tolist()
            assert row not in found
            found[row] = ids, int(batch.labels[place])
    assert [*sorted(found)] == [*range(len(found))]
    return [found[row] for row in range(len(found))]


def test_a_share_is_the_first_texts_and_extra_ones_come_after_them(make: Make) -> None:
    loaded = make()
    own, both = seen(loaded), seen(loaded, texts__share=0.5, texts__extra="extra.tsv")
    lines = (loaded.study.folder / "extra.tsv").read_text().splitlines()[1:]
    extra = [line.split("\t") for line in lines]

    assert len(own) == 24 and len(extra) == 7
    assert seen(loaded, texts__share=0.5) == own[:12] == both[:12]
    tokenizer = loaded._tokenizer
    assert both[12:] == [(tokenizer.encode(text).ids, "xyz".index(label)) for text, label in extra]
    assert seen(loaded, texts__extra="extra.tsv") == [*own, *both[12:]]


@pytest.mark.parametrize(
    ("share", "texts", "count"), [(0.07, 100, 7), (0.1, 30, 3), (1 / 3, 9, 3), (0.5, 7, 4), (1e-9, 5, 1)]
)
def test_a_share_is_rounded_up_by_its_digits(share: float, texts: int, count: int) -> None:
    assert count_share(texts, share) == count
    assert count_share(texts, 1.0) == texts


def test_steps_orders_and_what_strategies_are_told_are_those_of_the_runs_own_texts(make: Make) -> None:
    loaded = make()
    cases: list[tuple[dict[str, Any], int]] = [
        ({"texts__share": 0.5}, 12),
        ({"texts__extra": "extra.tsv"}, 31),
    ]
    for levels, texts in cases:
        recipe = recipe_of(loaded, **levels)
        run = Run(loaded, "run", recipe, 0)
        setting = loaded.setting(0, recipe)

        assert loaded.steps_per_epoch(recipe) == math.ceil(texts / 8)
        assert run.total_steps == 2 * math.ceil(texts / 8)
        assert (
            np.bincount(setting.texts.labels).tolist()
            == np.bincount([label for _, label in seen(loaded, **levels)]).tolist()
        )
        assert {own for own, _ in CapturedSteps(loaded, [run]).steps} == {8, texts % 8}
        (trained,) = train(loaded, recipe)
        assert trained.progress.status == "done" and all(
            entry["train_loss"] > 0 for entry in trained.progress.epochs
        )


def test_a_share_of_all_texts_is_inert_and_other_texts_are_other_runs(make: Make) -> None:
    loaded = make()
    canonicaliser = Canonicaliser(loaded, 0)
    other: list[dict[str, Any]] = [
        {"texts__share": 0.5},
        {"texts__extra": "extra.tsv"},
        {"texts__share": 0.5, "texts__extra": "extra.tsv"},
    ]
    forms = {canonicaliser.form(recipe_of(loaded, **levels)) for levels in [dict[str, Any](), *other]}

    assert len(forms) == 4
    assert "texts.share" in canonicaliser.reduce(recipe_of(loaded, texts__share=0.99)).inert


def test_caches_of_texts_tell_shares_and_files_apart_and_all_texts_are_one(make: Make) -> None:
    loaded = make()
    other: list[dict[str, Any]] = [
        {},
        {"texts__share": 0.5},
        {"texts__extra": "extra.tsv"},
        {"texts__share": 0.5, "texts__extra": "extra.tsv"},
    ]
    key = loaded.texts.key

    assert len({key(recipe_of(loaded, **levels)) for levels in other}) == 4
    assert key(recipe_of(loaded, texts__share=0.99)) == key(recipe_of(loaded))


def test_a_length_that_cuts_only_extra_texts_is_not_inert(make: Make) -> None:
    loaded = make()
    cuts = {"model__max_length": loaded.longest}
    canonicaliser = Canonicaliser(loaded, 0)

    assert loaded.longest_of(recipe_of(loaded, texts__extra="extra.tsv")) > loaded.longest
    assert "model.max_length" in canonicaliser.reduce(recipe_of(loaded, **cuts)).inert
    more = recipe_of(loaded, **cuts, texts__extra="extra.tsv")
    assert "model.max_length" not in canonicaliser.reduce(more).inert


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> tuple[LoadedStudy, Audit]:
    folder = write_study(tmp_path_factory.mktemp("audited"), bert, settings=FACTORS)
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)
    return loaded, audit


def test_the_audit_proves_it_and_the_forecast_counts_its_steps(
    audited: tuple[LoadedStudy, Audit],
) -> None:
    loaded, audit = audited
    runs = plan_runs(loaded.study, audit, "fp32")

    assert [proof.warning for proof in audit.proofs] == ["", ""]
    assert [steps_of(run.recipe, audit) for run in runs] == [2 * math.ceil(n / 8) for n in (24, 31, 12, 19)]
    assert [len(family.runs) for family in plan_families(runs, lambda run: 8)] == [1] * 4
    assert sorted(cost.texts for cost in audit.costs) == [12, 19, 24, 31]
    assert audit.contents.keys() == {"texts.extra=extra.tsv"}


def ids(loaded: LoadedStudy, audit: Audit) -> list[str]:
    return [run.run_id for run in plan_runs(loaded.study, audit, "fp32")]


def test_what_the_file_holds_names_the_runs_that_read_it_and_no_other(
    audited: tuple[LoadedStudy, Audit], make: Make
) -> None:
    """Ids of runs without it are those of a study that never heard of the file."""
    before = ids(*audited)
    loaded = make(("ba be bi bo bu ba be bi bo", "x"))
    after = ids(loaded, make_audit(loaded))
    plain = make(settings='[factors]\n"texts.share" = [1.0, 0.5]')

    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, False]
    assert [before[0], before[2]] == ids(plain, make_audit(plain))


def test_a_fit_of_a_file_that_the_study_does_not_name_reads_it(audited: tuple[LoadedStudy, Audit]) -> None:
    loaded, audit = audited
    write_tsv(loaded.study.folder / "other.tsv", [("ba be bi bo bu ba be bi bo", "x")])
    recipe = recipe_of(loaded, texts__extra="other.tsv")
    first = plan_run(loaded.study, audit, "fp32", recipe, 0).run_id
    write_tsv(loaded.study.folder / "other.tsv", [("ba be bi bo bu ba be bi be", "x")])

    assert plan_run(loaded.study, audit, "fp32", recipe, 0).run_id != first
    with pytest.raises(InputError, match=r"absent\.tsv"):
        plan_run(loaded.study, audit, "fp32", recipe_of(loaded, texts__extra="absent.tsv"), 0)


def test_who_only_reads_needs_no_extra_file(make: Make) -> None:
    loaded = make()
    folder = loaded.study.folder
    save_audit(folder, make_audit(loaded))
    (folder / "extra.tsv").unlink()
    study = read_study(folder)
    audit = load_audit(folder)

    assert audit is not None and len(plan_runs(study, audit, "fp32")) == 4
    assert load_results(study).recipes
    with pytest.raises(InputError, match=r"extra\.tsv"):
        LoadedStudy(load_study(folder), study.head.run)


def test_what_cannot_be_trained_on_is_refused_by_row(make: Make) -> None:
    loaded = make()
    dev, test = loaded.table.dev.texts[2][0], loaded.table.test.texts[5][0]
    generator = np.random.default_rng(0)
    fine = (sentence(generator, 0, 9), "x")

    assert refused(make, fine, (sentence(generator, 0, 9), "w")) == [
        "extra.tsv line 3: 1 extra row with labels that no training row has: 'w'. Correct them, or take the "
        "rows out"
    ]
    leaks = refused(make, fine, (dev.upper(), "x"), fine, (test, "y"), (f"  {test}", "z"))
    advice = "Scores would be too high: take these rows out"
    assert leaks == [
        f"extra.tsv: 1 text also in dev, but perhaps for case and blanks (line 3). {advice}",
        f"extra.tsv: 2 texts also in test, but perhaps for case and blanks (lines 5, 6). {advice}",
    ]
    assert refused(make, ("", "x"))[0].startswith("extra.tsv line 2")


def test_groups_of_dev_and_test_are_refused_too(tmp_path: Path, bert: Path) -> None:
    folder = write_study(tmp_path / "study", bert, settings=FACTORS)
    settings = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(
        settings.replace('label = "label"', 'label = "label"\ngroup = "author"')
    )
    for part in ("train", "dev", "test"):
        lines = (folder / f"{part}.tsv").read_text().splitlines()
        named = [f"{line}\t{part} {row}" for row, line in enumerate(lines[1:])]
        (folder / f"{part}.tsv").write_text("\n".join([f"{lines[0]}\tauthor", *named]) + "\n")
    long = "ba be bi bo bu ba be bi bo"
    rows = [(long, "x", "train 3"), (f"{long} bu", "x", "test 4"), (f"{long} ba", "x", "somebody else")]
    write_tsv(folder / "extra.tsv", rows, "text\tlabel\tauthor")

    with pytest.raises(InputError) as caught:
        open_study(folder)
    (problem,) = caught.value.problems
    assert problem.what.startswith("1 text of groups that are in test: 'test 4' (line 3)")


def test_a_share_has_texts_of_every_class_also_where_they_are_sorted() -> None:
    labels = np.repeat([0, 1, 2], [10, 3, 1])

    assert find_first(labels, 0.5).tolist() == [0, 1, 2, 3, 4, 10, 11, 13]
    assert find_first(labels, 0.01).tolist() == [0, 10, 13]
    assert find_first(labels, 1.0).tolist() == [*range(14)]
    assert set(find_first(labels, 0.3)) <= set(find_first(labels, 0.5))


def test_a_teacher_says_of_a_share_what_it_says_of_its_texts(taught: LoadedStudy) -> None:
    said, rows = taught.teachers.logits("columns"), np.array([2, 3, 7])
    some = take_rows(taught.tokens.train, rows)
    recipe = recipe_of(taught, distil__weight=0.5, distil__teacher="columns", texts__share=0.4)

    assert torch.equal(taught.teachers.logits("columns", some.ids), said[torch.from_numpy(rows)])
    assert some.texts(np.arange(3), 99)[0].tolist() == taught.tokens.train.texts(rows, 99)[0].tolist()
    assert train(taught, recipe)[0].progress.status == "done"


@pytest.mark.parametrize("factor", ['"texts.share" = [1.0, 0.5]', '"texts.extra" = ["", "extra.tsv"]'])
def test_seeds_with_splits_of_their_own_are_refused(tmp_path: Path, bert: Path, factor: str) -> None:
    settings = f"[design]\nseeds = 5\nresample = 5\n[factors]\n{factor}"
    with pytest.raises(InputError) as caught:
        load_study(write_study(tmp_path / "study", bert, settings=settings))

    assert [problem.where for problem in caught.value.problems] == ["design.resample"]


def test_an_extra_file_with_tokens_that_say_nothing_is_refused(make: Make) -> None:
    """As the study's own texts are."""
    with pytest.raises(InputError, match="unknown to this checkpoint"):
        make(*[(f"qq{n} ww{n} rr{n}", "x") for n in range(20)])


def test_further_pre_training_sees_the_runs_own_texts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make()
    recipes = [recipe_of(loaded), recipe_of(loaded, texts__share=0.5), recipe_of(loaded, texts__share=0.5)]
    further = [loaded.setting(0, recipe).pretraining for recipe in recipes]
    paths = [each._path(1000, 1e-4, 0) for each in further]  # type: ignore[attr-defined]
    keys = [recipe.at({"pretrain.tokens": 1000}).start_keys(0) for recipe in recipes]

    assert [len(each.texts) for each in further] == [24, 12, 12]  # type: ignore[attr-defined]
    assert paths[0] != paths[1] == paths[2] and keys[0] != keys[1] == keys[2]


def test_a_study_runs_and_runs_again_where_the_file_has_changed(make: Make, call: Call) -> None:
    folder = make(settings='[factors]\n"texts.extra" = ["", "extra.tsv"]').study.folder
    assert call("run", folder, "--workers", "1").returncode == 0
    again = call("run", folder, "--workers", "1")
    lines = (folder / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2 and again.returncode == 0
    write_tsv(folder / "extra.tsv", [("ba be bi bo bu ba be bi bo", "x")])
    changed = call("run", folder, "--workers", "1")
    records = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]

    assert changed.returncode == 0 and "texts.extra=extra.tsv" in changed.stderr
    assert [record["recipe"].get("texts.extra", "") for record in records[2:]] == ["extra.tsv"]
    assert Recipe().at(records[2]["recipe"]).texts.extra == "extra.tsv"
