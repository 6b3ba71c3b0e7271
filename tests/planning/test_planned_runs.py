"""What a study will run, in which families, and what it will cost."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audits import audit_of
from support.studies import open_study, write_study

import finegrid.machine
from finegrid.audit.costs import make_audit
from finegrid.errors import InputError
from finegrid.machine import cores, gpus
from finegrid.planning.capacity import GIB, Capacity, capacity, check_workers
from finegrid.planning.families import Family, evenly, plan_families
from finegrid.planning.forecast import family_seconds, makespan
from finegrid.planning.runs import PlannedRun, plan_runs
from finegrid.recipe.identity import ENGINE, Levels
from finegrid.study.audit_file import Audit, Cost, RowAudit
from finegrid.study.settings import RunSettings
from finegrid.study.study import Study

SEEDS = "[design]\nseeds = 2\n[factors]"
GRID = 'preset = "thucnews64"'


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> tuple[Study, Audit]:
    """The published grid with two seeds, and its audit."""
    loaded = open_study(write_study(tmp_path_factory.mktemp("grid"), bert, settings=SEEDS, head=GRID))
    return loaded.study, make_audit(loaded)


def run(name: str, seed: int = 0, **levels: int | bool) -> PlannedRun:
    moved: Levels = {key.replace("__", "."): level for key, level in levels.items()}
    return PlannedRun(name, moved, seed, (1,))


def test_a_grid_of_64_rows_and_two_seeds_is_64_runs(planned: tuple[Study, Audit]) -> None:
    study, audit = planned
    runs = plan_runs(study, audit, "fp32")

    assert len(runs) == len({run.run_id for run in runs}) == 64
    assert [run.seed for run in runs] == [0] * 32 + [1] * 32
    for seed in (0, 1):
        stands = sorted(row for run in runs if run.seed == seed for row in run.stands_for)
        assert stands == list(range(1, 65))
    assert all(len(run.stands_for) == 2 for run in runs)


def test_precision_and_seed_make_other_run_ids(planned: tuple[Study, Audit]) -> None:
    study, audit = planned
    fp32, bf16 = (plan_runs(study, audit, precision) for precision in ("fp32", "bf16"))

    assert not {run.run_id for run in fp32} & {run.run_id for run in bf16}


def eight(run: PlannedRun) -> int:
    return 8


def test_runs_of_a_seed_whose_steps_cost_the_same_are_families(planned: tuple[Study, Audit]) -> None:
    runs = plan_runs(*planned, "fp32")
    families = plan_families(runs, eight)

    assert sorted(run.run_id for family in families for run in family.runs) == sorted(r.run_id for r in runs)
    assert [len(family.runs) for family in families] == [8] * 8
    for family in families:
        assert len({run.seed for run in family.runs}) == 1
        assert len({run.recipe.freeze for run in family.runs}) == 1


@pytest.mark.parametrize(
    "levels",
    [
        {"freeze.layers": 1},
        {"freeze.dropout": False},
        {"model.pooling": "cls"},
        {"model.max_length": 20},
        {"training.batch_size": 3},
        {"training.epochs": 9},
    ],
    ids=str,
)
def test_what_the_prefix_or_the_steps_depend_on_parts_families(levels: Levels) -> None:
    ours = PlannedRun("a", {"freeze.layers": 2}, 0, (1,))
    theirs = PlannedRun("b", {"freeze.layers": 2, **levels}, 0, (2,))
    other_seed = PlannedRun("c", {"freeze.layers": 2}, 1, (3,))

    assert [len(family.runs) for family in plan_families([ours, theirs, other_seed], eight)] == [1, 1, 1]


def test_what_they_do_not_depend_on_does_not() -> None:
    levels: list[Levels] = [
        {},
        {"reinit.layers": 2},
        {"optimizer.rate": 1e-3},
        {"optimizer.decay_on": "matrices"},
        {"schedule.warmup_ratio": 0.1},
    ]
    runs = [PlannedRun(str(i), {"freeze.layers": 2, **own}, 0, (i,)) for i, own in enumerate(levels)]

    assert [len(family.runs) for family in plan_families(runs, eight)] == [5]


def test_members_do_not_depend_on_what_is_done() -> None:
    runs = [run(str(index), freeze__layers=2) for index in range(5)]
    (family,) = plan_families(runs, eight)
    for count in range(6):
        for done in combinations([run.run_id for run in runs], count):
            rest = family.without(done)
            assert rest.runs == family.runs and rest.family_id == family.family_id
            assert [r.run_id for r in rest.left] == [r.run_id for r in runs if r.run_id not in done]


def test_a_family_is_named_by_its_members() -> None:
    a, b, c = (run(name, freeze__layers=2) for name in "abc")

    assert len({Family(runs, runs).family_id for runs in ((a,), (a, b), (a, c), (a, b, c))}) == 4


@given(st.integers(1, 60), st.integers(1, 12))
def test_parts_are_as_equal_as_can_be(count: int, size: int) -> None:
    runs = [run(str(index)) for index in range(count)]
    parts = evenly(runs, size)
    lengths = [len(part) for part in parts]

    assert [r for part in parts for r in part] == runs
    assert len(parts) == -(-count // size)
    assert max(lengths) <= size and max(lengths) - min(lengths) <= 1


def cost(shared: Levels, step: float, prefix: float = 0.0, gib: float = 0.0, member_gib: float = 0.0) -> Cost:
    return Cost(
        shared=shared,
        step_seconds=step,
        prefix_seconds=prefix,
        evaluation_seconds=10,
        test_seconds=3,
        memory=int(gib * GIB),
        member_memory=int(member_gib * GIB),
    )


@pytest.mark.parametrize(
    ("memory", "frozen", "size"),
    [(64, 2, 8), (26.5, 2, 8), (16, 2, 4), (10, 2, 1), (1, 2, 1)],
    ids=["enough", "just enough", "some", "for one only", "too little"],
)
def test_families_are_as_large_as_memory_allows(memory: float, frozen: int, size: int) -> None:
    """Two workers of one thread; the first run of a family takes 4.25 GiB with its best epoch's weights, each
    other one 1.25.
    """
    shared: Levels = {"freeze.layers": frozen} if frozen else {}
    audit = audit_of(cost(shared, 1.0, gib=4, member_gib=1.25))
    room = Capacity(audit, workers=2, worker_bytes=int(memory / 2 * GIB), family_size=8)

    assert room.size_of(PlannedRun("a", shared, 0, (1,))) == size


def test_there_is_a_worker_for_every_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def workers() -> int:
        return capacity(RunSettings(device="cuda"), audit_of(cost({}, 1.0, gib=4))).workers

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(finegrid.machine, "NVIDIA", tmp_path / "none")
    assert workers() == 1
    monkeypatch.setattr(finegrid.machine, "NVIDIA", tmp_path)
    for gpu in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / gpu).mkdir()
    assert workers() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    assert workers() == 3
    assert gpus() == ["0", "1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == [] and workers() == 1  # where nothing trains, one is what is reckoned with


def test_more_workers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    check_workers(RunSettings(device="cuda"), 2)
    check_workers(RunSettings(device="cuda"), None)
    check_workers(RunSettings(), 9)

    with pytest.raises(InputError, match="3, but there are 2 GPUs"):
        check_workers(RunSettings(device="cuda"), 3)


@pytest.mark.parametrize("changed", [{"device": "cuda"}, {"precision": "bf16"}, {"threads": 2}])
def test_costs_are_those_of_the_device_precision_and_threads_that_train(
    changed: dict[str, str | int],
) -> None:
    audit = audit_of(cost({}, 1.0, gib=4)).model_copy(
        update={"engine": ENGINE, "measured": RunSettings().alike}
    )

    assert audit.serves([], RunSettings().alike)
    assert not audit.serves([], RunSettings.model_validate(changed).alike)


def test_stacked_runs_take_their_activations_into_account() -> None:
    """Each what a run takes alone: three of 4 GiB fit into 12, where one by one all eight do."""
    audit = audit_of(cost({"freeze.layers": 2}, 1.0, gib=4, member_gib=1.25))
    sizes = [
        Capacity(audit, 1, 13 * GIB, 8, stack).size_of(run("a", freeze__layers=2)) for stack in (1, 2, 8)
    ]

    assert sizes == [8, 3, 3]


def test_families_fit_the_gpu_that_was_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.8 of 24 GiB, where a run takes 4; and long epochs are no reason against families there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    audit = audit_of(cost({}, 1.0, gib=4, member_gib=1.25)).model_copy(
        update={"device_memory": 24 * GIB, "sizes": {"train": 54_000}}
    )

    assert capacity(RunSettings(device="cuda"), audit).size_of(run("a")) == 4
    assert capacity(RunSettings(device="cuda", memory=9), audit).size_of(run("a")) == 2


@pytest.mark.parametrize(("texts", "size"), [(100, 8), (20_000, 4), (80_000, 1), (10_000_000, 1)])
def test_runs_that_freeze_nothing_wait_for_each_other_through_short_epochs_only(
    texts: int, size: int
) -> None:
    """Of 20 tokens a text and 1.5 million parameters: 1.8e8 operations a text, and 1.5e13 an epoch."""
    audit = audit_of(cost({}, 1.0, gib=0.5, member_gib=30e6 / GIB))
    audit = audit.model_copy(update={"sizes": {"train": texts}})

    assert Capacity(audit, 2, 8 * GIB, 8).size_of(run("a")) == size


def test_workers_and_families_share_the_memory_that_they_are_given() -> None:
    audit = audit_of(cost({}, 1.0, gib=4, member_gib=0.1))
    room = capacity(RunSettings(memory=4.35), audit)

    assert (room.workers, room.size_of(run("a"))) == (1, 4)
    assert capacity(RunSettings(memory=1e6), audit).workers == cores()
    assert capacity(RunSettings(threads=cores(), memory=1e6), audit).workers == 1
    assert capacity(RunSettings(memory=0.1), audit).workers == 1


def test_a_familys_seconds_by_hand() -> None:
    """Twelve steps (4 an epoch of 100 texts by 32): the prefix once, everything else for each run."""
    audit = audit_of(cost({"freeze.layers": 2}, step=2.0, prefix=0.5))
    runs = [run(str(index), freeze__layers=2) for index in range(3)]
    (family,) = plan_families(runs, eight)

    assert family_seconds(family, audit) == pytest.approx(12 * (3 * 2.0 + 0.5) + 3 * (3 * 10 + 3))
    assert family_seconds(family.without({"0", "1"}), audit) == pytest.approx(12 * 2.5 + 33)
    assert family_seconds(family.without({"0", "1", "2"}), audit) == 0


def test_a_makespan_by_hand() -> None:
    """Seconds 7, 5, 4, 4: two workers need 11 (7 + 4 and 5 + 4)."""
    kinds = {7: {"freeze.layers": 1}, 5: {"freeze.layers": 2}, 4: {"freeze.layers": 3}}
    audit = audit_of(*(cost(dict(shared), step=(s * 100 - 33) / 12) for s, shared in kinds.items()))
    names = [(1, "a"), (2, "b"), (3, "c"), (3, "d")]
    families = [Family((r,), (r,)) for layers, name in names for r in [run(name, freeze__layers=layers)]]

    assert makespan(families, audit, workers=1) == pytest.approx(2000)
    assert makespan(families, audit, workers=2) == pytest.approx(1100)
    assert makespan(families, audit, workers=9) == pytest.approx(700)
    assert makespan([], audit, workers=2) == 0


def test_the_audit_measures_every_kind_of_run(planned: tuple[Study, Audit]) -> None:
    study, audit = planned
    for planned_run in plan_runs(study, audit, "fp32"):
        found = audit.cost(planned_run.recipe)
        assert found is not None and found.step_seconds > 0 and found.memory > 0
        assert (found.prefix_seconds > 0) == (planned_run.recipe.freeze.layers > 0)
        assert found.shared == planned_run.recipe.priced_levels()


def test_an_audit_covers_the_rows_it_was_made_for(planned: tuple[Study, Audit]) -> None:
    study, audit = planned
    assert audit.covers(study.rows)
    less, other = (
        Audit.model_validate(audit.model_dump() | changed)
        for changed in ({"rows": audit.rows[1:]}, {"engine": -1})
    )
    assert not less.covers(study.rows)
    assert other.covers(study.rows) and not other.serves(study.rows)  # it is read, and nothing trains by it
    assert audit.serves(study.rows)
    assert all(isinstance(row, RowAudit) for row in audit.rows)
