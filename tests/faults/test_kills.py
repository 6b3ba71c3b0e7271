"""Commands that write, killed 200 times: nothing is lost, nothing is left behind, and the end is the same."""

from __future__ import annotations

import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.attack import SEED, chance_of, list_files, share_of
from support.killed import TARGETS, Command, Kill, Target, check_whole, draw_kills, finished_content, ledgers
from support.pretend import pretend
from support.pretrain_samples import text_of, write_config, write_lines
from support.studies import open_study, save_word_checkpoint, write_data, write_study, write_word_study

from finegrid.audit.costs import make_audit
from finegrid.planning.runs import PlannedRun
from finegrid.study.audit_file import save_audit
from finegrid.study.record import Epoch, Scores

CTRL_C = (
    0,
    130,
    -signal.SIGINT,
)  # it had ended already; it was stopped; twice: a shell says 130 of that, too
AWAKE = 0.5  # seconds, after which finegrid and not Python hears signals
IN_A_ROW = 3  # kills of one folder, before its command is let finish
ALONE: tuple[Target, ...] = ("parent", "group")  # of commands without workers
LEVELS: dict[str, Any] = {"freeze.layers": [0, 1], "schedule.warmup_ratio": [0.0, 0.1]}
OFTEN = "save_after_seconds = 0\nfamily_size = 2\nthreads = 1"
JUDGED = """[design]
seeds = 3
[factors]
"optimizer.bias_correction" = [true, false]
"reinit.layers" = [0, 1]
"schedule.warmup_ratio" = [0.0, 0.5]
[run]
threads = 1
"""


@dataclass(frozen=True)
class Attacked:
    """A command line in a copy of `make_home`, and how often it is killed.

    Attributes:
        line: Of the command.
        kills: In all.
        targets: What there is to kill.
        made: A file that only a finished command leaves; it refuses to start again where this is.
    """

    line: str
    kills: int
    targets: tuple[Target, ...] = TARGETS
    made: str = ""


FILES = "--train data/train.tsv --dev data/dev.tsv --test data/test.tsv --model model"
ATTACKED = {
    "run": Attacked("run plain --workers 1", 30),
    "two workers": Attacked("run plain --workers 2", 14),
    "until decided": Attacked("run plain --until-decided --margin 95 --workers 1", 16),
    "screen": Attacked("run screen --margin 60 --workers 1", 24),
    "fit": Attacked("fit judged --recipe baseline --force", 20),
    "confirm": Attacked("confirm judged --seeds 2 --workers 1", 24),
    "probe": Attacked("plan plain --probe", 16, ALONE),
    "report": Attacked("report judged", 14, ALONE),
    "export": Attacked("export judged --to csv", 8, ALONE),
    "init": Attacked(f"init {FILES} --out made", 14, ALONE, "made/study.toml"),
    "pretrain": Attacked(
        "pretrain --corpus corpus.txt --config shape.json --tokens 12000 --length 32 --batch-tokens 256 "
        "--threads 1 --out made",
        14,
        ALONE,
    ),
    "import": Attacked("import table.csv --out made", 6, ALONE, "made/imported.json"),
}
A_PART = 6  # kills of one test: pytest-xdist spreads tests over the cores
PARTS = [
    pytest.param(name, part, id=f"{name}-{part}")
    for name, attacked in ATTACKED.items()
    for part in range(-(-share_of(attacked.kills) // A_PART))
]


def make_home(folder: Path) -> None:
    """All that the commands need: texts, a checkpoint, three studies, a corpus, a table of results."""
    write_data(folder / "data")
    save_word_checkpoint(folder / "model")
    model = Path("../model")
    short = {"training.batch_size": 8}
    write_word_study(folder / "plain", model, LEVELS, recipe=short, run=OFTEN)
    more = {**LEVELS, "optimizer.bias_correction": [True, False]}
    screened = 'kind = "screen"\nresolution = "III"\nseeds = 2'
    write_word_study(folder / "screen", model, more, recipe=short, design=screened, run=OFTEN)
    judge_(write_study(folder / "judged", model, JUDGED, 'score = "accuracy"\n'))
    write_lines(folder / "corpus.txt", text_of(0))
    write_config(folder / "shape.json")
    rows = [f"{a},{b},0.{50 + a + b},{seed}" for a in (0, 1) for b in (0, 2) for seed in (0, 1)]
    write_lines(folder / "table.csv", ["reinit.layers,freeze.layers,f1,seed", *rows])


def judge_(folder: Path) -> None:
    """Give a study a ledger that says that re-initialising with warmup is the best by far."""
    loaded = open_study(folder)
    audit = make_audit(loaded)
    save_audit(folder, audit)

    def hits(run: PlannedRun) -> int:
        good = sum(60 for name in ("reinit.layers", "schedule.warmup_ratio") if name in run.levels)
        return 120 + good - 30 * ("optimizer.bias_correction" in run.levels) + run.seed

    scores: Scores = {"accuracy": 0.4, "macro-f1": 0.4, "mcc": 0.1, "f1": dict.fromkeys(audit.labels, 0.4)}
    epochs = [Epoch(epoch=n, train_loss=1.0, train_seconds=9.0, dev_seconds=1.0, dev=scores) for n in (1, 2)]
    pretend(loaded.study, audit, hits, range(3), epochs=tuple(epochs))


@dataclass
class Undisturbed:
    """What a command that nobody kills leaves, and the seconds that it last took."""

    content: dict[str, Any]
    seconds: float


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "home"
    make_home(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(home: Path) -> Callable[[str], Undisturbed]:
    @cache
    def run(name: str) -> Undisturbed:
        command = begin(ATTACKED[name], home)
        start = time.monotonic()
        assert command.run() == 0, command.told
        return Undisturbed(finished_content(command.folder), time.monotonic() - start)

    return run


def begin(attacked: Attacked, home: Path) -> Command:
    """The command in a fresh copy of the home. It is always in one place, which names confirmations."""
    work = home.with_name("work")
    shutil.rmtree(work, ignore_errors=True)
    return Command(tuple(attacked.line.split()), Path(shutil.copytree(home, work)))


def kills_of(name: str, part: int) -> list[Kill]:
    attacked = ATTACKED[name]
    drawn = draw_kills(share_of(attacked.kills), chance_of("kills", name), attacked.targets)
    return drawn[part * A_PART : (part + 1) * A_PART]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), PARTS)
def test_a_command_killed_at_any_moment_loses_nothing_and_ends_as_if_nobody_had(
    name: str,
    part: int,
    home: Path,
    undisturbed: Callable[[str], Undisturbed],
) -> None:
    expected, attacked = undisturbed(name), ATTACKED[name]
    start, cores, killed, row = time.monotonic(), core_seconds(), 0, 0
    command = begin(attacked, home)
    for kill in kills_of(name, part):
        moment = kill.moment
        while True:
            print(f"seed {SEED}: {attacked.line}: {kill}")
            before, began = ledgers(command.folder), time.monotonic()
            code = command.kill(kill, moment * expected.seconds)
            if code is not None:
                break
            # It went on from earlier kills, and had ended by then: a fresh one takes longer. Or the machine
            # is less busy than before.
            if row == 0:
                expected.seconds = time.monotonic() - began
            finish(command, attacked, expected.content)
            row, moment = 0, 0.95 * moment
            command = begin(attacked, home)
        killed, row = killed + 1, row + 1
        print(f"  exit code {code}: {(command.told.splitlines() or [''])[-1]}")
        if moment * expected.seconds > AWAKE:
            assert "Traceback" not in command.told, command.told
            assert not kill.is_ctrl_c or code in CTRL_C, command.told
        check_whole(command.folder, before, row)
        if row == IN_A_ROW:
            finish(command, attacked, expected.content)
            command, row = begin(attacked, home), 0
    if row:
        finish(command, attacked, expected.content)
    each = [(now - before) / killed for now, before in ((time.monotonic(), start), (core_seconds(), cores))]
    print(f"{killed} kills, {each[0]:.1f} s each, of which {each[1]:.1f} s of a core")


def core_seconds() -> float:
    """That all processes took which this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def finish(command: Command, attacked: Attacked, expected: dict[str, Any]) -> None:
    """Let it finish: the folder then holds what one holds that was never killed, and nothing else is left."""
    if not attacked.made or not (command.folder / attacked.made).exists():
        assert command.run() == 0, command.told
    found = finished_content(command.folder)
    left, missing = sorted(found.keys() - expected.keys()), sorted(expected.keys() - found.keys())
    assert (left, missing) == ([], [])
    assert [name for name in found if found[name] != expected[name]] == []
    assert list(list_files(command.temporary)) == []
