"""What the files of ``cli/`` promise: parse, call, print; and every option reaches what it is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rooms import import_graph
from support.command_line import Call

import finegrid
from finegrid.cli import setup
from finegrid.pretraining import command
from finegrid.pretraining.settings import PretrainSettings
from finegrid.spelling import Lang
from finegrid.study.drafting import InitOptions
from finegrid.study.init import WrittenStudy

EVERY = sorted((Path(finegrid.__file__).parent / "cli").glob("*.py"))
NO_COMMANDS = {"later.py", "pipes.py"}  # which keep commands until they are called, and streams
FILES = [path for path in EVERY if path.name not in NO_COMMANDS]
MOST_LINES = 16  # of a function, beside its options and its docstring
MOST_REPEATED = 4  # options that one call passes on under their own names: those on how runs are executed


def find_classes(path: Path) -> Iterator[str]:
    """A class keeps something; a command keeps nothing."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield f"{path.name}: class {node.name}"


def find_long_functions(path: Path) -> Iterator[str]:
    """Functions that do more than parse, call and print."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > MOST_LINES:
                yield f"{path.name}: {node.name} has {lines} lines"


def find_repeated_options(path: Path) -> Iterator[str]:
    """Calls that name option after option again: ``Options(train=train, dev=dev, ...)``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            named = (word for word in node.keywords if isinstance(word.value, ast.Name))
            repeated = [word.arg for word in named if word.arg == getattr(word.value, "id", None)]
            if len(repeated) > MOST_REPEATED:
                yield f"{path.name}:{node.lineno}: {', '.join(map(str, repeated))}"


def test_a_command_parses_calls_and_prints() -> None:
    finders = (find_classes, find_long_functions, find_repeated_options)

    assert [problem for path in FILES for find in finders for problem in find(path)] == []
    assert len(FILES) > 5


def test_nothing_imports_the_command_line() -> None:
    """Only ``__main__`` does, which the graph of rooms leaves out."""
    importers = {
        module
        for module, imported in import_graph().items()
        if not module.startswith("finegrid.cli") and any(name.startswith("finegrid.cli") for name in imported)
    }

    assert importers == set()


def test_every_option_of_pretrain_reaches_its_setting(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[PretrainSettings, Path, int]] = []
    monkeypatch.setattr(command, "pretrain", lambda *given: calls.append(given[:3]))
    options = {
        "corpus": "a.txt --corpus b.txt",
        "out": tmp_path / "made",
        "config": "shape.json",
        "budget": "2m",
        "weight": "2 --weight 0.5",
        "without": "c.txt",
        "field": "body",
        "grow": "3,6",
        "length": 64,
        "batch-tokens": 512,
        "rate": 0.002,
        "warmup": 0.1,
        "mask-share": 0.3,
        "masking": "spans",
        "pair-share": 0.25,
        "held-out": 0.01,
        "dtype": "float32",
        "seed": 7,
        "threads": 3,
        "device": "cuda",
        "precision": "bf16",
    }
    typed = [word for name, value in options.items() for word in f"--{name} {value}".split()]

    assert call("pretrain", *typed, "--dropout").returncode == 0
    settings = PretrainSettings(
        corpus=(Path("a.txt"), Path("b.txt")),
        config=Path("shape.json"),
        seconds=120.0,
        weights=(2.0, 0.5),
        without=(Path("c.txt"),),
        field="body",
        grow=(3, 6),
        length=64,
        batch_tokens=512,
        rate=0.002,
        warmup=0.1,
        mask_share=0.3,
        masking="spans",
        pair_share=0.25,
        held_out=0.01,
        dropout=True,
        precision="bf16",
        device="cuda",
        dtype="float32",
        seed=7,
    )
    assert calls == [(settings, tmp_path / "made", 3)]
    call("pretrain", "--corpus", "a.txt", "--init", "mini-zh", "--tokens", "9", "--out", tmp_path)
    assert (calls[1][0].init, calls[1][0].tokens) == ("mini-zh", 9)


def test_every_option_of_init_reaches_its_setting(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[Path, InitOptions, Lang]] = []

    def write_study(folder: Path, options: InitOptions, lang: Lang) -> WrittenStudy:
        calls.append((folder, options, lang))
        study: Any = None  # nothing of it is asked for where the price is known
        return WrittenStudy(["rows 12"], ["of something"], study, {}, {}, 0.5)

    monkeypatch.setattr(setup, "write_study", write_study)
    monkeypatch.setattr(setup, "price_of", lambda written, lang: ["price 3 runs"])
    options = {
        "train": "a.csv",
        "dev": "b.csv",
        "test": "c.csv",
        "out": tmp_path,
        "model": "somewhere",
        "preset": "other",
        "text": "first --text second",
        "label": "class",
        "format": "csv",
        "separator": "semicolon",
        "quoting": "none",
        "encoding": "big5",
        "score": "mcc",
        "seeds": 3,
        "design": "fractional",
        "resolution": "V",
        "set": "training.epochs=2 --set reinit.layers=1",
    }
    typed = [word for name, value in options.items() for word in f"--{name} {value}".split()]
    done = call("init", *typed, "--no-header", "--as-published")

    assert done.returncode == 0 and done.stderr == "warning: of something\n"
    assert done.stdout.startswith("rows 12\nprice 3 runs\nwrote ")
    assert "semicolon" in call("init", *typed, "--separator", "x").stderr
    asked = InitOptions(
        train=Path("a.csv"),
        dev=Path("b.csv"),
        test=Path("c.csv"),
        model="somewhere",
        preset="other",
        text=("first", "second"),
        label="class",
        header=False,
        format="csv",
        separator=";",
        quoting="none",
        encoding="big5",
        score="mcc",
        seeds=3,
        design="fractional",
        resolution="V",
        levels=("training.epochs=2", "reinit.layers=1"),
        as_published=True,
    )
    assert calls == [(tmp_path, asked, "en")]
    assert call("init", *typed, "--lang", "zh").stderr == "警告：of something\n" and calls[1][2] == "zh"
