"""Pseudo-labels: what the baseline's run of a seed is sure of, its run with pseudo-labels trains on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.levels import on
from support.stacks import kill_and_resume
from support.studies import (
    assert_same_run,
    open_study,
    recipe_of,
    same_tensors,
    train,
    weights,
    write_study,
    write_tsv,
)
from torch.nn import functional as F

from finegrid.audit.costs import make_audit
from finegrid.errors import InputError
from finegrid.planning.forecast import steps_of
from finegrid.planning.runs import plan_runs
from finegrid.recipe.recipe import Recipe
from finegrid.strategies.criterion import CROSS_ENTROPY, Outputs
from finegrid.strategies.pseudo import Pseudo
from finegrid.strategies.seams import Unlabelled
from finegrid.training import teaching
from finegrid.training.loaded import LoadedStudy
from finegrid.training.run import DivergedError, Run

FILE = "unlabelled.tsv"
FACTORS = f'[factors]\n"pseudo.texts" = ["", "{FILE}"]\n[pseudo]\nthreshold = 0.45'
ASKED = Unlabelled("pseudo.texts", FILE, 0.45)
Make = Callable[..., LoadedStudy]


@pytest.fixture
def make(tmp_path: Path, bert: Path) -> Make:
    """A study of 24 training texts, whose file of texts without labels has these rows if any are given."""

    def make(
        *rows: tuple[str, ...], settings: str = FACTORS, header: str = "text", **about: Any
    ) -> LoadedStudy:
        folder = write_study(tmp_path / "study", bert, settings=settings, **about)
        if rows:
            write_tsv(folder / FILE, rows, header)
        return open_study(folder)

    return make


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> LoadedStudy:
    return open_study(write_study(tmp_path_factory.mktemp("pseudo"), bert, settings=FACTORS))


def with_pseudo(loaded: LoadedStudy, **levels: Any) -> Recipe:
    return recipe_of(loaded, pseudo__texts=FILE, **levels)


def said_by_baseline(loaded: LoadedStudy, seed: int) -> NDArray[np.float64]:
    """Probabilities of all texts without labels, by a run of its own, each read by itself."""
    (run,) = train(loaded, loaded.study.baseline, seed=seed)
    run.restore_best_()
    texts = loaded.texts.read_unlabelled(ASKED)
    rows = loaded.evaluation_batches(texts, run.recipe)
    said = np.empty((len(texts), 3))
    with run.model.evaluating(), torch.no_grad():
        for batch in rows:
            said[batch.rows] = run.model(batch).double().softmax(-1).numpy()
    return said


@pytest.mark.parametrize("seed", [0, 1])
def test_what_the_baseline_of_the_seed_is_sure_of_is_trained_on(taught: LoadedStudy, seed: int) -> None:
    loaded = taught.of_seed(seed)
    said = said_by_baseline(taught, seed)
    threshold = float(np.median(said.max(1)))
    recipe = with_pseudo(loaded, pseudo__threshold=threshold)
    sure = np.flatnonzero(said.max(1) >= threshold - 1e-6)
    texts, unlabelled = loaded.training_texts(recipe), loaded.texts.read_unlabelled(ASKED)
    own = loaded.tokens.train

    assert 0 < len(sure) < len(said) == 10
    assert texts.ids.tolist() == [*own.ids.tolist(), *(1 + sure)]
    assert texts.labels.tolist() == [*own.labels.tolist(), *said.argmax(1)[sure]]
    lengths = np.diff(unlabelled.bounds)[sure]
    assert np.diff(texts.bounds)[len(own) :].tolist() == lengths.tolist()
    first = unlabelled.tokens[unlabelled.bounds[sure[0]] : unlabelled.bounds[sure[0] + 1]]
    assert np.array_equal(texts.tokens[len(own.tokens) : len(own.tokens) + len(first)], first)
    assert loaded.setting(seed, recipe).guessed.texts == len(sure)


def test_every_seed_has_a_teacher_of_its_own_and_trains_it_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = make()
    labels = [loaded.of_seed(seed).training_texts(with_pseudo(loaded)).labels.tolist() for seed in (0, 1)]
    monkeypatch.setattr(teaching, "train_family", None)
    again = open_study(loaded.study.folder)

    assert labels[0] != labels[1]
    for seed, known in enumerate(labels):
        assert again.of_seed(seed).training_texts(with_pseudo(again)).labels.tolist() == known
    lower = again.training_texts(with_pseudo(again, pseudo__threshold=0.0))
    assert len(lower) == 34  # another threshold asks the same teacher


def test_a_damaged_cache_is_made_anew(make: Make) -> None:
    loaded = make()
    known = loaded.training_texts(with_pseudo(loaded)).labels.tolist()
    (kept,) = loaded.study.files.cache.glob("teacher-*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    again = open_study(loaded.study.folder)

    assert again.training_texts(with_pseudo(again)).labels.tolist() == known
    assert not [*loaded.study.files.cache.glob("teacher-*.state*")]


def test_their_loss_counts_by_its_weight(taught: LoadedStudy) -> None:
    outputs = Outputs(
        (torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64),),
        (),
        torch.tensor([0, 2, 1, 1]),
        torch.tensor([30, 3, 24, 23]),
    )
    setting = taught.setting(0, with_pseudo(taught))
    criterion = Pseudo(FILE, weight=0.25).criterion(CROSS_ENTROPY, setting)
    each = F.cross_entropy(outputs.logits[0], outputs.labels, reduction="none")

    torch.testing.assert_close(criterion.losses(outputs), each * torch.tensor([0.25, 1, 0.25, 1]).double())
    assert Pseudo(FILE).criterion(CROSS_ENTROPY, setting) is CROSS_ENTROPY


def test_steps_follow_the_number_of_texts(taught: LoadedStudy) -> None:
    recipe = with_pseudo(taught, pseudo__threshold=0.0)
    (run,) = train(taught, recipe)

    assert run.progress.status == "done" and run.total_steps == 2 * math.ceil(34 / 8)
    assert len(taught.training_texts(with_pseudo(taught, texts__share=0.5, pseudo__threshold=0.0))) == 22
    both = taught.training_texts(with_pseudo(taught, texts__extra="extra.tsv", pseudo__threshold=0.0))
    assert len(both) == 41 and both.ids[24:31].tolist() == [*range(1, 8)]


def test_without_a_sure_text_a_run_is_the_baselines(taught: LoadedStudy) -> None:
    sure_of_none = with_pseudo(taught, pseudo__threshold=1.0, pseudo__weight=2.0)
    (ours,), (plain,) = train(taught, sure_of_none), train(taught, taught.study.baseline)

    assert same_tensors(weights(ours), weights(plain))
    assert np.array_equal(ours.logits["test"], plain.logits["test"])


def diverge(run: Run, loss: float, step: int) -> None:
    raise DivergedError("the loss was nan")


def test_a_teacher_that_diverges_labels_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that fails for another reason fails the run."""
    loaded = make()
    monkeypatch.setattr(Run, "check", diverge)
    guess = loaded.texts.guess(loaded.texts.read_unlabelled(ASKED))
    recipe = with_pseudo(loaded, pseudo__threshold=0.0)
    assert guess.diverged and len(loaded.training_texts(recipe)) == 24

    monkeypatch.setattr(Run, "check", None)
    with pytest.raises(RuntimeError, match=r"the teacher of texts without labels failed"):
        loaded.of_seed(1).training_texts(recipe)


def test_a_study_whose_teacher_is_sure_of_nothing_is_refused_before_it_trains(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its runs would be the baseline's, to the last bit."""
    loaded = make(settings=FACTORS.replace("0.45", "0.99"))
    surest = loaded.texts.guess(loaded.texts.read_unlabelled(ASKED)).probabilities.max()
    with pytest.raises(InputError) as caught:
        make_audit(loaded)
    (problem,) = caught.value.problems
    assert problem.where == '"pseudo.texts"' and "of the 10 texts of unlabelled.tsv" in problem.what
    assert f"a probability of {surest:.2f}, the threshold is 0.99. Lower the threshold" in problem.what

    monkeypatch.setattr(Run, "check", diverge)
    with pytest.raises(InputError, match=r"with seed 0 the baseline diverges"):
        make_audit(make(("ba be bi bo bu ba be bi bo",)))


def test_a_killed_run_resumes_to_the_same_bits(taught: LoadedStudy, tmp_path: Path) -> None:
    recipe = on(taught, "pseudo.weight")

    assert_same_run(kill_and_resume(taught, recipe, tmp_path, after=7), train(taught, recipe)[0])


def test_the_audit_proves_it_and_counts_its_teacher_and_texts(make: Make) -> None:
    loaded = make()
    audit = make_audit(loaded)
    plain, taught = plan_runs(loaded.study, audit, "fp32")
    taken = len(loaded.training_texts(with_pseudo(loaded)))
    costs = {cost.texts: cost for cost in audit.costs}

    assert [proof.warning for proof in audit.proofs] == [""] and audit.proofs[0].changes
    assert not audit.proofs[0].beyond
    assert steps_of(plain.recipe, audit) == 6 and steps_of(taught.recipe, audit) == 2 * math.ceil(taken / 8)
    assert costs[taken].pretrain_seconds > 0 == costs[24].pretrain_seconds
    assert taught.recipe.start_keys(0) != taught.recipe.start_keys(1) and not plain.recipe.start_keys(0)
    assert not taught.recipe.shares_chance


def test_the_file_and_the_teacher_name_the_run(make: Make) -> None:
    """Another baseline is another teacher, also where no level of the run itself is moved."""
    orders = ("[2e-3, 1e-3]", "[1e-3, 2e-3]")
    ids: list[dict[tuple[Any, ...], str]] = []
    for order in orders:
        loaded = make(settings=FACTORS.replace("[pseudo]", f'"optimizer.rate" = {order}\n[pseudo]'))
        runs = plan_runs(loaded.study, make_audit(loaded), "fp32")
        ids.append({(run.recipe.pseudo.texts, run.recipe.optimizer.rate): run.run_id for run in runs})
    write_tsv(loaded.study.folder / FILE, [("ba be bi bo bu ba be bi bo",)], "text")
    again = open_study(loaded.study.folder)
    changed = plan_runs(again.study, make_audit(again), "fp32")
    ids.append({(run.recipe.pseudo.texts, run.recipe.optimizer.rate): run.run_id for run in changed})

    for at, run_id in ids[0].items():
        assert (ids[1][at] == run_id) == (at[0] == "") == (ids[2][at] == ids[1][at])


def refused(make: Make, *rows: tuple[str, ...], **about: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        make(*rows, **about)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def test_texts_of_dev_and_test_are_refused_and_all_are_counted(make: Make) -> None:
    loaded = make()
    dev, test = loaded.table.dev.texts[2][0], loaded.table.test.texts[5][0]
    fine = ("ba be bi bo bu ba be bi bo",)
    advice = "Scores would be too high: take these rows out"

    assert refused(make, fine, (dev.upper(),), fine, (test,), (f"  {test}",)) == [
        f"{FILE}: 1 text also in dev, but perhaps for case and blanks (line 3). {advice}",
        f"{FILE}: 2 texts also in test, but perhaps for case and blanks (lines 5, 6). {advice}",
    ]


def test_files_that_cannot_be_read_are_refused_by_their_setting(make: Make) -> None:
    told = refused(make, ("ba be",), header="words")
    assert len(told) == 1 and "data.text: no column 'text'. Found: 'words'" in told[0]
    assert refused(make, ("ba be",), ("\x00",))[0].startswith(f"{FILE} line 3")
    missing = FACTORS.replace(FILE, "absent.tsv")
    assert "absent.tsv" in refused(make, settings=missing)[0]


def test_what_it_cannot_be_combined_with_is_refused(taught: LoadedStudy) -> None:
    levels = {"distil.weight": 0.5, "distil.teacher": "columns", "pseudo.texts": FILE}
    (problem,) = taught.study.baseline.at(levels).problems(taught.study.checkpoint)

    assert problem.where == '"pseudo.texts" + "distil.weight"' and "says nothing of texts" in problem.what
    for factor, level in (("threshold", 1.5), ("threshold", -0.1), ("weight", 0.0), ("texts", 3)):
        with pytest.raises(InputError, match=rf"pseudo\.{factor}"):
            recipe_of(taught, **{f"pseudo__{factor}": level})


def test_pairs_are_labelled_and_trained_on(make: Make) -> None:
    loaded = make(pairs=True)
    (run,) = train(loaded, with_pseudo(loaded, pseudo__threshold=0.0, training__epochs=1))

    assert run.progress.status == "done" and len(loaded.training_texts(run.recipe)) == 34


def test_their_words_have_rows_in_the_table(make: Make) -> None:
    """Also one that no other text has: the second piece of ``bas``."""
    loaded = make(("bas be bi bo bu ba be bi",))
    rows = loaded.rows(loaded.study.baseline)
    others = (loaded.tokens.train, loaded.tokens.dev, loaded.tokens.test)
    own = {*loaded.texts.read_unlabelled(ASKED).tokens.tolist()}

    assert own - {token for split in others for token in split.tokens.tolist()}
    assert rows is not None and own <= {*rows.ids.tolist()}


def test_the_teacher_has_the_weights_of_its_best_epoch_whatever_chooses_it(make: Make) -> None:
    """Where test chooses, nothing else puts them back."""
    loaded = make(head='protocol = "best-test"\n')
    found = []
    for seed in range(6):
        (run,) = train(loaded, loaded.study.baseline, seed=seed)
        if run.progress.best_epoch == 1:
            found.append(seed)
            guess = loaded.of_seed(seed).texts.guess(loaded.texts.read_unlabelled(ASKED))
            np.testing.assert_allclose(guess.probabilities, said_by_baseline(loaded, seed).max(1), rtol=1e-5)
            break
    assert found


def test_off_asks_nobody(taught: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(taught.texts.guess), "__call__", None)
    run = Run(taught, "run", taught.study.baseline.at({"pseudo.threshold": 0.1, "pseudo.weight": 3.0}), 0)

    assert run.criterion is CROSS_ENTROPY and run.total_steps == 6 and not run.recipe.pseudo.acts
