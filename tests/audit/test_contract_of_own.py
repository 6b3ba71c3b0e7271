"""What `finegrid check-strategy` checks: a strategy that keeps every promise, and one that breaks each."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.command_line import Call
from support.strategies.own import name_own, write_own
from support.studies import write_study

from finegrid.audit import contract as checks
from finegrid.audit.contract import PROMISES, BrokenPromiseError, Contract
from finegrid.audit.contract_study import choose_levels, contract_of
from finegrid.audit.contract_words import WORDS
from finegrid.errors import InputError
from finegrid.recipe.own_code import import_strategy, read_file
from finegrid.study.load import load_study
from finegrid.study.own_strategies import import_own
from finegrid.training.loaded import LoadedStudy

Changed = dict[str, str]
Make = Callable[[Changed], Contract]
BODY = "gradient.sub_(self.share * gradient.mean(dim=1, keepdim=True))"
SETTINGS = '[factors]\n"centre.share" = [0.0, 1.0]\n"optimizer.bias_correction" = [true, false]'
METHOD = "    def change_gradients_"
AVERAGER = """
class Mean:
    def __init__(self, model):
        self.weight = model.get_parameter("head.linear.weight")
        self.mean = self.weight.detach().clone()

    def update(self):
        self.mean.lerp_(self.weight.detach(), 0.1)

    @contextmanager
    def applied(self):
        last = self.weight.detach().clone()
        self.weight.data.copy_(self.mean)
        yield
        self.weight.data.copy_(last)

    def tensors(self):
        return {}


@dataclass(frozen"""


@pytest.fixture
def make(tmp_path: Path, bert: Path) -> Make:
    """Writes the strategy with some passages changed, and opens a study that varies it."""

    def contract(changed: Changed) -> Contract:
        write_study(tmp_path, bert, SETTINGS)
        name_own(tmp_path, "centre.py")
        code = read_file(write_own(tmp_path, changed=changed).name, tmp_path)
        study = load_study(tmp_path, partial(import_own, allowed=[code.digest]))
        return Contract(LoadedStudy(study, study.head.run), "centre", {"share": 1.0})

    return contract


def method(code: str) -> Changed:
    """One more method, before that of the gradients."""
    return {METHOD: f"    {code}\n\n{METHOD}"}


BROKEN: dict[str, tuple[str, Changed]] = {
    "off": (
        "something happens at change_gradients_",
        {
            "gradient.ndim == 2": "True",
            BODY: "gradient.mul_(0.5)",
            "gradients if self.share else ()": "gradients",
        },
    ),
    "on": ("centre.share = 1.0 changes nothing", {BODY: "gradient.mul_(1.0)"}),
    "claims": ("centre.share also does this: other gradients", {'"gradients": "all"': '"rates": "all"'}),
    "seed": ("two runs differ", {BODY: "gradient.mul_(torch.rand(()))"}),
    "chance": (
        "it moves the head, and touches does not say so",
        method(
            "def prepare_model(self, model, setting):\n"
            '        model.get_parameter("head.linear.weight").data.mul_(2)'
        ),
    ),
    "resume": (
        "it ends with other bits",
        {
            "@dataclass(frozen": AVERAGER.lstrip(),
            "import torch\n": "from contextlib import contextmanager\n\nimport torch\n",
            **method("def averager(self, model):\n        return Mean(model) if self.share else None"),
        },
    ),
    "stack": (
        "gradients differ",
        {
            "@dataclass(frozen": "CALLS: list[int] = []\n\n\n@dataclass(frozen",
            BODY: "CALLS.append(1)\n                gradient.mul_(len(CALLS))",
        },
    ),
    "capture": (
        "a step reads .* back",
        {"if gradient.ndim == 2": "if gradient.ndim == 2 and gradient.sum() > -1e9"},
    ),
    "bounds": ("centre.share takes nan, inf", {"ge=0, le=1, ": ""}),
    "tensors": (
        "it adds, removes or reshapes extra",
        method(
            "def prepare_model(self, model, setting):\n"
            '        model.register_parameter("extra", torch.nn.Parameter(torch.zeros(2)))'
        ),
    ),
    "rows": (
        "runs differ by which words they hold",
        {"dim=1": "dim=0"},
    ),
    "pairs": (
        "with freeze: ValueError: not in my house",
        method(
            "def prepare_model(self, model, setting):\n"
            '        if model.frozen_layers:\n            raise ValueError("not in my house")'
        ),
    ),
}


def test_every_promise_has_a_strategy_that_breaks_it() -> None:
    assert BROKEN.keys() == PROMISES.keys()
    assert all(name in words for name in PROMISES for words in WORDS.values())


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_found_and_said(promise: str, make: Make) -> None:
    said, changed = BROKEN[promise]

    with pytest.raises(BrokenPromiseError, match=said) as broken:
        PROMISES[promise](make(changed))

    assert broken.value.describe("zh") != broken.value.describe("en")


def test_a_strategy_that_keeps_its_promises_passes(make: Make) -> None:
    contract = make({})
    for promise, check in PROMISES.items():
        if promise != "pairs":  # which takes as long as all others: see below
            check(contract)


def test_a_factor_that_does_nothing_here_says_why(make: Make) -> None:
    """It draws afresh what nothing reads under this pooling."""
    pooler = (
        "    def prepare_model(self, model, setting):\n        if self.share:\n"
        '            model.get_parameter("encoder.pooler.dense.weight").data.mul_(2)\n\n    def unused('
    )
    contract = make({METHOD: pooler.removesuffix("("), '{"gradients": "all"}': '{"initial": "pooler"}'})

    with pytest.raises(
        BrokenPromiseError, match=r"centre\.share does nothing here: pooler\.dense\.weight never"
    ):
        PROMISES["claims"](contract)


def test_what_a_strategy_raises_is_a_broken_promise(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PROMISES", {name: PROMISES[name] for name in ("bounds", "on")})

    first, on = make({BODY: "raise KeyError('nothing here')"}).check()

    assert first.broken is None
    assert "KeyError" in on.line() and on.line().startswith("FAIL  ")


def test_levels_that_switch_a_factor_on_are_found_or_asked_for(tmp_path: Path) -> None:
    more = "    word: Annotated[str, Field(description='any word')] = ''\n    share: Annotated"
    code = read_file(write_own(tmp_path, changed={"    share: Annotated": more}).name, tmp_path)
    kind = import_strategy(code)

    assert choose_levels("centre", kind, {"centre.word": "a"}) == {"word": ["", "a"], "share": [0.0, 0.5]}
    with pytest.raises(InputError, match=r"--level centre\.word="):
        choose_levels("centre", kind, {})
    with pytest.raises(InputError, match=r"centre\.wort .* Known: centre\.word, centre\.share"):
        choose_levels("centre", kind, {"centre.wort": "a"})


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A strategy's file that is allowed to run, and few promises to check."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    few = {name: PROMISES[name] for name in ("bounds", "chance")}
    monkeypatch.setattr(checks, "PROMISES", few)
    return write_own(tmp_path)


def test_the_command_says_a_line_for_every_promise(short: Path, call: Call) -> None:
    refused = call("check-strategy", short)
    assert refused.returncode == 2 and "--allow-code" in refused.stderr

    done = call("check-strategy", short, "--allow-code")
    assert done.returncode == 0, done.stderr
    assert [line[:6] for line in done.stdout.splitlines()] == ["pass  "] * 3

    write_own(short.parent, changed={"ge=0, le=1, ": ""})
    done = call("check-strategy", short, "--allow-code", "--lang", "zh", "--level", "centre.share=0.7")
    assert done.returncode == 1
    assert "不通过  不可能的水平会被拒绝：centre.share 接受了 nan, inf, -inf。" in done.stdout
    done = call("check-strategy", short, "--json")
    kept = {one["promise"]: one["kept"] for one in json.loads(done.stdout)["promises"]}
    assert done.returncode == 1 and kept == {"whole": True, "bounds": False, "chance": True}


def test_the_command_tells_all_that_is_wrong_with_a_file(short: Path, call: Call) -> None:
    write_own(short.parent, changed={"Paper ": "By  ", ", description": ", title"})

    refused = call("check-strategy", short, "--allow-code")

    assert refused.returncode == 2 and "2 problems" in refused.stderr
    assert call("check-strategy", short, "--level", "centre.share").returncode == 2
    assert call("check-strategy", short.with_name("nowhere.py")).returncode == 2


@pytest.mark.slow
def test_it_passes_on_finegrid_s_own_checkpoint(tmp_path: Path) -> None:
    path = write_own(tmp_path)
    with contract_of(read_file(path.name, tmp_path), {}) as contract:
        assert [one.line() for one in contract.check() if one.broken] == []
    assert not contract.loaded.study.folder.exists()
