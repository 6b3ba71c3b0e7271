"""Whole steps of fixed shape, as far as a CPU can show: what they compute, and that a graph can hold them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.rarity import rare
from support.stacks import batches, draw_by_counter_, gradients, runs_of, varied
from support.studies import CPU, open_study, recipe_of, train, weights, write_study
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import finegrid.audit.costs
import finegrid.training.train
from finegrid.encoders.poolings import POOLINGS
from finegrid.model.packing.batches import Batch, pack
from finegrid.model.packing.fixed import FixedBatch, Shape, batch_of, integers_of, plan_shapes, plan_sizes
from finegrid.model.pooling import means
from finegrid.optim.adamw import AdamW
from finegrid.optim.updater import ParamGroup, Updater
from finegrid.recipe.recipe import Recipe
from finegrid.study.settings import RunSettings
from finegrid.training.captured import CapturedStep, CapturedSteps, can_capture
from finegrid.training.graphs import WARM_CALLS, Graphs, Replayed
from finegrid.training.loaded import LoadedStudy
from finegrid.training.lockstep import share_prefix
from finegrid.training.run import Run
from finegrid.training.stack import Stack
from finegrid.training.state import StateFile
from finegrid.training.train import captures_steps, train_family, walk_of

HEADS, STEPS = 2, 50


def silence_(runs: list[Run]) -> None:
    for run in runs:
        for site in run.model.dropouts.values():
            site.silenced = True


def fixed(batch: Batch, extra: int = 0, longer: int = 0) -> FixedBatch:
    """A batch with ``extra`` tokens more than it needs, attention padded by ``longer``."""
    (shape,) = plan_shapes([batch.lengths], HEADS).values()
    cuts = tuple((end, length + longer) for end, length in shape.cuts)
    shape = Shape(shape.texts, shape.tokens + extra, cuts)
    return batch_of(torch.from_numpy(integers_of(batch, shape)), shape)


FILLED = [*product([0, 2], POOLINGS, [0, 448], [0, 40])]


@pytest.mark.parametrize(
    ("frozen", "pooling", "extra", "longer"),
    rare(
        [case for case in FILLED if bool(case[2]) == bool(case[3])],
        [*product([0, 2], POOLINGS, [448], [40]), (0, POOLINGS[0], 0, 0), (2, POOLINGS[-1], 0, 0)],
    ),
)
def test_filling_up_changes_neither_loss_nor_gradients(
    loaded: LoadedStudy, frozen: int, pooling: str, extra: int, longer: int
) -> None:
    """In float64 against the ordinary step, which has few tokens that belong to no text."""
    recipes = varied(loaded, freeze__layers=frozen, model__pooling=pooling)[:2]
    ordinary, whole = (runs_of(loaded, recipes, torch.float64) for _ in range(2))
    silence_(ordinary + whole)
    batch = batches(loaded, recipes[0])[1]
    losses = Stack(whole).backward(fixed(batch, extra, longer), 0).tolist()
    expected = [run.backward(run.model.shared(batch, 0), 0) for run in ordinary]

    assert losses == pytest.approx(expected, rel=1e-12)
    for one, other in zip(whole, ordinary, strict=True):
        assert gradients(one).keys() == gradients(other).keys()
        for name, grad in gradients(other).items():
            torch.testing.assert_close(gradients(one)[name], grad, rtol=1e-9, atol=1e-13, msg=name)


def test_what_fills_up_does_not_reach_the_loss(loaded: LoadedStudy) -> None:
    """Other tokens there, of any kind, change not a bit of loss or gradients."""
    found = []
    for token in (0, 7):
        runs = runs_of(loaded, varied(loaded)[:2])
        batch = fixed(batches(loaded, runs[0].recipe)[0], extra=64)
        batch.ids[int(batch.lengths.sum()) :] = token
        losses = Stack(runs).backward(batch, 3)
        found.append([losses, *(grad for run in runs for grad in gradients(run).values())])

    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_real_tokens_keep_their_masks_however_much_is_filled_up(loaded: LoadedStudy) -> None:
    (run,) = runs_of(loaded, varied(loaded)[:1])
    site, clock = run.model.dropouts["layer.0.hidden"], run.model.clock
    clock.keys = {"layer.0.hidden": torch.tensor(clock.streams.key("dropout/5/layer.0.hidden"))}
    drawn = []
    for clock.step, tokens in enumerate((64, 128)):
        dropped = site.draw(tokens * 16, CPU)
        assert dropped is not None
        drawn.append(dropped.keep)

    assert torch.equal(drawn[0], drawn[1][: 64 * 16])


def whole_of(runs: list[Run], rows: list[Batch]) -> dict[int, CapturedStep]:
    shapes = plan_shapes((batch.lengths for batch in rows), HEADS)
    stack, graphs = Stack(runs), Graphs(CPU)
    return {texts: CapturedStep(stack, shape, CPU, graphs) for texts, shape in shapes.items()}


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 2])
def test_fifty_whole_steps_follow_fifty_ordinary_ones(loaded: LoadedStudy, frozen: int) -> None:
    """In float32, dropout on, from the same masks: the ordinary step gets the filled-up batch."""
    recipes = varied(loaded, freeze__layers=frozen, training__epochs=17)[1:3]
    ordinary, ours = runs_of(loaded, recipes), runs_of(loaded, recipes)
    draw_by_counter_(ordinary)
    rows = batches(loaded, recipes[0])[:STEPS]
    (step_whole,) = whole_of(ours, rows).values()
    for step, batch in enumerate(rows):
        step_whole.fill_(batch, step)
        step_whole()
        same: Any = batch_of(torch.from_numpy(integers_of(batch, step_whole.shape)), step_whole.shape)
        shared, _ = share_prefix(ordinary, same, step)
        expected = [run.step(shared, step) for run in ordinary]
        assert step_whole.losses.tolist() == pytest.approx(expected, rel=1e-4)

    for one, other in zip(ours, ordinary, strict=True):
        assert one.optimizer.updates == other.optimizer.updates == [STEPS] * len(one.optimizer.groups)
        for name, p in weights(other).items():
            if not name.endswith("key.bias"):  # its gradient is zero but for rounding, which Adam magnifies
                assert (weights(one)[name] - p).norm() <= 1e-4 * p.norm(), name


class Recorder(TorchDispatchMode):
    """Keeps every call with its very tensors, and makes the calls again, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            pairs = zip(tensors_in(out), tensors_in(again), strict=True)
            for mine, theirs in pairs:
                if mine.data_ptr() != theirs.data_ptr():
                    mine.copy_(theirs)


def tensors_in(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out]
    return [t for one in out for t in tensors_in(one)] if isinstance(out, (tuple, list)) else []


@pytest.mark.parametrize(
    "levels", [{}, {"freeze__layers": 2}, {"freeze__layers": 2, "freeze__dropout": False}]
)
def test_calls_recorded_once_and_made_again_train_as_calling_does(
    loaded: LoadedStudy, levels: dict[str, Any]
) -> None:
    """So nothing of a step is left in Python: not a rate, not a mask, not a length."""
    recipes = varied(loaded, **levels, training__epochs=5)[1:3]
    replayed, called = runs_of(loaded, recipes), runs_of(loaded, recipes)
    rows = batches(loaded, recipes[0])
    first, second = CapturedSteps(loaded, replayed), CapturedSteps(loaded, called)
    recorder: Recorder | None = None
    for step, batch in enumerate(rows):
        for walk in (first, second):
            whole = walk.step_of(batch)
            whole.fill_(walk.known.of(batch) if walk.known else batch, step)
        ours = first.step_of(batch)
        if step < WARM_CALLS:
            ours.compute()
        elif recorder is None:
            with Recorder() as recorder:
                ours.compute()
        else:
            recorder.replay()
        second.step_of(batch).compute()
        assert torch.equal(ours.losses, second.step_of(batch).losses), step

    assert recorder is not None and step > WARM_CALLS + 5
    for one, other in zip(replayed, called, strict=True):
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


# What makes the host wait for the device, or brings it something that only the host knows.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "repeat_interleave", "lift_fresh", "_unique2"}


def recorded(whole: CapturedStep, batch: Batch) -> Recorder:
    recorder = Recorder()
    whole.fill_(batch, 0)
    with recorder:
        whole.compute()
    return recorder


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_whole_step_never_asks_the_device(loaded: LoadedStudy, pooling: str) -> None:
    runs = runs_of(loaded, varied(loaded, model__pooling=pooling))
    rows = batches(loaded, runs[0].recipe)
    assert_asks_nothing(recorded(whole_of(runs, rows)[len(rows[0].rows)], rows[0]))


@pytest.mark.parametrize("kind", ["roberta", "electra-narrow", "ernie-tasks", "distilbert"])
def test_every_family_of_models_can_be_stepped_whole(
    kind: str, checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = open_study(write_study(tmp_path, checkpoint_of(kind), pairs=True))
    recipes = [recipe_of(loaded), recipe_of(loaded, reinit__layers=1)]
    ordinary, ours = (runs_of(loaded, recipes, torch.float64) for _ in range(2))
    silence_(ordinary + ours)
    batch = batches(loaded, recipes[0])[0]
    whole = whole_of(ours, batches(loaded, recipes[0]))[len(batch.rows)]
    losses = Stack(ours).backward(fixed(batch, extra=64), 0).tolist()
    assert losses == pytest.approx([run.backward(batch, 0) for run in ordinary], rel=1e-12)
    for one, other in zip(ours, ordinary, strict=True):
        for name, grad in gradients(other).items():
            torch.testing.assert_close(gradients(one)[name], grad, rtol=1e-9, atol=1e-13, msg=name)
    assert_asks_nothing(recorded(whole, batch))


def assert_asks_nothing(recorder: Recorder) -> None:
    names = {func.name().split("::")[1].split(".")[0] for func, *_ in recorder.calls}
    assert not names & WAITS
    for func, args, *_ in recorder.calls:
        if "index" in func.name():  # by a mask, it would have to count what is True
            assert all(t.dtype != torch.bool for one in args[1:] for t in tensors_in(one))


def test_an_ordinary_step_does_ask_the_device(loaded: LoadedStudy) -> None:
    """What the test above looks for is there to be found."""
    runs = runs_of(loaded, varied(loaded)[:1])
    with Recorder() as recorder:
        runs[0].step(batches(loaded, runs[0].recipe)[0], 0)

    names = {func.name().split("::")[1].split(".")[0] for func, *_ in recorder.calls}
    assert "_local_scalar_dense" in names and "repeat_interleave" not in names


@pytest.mark.parametrize("correct", [True, False])
def test_rates_in_tensors_update_as_rates_in_python_do(correct: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (3,), (40, 33)]
    starts = [torch.randn(shape, generator=generator) for shape in shapes]
    ends = []
    for by_tensors in (False, True):
        params = [torch.nn.Parameter(start.clone()) for start in starts]
        groups: list[ParamGroup] = [
            {"params": params[:1], "lr": 1e-2, "weight_decay": 0.1},
            {"params": params[1:], "lr": 3e-3, "weight_decay": 0.0},
        ]
        optimizer = Updater(groups, AdamW(correct))
        grads = torch.Generator().manual_seed(1)
        for step in range(STEPS):
            for p in params:
                p.grad = torch.randn(p.shape, generator=grads)
            factor = 1 - step / STEPS
            if by_tensors:
                rates = torch.tensor([1e-2 * factor, 3e-3 * factor])
                optimizer.count_([1.0, 1.0])
                optimizer.update_(rates, torch.tensor(optimizer.numbers_for_graphs()))
            else:
                optimizer.step([1e-2 * factor, 3e-3 * factor])
        ends.append(params)

    for one, other, start in zip(*ends, starts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert not torch.equal(one, start)


def test_a_shape_has_room_for_all_batches_and_little_more(loaded: LoadedStudy) -> None:
    generator = np.random.default_rng(0)
    all_ = [np.clip(generator.normal(20, 6, 256).astype(np.int64), 3, 44) for _ in range(200)]
    all_ += [lengths[:240] for lengths in all_[:5]]
    shapes = plan_shapes(all_, heads=12)

    assert sorted(shapes) == [240, 256]  # the last batch of an epoch is smaller
    for lengths in all_:
        shape, first = shapes[len(lengths)], 0
        assert lengths.sum() <= shape.tokens and shape.cuts[-1][0] == shape.texts == len(lengths)
        for end, length in shape.cuts:
            assert np.sort(lengths)[first:end].max() <= length
            first = end
    mean = np.mean([lengths.sum() for lengths in all_[:200]])
    assert shapes[256].tokens < 1.08 * mean


def test_batches_of_long_texts_have_shapes_of_several_sizes() -> None:
    """With one, a fifth of what is computed would be padding."""
    generator = np.random.default_rng(0)
    all_ = [np.clip(generator.lognormal(5.2, 0.8, 32).astype(np.int64), 3, 512) for _ in range(400)]
    all_ += [lengths[:20] for lengths in all_[:5]]
    (last, whole), padded, real = (plan_sizes(all_, heads=12)[texts] for texts in (20, 32)), 0, 0
    for lengths in all_[:400]:
        real += lengths.sum()
        padded += next(shape.tokens for shape in whole if shape.tokens >= lengths.sum())
    largest = plan_shapes(all_, heads=12)

    assert len(last) == 1 and 2 <= len(whole) <= 12
    assert whole[-1] == largest[32] and largest[32].tokens * 400 > 1.2 * real
    assert padded < 1.1 * real
    assert [shape.tokens for shape in whole] == sorted({shape.tokens for shape in whole})
    assert len({shape.cuts for shape in whole}) == 1  # masks do not depend on the size
    assert len(plan_sizes([np.full(32, 128), np.full(32, 3)] * 99, heads=12)[32]) == 1


def test_a_batch_takes_the_smallest_shape_that_has_room(loaded: LoadedStudy) -> None:
    runs = runs_of(loaded, varied(loaded)[:2])
    walk, rows = CapturedSteps(loaded, runs), batches(loaded, runs[0].recipe)
    (texts, most), largest = next(iter(walk.steps.items()))
    walk.steps = {(texts, 8): largest, (texts, rows[0].real_tokens): largest, (texts, most): largest}
    walk.steps[texts, rows[0].real_tokens] = exact = whole_of(runs, rows[:1])[texts]

    assert walk.step_of(rows[0]) is exact


def test_the_batch_on_the_device_is_the_batch_on_the_host(loaded: LoadedStudy) -> None:
    recipe = recipe_of(loaded)
    rows = next(iter(loaded.training_rows(recipe, 0, 0)))
    batch = pack(loaded.tokens.train, rows, recipe.model.max_length, CPU)
    ours, real = fixed(batch, extra=64), batch.real_tokens

    for name in ("ids", "types", "positions"):
        assert torch.equal(getattr(ours, name)[:real], getattr(batch, name)[:real]), name
        assert (getattr(ours, name)[real:] == 0).all()
    assert torch.equal(ours.starts, batch.starts) and torch.equal(ours.labels, batch.labels)
    hidden = torch.randn(ours.shape.tokens, 16, dtype=torch.float64)
    torch.testing.assert_close(means(hidden, ours), means(hidden, batch))


def trained(loaded: LoadedStudy, recipes: list[Recipe]) -> list[Run]:
    return train_family(loaded, runs_of(loaded, recipes), StateFile(loaded.study.folder / "no", 1e9))


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families walk with whole steps, as they do on a GPU."""
    monkeypatch.setattr(finegrid.training.train, "walk_of", CapturedSteps)


@pytest.mark.parametrize(
    "levels", [{}, {"freeze__layers": 2, "freeze__dropout": False}], ids=["full", "looked up"]
)
def test_a_family_trained_whole_trains_to_what_its_runs_do_alone(
    tmp_path: Path, bert: Path, whole: None, monkeypatch: pytest.MonkeyPatch, levels: dict[str, Any]
) -> None:
    """With a last batch that is smaller. Without dropout: masks follow the layout."""
    loaded = open_study(write_study(tmp_path, bert))
    changed = {"training__batch_size": 9, **levels}
    init = Run.__init__

    def silent(self: Run, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        silence_([self])

    monkeypatch.setattr(Run, "__init__", silent)
    ours = trained(loaded, varied(loaded, **changed))
    monkeypatch.undo()
    monkeypatch.setattr(Run, "__init__", silent)
    for run, recipe in zip(ours, varied(loaded, **changed), strict=True):
        (alone,) = train(loaded, recipe)
        assert run.progress.status == "done"
        for mine, theirs in zip(run.progress.epochs, alone.progress.epochs, strict=True):
            assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
            assert mine["train_seconds"] > 0


def test_a_run_that_diverges_in_a_whole_step_is_found_at_the_end_of_the_epoch(
    loaded: LoadedStudy, whole: None
) -> None:
    runs = runs_of(loaded, varied(loaded))

    def on_step(done: int) -> None:
        if done == 1:
            with torch.no_grad():
                runs[1].model.get_parameter("head.linear.bias").fill_(float("nan"))

    train_family(loaded, runs, StateFile(loaded.study.folder / "no", 1e9), on_step)

    assert [run.progress.status for run in runs] == ["done", "diverged", "done", "done"]
    assert runs[1].progress.reason == "the loss was nan at step 2 of 6"


class Graph:
    """A CUDA graph, as far as `Replayed` knows one. Replaying it is written down and nothing else."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def replay(self) -> None:
        self.log.append("replay")


class Stream:
    def wait_stream(self, other: Stream) -> None:
        return


class Capture:
    """A capture that breaks once everything was asked for, as where memory runs out, or does not."""

    def __init__(self, log: list[str], broken: bool) -> None:
        self.log, self.broken = log, broken

    def __call__(self, graph: Graph, pool: Any, stream: Stream) -> Capture:
        assert pool == "pool" and isinstance(stream, Stream)
        return self

    def __enter__(self) -> None:
        self.log.append("capture")

    def __exit__(self, *error: Any) -> None:
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """What became of a pretended GPU's graphs. The parameter says whether captures break."""
    log: list[str] = []
    for name, value in {
        "Stream": lambda device: Stream(),
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "set_stream": lambda stream: log.append("own stream left"),
        "graph_pool_handle": lambda: "pool",
        "CUDAGraph": lambda: Graph(log),
        "graph": Capture(log, request.param),
        "synchronize": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return log


@pytest.mark.parametrize(("log", "broken"), [(False, False), (True, True)], indirect=["log"])
def test_a_function_is_captured_after_some_calls_or_called_for_good(
    log: list[str], broken: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs = Graphs(torch.device("cuda"))
    one, other = Replayed(graphs), Replayed(graphs)
    for _ in range(WARM_CALLS + 2):
        one(lambda: log.append("call"))

    after = ["own stream left", "call", "call"] if broken else ["replay", "replay"]
    assert log == ["call"] * WARM_CALLS + ["capture", "call"] + after
    told = capsys.readouterr().err
    assert told == (
        "no CUDA graph (RuntimeError: operation not permitted when stream is capturing): stepping without\n"
        if broken
        else ""
    )
    del log[:]
    for _ in range(WARM_CALLS + 1):
        other(lambda: log.append("call"))
    assert ("capture" in log) != broken  # where one shape cannot be captured, none is


def captures_compute_nothing_(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: weights and moments stay, and the masks asked for are memory that nobody has filled."""
    enter, leave = Capture.__enter__, Capture.__exit__
    moments = [m for run in runs for state in run.optimizer.state.values() for m in state.values()]
    tensors = [p for run in runs for p in weights(run).values()] + moments
    before: list[Tensor] = []

    def entered(self: Capture) -> None:
        before.extend(t.clone() for t in tensors)
        enter(self)

    @torch.no_grad()
    def left(self: Capture, *error: Any) -> None:
        for t, was in zip(tensors, before, strict=True):
            t.copy_(was)
        book = runs[0].model.clock.book
        assert book is not None and book.masks
        for mask in book.masks.values():
            mask.zero_()
        leave(self, *error)

    monkeypatch.setattr(Capture, "__enter__", entered)
    monkeypatch.setattr(Capture, "__exit__", left)


@pytest.mark.parametrize("log", [True], indirect=True)
def test_a_failed_capture_costs_no_run_and_no_bit(
    loaded: LoadedStudy, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has asked for a step's masks, which were never drawn: the step itself must draw them."""
    recipes = varied(loaded, training__epochs=3)[:2]
    never = runs_of(loaded, recipes)
    failed = runs_of(loaded, recipes)
    steps = [CapturedSteps(loaded, never), CapturedSteps(loaded, failed)]
    graphs = Graphs(torch.device("cuda"))
    for whole in steps[1].steps.values():
        whole.replayed = Replayed(graphs)
    for epoch in range(3):
        for step, batch in enumerate(
            steps[0].batches(epoch), start=epoch * loaded.steps_per_epoch(recipes[0])
        ):
            for walk in steps:
                walk.step(batch, step)
            if step == 0:
                captures_compute_nothing_(failed, monkeypatch)

    assert log.count("capture") == 1
    assert [run.progress.status for run in failed] == ["running"] * 2, failed[0].progress.reason
    for one, other in zip(failed, never, strict=True):
        assert all(torch.equal(p, weights(other)[name]) for name, p in weights(one).items())


def test_a_family_that_is_done_is_freed_at_once(loaded: LoadedStudy) -> None:
    """Without the garbage collector: its memory, on a GPU, is wanted by the next one."""
    walk = CapturedSteps(loaded, runs_of(loaded, varied(loaded)[:2]))
    for step, batch in zip(range(2), walk.batches(0), strict=False):
        walk.step(batch, step)
    gone = weakref.ref(walk), weakref.ref(next(iter(walk.steps.values())))
    gc.disable()
    try:
        del walk
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()


def test_on_a_gpu_the_probe_times_what_is_replayed(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, but for the graph: seconds of a step and its prefix are those of whole steps together."""
    recipe = recipe_of(loaded, freeze__layers=1)
    monkeypatch.setattr(finegrid.audit.costs, "captures_steps", lambda loaded, runs: True)
    monkeypatch.setattr(finegrid.audit.costs, "replay_seconds", lambda loaded, run: 0.25)
    cost = finegrid.audit.costs.measure(loaded, recipe)
    assert cost.step_seconds + cost.prefix_seconds == pytest.approx(0.25)
    assert cost.prefix_seconds > 0


def test_what_is_timed_is_replayed_and_not_captured(
    loaded: LoadedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    clock = iter([10.0, 10.0 + 3 * 0.5])

    def now(device: torch.device) -> float:
        steps.append(-1)
        return next(clock)

    monkeypatch.setattr(CapturedSteps, "step", lambda walk, batch, step: steps.append(step))
    monkeypatch.setattr(finegrid.audit.costs, "now", now)
    (run,) = runs_of(loaded, [recipe_of(loaded)])

    assert finegrid.audit.costs.replay_seconds(loaded, run) == 0.5
    assert steps.index(-1) == WARM_CALLS + 1 and steps[-1] == -1


def test_on_a_cpu_families_walk_in_lockstep(loaded: LoadedStudy) -> None:
    runs = runs_of(loaded, varied(loaded))

    assert not isinstance(walk_of(loaded, runs), CapturedSteps)
    assert can_capture(runs, 4) and not can_capture(runs, 3)


@pytest.mark.parametrize(
    ("settings", "stack", "whole"),
    [
        ({"device": "cuda"}, 8, True),
        ({"device": "cuda", "family_size": 1}, 2, True),
        ({"device": "cuda", "stack": 1}, 1, False),
        ({"device": "cuda", "family_size": 1, "stack": 1}, 1, False),
        ({"device": "cpu"}, 1, False),
        ({"device": "cpu", "stack": 4}, 4, False),
    ],
)
def test_a_record_of_no_stack_is_of_no_graph(
    loaded: LoadedStudy, settings: dict[str, Any], stack: int, whole: bool
) -> None:
    """A run in a graph has other masks than one in lockstep: records must tell which it was."""
    asked = RunSettings.model_validate(settings)
    there: Any = SimpleNamespace(device=torch.device(asked.device), settings=asked)

    assert asked.stack_size == stack
    assert captures_steps(there, runs_of(loaded, varied(loaded)[:1])) is whole
