"""What `import finegrid` gives, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import finegrid

FRONT = Path(finegrid.__file__)
STABLE = [
    "Classifier",
    "Comparison",
    "InputError",
    "Plan",
    "Problem",
    "Progress",
    "Recommendation",
    "RunStates",
    "RunSummary",
    "Study",
    "Table",
    "Verdict",
    "WorkerBrokeError",
    "__version__",
    "compare",
]


def test_these_names_stay() -> None:
    """Taking one out breaks programs of others: think twice, and say so in the changelog."""
    assert finegrid.__all__ == STABLE


@pytest.mark.parametrize("open_it", [finegrid.Study.load, finegrid.Classifier.load])
def test_a_path_that_no_file_can_have_is_an_error_of_input(open_it: Callable[[str], object]) -> None:
    with pytest.raises(finegrid.InputError, match="found a NUL character in a path"):
        open_it("study\0")


def test_every_stable_name_is_there_and_listed() -> None:
    assert {name for name in finegrid.__all__ if getattr(finegrid, name) is not None} <= {*dir(finegrid)}
    with pytest.raises(AttributeError, match="'Stdy'"):
        finegrid.Stdy  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_what_python_imports() -> None:
    tree = ast.parse(FRONT.read_text(encoding="utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If) and "not" not in ast.unparse(node.test))
    imported = {
        alias.name: node.module
        for node in seen.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == finegrid.HOMES
    assert {*imported, "__version__"} == {*finegrid.__all__}
    assert (FRONT.parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import finegrid", ("numpy", "pydantic", "finegrid.api", "pyarrow", "pandas", "torch")),
        (
            "import finegrid as fg; fg.Study, fg.compare, fg.Classifier, fg.Verdict",
            ("pyarrow", "pandas", "polars", "torch", "transformers", "tokenizers"),
        ),
    ],
)
def test_importing_brings_nothing_heavy(code: str, absent: tuple[str, ...]) -> None:
    there = f"import sys; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{there}"], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
