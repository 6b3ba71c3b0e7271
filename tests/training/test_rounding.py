"""What is computed once and kept for all runs is kept for those that would compute the same bits."""

from __future__ import annotations

import pytest
import torch
from support.stacks import go_plainly_
from support.studies import open_study, recipe_of

from finegrid.model.kernels.operations import kernels
from finegrid.running.worker import last_digits
from finegrid.training.frozen_prefix import frozen_prefix
from finegrid.training.loaded import LoadedStudy
from finegrid.training.rounding import rounding_of
from finegrid.training.run import Run


def keys(loaded: LoadedStudy) -> list[str]:
    """Of frozen prefixes, of features, of further pre-training, of a teacher of texts without labels."""
    run = Run(loaded, "run", recipe_of(loaded, freeze__layers=2, freeze__dropout=False), seed=0)
    prefix = frozen_prefix(run)
    assert prefix is not None
    texts = loaded.tokens.train
    return [
        prefix._key(),
        loaded._features_of(run.recipe)._key(run.model),
        str(loaded.further._path(1000, 1e-4, 0)),
        loaded.texts.guess.key(texts),
    ]


@pytest.mark.skipif(kernels(torch.device("cpu")) is None, reason="no C++ compiler here")
def test_whatever_is_kept_is_kept_under_the_kernels_that_computed_it(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_new_process() -> list[str]:
        return keys(open_study(loaded.study.folder))

    native = of_new_process()
    assert native == of_new_process()
    go_plainly_(monkeypatch)
    assert not {*native} & {*of_new_process()}


def test_what_rounds_otherwise_has_another_name(loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded.settings
    known = rounding_of(settings)
    others = [
        rounding_of(settings.model_copy(update=change))
        for change in ({"threads": settings.threads + 1}, {"precision": "bf16"})
    ]
    for name, value in (
        ("torch.__version__", "1.0"),
        ("torch.backends.cpu.get_cpu_capability", lambda: "another"),
        ("finegrid.model.kernels.operations.processor_kind", lambda: "another"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            others.append(rounding_of(settings))

    assert known not in others


def test_a_state_of_another_processor_is_made_anew(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = last_digits(loaded.settings)
    assert last_digits(loaded.settings) == known
    monkeypatch.setattr("finegrid.model.kernels.operations.processor_kind", lambda: "another")
    assert last_digits(loaded.settings) != known
